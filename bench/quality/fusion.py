"""Fusion of rankings: reciprocal rank and weighted normalised scores, as array kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapters.base import Floats, Hits, Rows


def reciprocal_rank(rankings: Sequence[Rows], weights: Sequence[float], *, constant: int) -> Hits:
    """Sum of weight / (constant + rank) over the legs, ranks from 1.

    rankings: rows (n, depth) per leg, best first, -1 for empty. Returns Hits (n, legs · depth), unordered.
    Source: Cormack, Clarke and Büttcher, SIGIR 2009.
    """
    contributions = [
        np.where(rows >= 0, weight / (constant + np.arange(1, rows.shape[1] + 1)), 0.0)
        for rows, weight in zip(rankings, weights, strict=True)
    ]
    return _sum_by_document(rankings, contributions)


def weighted_scores(rankings: Sequence[Rows], scores: Sequence[Floats], weights: Sequence[float]) -> Hits:
    """Sum of weight × score over the legs, each leg's scores first scaled to 0..1 per query by its own extremes.

    A leg whose scores are all equal gives 1 to each of its documents; a document that a leg did not return gets 0
    from it. Shapes as in `reciprocal_rank`.
    """
    contributions = []
    for rows, raw, weight in zip(rankings, scores, weights, strict=True):
        present = rows >= 0
        wide = raw.astype(np.float64)
        low = np.min(np.where(present, wide, np.inf), axis=1, keepdims=True, initial=np.inf)
        high = np.max(np.where(present, wide, -np.inf), axis=1, keepdims=True, initial=-np.inf)
        span = np.where(high > low, high - low, 1.0)
        scaled = np.where(high > low, (np.where(present, wide, 0.0) - np.where(present, low, 0.0)) / span, 1.0)
        contributions.append(np.where(present, weight * scaled, 0.0))
    return _sum_by_document(rankings, contributions)


def _sum_by_document(rankings: Sequence[Rows], contributions: Sequence[npt.NDArray[np.float64]]) -> Hits:
    """Add up what each document of each query received. The legs are added in their order, so that sums are
    reproducible."""
    rows = np.concatenate(rankings, axis=1)
    gains = np.concatenate(contributions, axis=1)
    order = np.argsort(rows, axis=1, kind="stable")
    rows = np.take_along_axis(rows, order, axis=1)
    gains = np.take_along_axis(gains, order, axis=1)
    first = np.ones(rows.shape, dtype=np.bool_)
    first[:, 1:] = rows[:, 1:] != rows[:, :-1]
    group = np.cumsum(first.ravel()) - 1
    sums = np.bincount(group, weights=gains.ravel())
    kept = first & (rows >= 0)
    totals = np.where(kept, sums[group].reshape(rows.shape), -np.inf)
    return Hits(np.where(kept, rows, -1).astype(np.int32), totals.astype(np.float32))
