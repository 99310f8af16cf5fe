"""The laws of rows that come after the build."""

from __future__ import annotations

import pytest

from adapters._store_laws._sample import Sample
from adapters._store_laws._suite import Builder, StoreSuite
from adapters.base import AdapterError, Hits, InvalidOptions, Queries


class GrowthLaws(StoreSuite):
    """Rows that are inserted while an index is searched."""

    def test_inserted_rows_are_found_by_a_session_opened_before(self, build: Builder) -> None:
        sample, store = Sample.of(520), self._taking_rows()
        whole = self._whole(sample)
        ref = build(sample, batches=iter([whole.slice(0, 400)]))
        queries = self._queries(sample, 80)  # 22 of them near documents that come later
        with self._open(ref, store) as session:
            assert session.search(queries, 10).rows.max() < 400
            for start in range(400, 520, 40):
                store.insert(ref, whole.slice(start, 40))
            if self.inserts_at_once:
                self._assert_held(session.search(queries, 10), sample, queries)
            grown = store.settle(ref, 520)
            self._assert_held(session.search(queries, 10), sample, queries)
        assert (grown.rows, store.describe(grown).rows, store.describe(grown).rows_indexed) == (520, 520, 520)
        self._assert_held(self._search(grown, queries, 10), sample, queries)  # in a new adapter, which reads it anew

    def test_every_row_is_held_once_after_more_inserts_than_an_engine_leaves_unsorted(self, build: Builder) -> None:
        sample, store = Sample.of(520), self._taking_rows()
        whole = self._whole(sample)
        ref = build(sample, batches=iter([whole.slice(0, 400)]))
        with self._open(ref, store) as session:
            for start in range(400, 520, 4):
                store.insert(ref, whole.slice(start, 4))
            store.settle(ref, 520)
            found = session.search(self._queries(sample, 4), 600).rows
        for rows in found:
            held = rows[rows >= 0].tolist()
            assert len(held) == len(set(held))
            if self.exact and self._consumes == {"vector"}:
                assert sorted(held) == list(range(520))

    def test_a_row_that_is_missing_after_all_inserts_is_noticed(self, build: Builder) -> None:
        sample, store = Sample.of(400), self._taking_rows()
        whole = self._whole(sample)
        ref = build(sample, batches=iter([whole.slice(0, 390)]))
        store.insert(ref, whole.slice(390, 9))
        with pytest.raises(AdapterError, match="399"):
            store.settle(ref, 400)

    def test_a_store_that_takes_no_rows_says_so(self, build: Builder) -> None:
        store = self._new()
        if store.takes_rows:
            pytest.skip("the store takes rows")
        sample = Sample.of(300)
        ref = build(sample)
        with pytest.raises(InvalidOptions, match=f"store {store.name} takes no rows"):
            store.insert(ref, self._whole(sample))

    def _assert_held(self, hits: Hits, sample: Sample, queries: Queries) -> None:
        """The document that each query stands near is found by its words, or the ten nearest are by vector."""
        if self._consumes == {"vector"}:
            self._assert_recall(hits, queries, sample, self._similarity)
            return
        wanted = sample.near(len(queries))
        assert not [row for row, found in zip(wanted, hits.rows, strict=True) if row not in found]
