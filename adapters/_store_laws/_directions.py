"""The laws of vectors without a direction: by cosine a zero vector is near nothing, and nothing is near it.

The base class withholds zero documents from `_build` and zero queries from `_search`, so that the numbers in the
column `row` have gaps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adapters._store_laws._sample import DIMENSION, Sample
from adapters._store_laws._suite import Builder, StoreSuite
from adapters.base import Queries, Similarity

_ZERO = [0, 100, 101, 299]


class DirectionLaws(StoreSuite):
    """Zero vectors among the documents and among the queries."""

    def test_by_cosine_a_zero_document_is_never_found_and_the_others_keep_their_rows(self, build: Builder) -> None:
        self._by_cosine()
        sample = _with_zeros(300)
        directed = np.abs(sample.vectors).sum(axis=1) > 0
        queries = self._queries(Sample.of(300), 40)
        hits = self._search(build(sample, similarity=Similarity.COSINE), queries, 20)
        found = hits.rows[hits.rows >= 0]
        assert directed[np.minimum(found, 299)].all(), "A document whose vector is zero was found by cosine."
        likely = "`rows` are counted by the engine; those of the column `row` have gaps where documents are withheld"
        self._assert_recall(hits, queries, sample, Similarity.COSINE, directed, likely=likely)

    def test_by_cosine_a_zero_query_finds_nothing_and_the_others_what_they_find_alone(self, build: Builder) -> None:
        self._by_cosine()
        sample = Sample.of(300)
        queries = self._queries(sample, 12)
        assert queries.vectors is not None
        queries.vectors[[0, 5]] = 0
        hits = self._search(build(sample, similarity=Similarity.COSINE), queries, 10)
        assert (hits.rows[[0, 5]] == -1).all() and np.isneginf(hits.scores[[0, 5]]).all()
        others = np.array([i for i in range(12) if i not in (0, 5)])
        found = replace(hits, rows=hits.rows[others], scores=hits.scores[others])
        self._assert_recall(found, queries.at(others), sample, Similarity.COSINE)

    @pytest.mark.parametrize("similarity", [Similarity.DOT, Similarity.L2])
    def test_by_other_metrics_a_zero_vector_is_like_any_other(self, build: Builder, similarity: Similarity) -> None:
        self._by_vector_alone()
        if similarity not in self._declared:
            pytest.skip("the metric is not declared")
        sample = _with_zeros(300)
        queries = self._queries(Sample.of(300), 40)
        hits = self._search(build(sample, similarity=similarity), queries, 10)
        self._assert_recall(hits, queries, sample, similarity)

    def test_by_cosine_zero_documents_alone_are_an_index_of_no_rows(self, build: Builder) -> None:
        self._by_cosine()
        sample = replace(Sample.of(5), vectors=np.zeros((5, DIMENSION), np.float32))
        ref = build(sample, similarity=Similarity.COSINE)
        hits = self._search(ref, Queries(Sample.of(3).vectors), 4)
        assert (hits.rows == -1).all() and np.isneginf(hits.scores).all()

    def _by_cosine(self) -> None:
        self._by_vector_alone()
        if Similarity.COSINE not in self._declared:
            pytest.skip("the store does not compare by cosine")


def _with_zeros(count: int) -> Sample:
    """A sample of which some vectors are zero."""
    sample = Sample.of(count)
    sample.vectors[_ZERO] = 0
    return sample
