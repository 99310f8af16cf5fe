"""The cheapest setting of a build that reaches a target, and fronts of quality against time: from plain data alone.

A setting is chosen on one half of the queries and reported on the other, so that what was lucky in the choice is not in
the report. Nothing is interpolated between settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.statistics.measures import Measure
from bench.statistics.per_query import PerQuery, QueryFlags
from bench.statistics.significance import builds_interval, mean_interval

ONE_SIDED = 0.95


class Setting(NamedTuple):
    """A system as a setting of its build. values: float64 (builds, n), failed queries 0. cost: p50 search ms."""

    name: str
    values: PerQuery
    cost: float


class Choice(NamedTuple):
    """setting None: not reached. bound: its lower bound on the choosing half; best: the highest of all settings."""

    setting: Setting | None
    bound: float | None
    best: float | None


def halves(
    count: int, rng: np.random.Generator, clusters: npt.NDArray[np.integer] | None = None
) -> tuple[QueryFlags, QueryFlags]:
    """Which of `count` queries are used to choose and which to report: bool (count,) each; every query is in exactly
    one of the two.

    clusters: labels (count,) of groups that stay together; otherwise a group would report on its own choice.
    """
    _, group = np.unique(np.arange(count) if clusters is None else np.asarray(clusters), return_inverse=True)
    sizes = np.bincount(group)
    order = rng.permutation(len(sizes))
    before = np.cumsum(sizes[order]) - sizes[order]
    chooses = np.zeros(len(sizes), dtype=np.bool_)
    chooses[order[before + sizes[order] / 2 <= count / 2]] = True
    choosing: QueryFlags = chooses[group]
    return choosing, ~choosing


def lower_bound(
    values: PerQuery,
    measure: Measure,
    *,
    rng: np.random.Generator,
    clusters: npt.NDArray[np.integer] | None = None,
) -> float:
    """One-sided 95 % lower bound of the mean of values (builds, n), over queries and builds.

    Where all values are equal a bootstrap has nothing to resample, and a bound on unseen misses would lie below the
    bound of values with one miss: a perfect setting would look worse than an imperfect one. So equal values get the
    bound of values in which one query missed one of its k documents.
    """
    binary = measure.is_binary
    level = 2 * ONE_SIDED - 1
    low = builds_interval(values, rng=rng, binary=binary, clusters=clusters, level=level).low
    if binary or values.shape[1] < 2 or np.ptp(values) > 0 or values[0, 0] <= 0:
        return low
    missed = values[0].copy()
    missed[0] = max(0.0, missed[0] - 1 / measure.cutoff)
    return max(low, mean_interval(missed, rng=rng, clusters=clusters, level=level).low)


def choose(bounds: Mapping[str, float], settings: Sequence[Setting], target: float) -> Choice:
    """The cheapest setting whose lower bound (by name) reaches the target; the first one of equals."""
    best = max(bounds.values(), default=None)
    reaching = [setting for setting in settings if bounds[setting.name] >= target]
    if not reaching:
        return Choice(None, None, best)
    cheapest = min(reaching, key=lambda setting: setting.cost)
    return Choice(cheapest, bounds[cheapest.name], best)


def attainable(count: int, measure: Measure, rng: np.random.Generator) -> float:
    """The lower bound of a setting that misses nothing on `count` queries: no higher target can be shown reached."""
    return lower_bound(np.ones((1, count)), measure, rng=rng)


def dominated(quality: Sequence[float], cost: Sequence[float]) -> list[bool]:
    """Whether another one is at least as good and at least as cheap, and better in one of the two."""
    pairs = list(zip(quality, cost, strict=True))
    return [any(q >= own and c <= paid and (q > own or c < paid) for q, c in pairs) for own, paid in pairs]
