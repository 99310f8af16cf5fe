"""Verdicts on latency: a system's time against the baseline's in the same round, from figures per round alone. All
systems of a round meet the machine in the same state, so the machine's drift cancels in a round's ratio. The test is
the one for quality, with rounds in the place of queries.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from bench.statistics.arrays import Values
from bench.statistics.levels import fewest_groups
from bench.statistics.resampling import ROUNDING
from bench.statistics.significance import Interval, about, family_test

LatencyVerdict: TypeAlias = Literal["faster", "not_slower", "slower", "undecided"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A system's time over the baseline's; under 1 the system is faster.

    ratio: geometric mean over the rounds. interval: simultaneous over the family, None where there are too few rounds
        for any. rounds: how many rounds have a figure of every compared system.
    rounds_to_decide: how many more rounds like these would decide; only with "undecided", and None there when no
        number of rounds is foreseen to.
    """

    ratio: float
    interval: Interval | None
    p: float | None
    p_corrected: float | None
    verdict: LatencyVerdict
    rounds: int
    rounds_to_decide: int | None


def compare_rounds(
    baseline: Values,
    systems: Mapping[str, Values],
    *,
    margin: float | None,
    rng: np.random.Generator,
    flips: int = 20_000,
    never_faster: Collection[str] = (),
    level: float = 0.95,
) -> dict[str, Ratio]:
    """All systems against the baseline: log ratios per round, signs flipped together, max-T over the systems.

    baseline and each system: float64 (rounds,) in seconds, above 0, the same rounds in the same order, NaN where a
    round gives no figure. margin: the ratio up to which a system still counts as not slower, such as 1.10; None for no
    such verdict. never_faster: names whose "faster" is withheld (failed queries).

    Read from the interval in this order: `faster` (all under 1), `not_slower` (all under the margin), `slower` (all
    above 1), else `undecided`. A system that shares no round with the baseline is left out of the answer. A system with
    too few rounds is compared alone, so that the others keep all of their rounds.

    The critical value comes from flips about each bound that a verdict reads (1 and the margin): two identical systems
    that take turns in a random order have log ratios of either sign alike, so that the test is exact for them.
    Intervals whose level does not rest on that (flipped residuals, as quality has them) call less than 3 % of such
    pairs different when one round in ten is disturbed.
    Raises ValueError for unequal lengths, times that are not above 0, a margin that is not above 1.
    """
    if margin is not None and not margin > 1:
        raise ValueError(f"margin: expected a ratio above 1, such as 1.10, got {margin:g}.")
    reference = _logs(baseline, len(baseline), "baseline")
    logs = {name: _logs(values, len(baseline), name) - reference for name, values in systems.items()}
    logs = {name: values for name, values in logs.items() if not np.isnan(values).all()}
    fewest = fewest_groups(level)
    found: dict[str, Ratio] = {}
    for names in _families(logs, fewest):
        columns = np.column_stack([logs[name] for name in names])
        differences = columns[~np.isnan(columns).any(axis=1)]
        differences[np.abs(differences) <= ROUNDING] = 0.0
        found |= _compared(names, differences, margin, rng, flips, never_faster, level)
    return {name: found[name] for name in systems if name in found}


def _logs(values: Values, rounds: int, name: str) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (rounds,):
        raise ValueError(f"{name}: expected one time per round ({rounds}), got shape {array.shape}.")
    if not (np.isnan(array) | ((array > 0) & np.isfinite(array))).all():
        raise ValueError(f"{name}: times must be above 0 and finite.")
    return np.log(array)


def _families(logs: Mapping[str, Values], fewest: int) -> list[list[str]]:
    """Families of systems: those that share enough rounds with each other form one, each other system is its own."""
    together = sorted(logs, key=lambda name: (-int((~np.isnan(logs[name])).sum()), name))
    alone: list[list[str]] = []
    while together and (~np.isnan(np.column_stack([logs[n] for n in together])).any(axis=1)).sum() < fewest:
        alone.append([together.pop()])
    return [sorted(together), *alone] if together else alone


def _compared(
    names: Sequence[str],
    differences: Values,
    margin: float | None,
    rng: np.random.Generator,
    flips: int,
    never_faster: Collection[str],
    level: float,
) -> dict[str, Ratio]:
    """differences: log ratios (rounds, systems), none of them NaN."""
    rounds = len(differences)
    bounds = [0.0] if margin is None else [0.0, math.log(margin)]
    fewest = fewest_groups(level)
    if rounds < fewest:
        means = differences.mean(axis=0)
        return {
            name: Ratio(math.exp(mean), None, None, None, "undecided", rounds, fewest - rounds)
            for name, mean in zip(names, means.tolist(), strict=True)
        }
    tested = family_test(
        differences,
        np.ones(rounds),
        flips=flips,
        rng=rng,
        level=level,
        centres=lambda means: [np.full(len(names), bound) for bound in bounds],
    )
    found: dict[str, Ratio] = {}
    for j, name in enumerate(names):
        mean = float(differences[:, j].mean())
        half = tested.critical * float(tested.errors[j]) if differences[:, j].any() else 0.0
        may_be_faster = name not in never_faster
        verdict = _verdict(mean - half, mean + half, bounds, may_be_faster)
        more = _rounds_to_decide(mean, half, bounds, rounds, may_be_faster) if verdict == "undecided" else None
        interval = Interval(math.exp(mean - half), math.exp(mean + half))
        tests = float(tested.p[j]), float(tested.p_corrected[j])
        found[name] = Ratio(math.exp(mean), interval, *tests, verdict, rounds, more)
    return found


def _verdict(low: float, high: float, bounds: Sequence[float], may_be_faster: bool) -> LatencyVerdict:
    if high < 0 and may_be_faster:
        return "faster"
    if len(bounds) > 1 and high < bounds[1]:
        return "not_slower"
    return "slower" if low > 0 else "undecided"


def _rounds_to_decide(
    mean: float, half: float, bounds: Sequence[float], rounds: int, may_be_faster: bool
) -> int | None:
    """How many more rounds would decide, from the half-widths that would: each is the distance to a bound, and an
    interval narrows with the square root of the number of rounds."""
    widths = [abs(mean)] if mean > 0 or may_be_faster else []
    widths += [bounds[1] - mean] if len(bounds) > 1 else []
    needed = [rounds * (half / width) ** 2 for width in widths if width > ROUNDING]
    return about(max(1, math.floor(min(needed)) + 1 - rounds)) if needed else None
