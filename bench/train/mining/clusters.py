"""k-means over the documents' vectors, by seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from adapters.base import EMPTY_ROW, Flags, Floats, Rows, Similarity, of_ordinary_length, without_direction

_PER_CLUSTER = 64  # vectors that the centres are learned from; more move them little (faiss warns below 39)
_ROUNDS = 20
_BLOCK = 4096  # vectors compared with the centres at once


def sample_rows(documents: int, clusters: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The documents that the centres are learned from, ascending."""
    count = min(documents, clusters * _PER_CLUSTER)
    return np.sort(rng.choice(documents, count, replace=False)).astype(np.int64)


def centres(vectors: Floats, clusters: int, similarity: Similarity, rng: np.random.Generator) -> Floats:
    """The centres of vectors (n, d): float32 (at most `clusters`, d), fewer where there are fewer distinct vectors.
    Lloyd's algorithm from vectors drawn at random; a centre that lost all its vectors takes the one that is farthest
    from its own centre."""
    points = _comparable(vectors[_usable(vectors, similarity)], similarity)
    distinct = np.unique(points, axis=0)
    if len(distinct) <= clusters:
        return distinct
    found = distinct[np.sort(rng.choice(len(distinct), clusters, replace=False))]
    labels = np.full(len(points), EMPTY_ROW, np.int32)
    for _ in range(_ROUNDS):
        now, distances = _assigned(points, found)
        if (now == labels).all():
            break
        labels = now
        counts = np.bincount(labels, minlength=clusters)
        sums = np.zeros((clusters, points.shape[1]), np.float64)
        order = np.argsort(labels, kind="stable")
        firsts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        sums[labels[order][firsts]] = np.add.reduceat(points[order].astype(np.float64), firsts, axis=0)
        found = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
        empty = np.flatnonzero(counts == 0)
        found[empty] = points[np.argsort(-distances, kind="stable")[: len(empty)]]
        if similarity is Similarity.COSINE:
            found = _comparable(found, similarity)
    return found


def labelled(chunks: Iterator[tuple[int, Floats]], documents: int, found: Floats, similarity: Similarity) -> Rows:
    """The cluster of every document: int32 (documents,), -1 where it has no vector or no direction."""
    labels = np.full(documents, EMPTY_ROW, np.int32)
    if not len(found):
        return labels
    for start, vectors in chunks:
        for first in range(0, len(vectors), _BLOCK):
            part = vectors[first : first + _BLOCK]
            usable = _usable(part, similarity)
            near, _ = _assigned(_comparable(part[usable], similarity), found)
            labels[start + first + np.flatnonzero(usable)] = near
    return labels


def _usable(vectors: Floats, similarity: Similarity) -> Flags:
    usable: Flags = np.logical_not(np.isnan(vectors).any(axis=1))
    if similarity is Similarity.COSINE:
        pointing: Flags = np.logical_and(usable, np.logical_not(without_direction(vectors)))
        return pointing
    return usable


def _comparable(vectors: Floats, similarity: Similarity) -> Floats:
    """Under cosine, vectors of length 1: their distances order as their angles do. A sum of opposite vectors has no
    direction and stays as it is."""
    if similarity is not Similarity.COSINE:
        return vectors
    ordinary = of_ordinary_length(vectors)
    lengths = np.linalg.norm(ordinary, axis=1, keepdims=True)
    found: Floats = np.divide(ordinary, lengths, out=np.zeros_like(ordinary), where=lengths > 0)
    return found


def _assigned(points: Floats, found: Floats) -> tuple[Rows, npt.NDArray[np.float64]]:
    """The nearest centre of each point and its squared distance."""
    labels = np.empty(len(points), np.int32)
    distances = np.empty(len(points), np.float64)
    squares = np.einsum("ij,ij->i", found, found, dtype=np.float64)
    for first in range(0, len(points), _BLOCK):
        part = points[first : first + _BLOCK]
        gaps = squares - 2.0 * (part @ found.T)
        labels[first : first + _BLOCK] = gaps.argmin(axis=1)
        own = np.einsum("ij,ij->i", part, part, dtype=np.float64)
        distances[first : first + _BLOCK] = gaps.min(axis=1) + own
    return labels, distances
