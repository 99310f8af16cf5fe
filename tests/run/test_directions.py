"""Zero vectors under cosine: such a query finds nothing, such a document is no neighbour, and nothing else suffers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.base import (
    EffectiveIndex,
    Floats,
    Hits,
    Identity,
    IndexRef,
    Place,
    Queries,
    Session,
    Similarity,
    Store,
    ann_recall,
    exact_top_k,
    of_ordinary_length,
)
from adapters.stores.exact import ExactStore
from adapters.stores.faiss import FaissStore
from adapters.stores.lancedb import LanceDbStore
from bench.cache.artifacts import Cache
from bench.report.table import render
from bench.results.model import Result
from tests import small
from tests.stores.arrays import batches, build, make

ZERO_DOCUMENTS, ZERO_QUERIES = [0, 7, 299], [0, 4]


@pytest.fixture(scope="module")
def corpus() -> Floats:
    vectors = np.random.default_rng(3).standard_normal((300, 8)).astype(np.float32)
    vectors[ZERO_DOCUMENTS] = 0
    return vectors


@pytest.fixture(scope="module")
def queries() -> Floats:
    vectors = np.random.default_rng(4).standard_normal((9, 8)).astype(np.float32)
    vectors[ZERO_QUERIES] = 0
    return vectors


class CarelessStore(Store):
    """Divides by lengths without looking, so that a zero vector's scores are not numbers, and ranks those first."""

    name = "careless"
    texts = False

    @property
    def uses_text(self) -> bool:
        return self.texts

    @property
    def identity(self) -> Identity:
        return Identity("careless", "careless")

    def _build(self, batches: Any, place: Place, similarity: Similarity, dimension: int | None) -> dict[str, Any]:
        tables = [batch.select(["row", "vector"]) for batch in batches]
        with pa.ipc.new_file(str(place.folder / "rows.arrow"), tables[0].schema) as writer:
            for table in tables:
                writer.write_batch(table)
        return {}

    def open(self, ref: IndexRef) -> CarelessSession:
        return CarelessSession(ref)

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        rows = held(ref).num_rows
        return EffectiveIndex("careless", rows, rows, flat=True)


class CarelessTextStore(CarelessStore):
    """Needs every row, for its text."""

    name = "careless_text"
    texts = True


class CarelessSession(Session):
    def _search(self, queries: Queries, limit: int, filter: Any) -> Hits:
        assert queries.vectors is not None
        assert queries.vectors.any(axis=1).all(), "a query without a direction"
        table = held(self.ref)
        vectors = np.stack(table.column("vector").to_pylist()).astype(np.float64)
        asked = queries.vectors.astype(np.float64)
        with np.errstate(invalid="ignore"):
            scores = (asked / np.linalg.norm(asked, axis=1, keepdims=True)) @ (
                vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            ).T
        order = np.argsort(-np.where(np.isnan(scores), np.inf, scores), axis=1, kind="stable")[:, :limit]
        hits = Hits.empty(len(queries), limit)
        hits.rows[:, : order.shape[1]] = table.column("row").to_numpy()[order]
        hits.scores[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
        texts = [[f"text {row}" for row in rows if row >= 0] for rows in hits.rows.tolist()]
        return Hits(hits.rows, hits.scores, texts)


def held(ref: IndexRef) -> pa.Table:
    with pa.memory_map(str(Path(ref.folder) / "rows.arrow")) as source:
        return pa.ipc.open_file(source).read_all()


STORES: dict[str, tuple[Callable[[], Store], dict[str, Any]]] = {
    "exact": (lambda: make(ExactStore), {}),
    "faiss": (lambda: make(FaissStore), {}),
    "faiss ivf": (lambda: make(FaissStore, type="IVF_FLAT", nlist=2), {"nprobe": 2}),
    "faiss hnsw": (lambda: make(FaissStore, type="HNSW"), {"ef_search": 300}),
    "lancedb": (lambda: make(LanceDbStore), {}),
    "lancedb ivf": (lambda: make(LanceDbStore, type="IVF_FLAT", num_partitions=2), {"nprobes": 2}),
    "lancedb with texts": (lambda: make(LanceDbStore, full_text=True), {"mode": "vector"}),
    "careless": (lambda: make(CarelessStore), {}),
    "careless with texts": (lambda: make(CarelessTextStore), {}),
}


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest) -> tuple[Store, Any]:
    """A store whose search misses nothing, with the query options for that."""
    maker, query = STORES[request.param]
    made = maker()
    return made, made.Query(**query)


def texts(count: int) -> list[str]:
    return [f"word{i} common" for i in range(count)]


def test_no_store_finds_zero_documents_or_anything_for_a_zero_query(
    tmp_path: Path, store: tuple[Store, Any], corpus: Floats, queries: Floats
) -> None:
    made, query = store
    ref = build(made, tmp_path, texts(300), corpus)
    ref = IndexRef.from_dict(json.loads(json.dumps(ref.as_dict())))
    assert (*ref.withheld, *ref.undirected) == tuple(ZERO_DOCUMENTS) and ref.given == 300
    assert made.describe(ref).rows == ref.rows == (300 if made.needs_every_row else 297)
    with made.open(ref) as session:
        session.configure(query)
        for limit in (10, 300):
            hits = session.search(Queries(queries), limit)
            assert (hits.rows[ZERO_QUERIES] == -1).all() and np.isneginf(hits.scores[ZERO_QUERIES]).all()
            assert not np.isin(hits.rows, ZERO_DOCUMENTS).any()
            best = exact_top_k(queries, corpus, limit, Similarity.COSINE)
            assert np.allclose(hits.scores, best.scores, atol=1e-5)
            recall = ann_recall(hits.rows, queries, corpus, best.scores, limit, Similarity.COSINE, 300)
            assert np.array_equal(recall, [np.nan, 1, 1, 1, np.nan, 1, 1, 1, 1], equal_nan=True)
        for i in range(len(queries)):  # alone, as live
            one = session.search(Queries(queries[i : i + 1]), 10)
            assert one.rows.tolist() == session.search(Queries(queries), 10).rows[i : i + 1].tolist()


def test_texts_stay_with_their_documents(tmp_path: Path, corpus: Floats, queries: Floats) -> None:
    for maker in (CarelessStore, CarelessTextStore):
        made = make(maker)
        ref = build(made, tmp_path / made.name, texts(300), corpus)
        hits = made.open(ref).search(Queries(queries), 5)
        assert hits.texts == [[f"text {row}" for row in rows if row >= 0] for rows in hits.rows.tolist()]


@pytest.mark.parametrize("similarity", [Similarity.DOT, Similarity.L2])
def test_by_dot_product_and_distance_a_zero_vector_is_an_ordinary_one(
    tmp_path: Path, similarity: Similarity, corpus: Floats, queries: Floats
) -> None:
    for name in ("exact", "faiss", "lancedb"):
        made = STORES[name][0]()
        ref = build(made, tmp_path / name, texts(300), corpus, similarity=similarity)
        assert (ref.rows, ref.withheld, ref.undirected) == (300, (), ())
        with made.open(ref) as session:
            session.configure(made.Query())
            hits = session.search(Queries(queries), 300)
        assert (hits.rows >= 0).all()
        assert np.allclose(hits.scores, exact_top_k(queries, corpus, 300, similarity).scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["exact", "faiss", "lancedb"])
def test_a_corpus_without_any_direction_is_searched_without_an_error(tmp_path: Path, kind: str) -> None:
    made = STORES[kind][0]()
    ref = build(made, tmp_path, texts(5), np.zeros((5, 4), np.float32))
    assert (ref.rows, ref.given) == (0, 5)
    with made.open(ref) as session:
        assert (session.search(Queries(np.ones((2, 4), np.float32)), 3).rows == -1).all()


def test_batches_without_any_direction_are_passed_over(tmp_path: Path) -> None:
    vectors = np.zeros((30, 4), np.float32)
    vectors[[12, 25]] = [[1, 0, 0, 0], [0, 1, 0, 0]]
    made = make(ExactStore)
    given = batches(vectors=vectors, size=5)
    ref = made.build(given, place=Place("law", tmp_path), similarity=Similarity.COSINE, dimension=4)
    assert (ref.rows, len(ref.withheld)) == (2, 28)
    assert made.open(ref).search(Queries(vectors[25:26]), 3).rows.tolist() == [[25, 12, -1]]


@pytest.mark.parametrize("length", [1e-45, 1e-38, 1e-25, 1e25, 1e38])
def test_a_vector_of_any_length_but_zero_has_a_direction(tmp_path: Path, length: float) -> None:
    """Float32 holds neither the square of 1e-38 nor that of 1e38; 1e-45 is its smallest number."""
    rng = np.random.default_rng(5)
    directions = rng.integers(-3, 4, (40, 6)).astype(np.float64)
    directions[directions.any(axis=1) == 0] = 1
    # Whole multiples of the smallest number are exact, so that the direction is kept.
    unusual = (directions * np.float64(np.float32(length)) / (4 if length > 1 else 1)).astype(np.float32)
    asked = rng.standard_normal((5, 6)).astype(np.float32)
    want = exact_top_k(asked, directions.astype(np.float32), 40, Similarity.COSINE)
    for name in ("exact", "faiss", "lancedb", "careless"):
        made = STORES[name][0]()
        with made.open(build(made, tmp_path / name, texts(40), unusual)) as session:
            session.configure(made.Query())
            assert np.allclose(session.search(Queries(asked), 40).scores, want.scores, atol=1e-5)
            tiny = (asked * np.float32(1e-30)).astype(np.float32)
            assert np.allclose(session.search(Queries(tiny), 40).scores, want.scores, atol=1e-5)
    assert np.allclose(exact_top_k(asked, unusual, 40, Similarity.COSINE).scores, want.scores, atol=1e-6)


def test_ordinary_vectors_are_given_on_untouched(corpus: Floats) -> None:
    assert of_ordinary_length(corpus) is corpus  # zero ones among them


def test_rows_that_come_later_are_told_apart_too(tmp_path: Path, corpus: Floats, queries: Floats) -> None:
    for name in ("exact", "faiss", "lancedb", "lancedb with texts"):
        made, query = STORES[name][0](), STORES[name][1]
        all_batches = list(batches(texts(300), corpus, size=100))
        (tmp_path / name).mkdir()
        place = Place("law", tmp_path / name)
        ref = made.build(all_batches[:1], place=place, similarity=Similarity.COSINE, dimension=8)
        for batch in all_batches[1:]:
            made.insert(ref, batch)
        grown = made.settle(ref, 300)
        assert (*grown.withheld, *grown.undirected) == tuple(ZERO_DOCUMENTS) and grown.given == 300
        with made.open(grown) as session:
            session.configure(made.Query(**query))
            found = session.search(Queries(queries), 10)
        want = exact_top_k(queries, corpus, 10, Similarity.COSINE)
        assert np.allclose(found.scores, want.scores, atol=1e-5), name


def test_in_a_hybrid_search_a_zero_document_is_found_by_its_words(tmp_path: Path, corpus: Floats) -> None:
    made = make(LanceDbStore, full_text=True)
    with made.open(build(made, tmp_path, texts(300), corpus)) as session:
        session.configure(made.Query(mode="hybrid"))
        assert 7 in session.search(Queries(corpus[1:2], ["word7"]), 10).rows


def test_no_hit_counts_for_a_zero_document_even_where_all_neighbours_point_away() -> None:
    documents = np.array([[0, 0], [-1, 0], [-1, 1]], np.float32)
    query = np.array([[1, 0]], np.float32)
    best = exact_top_k(query, documents, 2, Similarity.COSINE)
    assert best.rows.tolist() == [[2, 1]]
    # One of the two nearest was found; the zero document's cosine, given as 0, is above both of theirs.
    found = np.array([[0, 2]], np.int32)
    assert ann_recall(found, query, documents, best.scores, 2, Similarity.COSINE, 3).tolist() == [0.5]


# -- whole runs ----------------------------------------------------------------------------------------------------

COUNT = 400
SYSTEMS = [
    {"name": "exact", "encoder": "given"},
    {"name": "flat", "encoder": "given", "store": "flat"},
    {"name": "ivf", "encoder": "given", "store": "ivf"},
    {"name": "faiss", "encoder": "given", "store": "faiss"},
    {"name": "one probe", "encoder": "given", "store": "probe"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """400 documents and 20 queries, of which 3 and 2 are zero."""
    data = small.vectors(tmp_path / "data", documents=COUNT, queries=20)
    documents, asked = np.load(data / "corpus.npy"), np.load(data / "queries.npy")
    documents[[0, 100, 399]], asked[[3, 11]] = 0, 0
    np.save(data / "corpus.npy", documents)
    np.save(data / "queries.npy", asked)
    return tmp_path


def spec(systems: Any = SYSTEMS, **keys: Any) -> dict[str, Any]:
    ivf = {"adapter": "lancedb", "index": {"type": "IVF_FLAT", "num_partitions": 4}}
    return {
        "experiment": "directions",
        "dataset": {"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": {
            "flat": {"adapter": "lancedb"},
            "ivf": {**ivf, "query": {"nprobes": 4}},
            "probe": {**ivf, "query": {"nprobes": 1}},
            "faiss": {"adapter": "faiss"},
        },
        "systems": systems,
        "measures": ["ANN@10"],
        "latency": False,
        **keys,
    }


def one_probe(result: Result) -> float:
    mean = small.by_name(result)["one probe"].measures["ANN@10"].mean
    assert mean is not None
    return mean


def test_such_queries_are_named_and_leave_recall_and_nothing_else_suffers(folder: Path) -> None:
    where, result = small.measure(folder, spec(baseline="one probe"))
    for system in result.systems:
        assert (system.status, system.documents_without_direction, system.queries_without_direction) == (
            "success",
            3,
            2,
        )
        value = system.measures["ANN@10"]
        assert (value.queries, value.failed) == (18, 0) and value.interval is not None
        if system.name != "one probe":
            assert (value.mean, system.ann_recall["10"]) == (1.0, 1.0)
            assert system.against_baseline["ANN@10"].difference == pytest.approx(1 - one_probe(result))
            counted = system.against_baseline["ANN@10"]
            assert counted.wins + counted.ties + counted.losses == 18
    table = render(result)
    assert "2 queries have a zero vector (3, 11)" in table and "3 documents have a zero vector (0, 100, 399)" in table
    per_query = pq.read_table(where / "per_query.parquet")
    for name in ("exact", "flat"):
        rows = [row for row in per_query.to_pylist() if row["system"] == name]
        assert [row["query_id"] for row in rows if row["ANN@10"] is None] == ["3", "11"]
        assert not any(row["failed"] for row in rows)


def test_relevance_counts_them_as_found_nothing(folder: Path) -> None:
    judged = "\n".join(f"{i} 0 {i + 10} 1" for i in range(20))
    (folder / "data" / "qrels.txt").write_text(judged + "\n")
    dataset = {**spec()["dataset"], "qrels": "data/qrels.txt"}
    where, result = small.measure(folder, spec(SYSTEMS[:2], dataset=dataset, measures=["Recall@400", "ANN@10"]))
    for system in result.systems:
        # All documents are asked for, and no zero one is judged: 18 of 20 queries find theirs.
        assert system.measures["Recall@400"].mean == pytest.approx(18 / 20)
        assert system.measures["Recall@400"].queries == 20
    lines = (where / "runs" / "flat.trec").read_text().splitlines()
    assert {line.split()[0] for line in lines} == {str(i) for i in range(20) if i not in (3, 11)}


def test_builds_targets_fronts_and_live_searches_leave_them_out(folder: Path) -> None:
    keys: dict[str, Any] = {
        "builds": 3,
        "baseline": "one probe",
        "targets": {"ANN@10": [0.5]},
        "latency": {"workers": 2, "samples": 40, "seconds": 20},
    }
    events: list[Any] = []
    _, result = small.measure(folder, spec(SYSTEMS[1:], **keys), listeners=[events.append])
    for system in result.systems:
        assert system.status == "success"
        assert system.latency is not None and system.latency.failed == 0 and system.latency.agreement == 1.0
    assert {row.engine: row.mean for row in result.targets if row.engine in ("flat", "faiss")} == {
        "flat": 1,
        "faiss": 1,
    }
    assert all(row.chosen_on + row.reported_on == 18 for row in result.targets)
    assert all(build["ANN@10"] == 1.0 for build in small.by_name(result)["ivf"].builds)
    scored = [event for event in events if type(event).__name__ == "QueryScored" and event.system == "flat"]
    assert [event.query_id for event in scored if "ANN@10" not in event.scores] == ["3", "11"]


def test_a_corpus_whose_queries_all_lack_a_direction_has_no_recall(folder: Path) -> None:
    np.save(folder / "data" / "queries.npy", np.zeros((4, 32), np.float32))
    _, result = small.measure(folder, spec(SYSTEMS[:3], baseline="exact"))
    for system in result.systems:
        assert system.status == "success"
        assert (system.measures["ANN@10"].mean, system.ann_recall["10"]) == (None, None)


def forget_directions(cache: Path) -> None:
    """Keep of each index what was kept before documents without a direction were told apart."""
    for key, kept in Cache(cache).index_refs():
        ref = {name: value for name, value in kept["ref"].items() if name not in ("withheld", "undirected")}
        Cache(cache).keep_index(key, {**kept, "ref": ref})


def test_an_index_and_candidates_of_before_are_made_again_only_where_they_hold_such_vectors(folder: Path) -> None:
    small.measure(folder, spec(SYSTEMS[:2]))
    forget_directions(folder / "cache")
    _, again = small.measure(folder, spec(SYSTEMS[:2]))
    # What `flat` found is asked again of the new build; `exact` builds the same again.
    assert (again.work.indexes_built.computed, again.work.queries_searched.computed) == (2, 20)
    for name in ("corpus", "queries"):
        array = np.load(folder / "data" / f"{name}.npy")
        array[~array.any(axis=1)] = 1
        np.save(folder / "data" / f"{name}.npy", array)
    small.measure(folder, spec(SYSTEMS[:2]))
    forget_directions(folder / "cache")
    _, last = small.measure(folder, spec(SYSTEMS[:2]))
    assert (last.work.indexes_built.computed, last.work.queries_searched.computed) == (0, 0)


def test_a_reference_of_before_is_read(corpus: Floats) -> None:
    ref = IndexRef("a", "b", 3, 8, Similarity.COSINE)
    old = {key: value for key, value in ref.as_dict().items() if key not in ("withheld", "undirected")}
    assert IndexRef.from_dict(old) == ref
    assert replace(ref, withheld=(4,)).given == 4
