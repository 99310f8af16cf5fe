"""Nearest-rank percentiles, and how many samples each of them needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MINIMUM_FOR_P50, MINIMUM_FOR_P95, MINIMUM_FOR_P99 = 20, 100, 1000


@dataclass(frozen=True, slots=True)
class Percentiles:
    """In milliseconds; None without its support: p50 under 20 samples, p95 under 100, p99 under 1,000."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    samples: int


def percentiles(seconds: npt.NDArray[np.float64]) -> Percentiles:
    """Of durations in seconds, NaN where there is none."""
    values = np.sort(seconds[~np.isnan(seconds)]) * 1000.0
    n = len(values)

    def rank(p: float, minimum: int) -> float | None:
        return float(values[math.ceil(p * n) - 1]) if n >= minimum else None

    return Percentiles(rank(0.50, MINIMUM_FOR_P50), rank(0.95, MINIMUM_FOR_P95), rank(0.99, MINIMUM_FOR_P99), n)
