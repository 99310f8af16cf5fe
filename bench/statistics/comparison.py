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
    PRIOR_DEVIATION,
    Comparison,
    compare_builds,
    compare_exploratory,
    compare_family,
    detectable_difference,
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
        if number == 0:
            family = {name: others[name] for name in measured}
            results = _family(measure, base, family, common, margin=margin, seed=seed, clusters=groups)
        else:
            results = {
                name: compare_exploratory(
                    reference[common], values[common], rng=_rng(seed, _EXPLORATORY, number), clusters=groups
                )
                for name, values in measured.items()
            }
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
    reference, own = base.values[measure], {name: of.values[measure] for name, of in others.items()}
    assert reference is not None
    stacks = {name: values for name, values in own.items() if values is not None}
    withheld = {name for name, of in others.items() if of.partial or of.by_chance(measure)}
    if base.by_chance(measure):
        withheld = set(others)
    results = compare_family(
        reference.mean(axis=0)[common],
        {name: values.mean(axis=0)[common] for name, values in stacks.items()},
        margin=margin,
        rng=_rng(seed, _FAMILY),
        clusters=clusters,
        never_better=withheld,
    )
    for name, values in stacks.items():
        if measure.kind == "ANN" and max(len(reference), len(values)) >= FEWEST_BUILDS:
            results[name] = compare_builds(
                reference[:, common],
                values[:, common],
                margin=margin,
                rng=_rng(seed, _BUILDS),
                family=len(stacks),
                clusters=clusters,
                may_be_better=name not in withheld,
            )
    return results


def differ(one: PerQuery, other: PerQuery, *, rng: np.random.Generator, clusters: Labels | None = None) -> bool:
    """Whether two systems are told apart by a measure. one, other: float64 (builds, n) of the same queries."""
    first, second = one.mean(axis=0), other.mean(axis=0)
    common = defined(first) & defined(second)
    if not common.any():
        return False
    groups = None if clusters is None else clusters[common]
    compared = compare_family(first[common], {"other": second[common]}, margin=None, rng=rng, clusters=groups)
    return compared["other"].verdict != "undecided"


def detectable(
    systems: Mapping[str, SystemFigures], baseline: str | None, measure: Measure, *, queries: int, family: int
) -> float:
    """The smallest true difference from the baseline that so many queries show with 80 % power, by the largest
    deviation of the systems' differences, or by a prior one where none is known. family: systems that are compared."""
    reference = None if baseline is None or baseline not in systems else systems[baseline].mean_over_builds(measure)
    deviations: list[float] = []
    for name, of in systems.items():
        values = of.mean_over_builds(measure)
        if name == baseline or reference is None or values is None:
            continue
        differences = values - reference
        differences = differences[defined(differences)]
        if len(differences) > 1:
            deviations.append(float(np.std(differences, ddof=1)))
    deviation = max(deviations, default=0.0) or PRIOR_DEVIATION
    return detectable_difference(queries, deviation=deviation, family=max(1, family))


def _rng(seed: int, *use: int) -> np.random.Generator:
    return np.random.default_rng([seed, *use])
