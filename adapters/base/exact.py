"""Exact search. This code is the oracle that judges every index, the store `exact`, and the reference of the
conformance suite.

Scores are larger-is-better: the cosine, the dot product, or minus the squared Euclidean distance. Final scores
are computed in float64 and given as float32, so that they do not depend on block sizes or on the BLAS. Under cosine
a zero vector has no direction: such a query finds nothing, and such a document is no query's neighbour.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapters.base.arrays import EMPTY_ROW, Flags, Floats, Hits, Rows, Similarity
from adapters.base.directions import of_ordinary_length, without_direction
from adapters.code.exact import ExactCorpus, pairwise

_BLOCK_BYTES = 1 << 26


def exact_scores(queries: Floats, corpus: Floats, rows: Rows, similarity: Similarity) -> Floats:
    """Exact scores of given rows.

    queries: (n, d). corpus: (m, d). rows: (n, depth) positions in the corpus, -1 for empty.
    Returns float32 (n, depth), -inf at empty places.
    """
    scores = np.full(rows.shape, -np.inf, dtype=np.float32)
    block = max(1, _BLOCK_BYTES // max(1, rows.shape[1] * corpus.shape[1] * 8))
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        documents = corpus[np.maximum(part, 0)].astype(np.float64)
        query = queries[start : start + block].astype(np.float64)
        scores[start : start + block] = np.where(part >= 0, pairwise(query, documents, similarity), -np.inf)
    return scores


def exact_top_k(queries: Floats, corpus: Floats, k: int, similarity: Similarity, eligible: Flags | None = None) -> Hits:
    """The k best documents of each query, ties by row ascending.

    queries: (n, d). corpus: (m, d). eligible: bool (m,), which rows may be returned (a filter). Returns Hits of shape
    (n, k), padded where fewer than k rows are eligible. Under cosine no zero document is returned, and nothing for a
    zero query. A vector with NaN stands for a text that has no vector: such a document is not returned, and such a
    query finds nothing.
    """
    there, asked = _without_nan(corpus), _without_nan(queries)
    if not there.all():
        eligible = there if eligible is None else eligible & there
    if not asked.all():
        hits = Hits.empty(len(queries), k)
        found = exact_top_k(queries[asked], corpus, k, similarity, eligible)
        hits.rows[asked], hits.scores[asked] = found.rows, found.scores
        return hits
    if similarity is Similarity.COSINE:
        return _by_direction(queries, corpus, k, eligible)
    return _top_k(queries, corpus, k, similarity, eligible)


def _without_nan(vectors: Floats) -> Flags:
    """Which vectors (n, d) hold no NaN: bool (n,)."""
    flags: Flags = ~np.isnan(vectors.sum(axis=1, dtype=np.float64))
    return flags


def _by_direction(queries: Floats, corpus: Floats, k: int, eligible: Flags | None) -> Hits:
    pointing = ~without_direction(corpus)
    eligible = pointing if eligible is None else eligible & pointing
    corpus, asked = of_ordinary_length(corpus), ~without_direction(queries)
    found = _top_k(of_ordinary_length(queries[asked]), corpus, k, Similarity.COSINE, eligible)
    hits = Hits.empty(len(queries), k)
    hits.rows[asked], hits.scores[asked] = found.rows, found.scores
    return hits


def _top_k(queries: Floats, corpus: Floats, k: int, similarity: Similarity, eligible: Flags | None) -> Hits:
    allowed = None if eligible is None or eligible.all() else np.flatnonzero(eligible)
    if allowed is not None:
        corpus = corpus[allowed]
    hits = Hits.empty(len(queries), k)
    if not len(corpus) or not len(queries):
        return hits
    searched = ExactCorpus(corpus, similarity)
    block = max(1, _BLOCK_BYTES // (len(corpus) * 8))
    for start in range(0, len(queries), block):
        rows, scores = searched.top_k(queries[start : start + block], k)
        hits.rows[start : start + block, : rows.shape[1]] = rows if allowed is None else allowed[rows]
        hits.scores[start : start + block, : rows.shape[1]] = scores
    return hits


def hit_threshold(best: Floats, k: int, eligible: int | npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The score from which a document counts as one of the k nearest: k-th best minus 1e-6·max(1, |k-th|).

    best: exact scores (n, ≥ min(k, eligible)), descending. eligible: of all queries or of each (n,). Returns float64
    (n,), infinity where nothing is eligible.
    """
    last = np.broadcast_to(np.minimum(k, eligible), len(best)) - 1
    kth = np.take_along_axis(best, np.maximum(last, 0)[:, None], axis=1)[:, 0].astype(np.float64)
    return np.where(last >= 0, kth - 1e-6 * np.maximum(1.0, np.abs(kth)), np.inf)


def ann_recall(
    found: Rows, queries: Floats, corpus: Floats, best: Floats, k: int, similarity: Similarity, eligible: int
) -> npt.NDArray[np.float64]:
    """Recall of the first k found rows against exact search, per query: float64 (n,).

    found: (n, ≥ k) rows in the engine's order. best: exact scores (n, ≥ min(k, eligible)) of the oracle, -inf where it
    found no more. eligible: documents that a search may return at most. A hit is any distinct document whose exact
    score reaches the threshold; the denominator is min(k, eligible), or what the oracle found where that is less. NaN
    where it found nothing: the query has no direction, or no document is eligible.
    """
    recall = np.full(len(found), np.nan)
    best = best[:, : min(k, eligible)]
    wanted = (best > -np.inf).sum(axis=1)
    if not wanted.any():
        return recall
    head = found[:, :k]
    scores = exact_scores(queries, corpus, head, similarity).astype(np.float64)
    scores[_repeated(head)] = -np.inf
    if similarity is Similarity.COSINE:  # the cosine of a zero document is given as 0, which may be above the k-th best
        scores[_zero_documents(scores, head, corpus)] = -np.inf
    hits = ((scores >= hit_threshold(best, k, wanted)[:, None]) & (head != EMPTY_ROW)).sum(axis=1)
    np.divide(np.minimum(hits, wanted), wanted, out=recall, where=wanted > 0)
    return recall


def _zero_documents(scores: npt.NDArray[np.float64], rows: Rows, corpus: Floats) -> Flags:
    """Which places hold a zero document: bool, shaped as rows."""
    flags: Flags = (scores == 0) & (rows != EMPTY_ROW)
    flags[flags] = without_direction(corpus[rows[flags]])
    return flags


def _repeated(rows: Rows) -> Flags:
    """Which places hold a row that stood further to the left already: bool, shaped as rows."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    again = np.zeros(rows.shape, dtype=np.bool_)
    again[:, 1:] = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != EMPTY_ROW)
    out = np.empty_like(again)
    np.put_along_axis(out, order, again, axis=1)
    return out
