"""The laws of building an index and of finding it again."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from adapters._store_laws._sample import DIMENSION, Sample, word
from adapters._store_laws._suite import Builder, StoreSuite
from adapters.base import (
    AdapterError,
    IndexMissing,
    IndexRef,
    InvalidOptions,
    NotIndexed,
    Queries,
    Similarity,
    index_name,
)


class BuildingLaws(StoreSuite):
    """What is built, from what, and where."""

    def test_every_row_is_held_and_indexed(self, build: Builder) -> None:
        sample = Sample.of(300)
        ref = build(sample)
        held = self._new().describe(ref)
        assert (ref.rows, held.rows, held.rows_indexed) == (300, 300, 300), (
            f"300 rows were given, `build` counted {ref.rows}, and `describe` says that {held.rows} are held and "
            f"{held.rows_indexed} indexed."
        )
        assert held.type, "`describe` must name the type of index in the engine's own word."
        assert held.bytes is None or held.bytes > 0
        json.dumps(held.as_dict())
        if held.flat and self._consumes == {"vector"}:
            queries = self._queries(sample, 30)
            hits = self._search(ref, queries, 10)
            self._assert_recall(hits, queries, sample, ref.similarity)
            self._assert_scale(hits, queries, sample, ref.similarity)

    def test_batches_hold_what_a_run_gives_and_no_more(self, build: Builder) -> None:
        """A run gives row, id and vector, the text only to a store that sets uses_text, and those columns meta.<name>
        alone that a filter of the experiment asks for."""
        sample = Sample.of(300)
        for meta in ((), ("year",)):
            try:
                build(sample, meta=meta)
            except (KeyError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
                names = ", ".join(self._whole(sample, meta=meta).schema.names)
                pytest.fail(
                    f"`_build` raised {type(error).__name__}: {error}. A run gives this store the columns {names}. "
                    "Texts come only where the property uses_text is True, and of the meta columns those alone that a "
                    "filter asks for."
                )

    def test_only_a_server_has_memory_of_its_own(self, build: Builder) -> None:
        build(Sample.of(300))
        store = self._new()
        told = store.server_memory()
        assert told is None or (told > 0 and not store.embedded)

    def test_a_batch_of_ten_thousand_rows_is_taken_whole(self, build: Builder) -> None:
        sample = Sample.of(10_000)
        ref = build(sample, batches=iter([self._whole(sample)]))
        assert self._new().describe(ref).rows == 10_000
        consumes = self._consumes
        last = Queries(
            sample.vectors[9999:] if "vector" in consumes else None, [word(9999)] if "text" in consumes else None
        )
        hits = self._search(ref, last, 10)
        if "text" in consumes:
            assert 9999 in hits.rows[0]
        elif self.exact:
            self._assert_recall(hits, last, sample, self._similarity)

    def test_rows_are_those_of_the_column_row_not_the_order_they_came_in(self, build: Builder) -> None:
        """A hit names a document by the number in the column `row`; an engine that numbers rows itself, from 0 or
        from 1, must be translated. Here the rows come shuffled."""
        sample = Sample.of(300)
        order = np.random.default_rng(3).permutation(300)
        queries = self._queries(sample, 40)
        hits = self._search(build(sample, batches=self._batches(sample, 64, order=order)), queries, 10)
        likely = "`rows` hold positions in the order of insertion, or are off by one; they must be the column `row`"
        if self._consumes == {"vector"}:
            self._assert_recall(hits, queries, sample, self._similarity, likely=likely)
        else:
            missed = [row for row, found in zip(sample.near(40), hits.rows, strict=True) if row not in found]
            assert not missed, f"{len(missed)} of 40 queries miss the document they are made of. Likely: {likely}."

    def test_a_reference_read_back_from_json_opens_in_a_new_adapter(self, build: Builder) -> None:
        sample = Sample.of(300)
        ref = build(sample)
        queries = self._queries(sample, 5)
        with self._open(ref) as session:
            before = session.search(queries, 10)
        again = IndexRef.from_dict(json.loads(json.dumps(ref.as_dict())))
        assert again == ref, "What `_build` returned is not the same after JSON: tuples become lists, keys strings."
        with self._open(again) as session:
            self._assert_same(session.search(queries, 10), before)

    def test_two_builds_in_two_places_are_two_indexes(self, build: Builder) -> None:
        """One store builds several indexes, one for each encoder; none may show in another's answers."""
        one, other = Sample.of(300), Sample.of(320, seed=8)
        store = self._new()
        first = build(one, store=store)
        queries, foreign = self._queries(one, 20), self._queries(other, 20)
        with self._open(first, store) as session:
            before = session.search(queries, 10)
            second = build(other, store=store)
            with self._open(second, store) as beside:
                found = beside.search(foreign, 10)
                self._assert_same(session.search(queries, 10), before)
        with self._open(first, store) as session:
            self._assert_same(session.search(queries, 10), before)
        if self._consumes == {"vector"}:
            likely = "the second index shares its files, its name or an object in memory with the first"
            self._assert_recall(before, queries, one, self._similarity, likely=likely)
            self._assert_recall(found, foreign, other, self._similarity, likely=likely)
        assert [self._new().describe(ref).rows for ref in (first, second)] == [300, 320]

    def test_an_interrupted_build_leaves_nothing_in_the_way_of_the_next(self, build: Builder) -> None:
        sample = Sample.of(300)

        class Interrupted(Exception):
            pass

        def broken() -> Iterator[pa.RecordBatch]:
            yield next(self._batches(sample, 50))
            raise Interrupted

        name = index_name(uuid.uuid4().hex, "law")
        with pytest.raises((Interrupted, AdapterError)):
            build(sample, batches=broken(), name=name)
        ref = build(sample, name=name)
        assert self._new().describe(ref).rows == 300
        assert (self._search(ref, self._queries(sample, 3), 5).rows[:, 0] >= 0).all()

    def test_an_index_of_no_rows_finds_nothing_and_is_not_opened(self, build: Builder) -> None:
        """`build` is called and must not fail; for the searches the base class answers, and `open` is never called."""
        try:
            ref = build(Sample.of(1), batches=iter(()))
        except (LookupError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
            pytest.fail(f"`_build` raised {type(error).__name__} when no batch came: {error}")
        assert ref.rows == 0 and self._new().effective(ref).rows == 0
        hits = self._search(ref, self._queries(Sample.of(10), 3), 4)
        assert (hits.rows == -1).all() and np.isneginf(hits.scores).all()

    def test_what_bears_a_name_of_the_users_is_not_dropped(self, build: Builder) -> None:
        """A record of an index may have been handed over: `drop` deletes nothing but what `index_name` has named. An
        adapter overrides `_drop`, which is called for such names alone."""
        sample = Sample.of(300)
        ref, store = build(sample), self._new()
        for name in ("customers", "bench_customers", f"{ref.name}x", f"x{ref.name}", ref.name.upper(), ""):
            try:
                store.drop(replace(ref, name=name))
            except InvalidOptions:
                continue
            pytest.fail(f"`drop` took {name!r}, which is no name of an index of this program's.")
        assert self._new().describe(ref).rows == 300

    def test_a_deleted_index_is_missing(self, build: Builder) -> None:
        """The cache builds an index anew when `describe` and `open` raise IndexMissing, and only then."""
        sample = Sample.of(300)
        ref = build(sample)
        self._new().drop(ref)
        shutil.rmtree(ref.folder)
        with pytest.raises(IndexMissing):
            self._new().describe(ref)
        with pytest.raises(IndexMissing):
            self._search(ref, self._queries(sample, 1), 1)

    def test_a_metric_that_is_not_declared_is_refused(self, build: Builder) -> None:
        """Metrics are declared by `similarities` on the store; a run refuses others before its start."""
        if not self._by_vector:
            pytest.skip("the search is not by vector")
        declared, of_class = self._declared, self._new().similarities
        assert declared, "A store that searches by vector declares at least one metric in `similarities`."
        assert set(declared) <= set(of_class), "The test class names metrics that the store does not declare."
        for similarity in set(Similarity) - set(declared):
            try:
                self._new().plan(300, DIMENSION, similarity)
                build(Sample.of(300), similarity=similarity)
            except (InvalidOptions, NotIndexed):
                continue
            pytest.fail(
                f"An index by {similarity} was built, though the test class names other metrics. Take it out of the "
                "store's `similarities`, or refuse it in `plan` where only these index options lack it."
            )
