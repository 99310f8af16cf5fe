"""Intervals, paired tests and verdicts, from per-query values of measures that lie in [0, 1].

Every interval speaks of the sampling of queries and, where a system has several builds, of these, of nothing else. A
build is one of what comes out differently each time it is made: an index, or a model that was trained by one seed.
Randomness comes in as a Generator. The order of the queries never matters: rows are put in an order of their own
before anything is drawn, so equal inputs with equal seeds give equal answers however they were shuffled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from bench.statistics.arrays import Labels, Values
from bench.statistics.levels import fewest_groups, flips_for, two_sided
from bench.statistics.resampling import ROUNDING, bca, flip, grouped, two_levels

Verdict: TypeAlias = Literal["better", "not_worse", "worse", "undecided"]

_SLACK = 1e-5  # relative; a flip that reproduces the observed statistic may differ from it by float32 rounding


@dataclass(frozen=True, slots=True)
class Interval:
    """Both ends belong to it."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A system against the baseline on one measure; differences are system minus baseline.

    interval: of the mean difference; simultaneous over the family where there is a verdict, else plain.
    queries_to_decide: how many more queries like these would decide, should the difference and deviation stay as
        estimated; only with "undecided", and None there when no number of queries is foreseen to.
    wins, ties, losses: queries.
    """

    difference: float
    interval: Interval
    p: float | None
    p_corrected: float | None
    verdict: Verdict | None
    queries_to_decide: int | None
    wins: int
    ties: int
    losses: int

    def exploratory(self) -> Comparison:
        """The same without a test and its verdict, for a measure that does not decide."""
        return replace(self, p=None, p_corrected=None, verdict=None, queries_to_decide=None)


def mean_interval(
    values: Values,
    *,
    rng: np.random.Generator,
    binary: bool = False,
    clusters: Labels | None = None,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Interval of a measure's mean over queries.

    values: float64 (n,) in [0, 1], failed queries already 0. binary: the measure is 0 or 1, so that Wilson's score
    interval holds. clusters: int (n,), labels of groups that are resampled whole; Wilson's interval presumes
    independent queries and is then not used. Otherwise a BCa bootstrap with Student's correction for small n.
    Where all groups share one mean there is nothing to resample (and so with one query): the share of the
    population that differs from it is bounded by the chance of not having met it, 1 - (alpha/2)^(1/n).
    Raises ValueError for no values, NaN, values outside [0, 1] and labels of another length.
    Sources: Wilson 1927; Efron 1987; Hesterberg 2015 (expanded percentiles).
    """
    values = _checked(values, "values")
    if binary and not np.isin(values, (0.0, 1.0)).all():
        raise ValueError("A binary measure has values 0 and 1 only. Leave binary=False for this one.")
    if binary and clusters is None:
        return _wilson(float(values.mean()), len(values), level)
    sums, sizes = grouped(values[:, None], clusters)
    mean = float(values.mean())
    if np.abs(sums[:, 0] - sizes * mean).max() <= ROUNDING or len(sums) == 1:
        unseen = 1 - ((1 - level) / 2) ** (1 / len(sums))
        return Interval(mean * (1 - unseen), mean + (1 - mean) * unseen)
    return Interval(*bca(sums[:, 0], sizes, rng, resamples, level))


def builds_interval(
    values: Values,
    *,
    rng: np.random.Generator,
    binary: bool = False,
    clusters: Labels | None = None,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Interval:
    """Interval of a measure's mean over queries and builds.

    values: float64 (builds, n). The rest as in `mean_interval`, which one build gets. Several are resampled with the
    queries, as in `compare_builds`. Where nothing varies it is the interval of the queries alone.
    """
    stack = _checked_builds(values, "values")
    if len(stack) == 1:
        return mean_interval(stack[0], rng=rng, binary=binary, clusters=clusters, resamples=resamples, level=level)
    error, _, freedom = two_levels(np.zeros((1, stack.shape[1])), stack, clusters, rng, resamples)
    if error <= ROUNDING or not math.isfinite(error):
        alike = stack.mean(axis=0)
        whole = binary and bool(np.isin(alike, (0.0, 1.0)).all())
        return mean_interval(alike, rng=rng, binary=whole, clusters=clusters, resamples=resamples, level=level)
    mean, half = float(stack.mean()), _student(0.0, error, freedom, level, 1)[0] * error
    return Interval(max(0.0, mean - half), min(1.0, mean + half))


def compare_family(
    baseline: Values,
    systems: Mapping[str, Values],
    *,
    margin: float | None,
    rng: np.random.Generator,
    flips: int = 20_000,
    clusters: Labels | None = None,
    never_better: Collection[str] = (),
    level: float = 0.95,
) -> dict[str, Comparison]:
    """All systems against the baseline on the primary measure: test, simultaneous intervals, verdicts.

    baseline and each system: float64 (n,) in [0, 1], same queries in the same order. margin: how much worse still
    counts as not worse, None for no such verdict. clusters: int (n,), groups whose signs flip together.
    never_better: names whose "better" is withheld (failed queries, an ANN index with one build); they are at best
    "not_worse", or "undecided" without a margin.

    The rest as in `compare_pairs`, in which every system has the one baseline.
    """
    return compare_pairs(
        {name: (baseline, values) for name, values in systems.items()},
        margin=margin, rng=rng, flips=flips, clusters=clusters, never_better=never_better, level=level,
    )  # fmt: skip


def compare_pairs(
    pairs: Mapping[str, tuple[Values, Values]],
    *,
    margin: float | None,
    rng: np.random.Generator,
    flips: int = 20_000,
    clusters: Labels | None = None,
    never_better: Collection[str] = (),
    level: float = 0.95,
) -> dict[str, Comparison]:
    """Each system against a baseline of its own, such as what it was before a change; all are one family.

    pairs: by name, the baseline's values and the system's, as in `compare_family`.

    The test flips the signs of the paired differences, the same flips for all systems, and looks at studentised
    means, so that systems of unequal spread weigh alike. p_corrected: step-down max-T. Half-widths are the
    single-step max-T critical value times the standard error. The critical value is the largest of up to three, from
    flipped residuals and from flipped differences to each bound that a verdict reads (0 and -margin). The residuals
    give the joint coverage whatever the true differences are; the others make every verdict a sign-flip test too, so
    that an interval that excludes 0 implies p_corrected <= 1 - level. The converse may fail, since step-down is the
    stronger test. Six groups are needed at 95 %: fewer have no sign pattern that is rare enough (2/2^5 > .05), and
    the interval is then the whole range [-1, 1].
    Where all queries tie, the interval is [0, 0].
    Raises ValueError for unequal lengths, NaN, values outside [0, 1], labels of another length, too few flips.
    Sources: Westfall and Young 1993, Romano and Wolf 2005.
    """
    names = sorted(pairs)
    if not names:
        return {}
    differences = np.column_stack(
        [_differences(_checked(pairs[name][0], "baseline"), pairs[name][1], name) for name in names]
    )
    sums, sizes = grouped(differences, clusters)
    bounds = [0.0] if margin is None else [0.0, -margin]
    tested = family_test(
        sums, sizes, flips=flips, rng=rng, level=level,
        centres=lambda means: [means, *(np.full(len(names), bound) for bound in bounds)],
    )  # fmt: skip
    fewest, foreseen = fewest_groups(level) - len(sums), min(tested.critical, two_sided(level, len(names)))
    comparisons = {
        name: _judge_tested(differences[:, j], tested, j, foreseen, margin, name not in never_better, fewest)
        for j, name in enumerate(names)
    }
    return {name: comparisons[name] for name in pairs}


def compare_alone(
    baseline: Values,
    values: Values,
    *,
    margin: float | None,
    rng: np.random.Generator,
    family: int,
    clusters: Labels | None = None,
    may_be_better: bool = True,
    level: float = 0.95,
) -> Comparison:
    """A system of one build against a baseline of one build, in a family of which others have several: the sign-flip
    test of `compare_family` for this system alone, Bonferroni over the family in p_corrected and in the interval.

    baseline, values: float64 (n,). The critical value lies among the rarest 20 flips or more, however large the family.
    """
    rarest = 1 - (1 - level) / family
    flips = flips_for(rarest)
    compared = compare_family(
        baseline, {"": values}, margin=margin, rng=rng, flips=flips, clusters=clusters, level=rarest,
        never_better=() if may_be_better else ("",),
    )[""]  # fmt: skip
    assert compared.p is not None
    return replace(compared, p_corrected=min(1.0, compared.p * family))


class FamilyTest(NamedTuple):
    """p, p_corrected, errors: (systems,), the sign-flip test of each mean, step-down max-T, standard errors.
    critical: single-step max-T value of |t|, infinite under `fewest_groups`."""

    p: Values
    p_corrected: Values
    errors: Values
    critical: float


def family_test(
    sums: Values,
    sizes: Values,
    *,
    flips: int,
    rng: np.random.Generator,
    level: float,
    centres: Callable[[Values], Sequence[Values]],
) -> FamilyTest:
    """Sign flips of paired differences, the same for all systems, with the largest |t| as the family's statistic.

    sums: (groups, systems). sizes: (groups,). centres: from the means (systems,) to the values (systems,) about which
    differences are flipped for the critical value, which is the largest of theirs. Raises ValueError for too few flips.
    """
    exceeding = math.floor((1 - level) * (1 + flips)) - 1
    if exceeding < 0:
        raise ValueError(f"{flips} flips cannot reach a level of {level}. Use 20000 or more.")
    flipped = flip(sums, sizes, flips, rng, centres=centres)
    p = _share(flipped.plain, flipped.observed)
    order = np.argsort(-flipped.observed, kind="stable")
    remaining = np.maximum.accumulate(flipped.plain[:, order[::-1]], axis=1)[:, ::-1]
    p_corrected = np.empty_like(p)
    p_corrected[order] = np.maximum.accumulate(_share(remaining, flipped.observed[order]))
    rank = flips - 1 - exceeding  # p <= 1 - level exactly where the observed statistic exceeds this order statistic
    critical = float(np.partition(flipped.extremes, rank, axis=1)[:, rank].max()) / (1 - _SLACK)
    return FamilyTest(p, p_corrected, flipped.errors, critical if len(sums) >= fewest_groups(level) else math.inf)


def _judge_tested(
    d: Values,
    tested: FamilyTest,
    column: int,
    foreseen: float,
    margin: float | None,
    may_be_better: bool,
    fewest: int,
) -> Comparison:
    """The verdict on one system of a family that was tested. d: its differences; column: its place in the family."""
    tied = not d.any()
    return _judge(
        d,
        error=0.0 if tied else float(tested.errors[column]),
        fixed_error=0.0,
        critical=0.0 if tied else tested.critical,
        foreseen=foreseen,
        tests=(float(tested.p[column]), float(tested.p_corrected[column])),
        margin=margin,
        may_be_better=may_be_better,
        fewest=fewest,
    )


def compare_exploratory(
    baseline: Values,
    values: Values,
    *,
    rng: np.random.Generator,
    clusters: Labels | None = None,
    resamples: int = 10_000,
    level: float = 0.95,
) -> Comparison:
    """A system against the baseline on another measure, or one stage against the next: no p, no verdict.

    Shapes and errors as in `compare_family`. The interval is a plain BCa bootstrap of the paired differences; where
    these are all equal it is that one point, and with a single group the whole range [-1, 1] unless all queries tie.
    """
    d = _differences(_checked(baseline, "baseline"), values, "values")
    sums, sizes = grouped(d[:, None], clusters)
    mean = float(d.mean())
    if not d.any():
        interval = Interval(0.0, 0.0)
    elif len(sums) == 1:
        interval = Interval(-1.0, 1.0)
    elif np.abs(sums[:, 0] - sizes * mean).max() <= ROUNDING:
        interval = Interval(mean, mean)
    else:
        interval = Interval(*bca(sums[:, 0], sizes, rng, resamples, level))
    return Comparison(mean, interval, None, None, None, None, *_wins_ties_losses(d))


def compare_builds(
    baseline: Values,
    values: Values,
    *,
    margin: float | None,
    rng: np.random.Generator,
    family: int,
    clusters: Labels | None = None,
    resamples: int = 10_000,
    may_be_better: bool = True,
    level: float = 0.95,
) -> Comparison:
    """A system against the baseline where something of either comes out differently each time it is made: an index,
    or a model that is trained by another seed.

    baseline, values: float64 (builds, n) in [0, 1]; the numbers of builds may differ. One build counts as fixed,
    which is right for exact search and BM25; of a trained model the verdict is then on this model and not on its
    recipe, and an unseeded index calls for may_be_better=False. family: number of systems against the baseline, for
    Bonferroni in p_corrected and in the interval. Two-level bootstrap (`two_levels`): builds of either side and queries
    (or groups of them) are resampled, the queries in pairs. Three builds resampled show only two thirds of their
    variance, and know it badly: their deviations are stretched by sqrt(b / (b - 1)), and the bootstrap's standard error
    is multiplied by Student's t with Satterthwaite's degrees of freedom.
    wins, ties and losses compare each query's mean over builds. Raises ValueError as `compare_family` does.
    """
    base, stack = _checked_builds(baseline, "baseline"), _checked_builds(values, "values")
    d = _differences(base.mean(axis=0), stack.mean(axis=0), "values")
    error, fixed, critical, p = 0.0, 0.0, 0.0, 1.0
    if not ((base == base[0]).all() and (stack == base[0]).all()):
        error, fixed, freedom = two_levels(base, stack, clusters, rng, resamples)
        if error <= ROUNDING and len(d) < fewest_groups(level):
            error = math.inf  # a few equal differences are no proof that there are no others
        critical, p = _student(float(d.mean()), error, freedom, level, family)
        p = max(p, 1 / (1 + resamples))
    return _judge(
        d,
        error=error,
        fixed_error=fixed,
        critical=critical,
        foreseen=critical,
        tests=(p, min(1.0, p * family)),
        margin=margin,
        may_be_better=may_be_better,
        fewest=0,
    )


def _checked(values: Values, name: str) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name}: expected one value per query, got shape {array.shape}.")
    if not (array.min() >= -ROUNDING and array.max() <= 1 + ROUNDING):  # NaN fails here too
        raise ValueError(f"{name}: per-query values must lie in [0, 1], without NaN; a failed query counts 0.")
    return np.clip(array, 0.0, 1.0)


def _checked_builds(values: Values, name: str) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2:
        raise ValueError(f"{name}: expected values (builds, queries), got shape {array.shape}.")
    return _checked(array.ravel(), name).reshape(array.shape)


def _differences(baseline: Values, values: Values, name: str) -> Values:
    system = _checked(values, name)
    if len(system) != len(baseline):
        raise ValueError(f"{name}: {len(system)} queries, but the baseline has {len(baseline)}.")
    d = system - baseline
    d[np.abs(d) <= ROUNDING] = 0.0
    return d


def _wilson(mean: float, n: int, level: float) -> Interval:
    z2 = two_sided(level, 1) ** 2
    centre = (mean + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * mean * (1 - mean) / n + z2 * z2 / (4 * n * n)) / (1 + z2 / n)
    return Interval(max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half)))


def _share(table: Values, observed: Values) -> Values:
    """p values (systems,): share of flips at least as extreme as observed, which counts as one of them."""
    shares: Values = (1.0 + (table >= observed * (1 - _SLACK)).sum(axis=0)) / (1.0 + len(table))
    return shares


def _student(mean: float, error: float, freedom: float, level: float, family: int) -> tuple[float, float]:
    """Two-sided critical value, Bonferroni over the family, and the uncorrected p."""
    from scipy.special import stdtr, stdtrit

    if not math.isfinite(error):
        return math.inf, 1.0
    critical = float(stdtrit(freedom, 1 - (1 - level) / (2 * family)))
    if error == 0.0:
        return critical, 1.0 if mean == 0.0 else 0.0
    return critical, float(2 * stdtr(freedom, -abs(mean) / error))


def _judge(
    d: Values,
    *,
    error: float,
    fixed_error: float,
    critical: float,
    foreseen: float,
    tests: tuple[float, float],
    margin: float | None,
    may_be_better: bool,
    fewest: int,
) -> Comparison:
    """The interval mean ± critical * error within [-1, 1], and the verdict read from it.

    fixed_error: the part of error that more queries do not lessen. foreseen: the critical value with more queries.
    fewest: how many more groups any decision needs.
    """
    mean = float(d.mean())
    half = math.inf if math.isinf(critical) else critical * error
    low, high = max(-1.0, mean - half), min(1.0, mean + half)
    verdict: Verdict = "undecided"
    if low > 0 and may_be_better:
        verdict = "better"
    elif margin is not None and low > -margin:
        verdict = "not_worse"
    elif high < 0:
        verdict = "worse"
    more = None
    if verdict == "undecided":
        # The half-widths that would decide, each from the bound it has to clear.
        widths = [abs(mean)] if mean < 0 or may_be_better else []
        widths += [mean + margin] if margin is not None else []
        squares = [(w / foreseen) ** 2 - fixed_error**2 for w in widths if w > ROUNDING and math.isfinite(foreseen)]
        sampled = max(error**2 - fixed_error**2, 0.0)
        needed = [len(d) * sampled / s for s in squares if s > 0 and math.isfinite(sampled)]
        more = about(max(1, fewest, math.floor(min(needed)) + 1 - len(d))) if needed else None
    return Comparison(mean, Interval(low, high), *tests, verdict, more, *_wins_ties_losses(d))


def about(count: int) -> int:
    """A count that is an estimate: up to the next of two significant digits."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit


def _wins_ties_losses(d: Values) -> tuple[int, int, int]:
    return int((d > 0).sum()), int((d == 0).sum()), int((d < 0).sum())
