"""What every store must do, whatever its engine: the store's part of `adapters.testing`."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from adapters.base import (
    AdapterError,
    Consumes,
    Filter,
    Floats,
    Hits,
    IndexMissing,
    IndexRef,
    InvalidOptions,
    InvalidVectors,
    NotIndexed,
    Place,
    Queries,
    Session,
    Similarity,
    Store,
    ann_recall,
    exact_scores,
    exact_top_k,
)

DIMENSION = 16
ODD_IDS = ("naïve/ü", "日本語", "it's", 'a "b"', "with space", "🙂", "-1", "\\", "a.b", "NULL")
_SYLLABLES = ("ba", "ko", "du", "fa", "go", "lu", "ma", "no", "pu", "ro")  # no suffix that a stemmer would cut


def word(number: int) -> str:
    """A word of its own for each number from 0 to 99,999."""
    return "za" + "".join(_SYLLABLES[int(digit)] for digit in f"{number:05d}")


@dataclass(frozen=True)
class Sample:
    """A corpus of n documents: vectors (n, 16) without near ties; texts of one word of their own, one that ten
    neighbours share, and a varying number of fillers; meta columns lang, with nulls, and year."""

    vectors: Floats
    texts: Sequence[str]
    ids: Sequence[str]
    langs: Sequence[str | None]
    years: Sequence[int]

    @staticmethod
    def of(count: int, seed: int = 7) -> Sample:
        vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
        return Sample(
            vectors,
            [f"{word(i)} shared{word(i // 10)} " + "filler " * (1 + i % 10) for i in range(count)],
            [ODD_IDS[i] if i < len(ODD_IDS) else f"d{i}" for i in range(count)],
            [("en", "it's", None, "日本")[i % 4] for i in range(count)],
            [2000 + i % 7 for i in range(count)],
        )

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, size: int = 128, *, vectors: bool = True) -> Iterator[pa.RecordBatch]:
        columns = {
            "row": pa.array(np.arange(len(self), dtype=np.int32)),
            "id": pa.array(self.ids, pa.string()),
            "text": pa.array(self.texts, pa.string()),
            "meta.lang": pa.array(self.langs, pa.string()),
            "meta.year": pa.array(self.years, pa.int64()),
        }
        if vectors:
            columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(self.vectors.ravel()), DIMENSION)
        yield from pa.table(columns).to_batches(max_chunksize=size)

    def queries(self, count: int, consumes: frozenset[Consumes]) -> Queries:
        """Queries near documents 3, 10, 17, …: by a disturbed vector, by the document's two words, or by both."""
        chosen = [(3 + 7 * i) % len(self) for i in range(count)]
        noise = np.random.default_rng(11).standard_normal((count, DIMENSION)).astype(np.float32)
        return Queries(
            self.vectors[chosen] + 0.1 * noise if "vector" in consumes else None,
            [f"{word(i)} shared{word(i // 10)}" for i in chosen] if "text" in consumes else None,
        )


Builder = Callable[..., IndexRef]


class StoreConformance:
    """Subclass it as `class TestMyStore(StoreConformance)` and fill in `store`; the other hooks have defaults.

    What is asked of the store follows from what a search with `query` consumes: vectors, texts or both.
    """

    similarities: ClassVar[tuple[Similarity, ...]] = tuple(Similarity)
    inserts_at_once: ClassVar[bool] = True  # what `insert` accepted is found before `settle`
    exact: ClassVar[bool] = True  # `store` and `query` are set so that a vector search misses nothing
    filters: ClassVar[bool] = True

    def store(self) -> Store:
        """A new adapter, with index options under which a search is exact where the engine can."""
        raise NotImplementedError

    def query(self, store: Store) -> Any:
        """The query options that the laws are tried with."""
        return store.Query()

    def unavailable(self) -> str | None:
        """Why this store cannot be tried here: a server or a package that is missing. The laws are skipped aloud."""
        missing = self.store().missing()
        return str(missing) if missing else None

    @pytest.fixture(autouse=True)
    def _available(self) -> Iterator[None]:
        if reason := self.unavailable():
            pytest.skip(reason)
        yield
        for opened in reversed(self.__dict__.pop("_opened", [])):
            opened.close()

    @pytest.fixture
    def build(self, tmp_path: Path) -> Iterator[Builder]:
        """Builds samples in places of their own and drops them after the test."""
        built: list[tuple[Store, IndexRef]] = []

        def builder(
            sample: Sample, *, similarity: Similarity | None = None, batches: Any = None, name: str | None = None
        ) -> IndexRef:
            store = self._new()
            vectors = self._by_vector
            name = name or f"law_{uuid.uuid4().hex[:12]}"
            place = Place(name, tmp_path / f"{name}_{len(built)}")
            place.folder.mkdir()
            dimension = DIMENSION if vectors else None
            built.append((store, IndexRef(name, str(place.folder), 0, dimension, similarity or self.similarities[0])))
            ref = store.build(
                sample.batches(vectors=vectors) if batches is None else batches,
                place=place,
                similarity=similarity or self.similarities[0],
                dimension=dimension,
            )
            built[-1] = (store, ref)
            return ref

        yield builder
        for store, ref in built:
            store.drop(ref)

    def _new(self) -> Store:
        """A store that is closed after the test."""
        store = self.store()
        self.__dict__.setdefault("_opened", []).append(store)
        return store

    def _open(self, ref: IndexRef) -> Session:
        """A configured session of a store of its own."""
        store = self._new()
        session = store.open(ref)
        session.configure(self.query(store))
        return session

    def _search(self, ref: IndexRef, queries: Queries, limit: int) -> Hits:
        with self._open(ref) as session:
            return session.search(queries, limit)

    @property
    def _consumes(self) -> frozenset[Consumes]:
        store = self._new()
        return store.consumes(self.query(store))

    @property
    def _by_vector(self) -> bool:
        return "vector" in self._consumes

    def _queries(self, sample: Sample, count: int) -> Queries:
        return sample.queries(count, self._consumes)

    def _exact_by_vector(self) -> None:
        if self._consumes != {"vector"}:
            pytest.skip("the search is not by vector alone: there is no oracle")
        if not self.exact:
            pytest.skip("the search is approximate")

    # What is built

    def test_every_row_is_held_and_indexed(self, build: Builder) -> None:
        sample = Sample.of(300)
        ref = build(sample)
        held = self._new().describe(ref)
        assert (ref.rows, held.rows, held.rows_indexed) == (300, 300, 300)
        assert held.type
        assert held.bytes is None or held.bytes > 0
        json.dumps(held.as_dict())
        if held.flat:
            self._assert_oracle(ref, sample)

    def test_only_a_server_has_memory_of_its_own(self, build: Builder) -> None:
        build(Sample.of(50))
        store = self._new()
        told = store.server_memory()
        assert told is None or (told > 0 and not store.embedded)

    def test_a_batch_of_ten_thousand_rows_is_taken_whole(self, build: Builder) -> None:
        sample = Sample.of(10_000)
        ref = build(sample, batches=sample.batches(10_000, vectors=self._by_vector))
        assert self._new().describe(ref).rows == 10_000
        consumes = self._consumes
        last = Queries(
            sample.vectors[9999:] if "vector" in consumes else None, [word(9999)] if "text" in consumes else None
        )
        if self.exact or "text" in consumes:
            assert 9999 in self._search(ref, last, 10).rows[0]

    def test_a_reference_read_back_from_json_opens_in_a_new_adapter(self, build: Builder) -> None:
        sample = Sample.of(200)
        ref = build(sample)
        queries = self._queries(sample, 5)
        with self._open(ref) as session:
            before = session.search(queries, 10)
        again = IndexRef.from_dict(json.loads(json.dumps(ref.as_dict())))
        assert again == ref
        with self._open(again) as session:
            self._assert_same(session.search(queries, 10), before)

    def test_an_interrupted_build_leaves_nothing_in_the_way_of_the_next(self, build: Builder) -> None:
        sample = Sample.of(200)

        class Interrupted(Exception):
            pass

        def broken() -> Iterator[pa.RecordBatch]:
            yield next(sample.batches(50, vectors=self._by_vector))
            raise Interrupted

        with pytest.raises((Interrupted, AdapterError)):
            build(sample, batches=broken(), name="law_interrupted")
        ref = build(sample, name="law_interrupted")
        assert self._new().describe(ref).rows == 200
        assert (self._search(ref, self._queries(sample, 3), 5).rows[:, 0] >= 0).all()

    def test_a_corpus_without_documents_is_searched_without_an_error(self, build: Builder) -> None:
        ref = build(Sample.of(1), batches=iter(()))
        hits = self._search(ref, self._queries(Sample.of(10), 3), 4)
        assert (hits.rows == -1).all() and np.isneginf(hits.scores).all()

    def test_a_deleted_index_is_missing(self, build: Builder) -> None:
        ref = build(Sample.of(50))
        self._new().drop(ref)
        shutil.rmtree(ref.folder)
        with pytest.raises(IndexMissing):
            self._new().describe(ref)
        with pytest.raises(IndexMissing):
            self._search(ref, self._queries(Sample.of(50), 1), 1)

    # What a search gives

    def test_one_query_and_many_give_the_same(self, build: Builder) -> None:
        sample = Sample.of(300)
        queries = self._queries(sample, 20)
        with self._open(build(sample)) as session:
            many = session.search(queries, 7)
            for i in range(20):
                one = session.search(queries.at(slice(i, i + 1)), 7)
                self._assert_same(one, Hits(many.rows[i : i + 1], many.scores[i : i + 1]))

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
        sample = Sample.of(300)
        for limit in (1, 10, 350):
            hits = self._search(build(sample), self._queries(sample, 5), limit)
            assert hits.rows.shape == (5, limit) and hits.rows.dtype == np.int32
            assert hits.scores.shape == (5, limit) and hits.scores.dtype == np.float32
            for rows, scores in zip(hits.rows, hits.scores, strict=True):
                count = int((rows >= 0).sum())
                assert count >= 1 and (rows[count:] == -1).all() and (rows[:count] < 300).all()
                assert len(set(rows[:count].tolist())) == count
                assert np.isfinite(scores[:count]).all() and np.isneginf(scores[count:]).all()
                assert (np.diff(scores[:count]) <= 0).all()
                if self.exact and self._consumes == {"vector"}:
                    assert count == min(limit, 300)

    def test_no_queries_give_no_hits(self, build: Builder) -> None:
        sample = Sample.of(20)
        with self._open(build(sample)) as session:
            assert session.search(self._queries(sample, 0), 4).rows.shape == (0, 4)

    def test_words_are_found_and_nothing_without_them(self, build: Builder) -> None:
        if self._consumes != {"text"}:
            pytest.skip("the search is not by text alone")
        with self._open(build(Sample.of(300))) as session:
            hits = session.search(Queries(texts=[f"shared{word(4)} {word(47)}", word(299), word(777), ""]), 20)
        assert hits.rows[0, 0] == 47
        assert [set(row[row >= 0].tolist()) for row in hits.rows] == [set(range(40, 50)), {299}, set(), set()]

    @pytest.mark.parametrize("similarity", list(Similarity))
    def test_an_exact_search_finds_what_the_oracle_finds(self, build: Builder, similarity: Similarity) -> None:
        self._exact_by_vector()
        sample = Sample.of(400)
        if similarity not in self.similarities:
            with pytest.raises((InvalidOptions, NotIndexed)):
                self._new().plan(len(sample), DIMENSION, similarity)
                build(sample, similarity=similarity)
            return
        self._assert_oracle(build(sample, similarity=similarity), sample)

    def test_equal_documents_score_alike(self, build: Builder) -> None:
        self._exact_by_vector()
        sample = Sample.of(40)
        sample = replace(sample, vectors=np.tile(sample.vectors[:8], (5, 1)))
        hits = self._search(build(sample), Queries(sample.vectors[:3]), 5)
        for i in range(3):
            assert sorted(hits.rows[i].tolist()) == [i, i + 8, i + 16, i + 24, i + 32]
            assert np.ptp(hits.scores[i]) <= 1e-5 * max(1.0, abs(float(hits.scores[i, 0])))

    def test_another_metric_than_the_index_was_built_with_is_refused_or_computed(self, build: Builder) -> None:
        self._exact_by_vector()
        if len(self.similarities) < 2:
            pytest.skip("the store has one metric")
        sample = Sample.of(300)
        ref = replace(build(sample, similarity=self.similarities[0]), similarity=self.similarities[1])
        try:
            self._new().describe(ref)
            self._assert_oracle(ref, sample)
        except (NotIndexed, InvalidOptions, IndexMissing):
            pass

    # Filters

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
        if not self.filters:
            pytest.skip("the store has no filters")
        sample = Sample.of(300)
        condition = Filter.parse(spec)
        eligible = condition.mask(pa.Table.from_batches(list(sample.batches())))
        queries = self._queries(sample, 10)
        with self._open(build(sample)) as session:
            free, found = session.search(queries, 300), session.search(queries, 300, condition)
        assert eligible[found.rows[found.rows >= 0]].all()
        if self._consumes == {"text"}:
            for all_rows, rows in zip(free.rows, found.rows, strict=True):
                kept = all_rows[all_rows >= 0]
                assert set(rows[rows >= 0].tolist()) == set(kept[eligible[kept]].tolist())
        elif self.exact and self._consumes == {"vector"} and queries.vectors is not None:
            assert ((found.rows >= 0).sum(axis=1) == eligible.sum()).all()
            self._assert_recall(found, queries.vectors, sample.vectors, 10, self.similarities[0], eligible)

    def test_a_filter_on_an_unknown_column_is_refused(self, build: Builder) -> None:
        if not self.filters:
            pytest.skip("the store has no filters")
        sample = Sample.of(50)
        with self._open(build(sample)) as session, pytest.raises(InvalidOptions, match="nowhere"):
            session.search(self._queries(sample, 1), 3, Filter.parse({"nowhere": 1}))

    # Rows that come later

    def test_inserted_rows_are_found_by_a_session_opened_before(self, build: Builder) -> None:
        sample = Sample.of(520)
        (first,), more = self._split(sample, 400), list(sample.batches(40, vectors=self._by_vector))[10:]
        ref, store = build(sample, batches=iter([first])), self._taking_rows()
        queries = self._queries(sample, 80)  # 22 of them near documents that come later
        with store.open(ref) as session:
            session.configure(self.query(store))
            assert session.search(queries, 10).rows.max() < 400
            for batch in more:
                store.insert(ref, batch)
            if self.inserts_at_once:
                self._assert_held(session.search(queries, 10), sample, queries)
            grown = store.settle(ref, 520)
            self._assert_held(session.search(queries, 10), sample, queries)
        assert (grown.rows, store.describe(grown).rows, store.describe(grown).rows_indexed) == (520, 520, 520)
        self._assert_held(self._search(grown, queries, 10), sample, queries)  # in a new adapter, which reads it anew

    def test_every_row_is_held_once_after_more_inserts_than_an_engine_leaves_unsorted(self, build: Builder) -> None:
        sample = Sample.of(520)
        (first,), store = self._split(sample, 400), self._taking_rows()
        ref = build(sample, batches=iter([first]))
        with store.open(ref) as session:
            session.configure(self.query(store))
            for batch in list(sample.batches(4, vectors=self._by_vector))[100:]:
                store.insert(ref, batch)
            store.settle(ref, 520)
            found = session.search(self._queries(sample, 4), 600).rows
        for rows in found:
            held = rows[rows >= 0].tolist()
            assert len(held) == len(set(held))
            if self.exact and self._consumes == {"vector"}:
                assert sorted(held) == list(range(520))

    def test_a_filter_holds_for_inserted_rows(self, build: Builder) -> None:
        if not self.filters:
            pytest.skip("the store has no filters")
        sample = Sample.of(520)
        store, condition = self._taking_rows(), Filter.parse({"lang": "en"})
        ref = build(sample, batches=iter(self._split(sample, 400)))
        queries = self._queries(sample, 80)
        with store.open(ref) as session:
            session.configure(self.query(store))
            session.search(queries, 10, condition)
            store.insert(ref, next(sample.batches(520, vectors=self._by_vector)).slice(400))
            store.settle(ref, 520)
            found = session.search(queries, 10, condition).rows
        assert (found[found >= 0] % 4 == 0).all() and found.max() >= 400

    def test_a_row_that_is_missing_after_all_inserts_is_noticed(self, build: Builder) -> None:
        sample, store = Sample.of(400), self._taking_rows()
        ref = build(sample, batches=iter(self._split(sample, 390)))
        store.insert(ref, next(sample.batches(400, vectors=self._by_vector)).slice(390, 9))
        with pytest.raises(AdapterError, match="399"):
            store.settle(ref, 400)

    def test_a_store_that_takes_no_rows_says_so(self, build: Builder) -> None:
        store = self._new()
        if store.takes_rows:
            pytest.skip("the store takes rows")
        sample = Sample.of(50)
        ref = build(sample)
        with pytest.raises(InvalidOptions, match=f"store {store.name} takes no rows"):
            store.insert(ref, next(sample.batches(vectors=self._by_vector)))

    def _taking_rows(self) -> Store:
        store = self._new()
        if not store.takes_rows:
            pytest.skip("the store takes no rows while it is searched")
        return store

    def _split(self, sample: Sample, rows: int) -> list[pa.RecordBatch]:
        return [next(sample.batches(len(sample), vectors=self._by_vector)).slice(0, rows)]

    def _assert_held(self, hits: Hits, sample: Sample, queries: Queries) -> None:
        """The document that each query stands near is found, and the best ten are right where the search is exact."""
        wanted = [(3 + 7 * i) % len(sample) for i in range(len(queries))]
        missed = [row for row, found in zip(wanted, hits.rows, strict=True) if row not in found]
        assert not missed if self.exact else len(missed) <= 8
        if self.exact and self._consumes == {"vector"} and queries.vectors is not None:
            self._assert_recall(hits, queries.vectors, sample.vectors, 10, self.similarities[0], None)

    # What is refused

    @pytest.mark.parametrize("fault", ["dimension", "nan", "infinity"])
    def test_bad_vectors_are_refused_by_build_and_by_search(self, build: Builder, fault: str) -> None:
        if not self._by_vector:
            pytest.skip("the search is not by vector")
        sample = Sample.of(200)
        bad = sample.vectors.copy()
        bad[150, 3] = {"nan": np.nan, "infinity": np.inf, "dimension": 0}[fault]
        if fault == "dimension":
            bad = np.hstack([bad, bad[:, :1]])
        wrong = pa.FixedSizeListArray.from_arrays(pa.array(bad.ravel()), bad.shape[1])
        table = pa.Table.from_batches(list(sample.batches(vectors=False))).append_column("vector", wrong)
        with pytest.raises(InvalidVectors):
            build(sample, batches=iter(table.to_batches(max_chunksize=100)))
        texts = self._queries(sample, len(bad)).texts
        with self._open(build(sample)) as session, pytest.raises(InvalidVectors):
            session.search(Queries(bad, texts), 3)

    def test_unknown_options_are_faults(self) -> None:
        store = self._new()
        for options in (store.Index, store.Query, store.Connection):
            with pytest.raises(ValidationError, match="surely_not_an_option"):
                options(surely_not_an_option=1)

    def test_the_identity_is_stable_and_json(self) -> None:
        first, second = self._new().identity.as_dict(), self._new().identity.as_dict()
        assert json.loads(json.dumps(first)) == json.loads(json.dumps(second))

    # How answers are compared

    def _assert_oracle(self, ref: IndexRef, sample: Sample) -> None:
        if self._consumes != {"vector"}:
            return
        queries = self._queries(sample, 30)
        assert queries.vectors is not None
        hits = self._search(ref, queries, 10)
        self._assert_recall(hits, queries.vectors, sample.vectors, 10, ref.similarity, None)
        exact = exact_scores(queries.vectors, sample.vectors, hits.rows, ref.similarity)
        assert np.allclose(hits.scores, exact, rtol=1e-4, atol=1e-4), "scores are not those of the exact search"

    @staticmethod
    def _assert_recall(
        hits: Hits, queries: Floats, corpus: Floats, k: int, similarity: Similarity, eligible: Any
    ) -> None:
        count = len(corpus) if eligible is None else int(eligible.sum())
        if count:
            best = exact_top_k(queries, corpus, k, similarity, eligible).scores
            recall = ann_recall(hits.rows, queries, corpus, best, k, similarity, count)
            assert (recall == 1.0).all(), f"found {recall.mean():.4f} of what the exact search finds"

    @staticmethod
    def _assert_same(one: Hits, other: Hits) -> None:
        """Equal up to the order of equal scores, and up to which of them stand at the cut."""
        assert one.rows.shape == other.rows.shape
        assert np.array_equal(one.rows >= 0, other.rows >= 0)
        held = one.rows >= 0
        assert np.allclose(one.scores[held], other.scores[held], rtol=1e-5, atol=1e-6)
        for mine, theirs, scores in zip(one.rows, other.rows, one.scores, strict=True):
            present = mine >= 0
            if present.any():
                least = float(scores[present][-1])
                above = present & (scores > least + 1e-6 * max(1.0, abs(least)))
                assert set(mine[above].tolist()) <= set(theirs[present].tolist())
