"""The laws of texts that a search returns with its hits."""

from __future__ import annotations

import numpy as np

from adapters._store_laws._sample import Sample
from adapters._store_laws._suite import Builder, StoreSuite
from adapters.base import Filter, Hits


class TextLaws(StoreSuite):
    """A session that is opened with `payload` returns each hit's text, and is otherwise the same."""

    def test_texts_are_those_of_the_rows_for_one_query_and_for_many(self, build: Builder) -> None:
        """With a limit beyond the corpus too; a document without a text has null."""
        sample = self._returning_texts()
        queries = self._queries(sample, 20)
        order = np.random.default_rng(3).permutation(300)
        ref = build(sample, batches=self._batches(sample, order=order, payload=True))
        with self._open(ref, payload=True) as session:
            for limit in (7, 350):
                many = session.search(queries, limit)
                self._assert_texts(many, sample)
                for i in (0, 11):
                    one = session.search(queries.at(slice(i, i + 1)), limit)
                    self._assert_texts(one, sample)
                    self._assert_same(one, Hits(many.rows[i : i + 1], many.scores[i : i + 1]))

    def test_texts_under_a_filter_are_those_of_the_rows(self, build: Builder) -> None:
        sample, meta = self._returning_texts(), self._filtering()
        ref = build(sample, batches=self._batches(sample, meta=meta, payload=True))
        with self._open(ref, payload=True) as session:
            for spec in ({"lang": "en"}, {"year": 2003}, {"lang": "nowhere"}):
                self._assert_texts(session.search(self._queries(sample, 10), 20, Filter.parse(spec)), sample)

    def test_rows_and_scores_are_the_same_with_texts_and_without(self, build: Builder) -> None:
        sample = self._returning_texts()
        ref, queries = build(sample, batches=self._batches(sample, payload=True)), self._queries(sample, 20)
        with self._open(ref) as plain, self._open(ref, payload=True) as session:
            without, found = plain.search(queries, 10), session.search(queries, 10)
        assert without.texts is None, "Texts were returned that nobody asked for (Session.payload is false)."
        self._assert_same(found, without)

    def test_texts_of_inserted_rows_are_returned(self, build: Builder) -> None:
        sample, store = self._returning_texts(), self._taking_rows()
        whole = self._whole(sample, payload=True)
        ref = build(sample, batches=iter([whole.slice(0, 280)]), store=store)
        with self._open(ref, store, payload=True) as session:
            store.insert(ref, whole.slice(280))
            store.settle(ref, 300)
            found = session.search(self._queries(sample, 60), 300)
        assert found.rows.max() >= 280, "No inserted row was found."
        self._assert_texts(found, sample)

    @staticmethod
    def _assert_texts(hits: Hits, sample: Sample) -> None:
        """Each hit has the text of its row, and empty places have none."""
        assert hits.texts is not None, "The session was opened with payload and returned no texts."
        for rows, texts in zip(hits.rows.tolist(), hits.texts, strict=True):
            expected = [sample.texts[row] for row in rows if row >= 0]
            wrong = [i for i, pair in enumerate(zip(texts, expected, strict=True)) if pair[0] != pair[1]]
            assert not wrong, (
                f"{len(wrong)} of {len(expected)} texts are not those of their rows: row {rows[wrong[0]]} has "
                f"{expected[wrong[0]]!r}, and {texts[wrong[0]]!r} was returned. Likely: texts stand in another order "
                "than their hits, a text was changed when it was stored, or a null became an empty text."
            )
