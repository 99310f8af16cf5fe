"""What the laws of a store share: the hooks an author fills in, indexes that are dropped after each test, and how
answers are compared."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pyarrow as pa
import pytest

from adapters._store_laws._sample import DIMENSION, META, Sample
from adapters.base import (
    Consumes,
    Flags,
    Floats,
    Hits,
    IndexRef,
    Place,
    Queries,
    Session,
    Similarity,
    Store,
    ann_recall,
    exact_scores,
    exact_top_k,
    index_name,
)

Builder: TypeAlias = Callable[..., IndexRef]

FLOOR = 0.9  # of the recall of an approximate search, at settings that its author calls generous, on 400 rows
SCALE = 1e-3  # how far a score may lie from the oracle's, in units of the larger of 1 and that score
ORDER = 0.5  # of the rank correlation of approximate scores with the oracle's


class StoreSuite:
    """The hooks. Subclass `StoreConformance`, which has the laws too."""

    similarities: ClassVar[tuple[Similarity, ...] | None] = None  # where these index options have fewer than the class
    inserts_at_once: ClassVar[bool] = True  # what `insert` accepted is found before `settle`
    exact: ClassVar[bool] = True  # `store` and `query` are set so that a vector search misses nothing
    filters: ClassVar[bool] = True
    scores_exact: ClassVar[bool] = False  # with `query` scores are on the true scale, though the store does not say so
    changes: ClassVar[Mapping[str, tuple[Any, Any]]] = {}  # query option: (one that finds less, one that finds more)

    def store(self) -> Store:
        """A new adapter, with index options under which a search is exact where the engine can."""
        raise NotImplementedError

    def query(self, store: Store) -> Any:
        """The query options that the laws are tried with: for an approximate store generous ones."""
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
            sample: Sample,
            *,
            similarity: Similarity | None = None,
            batches: Any = None,
            meta: Sequence[str] = (),
            name: str | None = None,
            store: Store | None = None,
        ) -> IndexRef:
            store = store or self._new()
            similarity = similarity or self._similarity
            name = name or index_name(uuid.uuid4().hex, "law")
            place = Place(name, tmp_path / f"{name}_{len(built)}")
            place.folder.mkdir()
            dimension = DIMENSION if self._by_vector else None
            built.append((store, IndexRef(name, str(place.folder), 0, dimension, similarity)))
            ref = store.build(
                self._batches(sample, meta=meta) if batches is None else batches,
                place=place,
                similarity=similarity,
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

    def _open(self, ref: IndexRef, store: Store | None = None, *, payload: bool = False) -> Session:
        """A configured session, of a store of its own unless one is given."""
        store = store or self._new()
        session = store.session(ref, payload=payload)
        session.configure(self.query(store))
        return session

    def _search(self, ref: IndexRef, queries: Queries, limit: int) -> Hits:
        with self._open(ref) as session:
            return session.search(queries, limit)

    @property
    def _declared(self) -> tuple[Similarity, ...]:
        """The metrics that a search must have."""
        return self._new().similarities if self.similarities is None else self.similarities

    @property
    def _similarity(self) -> Similarity:
        """The metric of laws that do not ask for one; a store without vectors is given cosine, as in a run."""
        return next(iter(self._declared), Similarity.COSINE)

    @property
    def _consumes(self) -> frozenset[Consumes]:
        store = self._new()
        return store.consumes(self.query(store))

    @property
    def _by_vector(self) -> bool:
        return "vector" in self._consumes

    def _queries(self, sample: Sample, count: int) -> Queries:
        return sample.queries(count, self._consumes)

    def _batches(
        self, sample: Sample, size: int = 128, *, meta: Sequence[str] = (), order: Any = None, payload: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """A sample as a run gives it to this store: texts only where it uses them. payload: for an index whose searches
        return texts."""
        store = self._new()
        payload = payload and not store.holds_text
        texts = store.uses_text
        return sample.batches(size, vectors=self._by_vector, texts=texts, meta=meta, order=order, payload=payload)

    def _whole(self, sample: Sample, *, meta: Sequence[str] = (), payload: bool = False) -> pa.RecordBatch:
        """A sample as one batch."""
        return next(self._batches(sample, len(sample), meta=meta, payload=payload))

    # Which laws apply

    def _by_vector_alone(self) -> None:
        if self._consumes != {"vector"}:
            pytest.skip("the search is not by vector alone: there is no oracle")

    def _exact_by_vector(self) -> None:
        self._by_vector_alone()
        if not self.exact:
            pytest.skip("the search is approximate")

    def _filtering(self) -> Sequence[str]:
        """The meta columns that a filter's law asks for."""
        if not self.filters or not self._new().filters:
            pytest.skip("the store has no filters")
        return META

    def _returning_texts(self) -> Sample:
        """A corpus whose texts are returned."""
        if not self._new().returns_text:
            pytest.skip("the store returns no texts")
        return Sample.of(300).with_odd_texts()

    def _taking_rows(self) -> Store:
        store = self._new()
        if not store.takes_rows:
            pytest.skip("the store takes no rows while it is searched")
        return store

    # How answers are compared

    def _assert_recall(
        self,
        hits: Hits,
        queries: Queries,
        sample: Sample,
        similarity: Similarity,
        eligible: Flags | None = None,
        *,
        k: int = 10,
        likely: str = "another metric than the one asked for, vectors stored changed or in another order than their "
        "rows, or query options that are not generous enough for this law",
    ) -> None:
        """An exact search finds the k nearest of each query, an approximate one most of them."""
        assert queries.vectors is not None
        recall = recall_of(hits, queries.vectors, sample.vectors, similarity, eligible, k)
        if self.exact:
            assert (recall == 1.0).all(), (
                f"By {similarity} the search found {recall.mean():.4f} of the {k} documents that exact search finds, "
                f"and said to be exact it must find all. Likely: {likely}. An approximate search is declared by "
                "exact = False on the test class."
            )
        else:
            assert recall.mean() >= FLOOR, (
                f"By {similarity} the search found {recall.mean():.3f} of the {k} documents that exact search finds; "
                f"at generous settings an approximate one must find {FLOOR} on average. Likely: {likely}."
            )

    def _assert_scale(self, hits: Hits, queries: Queries, sample: Sample, similarity: Similarity) -> None:
        """Scores are the cosine, the inner product or minus the squared distance."""
        assert queries.vectors is not None
        held = hits.rows >= 0
        true = exact_scores(queries.vectors, sample.vectors, hits.rows, similarity)[held].astype(np.float64)
        told = hits.scores[held].astype(np.float64)
        wrong = np.abs(told - true) > SCALE * np.maximum(1.0, np.abs(true))
        assert not wrong.any(), (
            f"By {similarity} {int(wrong.sum())} of {len(true)} scores are not those of exact search: the first of "
            f"them is {told[wrong][0]:.5g}, and should be {true[wrong][0]:.5g}. A score is the cosine, the inner "
            "product or minus the squared distance. Likely: the engine's distance (1 - cosine, a root, minus the "
            "product) was handed on, or codes are not rescored; then say scores_exact = False on the store."
        )

    @staticmethod
    def _assert_same(one: Hits, other: Hits) -> None:
        """Equal up to the order of equal scores, and up to which of them stand at the cut."""
        differ = "Two searches that must give the same differ: "
        assert one.rows.shape == other.rows.shape, f"{differ}shapes {one.rows.shape} and {other.rows.shape}."
        held = one.rows >= 0
        assert np.array_equal(held, other.rows >= 0), f"{differ}one finds more documents than the other."
        same = np.allclose(one.scores[held], other.scores[held], rtol=1e-5, atol=1e-6)
        assert same, f"{differ}their scores are not the same."
        for mine, theirs, scores in zip(one.rows, other.rows, one.scores, strict=True):
            present = mine >= 0
            if present.any():
                least = float(scores[present][-1])
                above = present & (scores > least + 1e-6 * max(1.0, abs(least)))
                missed = set(mine[above].tolist()) - set(theirs[present].tolist())
                assert not missed, f"{differ}one finds the rows {sorted(missed)}, the other does not."


def recall_of(
    hits: Hits, queries: Floats, corpus: Floats, similarity: Similarity, eligible: Flags | None, k: int
) -> Any:
    """Recall of the first k hits against exact search, per query: float64 (n,); 1 where nothing is eligible."""
    count = len(corpus) if eligible is None else int(eligible.sum())
    if not count:
        return np.ones(len(queries))
    best = exact_top_k(queries, corpus, k, similarity, eligible).scores
    rows = np.where(hits.rows < len(corpus), hits.rows, -1)  # a row that is not in the corpus is no hit
    if eligible is not None:
        rows = np.where((rows >= 0) & eligible[np.maximum(rows, 0)], rows, -1)
    return ann_recall(rows, queries, corpus, best, k, similarity, count)
