"""The laws of a search's answer, whatever it is compared by."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from adapters._store_laws._sample import Sample, word
from adapters._store_laws._suite import FLOOR, Builder, StoreSuite
from adapters.base import Hits, Queries


class SearchingLaws(StoreSuite):
    """Shape and order of hits, batches, sessions and threads."""

    def test_one_query_and_many_give_the_same(self, build: Builder) -> None:
        """The hits of query i stand in line i, and do not depend on the other queries of the call."""
        sample = Sample.of(300)
        queries = self._queries(sample, 20)
        with self._open(build(sample)) as session:
            many = session.search(queries, 7)
            for i in range(20):
                one = session.search(queries.at(slice(i, i + 1)), 7)
                self._assert_same(one, Hits(many.rows[i : i + 1], many.scores[i : i + 1]))

    def test_the_same_query_many_times_gives_the_same_each_time(self, build: Builder) -> None:
        sample = Sample.of(300)
        queries = self._queries(sample, 20).at(np.array([5] * 12))
        with self._open(build(sample)) as session:
            many = session.search(queries, 7)
        for i in range(1, 12):
            self._assert_same(Hits(many.rows[i : i + 1], many.scores[i : i + 1]), Hits(many.rows[:1], many.scores[:1]))

    def test_the_same_search_twice_gives_the_same(self, build: Builder) -> None:
        sample = Sample.of(300)
        queries = self._queries(sample, 10)
        with self._open(build(sample)) as session:
            self._assert_same(session.search(queries, 10), session.search(queries, 10))

    def test_two_sessions_and_eight_threads_agree(self, build: Builder) -> None:
        sample = Sample.of(300)
        ref = build(sample)
        queries = self._queries(sample, 8)
        with self._open(ref) as first, self._open(ref) as second, ThreadPoolExecutor(8) as pool:
            expected = second.search(queries, 5)
            parts = list(pool.map(lambda i: first.search(queries.at(slice(i % 8, i % 8 + 1)), 5), range(40)))
        for i, part in enumerate(parts):
            at = slice(i % 8, i % 8 + 1)
            self._assert_same(part, Hits(expected.rows[at], expected.scores[at]))

    def test_hits_come_best_first_once_each_and_empty_places_last(self, build: Builder) -> None:
        """Rows are int32, scores float32; larger is better; -1 and -inf fill up what was not found."""
        sample = Sample.of(300)
        ref = build(sample)
        for limit in (1, 10, 350):
            hits = self._search(ref, self._queries(sample, 5), limit)
            for name, array, kind in (("rows", hits.rows, np.int32), ("scores", hits.scores, np.float32)):
                assert array.shape == (5, limit) and array.dtype == kind, (
                    f"5 queries with limit {limit} gave {name} of shape {array.shape} and type {array.dtype}. "
                    f"It must be {(5, limit)}, whatever the index holds, and {np.dtype(kind)} (Hits.empty)."
                )
            for rows, scores in zip(hits.rows, hits.scores, strict=True):
                count = int((rows >= 0).sum())
                assert count >= 1 and (rows[count:] == -1).all(), "An empty place stands before a hit."
                assert (rows[:count] < 300).all(), f"Row {rows.max()} was found; 300 rows have the numbers 0 to 299."
                assert len(set(rows[:count].tolist())) == count, "A document stands twice among the hits of a query."
                assert np.isfinite(scores[:count]).all() and np.isneginf(scores[count:]).all()
                assert (np.diff(scores[:count]) <= 0).all(), (
                    "Scores rise from the first hit to the last. Larger is better: a distance is handed on with its "
                    "sign changed, and the best hit comes first."
                )
                if self._consumes == {"vector"}:
                    least = min(limit, 300) if self.exact else FLOOR * min(limit, 300)
                    assert count >= least, f"Asked for {limit} of 300 documents the search found {count}."

    def test_no_queries_give_no_hits(self, build: Builder) -> None:
        sample = Sample.of(300)
        with self._open(build(sample)) as session:
            assert session.search(self._queries(sample, 0), 4).rows.shape == (0, 4)

    def test_words_are_found_and_nothing_without_them(self, build: Builder) -> None:
        if self._consumes != {"text"}:
            pytest.skip("the search is not by text alone")
        with self._open(build(Sample.of(300))) as session:
            hits = session.search(Queries(texts=[f"shared{word(4)} {word(47)}", word(299), word(777), ""]), 20)
        assert hits.rows[0, 0] == 47
        assert [set(row[row >= 0].tolist()) for row in hits.rows] == [set(range(40, 50)), {299}, set(), set()]

    def test_equal_documents_score_alike(self, build: Builder) -> None:
        self._exact_by_vector()
        sample = Sample.of(40)
        sample = replace(sample, vectors=np.tile(sample.vectors[:8], (5, 1)))
        hits = self._search(build(sample), Queries(sample.vectors[:3]), 5)
        for i in range(3):
            assert sorted(hits.rows[i].tolist()) == [i, i + 8, i + 16, i + 24, i + 32]
            assert np.ptp(hits.scores[i]) <= 1e-5 * max(1.0, abs(float(hits.scores[i, 0])))
