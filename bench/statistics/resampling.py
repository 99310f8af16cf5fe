"""The draws behind `bench.statistics.significance`: bootstrap, sign flips and builds resampled with queries.

Rows are put in an order of their own before anything is drawn, so that the order of the queries never matters. Work
is done in blocks: memory does not grow with draws times queries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.statistics.arrays import Labels, Values

ROUNDING = 1e-9  # differences below this are rounding: equal rankings score equal up to the order of a sum
_BLOCK = 4_000_000  # elements drawn at a time: about 50 MB
_DISTINCT_COST = 40  # a multinomial draw of one distinct value costs about as much as this many drawn indices


def grouped(values: Values, clusters: Labels | None) -> tuple[Values, Values]:
    """Sums (groups, k) of values (n, k), and sizes (groups,) as float64; each query its own group without clusters."""
    if clusters is None:
        return values, np.ones(len(values))
    labels = np.asarray(clusters)
    if labels.shape != (len(values),):
        raise ValueError(f"clusters: expected {len(values)} labels, one per query, got shape {labels.shape}.")
    _, group = np.unique(labels, return_inverse=True)
    columns = [np.bincount(group, weights=column) for column in values.T]
    return np.column_stack(columns), np.bincount(group).astype(np.float64)


def bca(sums: Values, sizes: Values, rng: np.random.Generator, resamples: int, level: float) -> tuple[float, float]:
    """BCa of sum(sums) / sum(sizes) over at least two groups (groups,) that are not all alike."""
    from scipy.special import ndtr, ndtri, stdtrit

    count = len(sums)
    mean = sums.sum() / sizes.sum()
    totals = resampled_totals(np.column_stack((sums, sizes)), rng, resamples)
    means = totals[:, 0] / totals[:, 1]
    below = ((means < mean - ROUNDING).sum() + (means <= mean + ROUNDING).sum()) / 2
    bias = ndtri(np.clip(below, 0.5, resamples - 0.5) / resamples)
    influence = sums - sizes * mean
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    # The bootstrap's spread is sqrt((n - 1)/n) of the truth and its tails are normal: at n = 5 it would cover 84 %.
    tails = stdtrit(count - 1, np.array([(1 - level) / 2, (1 + level) / 2])) * math.sqrt(count / (count - 1))
    shrink = np.maximum(1 - acceleration * (bias + tails), ROUNDING)
    low, high = np.quantile(means, ndtr(bias + (bias + tails) / shrink))
    return float(min(low, mean)), float(max(high, mean))


def resampled_totals(units: Values, rng: np.random.Generator, resamples: int) -> Values:
    """Sums (resamples, k) over as many rows as there are, drawn with replacement from units (rows, k)."""
    rows = len(units)
    distinct, counts = np.unique(units, axis=0, return_counts=True)
    totals = np.empty((resamples, units.shape[1]))
    few = len(distinct) * _DISTINCT_COST < rows
    columns = np.repeat(distinct, counts, axis=0).T.copy()
    block = max(1, _BLOCK // (len(distinct) if few else rows))
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        if few:
            totals[start:stop] = rng.multinomial(rows, counts / rows, size=stop - start) @ distinct
            continue
        drawn = rng.integers(0, rows, size=(stop - start, rows))
        for j, column in enumerate(columns):
            constant = column[0] == column[-1] and (column == column[0]).all()
            totals[start:stop, j] = column[0] * rows if constant else column.take(drawn).sum(axis=1)
    return totals


class Flipped(NamedTuple):
    """observed, errors: (systems,) |t| and standard errors of the means. plain: (flips, systems) |t| of flipped
    differences. extremes: (centres, flips) the largest |t| over the systems, of differences less each centre."""

    observed: Values
    errors: Values
    plain: Values
    extremes: Values


class _Studentised(NamedTuple):
    """|t| of means. sums: (groups, systems) of differences. sizes: (groups,). n: their sum."""

    sums: Values
    sizes: Values
    n: float

    @property
    def correction(self) -> float:
        groups = len(self.sums)
        return groups / max(groups - 1, 1)

    def squares(self, centre: Values) -> Values:
        """Of differences from the centre, summed: (systems,). What rounding leaves of equal ones is 0: under signs it
        would be taken for a difference that no number of queries shows."""
        summed: Values = ((self.sums - self.sizes[:, None] * centre) ** 2).sum(axis=0)
        summed[summed <= 1e-24 * (self.sums**2).sum(axis=0)] = 0.0
        return summed

    def t(self, total: Values, crossed: Values, square: Values) -> Values:
        """From signed sums of differences, (flips, systems), those of differences times size, and squares. 0 for a
        system that ties everywhere."""
        mean, spread = total / self.n, (self.sizes**2).sum()
        rest = square - 2 * mean * crossed + mean**2 * spread
        rest[rest <= 1e-12 * square] = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            t: Values = np.abs(total) / np.sqrt(rest * self.correction)
        t[:, (square == 0) | ~self.sums.any(axis=0)] = 0.0
        return t


def flip(
    sums: Values, sizes: Values, flips: int, rng: np.random.Generator, *, centres: Callable[[Values], Sequence[Values]]
) -> Flipped:
    """Studentised means under random signs, one per group and the same for all systems.

    sums (groups, systems) of differences, sizes (groups,). centres: from the means (systems,) to the values
    (systems,) that differences are taken from. A flipped mean is sum(s D) / n and its squared error
    groups / (groups - 1) * sum((s D - size * mean)^2) / n^2. Both, for every centre, come from four signed sums, so
    that a block of signs costs one matrix product. A system that ties everywhere has t = 0 throughout.
    """
    systems, n = sums.shape[1], sizes.sum()
    means = sums.sum(axis=0) / n
    studentised = _Studentised(sums, sizes, n)
    turned, turned_sizes = _canonical(sums, sizes, means)
    columns = np.column_stack((turned, turned_sizes))
    alike = bool((sizes == sizes[0]).all())
    if not alike:
        columns = np.column_stack((columns, columns * np.abs(turned_sizes)[:, None]))
    signed = _signed_sums(columns, flips, rng)
    crossed = signed * sizes[0] if alike else signed[:, systems + 1 :]

    def about(centre: Values) -> Values:
        return studentised.t(
            signed[:, :systems] - signed[:, systems, None] * centre,
            crossed[:, :systems] - crossed[:, systems, None] * centre,
            studentised.squares(centre),
        )

    unflipped = sums.sum(axis=0)[None], (sums * sizes[:, None]).sum(axis=0)[None]
    nothing = np.zeros(systems)
    return Flipped(
        observed=studentised.t(*unflipped, studentised.squares(nothing))[0],
        errors=np.sqrt(studentised.squares(means) * studentised.correction) / n,
        plain=about(nothing),
        extremes=np.array([about(centre).max(axis=1) for centre in centres(means)]),
    )


def _signed_sums(columns: Values, flips: int, rng: np.random.Generator) -> Values:
    """Sums (flips, k) of columns (groups, k) under random signs."""
    groups, width = columns.shape
    # Near the identity flip of few groups the variance is a small rest of a subtraction: float64 there.
    kind: npt.DTypeLike = np.float64 if groups <= 1024 else np.float32
    operand = columns.astype(kind)
    sums: Values = np.empty((flips, width))
    octets = -(-groups // 8)
    block = max(1, _BLOCK // groups)
    for start in range(0, flips, block):
        stop = min(start + block, flips)
        bits = np.frombuffer(rng.bytes((stop - start) * octets), dtype=np.uint8).reshape(-1, octets)
        signs = np.unpackbits(bits, axis=1, count=groups).astype(kind)
        np.multiply(signs, 2, out=signs)
        np.subtract(signs, 1, out=signs)
        sums[start:stop] = signs @ operand
    return sums


def _canonical(sums: Values, sizes: Values, means: Values) -> tuple[Values, Values]:
    """The same groups, each turned so that its first non-zero sum is positive, sorted; turned sizes are negative.

    Signs are random anyway, so this changes nothing but reproducibility: neither the order of the queries nor an
    exchange of system and baseline changes an answer.
    """
    first = sums[np.arange(len(sums)), (sums != 0).argmax(axis=1)]
    nonzero = means[means != 0]
    sense = np.sign(nonzero[0]) if len(nonzero) else 1.0
    turn = np.where(first != 0, np.sign(first), sense)
    sums, sizes = sums * turn[:, None], sizes * turn
    order = np.lexsort((sizes * sense, *sums.T[::-1]))
    return sums[order], sizes[order]


def two_levels(
    base: Values, stack: Values, clusters: Labels | None, rng: np.random.Generator, resamples: int
) -> tuple[float, float, float]:
    """Standard error of the mean difference, the part of it that more queries do not lessen (from builds), and degrees
    of freedom.

    What a build does to single queries varies with both. Resampling both counts it three times: with the queries, with
    the builds and with the two together. Two of these are taken off again, as an analysis of variance of two crossed
    random factors does; the error is never less than that of the queries alone.
    """
    sums, sizes = grouped(np.concatenate((stack, base)).T, clusters)
    totals = resampled_totals(np.column_stack((sums, sizes)), rng, resamples)
    per_build = totals[:, :-1] / totals[:, -1:]
    drawn = (per_build[:, : len(stack)] * _build_weights(len(stack), rng, resamples)).sum(axis=1)
    drawn -= (per_build[:, len(stack) :] * _build_weights(len(base), rng, resamples)).sum(axis=1)

    groups = len(sums)
    larger = groups / max(groups - 1, 1) / sizes.sum() ** 2
    d = sums[:, : len(stack)].mean(axis=1) - sums[:, len(stack) :].mean(axis=1)
    rest = d - sizes * (d.sum() / sizes.sum())
    of_queries = float((rest**2).sum() * larger)
    varied = [side for side in (sums[:, : len(stack)], sums[:, len(stack) :]) if side.shape[1] > 1]
    of_builds = [(float((side.sum(axis=0) / sizes.sum()).var(ddof=1)) / side.shape[1], side.shape[1] - 1)
                 for side in varied]  # fmt: skip
    of_both = sum(_crossed(side, sizes) * larger for side in varied)
    squared = max(float(drawn.var(ddof=1)) - 2 * of_both, of_queries)
    fixed = math.sqrt(max(sum(part for part, _ in of_builds) - of_both, 0.0))
    freedom = satterthwaite(squared, [(of_queries, groups - 1), *of_builds])
    return (math.sqrt(squared) if groups > 1 else math.inf), fixed, freedom


def _crossed(side: Values, sizes: Values) -> float:
    """How far builds differ in single groups beyond their differences on the whole: a sum of squares over the groups,
    of the mean of side's builds. side: sums (groups, builds). sizes: (groups,)."""
    builds = side.shape[1]
    rest = side - sizes[:, None] * (side.sum(axis=0) / sizes.sum())
    rest -= rest.mean(axis=1, keepdims=True)
    return float((rest**2).sum() / (builds - 1) / builds)


def satterthwaite(squared: float, parts: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a squared error that is made of independent parts, each with its own; those of the first
    where no part varies. Source: Satterthwaite 1946."""
    below = sum(part**2 / freedom for part, freedom in parts if freedom)
    return float(squared**2 / below if below > 0 else parts[0][1])


def _build_weights(builds: int, rng: np.random.Generator, resamples: int) -> Values:
    """Weights (resamples, builds) of resampled builds, sum 1, deviations stretched to the unbiased variance."""
    if builds == 1:
        return np.ones((resamples, 1))
    counts = rng.multinomial(builds, np.full(builds, 1 / builds), size=resamples)
    weights: Values = 1 / builds + math.sqrt(builds / (builds - 1)) * (counts - 1) / builds
    return weights
