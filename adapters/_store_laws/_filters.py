"""The laws of filters."""

from __future__ import annotations

from typing import Any

import pytest

from adapters._store_laws._sample import Sample
from adapters._store_laws._suite import Builder, StoreSuite
from adapters.base import Filter, InvalidOptions


class FilterLaws(StoreSuite):
    """A filter means what `Filter.mask` says."""

    @pytest.mark.parametrize(
        "spec",
        [
            {"lang": "en"},
            {"lang": ["it's", "日本"]},
            {"year": {"gte": 2003, "lt": 2005}},
            {"lang": "it's", "year": [2001, 2006]},
            {"lang": "nowhere"},
        ],
    )
    def test_a_filter_leaves_what_passes_as_the_oracle_does(self, build: Builder, spec: dict[str, Any]) -> None:
        sample, meta = Sample.of(300), self._filtering()
        condition = Filter.parse(spec)
        eligible = sample.eligible(condition)
        queries = self._queries(sample, 10)
        with self._open(build(sample, meta=meta)) as session:
            free, found = session.search(queries, 300), session.search(queries, 300, condition)
        assert eligible[found.rows[found.rows >= 0]].all(), "A document was found that does not pass the filter."
        if self._consumes == {"text"}:
            for all_rows, rows in zip(free.rows, found.rows, strict=True):
                kept = all_rows[all_rows >= 0]
                assert set(rows[rows >= 0].tolist()) == set(kept[eligible[kept]].tolist())
        elif self.exact and self._consumes == {"vector"}:
            assert ((found.rows >= 0).sum(axis=1) == eligible.sum()).all()
            self._assert_recall(found, queries, sample, self._similarity, eligible)

    def test_a_filter_on_an_unknown_column_is_refused(self, build: Builder) -> None:
        sample, meta = Sample.of(300), self._filtering()
        with self._open(build(sample, meta=meta)) as session, pytest.raises(InvalidOptions, match="nowhere"):
            session.search(self._queries(sample, 1), 3, Filter.parse({"nowhere": 1}))

    def test_a_filter_holds_for_inserted_rows(self, build: Builder) -> None:
        sample, meta = Sample.of(520), self._filtering()
        store, condition = self._taking_rows(), Filter.parse({"lang": "en"})
        whole = self._whole(sample, meta=meta)
        ref = build(sample, batches=iter([whole.slice(0, 400)]))
        queries = self._queries(sample, 80)
        with self._open(ref, store) as session:
            session.search(queries, 10, condition)
            store.insert(ref, whole.slice(400))
            store.settle(ref, 520)
            found = session.search(queries, 10, condition).rows
        assert (found[found >= 0] % 4 == 0).all() and found.max() >= 400
