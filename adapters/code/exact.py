"""Exact comparison of vectors.

Scores are larger-is-better: the cosine, the dot product, or minus the squared Euclidean distance. Final scores are
computed in float64 and given as float32, so that they do not depend on block sizes or on the BLAS.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_GROUP = 32  # places whose largest score stands for them while the best are looked for
_SLACK = 32  # candidates beyond k that the float32 pass hands to the float64 pass


class ExactCorpus:
    """A corpus prepared for many searches: what does not depend on the query is computed once. Under cosine the caller
    leaves out zero vectors, among documents and queries, and makes the others `of_ordinary_length`. similarity:
    cosine, dot or l2."""

    def __init__(self, vectors: npt.NDArray[np.float32], similarity: str) -> None:
        self._vectors = vectors
        self._similarity = similarity
        self._inverse_norms: npt.NDArray[np.float32] | None = None
        self._wide: npt.NDArray[np.float64] | None = None
        if similarity == "cosine":
            norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
            inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
            if np.abs(norms - 1.0).max(initial=0.0) > 1e-7:
                self._inverse_norms = inverse.astype(np.float32)
        elif similarity == "l2":
            # ||q||² - 2qd + ||d||² cancels badly in float32 when vectors are long and close together.
            self._wide = vectors.astype(np.float64)
            self._squared = np.einsum("ij,ij->i", self._wide, self._wide)

    def top_k(self, queries: npt.NDArray[np.float32], k: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """Rows and scores, both (n, min(k, corpus)), best first, ties by row ascending."""
        count = len(self._vectors)
        k = min(k, count)
        rough: npt.NDArray[np.floating]
        if self._wide is not None:
            rough = 2.0 * (queries.astype(np.float64) @ self._wide.T) - self._squared
        else:
            rough = queries @ self._vectors.T
            if self._inverse_norms is not None:
                rough *= self._inverse_norms
        taken = min(count, k + _SLACK)
        rows = _best(rough, taken) if taken < count else np.broadcast_to(np.arange(count), rough.shape)
        rows = np.sort(rows, axis=1)
        exact = pairwise(queries.astype(np.float64), self._vectors[rows].astype(np.float64), self._similarity)
        scores = exact.astype(np.float32)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _best(scores: npt.NDArray[np.floating], k: int) -> npt.NDArray[np.intp]:
    """Places of the k largest of each row, (n, k), in no order; k less than a row holds. In long rows places are
    grouped: the k groups with the largest maxima hold the k largest, and are found in a fraction of the time."""
    count = scores.shape[1]
    groups = count // _GROUP
    if groups <= 2 * k:
        return np.argpartition(scores, count - k, axis=1)[:, count - k :]
    whole = groups * _GROUP
    # A group is every so many-th place and no stretch: the maxima of neighbouring groups are then taken at once.
    maxima = scores[:, :whole].reshape(len(scores), _GROUP, groups).max(axis=1)
    chosen = np.argpartition(maxima, groups - k, axis=1)[:, groups - k :]
    places = (chosen[:, :, None] + groups * np.arange(_GROUP)).reshape(len(scores), -1)
    rest = np.broadcast_to(np.arange(whole, count), (len(scores), count - whole))
    places = np.concatenate([places, rest], axis=1)
    held = np.take_along_axis(scores, places, axis=1)
    best = np.argpartition(held, held.shape[1] - k, axis=1)[:, held.shape[1] - k :]
    return np.take_along_axis(places, best, axis=1)


def pairwise(
    queries: npt.NDArray[np.float64], documents: npt.NDArray[np.float64], similarity: str
) -> npt.NDArray[np.float64]:
    """Scores (n, depth) of documents (n, depth, d) against their queries (n, d)."""
    if similarity == "l2":
        difference = documents - queries[:, None, :]
        squared: npt.NDArray[np.float64] = np.einsum("nkd,nkd->nk", difference, difference)
        return -squared
    dots: npt.NDArray[np.float64] = np.einsum("nkd,nd->nk", documents, queries)
    if similarity == "dot":
        return dots
    lengths = np.linalg.norm(documents, axis=2) * np.linalg.norm(queries, axis=1)[:, None]
    cosines: npt.NDArray[np.float64] = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    return cosines
