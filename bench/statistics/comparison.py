"""Compares systems with a baseline, from plain data: their values per measure, build and query. A run uses it, and a
reader of a result's files computes the same verdicts with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.statistics.arrays import Labels
from bench.statistics.measures import Measure
from bench.statistics.per_query import PerQuery, QueryFlags, defined
from bench.statistics.significance import (
    Comparison,
    compare_alone,
    compare_builds,
    compare_exploratory,
    compare_family,
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
    others = {name: of for name, of in systems.items() if name != baseline and of.filter == base.filter}
    found: dict[str, dict[Measure, Compared]] = {name: {} for name in others}
    for number, measure in enumerate(measures):
        reference = base.mean_over_builds(measure)
        measured = {
            name: values
            for name, of in others.items()
            if (values := of.mean_over_builds(measure)) is not None and defined(values).any()
        }
        if reference is None or not measured:
            continue
        # A family is compared over the queries for which the measure is defined with all of its systems.
        common = np.logical_and.reduce([defined(values) for values in (reference, *measured.values())])
        if not common.any():
            continue
        groups = None if clusters is None else clusters[common]
        family = {name: others[name] for name in measured}
        if number == 0:
            results = _family(measure, base, family, common, margin=margin, seed=seed, clusters=groups)
        else:
            results = _exploratory(measure, base, family, common, number=number, seed=seed, clusters=groups)
        for name, comparison in results.items():
            found[name][measure] = Compared(comparison, float(reference[common].mean()))
    return found


def _family(
    measure: Measure,
    base: SystemFigures,
    others: Mapping[str, SystemFigures],
    common: QueryFlags,
    *,
    margin: float | None,
    seed: int,
    clusters: Labels | None,
) -> dict[str, Comparison]:
    """common: the queries that are compared, bool (n,). clusters: of those queries."""
    reference, stacks = _stacks(measure, base, others, common)
    withheld = {name for name, of in others.items() if of.partial or of.by_chance(measure)}
    if base.by_chance(measure):
        withheld = set(others)
    if not _spreads(reference, *stacks.values()):
        return compare_family(
            reference.mean(axis=0),
            {name: values.mean(axis=0) for name, values in stacks.items()},
            margin=margin,
            rng=_rng(seed, _FAMILY),
            clusters=clusters,
            never_better=withheld,
        )
    results: dict[str, Comparison] = {}
    for name, values in stacks.items():
        if _spreads(reference, values):
            results[name] = compare_builds(
                reference,
                values,
                margin=margin,
                rng=_rng(seed, _BUILDS),
                family=len(stacks),
                clusters=clusters,
                may_be_better=name not in withheld,
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
            )
    return results


def _exploratory(
    measure: Measure,
    base: SystemFigures,
    others: Mapping[str, SystemFigures],
    common: QueryFlags,
    *,
    number: int,
    seed: int,
    clusters: Labels | None,
) -> dict[str, Comparison]:
    """number: the measure's place among all. The rest as in `_family`."""
    reference, stacks = _stacks(measure, base, others, common)
    results: dict[str, Comparison] = {}
    for name, values in stacks.items():
        rng = _rng(seed, _EXPLORATORY, number)
        if _spreads(reference, values):
            compared = compare_builds(reference, values, margin=None, rng=rng, family=1, clusters=clusters)
            results[name] = compared.exploratory()
        else:
            results[name] = compare_exploratory(reference[0], values[0], rng=rng, clusters=clusters)
    return results


def _stacks(
    measure: Measure, base: SystemFigures, others: Mapping[str, SystemFigures], common: QueryFlags
) -> tuple[PerQuery, dict[str, PerQuery]]:
    """Values (builds, n) of the baseline and of the others, of the queries that are compared."""
    reference = base.values[measure]
    assert reference is not None
    own = {name: of.values[measure] for name, of in others.items()}
    return reference[:, common], {name: values[:, common] for name, values in own.items() if values is not None}


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
