"""The smallest difference that a test set shows: foreseen before a run, and known from its values after it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from bench.statistics.arrays import Labels, Values
from bench.statistics.comparison import Pairs, SystemFigures, measured_pairs
from bench.statistics.levels import two_sided
from bench.statistics.measures import Measure
from bench.statistics.per_query import defined
from bench.statistics.resampling import grouped, satterthwaite

# Standard deviation of per-query differences assumed while nothing is measured yet: the median of 15 measured ones,
# nDCG@10 on test splits, for BM25 - MiniLM / static - MiniLM / BM25 - static: SciFact .35 .37 .37, hardware_reviews
# .40 .38 .31, banking77 .35 .28 .35, XQuAD (en) .19 .19 .20, KLUE NLI (ko) .51 .48 .40.
PRIOR_DEVIATION = 0.35

# Standard deviation between seeds of a mean over the test queries, assumed while nothing is measured yet: the median of
# four measured ones, nDCG@10 of static vectors (wordllama) trained by multiple negatives ranking, one epoch, batch 64:
# banking77 .0018 (2,000 pairs, 24 seeds), api_docs .0049, hardware_reviews .0056, SciFact .0170 (all pairs, 8 seeds).
PRIOR_SPREAD_OF_SEEDS = 0.005


class Spread(NamedTuple):
    """How far builds of a system differ. deviation: standard deviation of a build's mean over the queries."""

    deviation: float
    builds: int


def detectable_difference(
    n: int,
    *,
    deviation: float,
    family: int,
    spreads: Sequence[Spread] = (),
    level: float = 0.95,
    power: float = 0.8,
) -> float:
    """The smallest true difference that n paired queries show with this power, Bonferroni over the family.

    deviation: standard deviation of per-query differences; family: number of systems against the baseline, >= 1.
    spreads: of those of the two sides that have several builds. (z_{1 - alpha/2m} + z_power) * deviation / sqrt(n);
    with builds that spread the error is sqrt(deviation^2 / n + sum of spread^2 / builds), and t by the degrees of
    freedom that `compare_builds` has stands in the place of z. Raises ValueError for n, family or builds below 1.
    """
    if n < 1 or family < 1 or any(side.builds < 1 for side in spreads):
        raise ValueError(f"A detectable difference needs queries, systems and builds, got {n=}, {family=}, {spreads=}.")
    parts = [(side.deviation**2 / side.builds, side.builds - 1) for side in spreads if side.builds > 1]
    if not any(part for part, _ in parts):
        return (two_sided(level, family) + NormalDist().inv_cdf(power)) * deviation / math.sqrt(n)
    from scipy.special import stdtrit

    squared = deviation**2 / n + sum(part for part, _ in parts)
    freedom = satterthwaite(squared, [(deviation**2 / n, n - 1), *parts])
    decides = stdtrit(freedom, 1 - (1 - level) / (2 * family))
    return float((decides + stdtrit(freedom, power)) * math.sqrt(squared))


class Detectable(NamedTuple):
    """difference: the smallest true one that is shown. deviation: of differences by query, what it rests on. system:
    whose differences these are; None where none were seen, and the deviation is the prior one. family: how many systems
    are compared with the baseline."""

    difference: float
    deviation: float
    system: str | None
    family: int


def detectable(
    systems: Mapping[str, SystemFigures],
    baseline: str | None,
    measure: Measure,
    *,
    queries: int,
    family: int,
    seeds: Mapping[str, int] | None = None,
    clusters: Labels | None = None,
) -> Detectable:
    """The smallest true difference from the baseline that so many queries show with 80 % power, whatever system it is.

    By the largest deviation of the systems' differences and by how far their builds differ, or by prior ones where none
    are known. Systems that are incomplete, and indexes that come out differently each time, only count where there are
    no others: the same experiment, run again, then states the same difference. family: all systems of the experiment
    but the baseline, those that failed too. seeds: by system, how many seeds its trained models have; a system that
    uses none is left out. One seed counts as fixed: the verdict is then on this very model. clusters: int (n,).
    """
    family = max(1, family)
    seen = list(_seen(systems, baseline, measure, clusters))
    steady = [one for one in seen if systems[one[0]].reproducible and not systems[one[0]].partial]
    known = [
        Detectable(
            detectable_difference(queries, deviation=deviation, family=family, spreads=spreads), deviation, name, family
        )
        for name, deviation, spreads in steady or seen
    ]
    if known:
        return max(known)
    return Detectable(
        _foreseen(baseline, queries=queries, family=family, seeds=seeds or {}), PRIOR_DEVIATION, None, family
    )


def _seen(
    systems: Mapping[str, SystemFigures], baseline: str | None, measure: Measure, clusters: Labels | None
) -> Iterator[tuple[str, float, list[Spread]]]:
    """Of each system that is compared, the deviation of its differences from the baseline and how far either side's
    builds differ; without those that differ in nothing."""
    base = systems.get(baseline or "")
    reference = None if base is None else base.values.get(measure)
    for name, of in systems.items():
        values = of.values.get(measure)
        if base is None or reference is None or values is None or name == baseline or of.filter != base.filter:
            continue
        differences = values.mean(axis=0) - reference.mean(axis=0)
        common = defined(differences)
        if common.sum() > 1:
            sides = [side[:, common].mean(axis=1) for side in (values, reference)]
            spreads = [Spread(float(np.std(side, ddof=1)), len(side)) for side in sides if len(side) > 1]
            deviation = _deviation(differences[common], None if clusters is None else clusters[common])
            if deviation or any(side.deviation for side in spreads):
                yield name, deviation, spreads


class DetectableLoss(NamedTuple):
    """loss: the smallest true loss that is found with 80 % power. deviation: of differences by query, what it rests on.
    system: whose differences these are, the least certain ones; None where nothing differs, and the deviation is the
    prior one. queries: how many are compared."""

    loss: float
    deviation: float
    system: str | None
    queries: int


def detectable_loss(
    pairs: Pairs, measure: Measure, *, margin: float | None, level: float, clusters: Labels | None = None
) -> DetectableLoss | None:
    """What a gate on these pairs finds that lets a loss of the margin pass; None where no query can be compared."""
    pairs, common = measured_pairs(pairs, measure)
    if common is None:
        return None
    count, family = int(common.sum()), len(pairs)
    groups = None if clusters is None else clusters[common]
    found: list[DetectableLoss] = []
    for name, sides in pairs.items():
        before, after = (side.values[measure][:, common] for side in sides)  # type: ignore[index]
        deviation = _deviation(after.mean(axis=0) - before.mean(axis=0), groups)
        spreads = [Spread(float(np.std(s.mean(axis=1), ddof=1)), len(s)) for s in (before, after) if len(s) > 1]
        if deviation or any(side.deviation for side in spreads):
            loss = detectable_difference(count, deviation=deviation, family=family, spreads=spreads, level=level)
            found.append(DetectableLoss(loss + (margin or 0.0), deviation, name, count))
    if not found:
        loss = detectable_difference(count, deviation=PRIOR_DEVIATION, family=family, level=level)
        return DetectableLoss(loss + (margin or 0.0), PRIOR_DEVIATION, None, count)
    return max(found)


def _deviation(differences: Values, clusters: Labels | None) -> float:
    """Standard deviation that as many independent queries would have whose mean is as uncertain; 0 for one query."""
    sums, sizes = grouped(differences[:, None], clusters)
    if len(sums) < 2:
        return 0.0
    rest = sums[:, 0] - sizes * differences.mean()
    return math.sqrt(float((rest**2).sum()) * len(sums) / (len(sums) - 1) / len(differences))


def _foreseen(baseline: str | None, *, queries: int, family: int, seeds: Mapping[str, int]) -> float:
    sides = {(count, seeds.get(baseline or "", 1)) for name, count in seeds.items() if name != baseline}
    return max(
        detectable_difference(
            queries,
            deviation=PRIOR_DEVIATION,
            family=family,
            spreads=[Spread(PRIOR_SPREAD_OF_SEEDS, count) for count in pair if count > 1],
        )
        for pair in sides or {(1, seeds.get(baseline or "", 1))}
    )
