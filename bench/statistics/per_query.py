"""Values of a measure by query. NaN stands where the measure is not defined for a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

PerQuery: TypeAlias = npt.NDArray[np.float64]
QueryFlags: TypeAlias = npt.NDArray[np.bool_]


def defined(values: PerQuery) -> QueryFlags:
    """For which queries a measure is defined: recall against exact search is not where that finds nothing."""
    there: QueryFlags = np.logical_not(np.isnan(values))
    return there


def mean_over_queries(values: PerQuery | None) -> float | None:
    """Mean over the builds and over the queries for which the measure is defined; None where there is none."""
    if values is None or not defined(values).any():
        return None
    return float(values[defined(values)].mean())


def means(values: PerQuery | None) -> Sequence[float | None] | None:
    """Each build's mean over the queries. values: float64 (builds, n)."""
    return None if values is None else [mean_over_queries(v) for v in values]
