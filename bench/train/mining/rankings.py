"""The ranking that a pair's negatives are taken from, by strategy."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from adapters.base import EMPTY_ROW, Hits, Rows
from bench.quality.fusion import reciprocal_rank
from bench.quality.stages import Emit, Stage
from bench.train.mining.asked import Asked
from bench.train.mining.clusters import centres, labelled, sample_rows
from bench.train.mining.lexical import Lexical
from bench.train.mining.nearest import Nearness

RRF_CONSTANT = 60  # Cormack, Clarke and Büttcher, SIGIR 2009

Positions = npt.NDArray[np.int64]


class Rankings(ABC):
    """Rankings of the corpus for pairs. deepest: how many documents are in one at most, None for all of the corpus."""

    deepest: int | None = None

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    @abstractmethod
    def ranking(self, pairs: Positions, depth: int) -> Hits:
        """The first `depth` documents for some pairs, (n, depth): -1 where there are no more, NaN scores where none
        decides."""


class Drawn(Rankings):
    """Documents in an order by seed."""

    def __init__(self, asked: Asked, seed: int) -> None:
        super().__init__(asked)
        self._seed = seed

    def ranking(self, pairs: Positions, depth: int) -> Hits:
        rows = np.full((len(pairs), depth), EMPTY_ROW, np.int32)
        for i, pair in enumerate(pairs.tolist()):
            drawn = self.asked.drawn(pair, depth, self._seed)
            rows[i, : len(drawn)] = drawn
        return Hits(rows, np.full(rows.shape, np.nan, np.float32))


class OfQueries(Rankings):
    """Rankings that are the same for all pairs of a query."""

    def ranking(self, pairs: Positions, depth: int) -> Hits:
        queries, back = np.unique(self.asked.query_of[pairs], return_inverse=True)
        hits = self.of_queries(queries, depth)
        return Hits(hits.rows[back], hits.scores[back])

    @abstractmethod
    def of_queries(self, queries: Positions, depth: int) -> Hits:
        """The first `depth` documents for some of the distinct queries."""


class ByTerms(OfQueries):
    """The best by BM25."""

    def __init__(self, asked: Asked, terms: Lexical) -> None:
        super().__init__(asked)
        self._terms = terms

    def of_queries(self, queries: Positions, depth: int) -> Hits:
        return self._terms.ranking(queries, depth)


class ByVectors(OfQueries):
    """The nearest by the mining model."""

    def __init__(self, asked: Asked, nearness: Nearness) -> None:
        super().__init__(asked)
        self._nearness = nearness

    def of_queries(self, queries: Positions, depth: int) -> Hits:
        return self._nearness.nearest(queries, depth)


class ByBoth(OfQueries):
    """Both rankings fused by reciprocal ranks; the scores are the mining model's."""

    def __init__(self, asked: Asked, terms: Lexical, nearness: Nearness) -> None:
        super().__init__(asked)
        self._terms = terms
        self._nearness = nearness

    def of_queries(self, queries: Positions, depth: int) -> Hits:
        legs = [self._terms.ranking(queries, depth).rows, self._nearness.nearest(queries, depth).rows]
        fused = reciprocal_rank(legs, [1.0, 1.0], constant=RRF_CONSTANT)
        # The fused rows ascend, so that equal sums stand by row.
        order = np.argsort(-fused.scores, axis=1, kind="stable")[:, :depth]
        rows = np.take_along_axis(fused.rows, order, axis=1)
        return Hits(rows, self._nearness.scores(queries, rows))


class ByCluster(Rankings):
    """The nearest by the mining model in the cluster of the positive. clusters: None for the square root of the number
    of documents."""

    def __init__(self, asked: Asked, nearness: Nearness, *, clusters: int | None, seed: int, emit: Emit) -> None:
        super().__init__(asked)
        self._nearness = nearness
        documents = asked.dataset.documents
        count = min(documents, clusters or max(2, math.isqrt(documents)))
        rng = np.random.default_rng(seed)
        with Stage(emit, "cluster", "negatives", documents, "documents") as advance:
            learned = nearness.sample(sample_rows(documents, count, rng))
            found = centres(learned, count, nearness.similarity, rng)
            self._labels: Rows = labelled(nearness.chunks(), documents, found, nearness.similarity)
            advance(documents)

    def ranking(self, pairs: Positions, depth: int) -> Hits:
        return self._nearness.nearest_of_their_own(pairs, self._labels, depth)
