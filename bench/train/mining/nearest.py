"""What is near by a mining model's vectors: exact, over a corpus in chunks of which one is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from adapters.base import EMPTY_ROW, EMPTY_SCORE, Encoder, Floats, Hits, InvalidOptions, Rows, exact_scores, exact_top_k
from bench.cache.artifacts import Cache
from bench.data.dataset import Dataset
from bench.experiment.negatives import Negatives
from bench.money.budget import Budget
from bench.quality.embedding import Embedding
from bench.quality.stages import Count, Emit, Stage
from bench.train.mining.asked import Asked

_COPIES = 4  # of a chunk's vectors: as they are read, put together, put in order, and as BLAS takes them
_QUERIES = 4096  # searched between two reports of progress: what a search does with a chunk it does each time

Positions = npt.NDArray[np.int64]


class Nearness:
    """The distinct queries and the documents of the pairs, compared by a mining model."""

    def __init__(self, spec: Negatives, asked: Asked, encoder: Encoder, *, cache: Cache, emit: Emit, budget: Budget):
        if encoder.consumes == "vector" and "vector" not in asked.query_table().column_names:
            raise InvalidOptions("the data's own vectors can mine only for queries that carry vectors.", key="model")
        self._asked = asked
        self._dataset = asked.dataset
        self._encoder = encoder
        self.similarity = encoder.similarity
        self._cache = cache
        self._emit = emit
        self._budget = budget
        self._name = spec.model or encoder.identity.model
        bytes_each = _COPIES * encoder.dimension * np.dtype(np.float32).itemsize
        self._chunk = max(1, min(spec.chunk, int(spec.memory_gb * 1e9 / bytes_each)))
        self._held: tuple[int, Floats] | None = None
        of_queries = replace(self._dataset, queries=asked.query_table(), qrels=None, own_rows=None)
        self.queries = self._embedding(of_queries).vectors(self._name, encoder, "query").array

    def nearest(self, queries: Positions, depth: int) -> Hits:
        """The nearest documents of some queries, (n, depth), best first."""
        found = Hits.empty(len(queries), depth)
        with Stage(self._emit, "search", f"negatives ({self._name})", self._work(len(queries)), "queries") as advance:
            for start, vectors in self.chunks():
                for first in range(0, len(queries), _QUERIES):
                    part = slice(first, first + _QUERIES)
                    hits = exact_top_k(self.queries[queries[part]], vectors, depth, self.similarity)
                    merge(found, part, shifted(hits, start))
                    advance(len(queries[part]))
        return found

    def nearest_of_their_own(self, pairs: Positions, labels: Rows, depth: int) -> Hits:
        """The nearest documents of some pairs' queries among those of the positive's cluster. labels: int32
        (documents,), -1 for a document without one."""
        queries, own = self._asked.query_of[pairs], labels[self._asked.positive_rows[pairs]]
        found = Hits.empty(len(pairs), depth)
        order = np.argsort(own, kind="stable")
        clusters, firsts = np.unique(own[order], return_index=True)
        lots = [
            (c, lot) for c, lot in zip(clusters.tolist(), np.split(order, firsts[1:]), strict=True) if c != EMPTY_ROW
        ]
        with Stage(self._emit, "search", f"negatives ({self._name})", self._work(len(pairs)), "pairs") as advance:
            for start, vectors in self.chunks():
                here = labels[start : start + len(vectors)]
                by_label = np.argsort(here, kind="stable")
                bounds = np.searchsorted(here[by_label], np.arange(labels.max(initial=0) + 2))
                for cluster, lot in lots:
                    members = np.sort(by_label[bounds[cluster] : bounds[cluster + 1]])
                    if len(members):
                        hits = exact_top_k(self.queries[queries[lot]], vectors[members], depth, self.similarity)
                        rows = np.where(hits.rows >= 0, members[np.maximum(hits.rows, 0)] + start, EMPTY_ROW)
                        merge(found, lot, Hits(rows.astype(np.int32), hits.scores))
                    advance(len(lot))
        return found

    def scores(self, queries: Positions, rows: Rows) -> Floats:
        """Scores of documents, rows (n, width) with -1 for none, for the queries at these positions: float32, -inf
        where there is no document or no vector."""
        scores = np.full(rows.shape, EMPTY_SCORE, np.float32)
        for start, vectors in self.chunks():
            here = np.where((rows >= start) & (rows < start + len(vectors)), rows - start, EMPTY_ROW).astype(np.int32)
            some = np.flatnonzero((here >= 0).any(axis=1))
            if len(some):
                found = exact_scores(self.queries[queries[some]], vectors, here[some], self.similarity)
                scores[some] = np.where(here[some] >= 0, found, scores[some])
        return np.where(np.isnan(scores), EMPTY_SCORE, scores)

    def sample(self, rows: npt.NDArray[np.int64]) -> Floats:
        """The vectors of some documents, rows ascending, without those that have none."""
        parts = [v[rows[(rows >= s) & (rows < s + len(v))] - s] for s, v in self.chunks()]
        return np.concatenate(parts) if parts else np.empty((0, self._encoder.dimension), np.float32)

    def chunks(self) -> Iterator[tuple[int, Floats]]:
        """The corpus: the row at which a chunk starts, and its vectors."""
        for start in range(0, self._dataset.documents, self._chunk):
            if self._held is None or self._held[0] != start:
                self._held = None  # before the next is read, so that one is in memory
                part = replace(self._dataset, corpus=self._dataset.corpus.slice(start, self._chunk), own_rows=None)
                self._held = start, self._embedding(part).vectors(self._name, self._encoder, "document").array
            yield self._held

    def _work(self, count: int) -> int:
        return count * -(-self._dataset.documents // self._chunk)

    def _embedding(self, dataset: Dataset) -> Embedding:
        return Embedding(dataset, self._cache, Count(), self._emit, self._budget)


def shifted(hits: Hits, start: int) -> Hits:
    """Hits in a chunk by the rows of the corpus."""
    return Hits(np.where(hits.rows >= 0, hits.rows + np.int32(start), np.int32(EMPTY_ROW)), hits.scores)


def merge(found: Hits, places: Positions | slice, more: Hits) -> None:
    """Put the hits of a later chunk among those of earlier ones, best first, ties by row ascending."""
    width = found.rows.shape[1]
    rows = np.concatenate([found.rows[places], more.rows], axis=1)
    scores = np.concatenate([found.scores[places], more.scores], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    found.rows[places] = np.take_along_axis(rows, order, axis=1)
    found.scores[places] = np.take_along_axis(scores, order, axis=1)
