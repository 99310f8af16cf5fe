"""Compares the times of systems round by round, from plain data: each system with the baseline, and two points of a
front with each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np

from bench.statistics.arrays import Values
from bench.statistics.latency_verdicts import Ratio, compare_rounds

OWN_P50, TOTAL_P95 = "own p50", "total p95"


class RoundTimes(Protocol):
    """A system's seconds by round, float64 (rounds,), NaN where the round gives none; the same rounds in the same order
    for all systems."""

    @property
    def own_p50(self) -> Values:
        """Median of the system's own part of a query."""

    @property
    def total_p95(self) -> Values:
        """95th percentile of whole queries."""


def latencies_against_baseline(
    rounds: Mapping[str, RoundTimes],
    baseline: str,
    *,
    margin: float | None,
    rng: np.random.Generator,
    never_faster: Collection[str] = (),
) -> dict[str, dict[str, Ratio]]:
    """The comparisons by system and figure. rounds: the figures of all systems in one pass. Each figure is a family of
    its own: the systems for which every round supports the figure."""
    if baseline not in rounds:
        return {}
    found: dict[str, dict[str, Ratio]] = {name: {} for name in rounds if name != baseline}
    for figure in (OWN_P50, TOTAL_P95):
        values = {name: _values(of, figure) for name, of in rounds.items()}
        if figure == TOTAL_P95:
            values = {name: seconds for name, seconds in values.items() if not np.isnan(seconds).any()}
        if (reference := values.pop(baseline, None)) is None:
            continue
        ratios = compare_rounds(reference, values, margin=margin, rng=rng, never_faster=never_faster)
        for name, ratio in ratios.items():
            found[name][figure] = ratio
    return found


def told_apart(one: RoundTimes, other: RoundTimes, rng: np.random.Generator, figure: str = OWN_P50) -> bool:
    """Whether the times of two systems of one pass differ. Own p50 is compared where the rounds do not support the
    figure."""
    pair = [_values(one, figure), _values(other, figure)]
    if any(np.isnan(values).any() for values in pair):
        pair = [_values(one, OWN_P50), _values(other, OWN_P50)]
    ratio = compare_rounds(pair[0], {"other": pair[1]}, margin=None, rng=rng).get("other")
    return ratio is not None and ratio.verdict != "undecided"


def _values(of: RoundTimes, figure: str) -> Values:
    return of.total_p95 if figure == TOTAL_P95 else of.own_p50
