"""Compares systems with a baseline, or with what they were before, from plain data: their values per measure, build and
query. A run uses it, and a reader of a result's files computes the same verdicts with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from bench.statistics.arrays import Labels
from bench.statistics.levels import flips_for
from bench.statistics.measures import Measure
from bench.statistics.per_query import PerQuery, QueryFlags, defined
from bench.statistics.significance import (
    Comparison,
    compare_alone,
    compare_builds,
    compare_exploratory,
    compare_pairs,
)

FEWEST_BUILDS = 3  # whose spread says anything of how an unseeded build varies
# One stream of random numbers per use, so that a further system or measure changes no other's verdict.
_FAMILY, _EXPLORATORY, _BUILDS = 2, 3, 4


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """What is compared of one system.

    values: by measure, float64 (builds, n) of the same queries in the same order for all systems; None where it was not
        measured, NaN for a query for which it is not defined, 0 for one that failed.
    partial: whether queries failed, or more of what it ranks is missing than a whole system may lack: such a system is
        never called better.
    reproducible: whether its index comes out the same each time it is built.
    filter: what its documents are restricted to, in any form that can be compared; None for all documents.
    """

    values: Mapping[Measure, PerQuery | None]
    partial: bool = False
    reproducible: bool = True
    filter: object = None

    def mean_over_builds(self, measure: Measure) -> PerQuery | None:
        """float64 (n,)."""
        values = self.values.get(measure)
        return None if values is None else values.mean(axis=0)

    def by_chance(self, measure: Measure) -> bool:
        """Whether its recall against exact search rests on too few builds of an index that comes out differently each
        time: two such indexes differ by chance."""
        values = self.values.get(measure)
        return measure.kind == "ANN" and not self.reproducible and (values is None or len(values) < FEWEST_BUILDS)


Pairs: TypeAlias = Mapping[str, tuple[SystemFigures, SystemFigures]]
"""By name, a baseline and the system that is compared with it."""


class Compared(NamedTuple):
    """A comparison with the baseline, and the baseline's mean over the queries that were compared."""

    comparison: Comparison
    reference: float

    @property
    def percent(self) -> float | None:
        """The difference in percent of the baseline's mean; None where that is 0."""
        return 100 * self.comparison.difference / self.reference if self.reference else None


def against_baseline(
    systems: Mapping[str, SystemFigures],
    baseline: str | None,
    measures: Sequence[Measure],
    *,
    margin: float | None,
    seed: int,
    clusters: Labels | None = None,
) -> dict[str, dict[Measure, Compared]]:
    """Every other system against the baseline: the first measure as one corrected family, the others exploratory.

    Compared are the systems that may find the same documents as the baseline; nothing where the baseline is not among
    `systems`. clusters: int (n,), groups of queries that are resampled together. seed: the run's.
    """
    if baseline is None or baseline not in systems:
        return {}
    base = systems[baseline]
    pairs = {name: (base, of) for name, of in systems.items() if name != baseline and of.filter == base.filter}
    found: dict[str, dict[Measure, Compared]] = {name: {} for name in pairs}
    for number, measure in enumerate(measures):
        if number == 0:
            results = before_and_after(pairs, measure, margin=margin, seed=seed, clusters=clusters)
        else:
            results = before_and_after_exploratory(pairs, measure, number=number, seed=seed, clusters=clusters)
        for name, compared in results.items():
            found[name][measure] = compared
    return found


def before_and_after(
    pairs: Pairs,
    measure: Measure,
    *,
    margin: float | None,
    seed: int,
    clusters: Labels | None = None,
    level: float = 0.95,
) -> dict[str, Compared]:
    """Each system against a baseline of its own, such as what it was before a change: one corrected family.

    pairs: by name, the baseline and the system, all over the same queries. Compared are those that have the measure.
    """
    pairs, common = measured_pairs(pairs, measure)
    if common is None:
        return {}
    groups = None if clusters is None else clusters[common]
    results = _family(measure, pairs, common, margin=margin, seed=seed, clusters=groups, level=level)
    return _with_references(results, pairs, measure, common)


def before_and_after_exploratory(
    pairs: Pairs, measure: Measure, *, number: int, seed: int, clusters: Labels | None = None, level: float = 0.95
) -> dict[str, Compared]:
    """The same of a measure that does not decide, each system alone. number: the measure's place among all."""
    pairs, common = measured_pairs(pairs, measure)
    if common is None:
        return {}
    groups = None if clusters is None else clusters[common]
    results = _exploratory(measure, pairs, common, number=number, seed=seed, clusters=groups, level=level)
    return _with_references(results, pairs, measure, common)


def measured_pairs(pairs: Pairs, measure: Measure) -> tuple[Pairs, QueryFlags | None]:
    """The pairs of which both sides have the measure, and the queries for which it is defined with all of them, over
    which a family is compared: None where there are none."""
    kept, flags = {}, []
    for name, sides in pairs.items():
        values = [each for each in (side.mean_over_builds(measure) for side in sides) if each is not None]
        if len(values) == len(sides) and all(defined(each).any() for each in values):
            kept[name] = sides
            flags += [defined(each) for each in values]
    common: QueryFlags | None = np.logical_and.reduce(flags) if flags else None
    return kept, common if common is not None and common.any() else None


def _with_references(
    results: Mapping[str, Comparison], pairs: Pairs, measure: Measure, common: QueryFlags
) -> dict[str, Compared]:
    found = {}
    for name, comparison in results.items():
        reference = pairs[name][0].mean_over_builds(measure)
        assert reference is not None
        found[name] = Compared(comparison, float(reference[common].mean()))
    return found


def _family(
    measure: Measure,
    pairs: Pairs,
    common: QueryFlags,
    *,
    margin: float | None,
    seed: int,
    clusters: Labels | None,
    level: float,
) -> dict[str, Comparison]:
    """common: the queries that are compared, bool (n,). clusters: of those queries."""
    stacks = {name: _stacks(measure, sides, common) for name, sides in pairs.items()}
    withheld = {
        name for name, (base, of) in pairs.items() if of.partial or any(s.by_chance(measure) for s in (base, of))
    }
    if not any(_spreads(*sides) for sides in stacks.values()):
        return compare_pairs(
            {name: (reference[0], values[0]) for name, (reference, values) in stacks.items()},
            margin=margin,
            rng=_rng(seed, _FAMILY),
            flips=flips_for(level),
            clusters=clusters,
            never_better=withheld,
            level=level,
        )
    results: dict[str, Comparison] = {}
    for name, (reference, values) in stacks.items():
        if _spreads(reference, values):
            results[name] = compare_builds(
                reference,
                values,
                margin=margin,
                rng=_rng(seed, _BUILDS),
                family=len(stacks),
                clusters=clusters,
                may_be_better=name not in withheld,
                level=level,
            )
        else:
            results[name] = compare_alone(
                reference[0],
                values[0],
                margin=margin,
                rng=_rng(seed, _FAMILY),
                family=len(stacks),
                clusters=clusters,
                may_be_better=name not in withheld,
                level=level,
            )
    return results


def _exploratory(
    measure: Measure,
    pairs: Pairs,
    common: QueryFlags,
    *,
    number: int,
    seed: int,
    clusters: Labels | None,
    level: float,
) -> dict[str, Comparison]:
    """number: the measure's place among all. The rest as in `_family`."""
    results: dict[str, Comparison] = {}
    for name, sides in pairs.items():
        rng, (reference, values) = _rng(seed, _EXPLORATORY, number), _stacks(measure, sides, common)
        if _spreads(reference, values):
            compared = compare_builds(reference, values, margin=None, rng=rng, family=1, clusters=clusters, level=level)
            results[name] = compared.exploratory()
        else:
            results[name] = compare_exploratory(reference[0], values[0], rng=rng, clusters=clusters, level=level)
    return results


def _stacks(
    measure: Measure, sides: tuple[SystemFigures, SystemFigures], common: QueryFlags
) -> tuple[PerQuery, PerQuery]:
    """Values (builds, n) of a baseline and of a system, of the queries that are compared."""
    reference, values = (side.values[measure] for side in sides)
    assert reference is not None and values is not None
    return reference[:, common], values[:, common]


def _spreads(*stacks: PerQuery) -> bool:
    """Whether any of them has several builds or seeds, over which it may come out differently."""
    return max(map(len, stacks)) > 1


def differ(one: PerQuery, other: PerQuery, *, rng: np.random.Generator, clusters: Labels | None = None) -> bool:
    """Whether two systems are told apart by a measure. one, other: float64 (builds, n) of the same queries."""
    common = defined(one.mean(axis=0)) & defined(other.mean(axis=0))
    if not common.any():
        return False
    groups = None if clusters is None else clusters[common]
    first, second = one[:, common], other[:, common]
    if _spreads(first, second):
        compared = compare_builds(first, second, margin=None, rng=rng, family=1, clusters=groups)
    else:
        compared = compare_alone(first[0], second[0], margin=None, rng=rng, family=1, clusters=groups)
    return compared.verdict != "undecided"


def _rng(seed: int, *use: int) -> np.random.Generator:
    return np.random.default_rng([seed, *use])
