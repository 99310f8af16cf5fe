"""The system with the highest mean, and which of the others it is shown to be better than.

Whichever system comes out best was chosen by the same queries that it is then compared on. Its intervals therefore hold
for every system as the best one: within the comparisons with one system as in `compare_family`, and Bonferroni over the
systems that might have come out best. Source: the union bound over controls, as in Hsu's comparisons with the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bench.statistics.arrays import Labels
from bench.statistics.comparison import SystemFigures
from bench.statistics.measures import Measure
from bench.statistics.per_query import PerQuery, defined
from bench.statistics.significance import Comparison, compare_builds, compare_family

_STREAM = 6  # of random numbers; see `comparison`
_RAREST_FLIPS = 20  # that a critical value rests on
_FLIPS = 20_000


def against_best(
    systems: Mapping[str, SystemFigures],
    best: str,
    measure: Measure,
    *,
    seed: int,
    clusters: Labels | None = None,
    level: float = 0.95,
) -> dict[str, Comparison]:
    """Every other system minus the one with the highest mean; the verdict is `worse` where that one is shown to be
    better, and else `undecided`.

    systems: those that may find the same documents. An index that comes out differently each time, of which there is
    one build, is never shown to be the better one in recall against exact search. clusters: int (n,). seed: the run's.
    """
    values = {name: found for name, of in systems.items() if (found := of.values.get(measure)) is not None}
    if best not in values or len(values) < 2:
        return {}
    common = np.logical_and.reduce([defined(found.mean(axis=0)) for found in values.values()])
    if not common.any():
        return {}
    groups = None if clusters is None else clusters[common]
    stacks = {name: found[:, common] for name, found in values.items()}
    compared = _compared(stacks, best, seed=seed, clusters=groups, share=(1 - level) / len(stacks))
    if not systems[best].by_chance(measure):
        return compared
    return {name: _withheld(found) for name, found in compared.items()}


def _compared(
    stacks: Mapping[str, PerQuery], best: str, *, seed: int, clusters: Labels | None, share: float
) -> dict[str, Comparison]:
    """stacks: values (builds, n) by system. share: of the errors that all comparisons with this one may make."""
    reference = stacks[best]
    others = {name: values for name, values in stacks.items() if name != best}
    once = {name: values[0] for name, values in others.items() if len(values) == len(reference) == 1}
    found: dict[str, Comparison] = {}
    if once:
        left = share * len(once) / len(others)
        flips = max(_FLIPS, math.ceil(_RAREST_FLIPS / left))
        rng = np.random.default_rng([seed, _STREAM])
        found |= compare_family(
            reference[0], once, margin=None, rng=rng, flips=flips, clusters=clusters, level=1 - left
        )
    for name, values in others.items():
        if name not in once:
            rng = np.random.default_rng([seed, _STREAM])
            found[name] = compare_builds(
                reference, values, margin=None, rng=rng, family=len(others), clusters=clusters, level=1 - share
            )
    return {name: found[name] for name in others}


def _withheld(found: Comparison) -> Comparison:
    """Two such indexes differ by chance, and more queries would not tell why."""
    return replace(found, verdict="undecided", queries_to_decide=None) if found.verdict == "worse" else found


def identical(systems: Mapping[str, SystemFigures]) -> list[list[str]]:
    """Groups of systems that have the same value in every measure, build and query, in the order of the systems."""
    groups: dict[tuple[tuple[str, bytes], ...], list[str]] = {}
    for name, of in systems.items():
        values = [(str(measure), found.tobytes()) for measure, found in of.values.items() if found is not None]
        if values:
            groups.setdefault((*values, ("filter", repr(of.filter).encode())), []).append(name)
    return [names for names in groups.values() if len(names) > 1]
