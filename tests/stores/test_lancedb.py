"""The laws of LanceDB that the conformance suite does not know: its families, its traps, its query options."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from adapters.base import (
    Context,
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
    Similarity,
    ann_recall,
    exact_scores,
    exact_top_k,
)
from adapters.stores.lancedb import LanceDbSession, LanceDbStore
from tests.stores.arrays import batches, build, clustered, make

DIMENSION = 32
FAMILIES = ["IVF_FLAT", "IVF_SQ", "IVF_PQ", "IVF_RQ", "IVF_HNSW_FLAT", "IVF_HNSW_SQ", "IVF_HNSW_PQ"]


@pytest.fixture(scope="module")
def corpus() -> Floats:
    return clustered(6000, DIMENSION, clusters=60, noise=0.6, seed=1)


@pytest.fixture(scope="module")
def queries(corpus: Floats) -> Floats:
    return corpus[::60] + 0.05 * np.random.default_rng(2).standard_normal((100, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def ivf_pq(corpus: Floats, tmp_path_factory: pytest.TempPathFactory) -> tuple[LanceDbStore, IndexRef]:
    store = make(LanceDbStore, type="IVF_PQ", num_partitions=16, num_sub_vectors=8)
    assert isinstance(store, LanceDbStore)
    return store, build(store, tmp_path_factory.mktemp("ivf_pq"), vectors=corpus)


def session(store: Any, ref: IndexRef, **query: object) -> LanceDbSession:
    opened: LanceDbSession = store.open(ref)
    opened.configure(store.Query(**query))
    return opened


def recall(found: Hits, queries: Floats, corpus: Floats, k: int = 10) -> float:
    best = exact_top_k(queries, corpus, k, Similarity.COSINE).scores
    return float(ann_recall(found.rows, queries, corpus, best, k, Similarity.COSINE, len(corpus)).mean())


def test_recall_of_ivf_pq_rises_with_nprobes_and_with_refine_factor(
    ivf_pq: tuple[LanceDbStore, IndexRef], corpus: Floats, queries: Floats
) -> None:
    def at(**query: object) -> float:
        return recall(session(*ivf_pq, **query).search(Queries(queries), 10), queries, corpus)

    assert at(nprobes=1, refine_factor=10) < at(nprobes=4, refine_factor=10) <= at(nprobes=16, refine_factor=10)
    assert at(nprobes=16) < at(nprobes=16, refine_factor=4) <= at(nprobes=16, refine_factor=20)
    assert at(nprobes=16, refine_factor=20) > 0.95
    assert at(bypass_vector_index=True) == 1.0


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_built_and_described_as_what_it_is(tmp_path: Path, corpus: Floats, family: str) -> None:
    part = corpus[:1500]
    store = make(LanceDbStore, type=family, num_partitions=4, **({"num_sub_vectors": 8} if "PQ" in family else {}))
    ref = build(store, tmp_path, vectors=part)
    held = store.describe(ref)
    assert (held.type, held.rows, held.rows_indexed, held.flat, held.adjusted) == (family, 1500, 1500, False, ())
    assert held.parameters["num_partitions"] == 4
    assert held.parameters.get("num_sub_vectors") == (8 if "PQ" in family else None)
    assert held.parameters.get("m") == (20 if "HNSW" in family else None)
    assert held.bytes is not None and held.bytes > part.nbytes
    found = session(store, ref).search(Queries(part[:50]), 10)
    assert recall(found, part[:50], part) > (0.25 if family in ("IVF_RQ", "IVF_PQ", "IVF_HNSW_PQ") else 0.9)


@pytest.mark.parametrize("similarity", list(Similarity))
@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "IVF_RQ"])
def test_scores_of_codes_are_on_the_scale_of_exact_scores(
    tmp_path: Path, corpus: Floats, family: str, similarity: Similarity
) -> None:
    # A trap: by cosine the codes of SQ and PQ are compared by 2·(1 - cosine).
    part = corpus[:600]
    store = make(LanceDbStore, type=family, **({"num_sub_vectors": DIMENSION} if "PQ" in family else {}))
    found = session(store, build(store, tmp_path, vectors=part, similarity=similarity)).search(Queries(part[:20]), 10)
    exact = exact_scores(part[:20], part, found.rows, similarity)
    assert np.abs(found.scores - exact).max() < 0.12


def test_refined_scores_are_exact(ivf_pq: tuple[LanceDbStore, IndexRef], corpus: Floats, queries: Floats) -> None:
    found = session(*ivf_pq, refine_factor=2).search(Queries(queries), 10)
    assert np.allclose(found.scores, exact_scores(queries, corpus, found.rows, Similarity.COSINE), atol=1e-5)


@pytest.mark.parametrize(("family", "bits", "rows"), [("IVF_PQ", 8, 255), ("IVF_HNSW_PQ", 8, 100), ("IVF_PQ", 4, 15)])
def test_too_few_rows_for_the_codes_are_not_indexed(
    tmp_path: Path, corpus: Floats, family: str, bits: int, rows: int
) -> None:
    store = make(LanceDbStore, type=family, num_bits=bits, num_sub_vectors=8)
    with pytest.raises(NotIndexed, match=f"0 of {rows} rows.*at least {2**bits} rows"):
        build(store, tmp_path, vectors=corpus[:rows])


def test_fewer_partitions_than_asked_are_adjusted(tmp_path: Path, corpus: Floats) -> None:
    store = make(LanceDbStore, type="IVF_PQ", num_partitions=50, num_sub_vectors=8)
    held = store.describe(build(store, tmp_path, vectors=corpus[:1000]))
    # 256 rows in a partition at least: 1000 / 256 = 3
    assert held.parameters["num_partitions"] == 3
    assert held.adjusted == ("num_partitions 50 was asked for, 3 built (LanceDB wants 256 rows in each).",)


def test_partitions_left_to_the_engine_are_read_back_and_nprobes_beyond_them_is_exhaustive(
    tmp_path: Path, corpus: Floats, queries: Floats
) -> None:
    store = make(LanceDbStore, type="IVF_FLAT")
    ref = build(store, tmp_path, vectors=corpus)
    partitions = store.describe(ref).parameters["num_partitions"]
    opened = session(store, ref)
    assert opened.effective == {"mode": "vector", "nprobes": 20, "partitions": partitions, "exhaustive": True}
    assert recall(opened.search(Queries(queries), 10), queries, corpus) == 1.0


def test_probes_are_bounded_as_asked(ivf_pq: tuple[LanceDbStore, IndexRef]) -> None:
    for asked, nprobes, exhaustive in [
        ({"nprobes": 3}, 3, False),
        ({"nprobes": 16}, 16, True),
        ({"maximum_nprobes": 5}, 5, False),
        ({"minimum_nprobes": 30}, 30, True),
        ({"minimum_nprobes": 2, "maximum_nprobes": 40}, 40, False),
    ]:
        opened = session(*ivf_pq, **asked)
        assert (opened.effective["nprobes"], opened.effective["exhaustive"]) == (nprobes, exhaustive)
        assert opened.search(Queries(np.ones((1, DIMENSION), np.float32)), 3).rows[0, 2] >= 0


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"type": "IVF_FLAT", "num_sub_vectors": 4}, "num_sub_vectors"),
        ({"type": "none", "num_partitions": 4}, "num_partitions"),
        ({"type": "IVF_PQ", "m": 10}, "m"),
        ({"type": "IVF_PQ", "num_bits": 5}, "num_bits"),
        ({"type": "IVF_HNSW_FLAT", "accelerator": "cuda"}, "accelerator"),
        ({"type": "IVFPQ"}, "type"),
        ({"partitions": 4}, "partitions"),
    ],
)
def test_a_build_option_that_the_type_does_not_know_is_a_fault_at_its_key(options: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LanceDbStore.Index(**options)
    assert [error["loc"] for error in caught.value.errors()] == [(key,)]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"nprobes": 4, "maximum_nprobes": 8}, "maximum_nprobes"),
        ({"minimum_nprobes": 9, "maximum_nprobes": 8}, "maximum_nprobes"),
        ({"mode": "text", "nprobes": 4}, "nprobes"),
        ({"rrf_k": 10}, "rrf_k"),
        ({"mode": "hybrid", "weight": 0.5}, "weight"),
        ({"refine_factor": 0}, "refine_factor"),
    ],
)
def test_query_options_that_exclude_each_other_are_a_fault_at_their_key(options: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LanceDbStore.Query(**options)
    assert [error["loc"] for error in caught.value.errors()] == [(key,)]


@pytest.mark.parametrize(
    ("index", "query", "key"),
    [
        ({"type": "none"}, {"nprobes": 4}, "query.nprobes"),
        ({"type": "IVF_FLAT"}, {"refine_factor": 4}, "query.refine_factor"),
        ({"type": "IVF_PQ"}, {"ef": 40}, "query.ef"),
        ({"type": "none"}, {"mode": "hybrid"}, "query.mode"),
    ],
)
def test_a_query_option_that_the_index_has_no_use_for_is_refused_before_the_run(
    index: dict[str, Any], query: dict[str, Any], key: str
) -> None:
    store = make(LanceDbStore, **index)
    with pytest.raises(InvalidOptions) as caught:
        store.consumes(store.Query(**query))
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("options", "dimension", "key"),
    [
        ({"type": "IVF_PQ", "num_sub_vectors": 7}, 32, "index.num_sub_vectors"),
        ({"type": "IVF_PQ", "num_sub_vectors": 1, "num_bits": 4}, 32, "index.num_sub_vectors"),
        ({"type": "IVF_RQ"}, 30, "index.type"),
        ({"type": "IVF_PQ"}, None, "index.type"),
        ({}, None, "index.full_text"),
    ],
)
def test_what_cannot_be_built_is_refused_before_the_run(
    options: dict[str, Any], dimension: int | None, key: str
) -> None:
    with pytest.raises(InvalidOptions) as caught:
        make(LanceDbStore, **options).plan(1000, dimension, Similarity.COSINE)
    assert caught.value.key == key


def test_flat_goes_by_three_names() -> None:
    assert [LanceDbStore.Index(type=name).type for name in (None, "none", "FLAT")] == ["none"] * 3  # type: ignore[arg-type]


def test_an_ef_below_k_is_refused_with_its_key(tmp_path: Path, corpus: Floats) -> None:
    store = make(LanceDbStore, type="IVF_HNSW_SQ")
    ref = build(store, tmp_path, vectors=corpus[:500])
    assert session(store, ref, ef=10).search(Queries(corpus[:1]), 10).rows[0, 9] >= 0
    for query in ({"ef": 9}, {"ef": 19, "refine_factor": 2}):
        with pytest.raises(InvalidOptions, match="ef"):
            session(store, ref, **query).search(Queries(corpus[:1]), 10)


META: dict[str, list[object]] = {
    "it's odd.name": ["it's", "a\\b", None, '"q"', "it's"],
    "year": [2019, 2020, 2021, None, 2020],
    "score": [0.1, float("nan"), 3.0, None, float("inf")],
    "open": [True, False, None, True, True],
    "empty": [None] * 5,
}


@pytest.mark.parametrize(
    "spec",
    [
        {"it's odd.name": "it's"},
        {"it's odd.name": ["a\\b", '"q"']},
        {"year": {"gte": 2020}},
        {"year": [2019, 2021]},
        {"year": {"gt": 2019, "lt": 2021}, "open": True},
        {"score": {"gt": 0.05}},
        {"score": {"lte": 3}},
        {"score": 0.1},
        {"score": float("inf")},
        {"open": False},
        {"empty": "x"},
    ],
)
def test_a_filter_in_sql_passes_what_the_mask_passes(tmp_path: Path, spec: dict[str, Any]) -> None:
    vectors = np.eye(5, 8, dtype=np.float32) + 1
    store = make(LanceDbStore)
    filter_ = Filter.parse(spec)
    columns = {name: pa.array(values, pa.string()) if name == "empty" else values for name, values in META.items()}
    ref = build(store, tmp_path, vectors=vectors, meta=columns)  # type: ignore[arg-type]
    table = pa.table({f"meta.{name}": columns[name] for name in columns})
    wanted = np.flatnonzero(filter_.mask(table)).tolist()
    found = store.open(ref).search(Queries(vectors[:2]), 5, filter_).rows
    assert [sorted(row[row >= 0].tolist()) for row in found] == [wanted, wanted]


@pytest.mark.parametrize("spec", [{"nowhere": 1}, {"year": "x"}])
def test_a_filter_that_cannot_be_is_refused(tmp_path: Path, spec: dict[str, Any]) -> None:
    vectors = np.eye(5, 8, dtype=np.float32)
    store = make(LanceDbStore)
    ref = build(store, tmp_path, vectors=vectors, meta={"year": META["year"]})
    with pytest.raises(InvalidOptions):
        store.open(ref).search(Queries(vectors[:1]), 5, Filter.parse(spec))


TEXTS = ["apple pie", "banana bread", "apple banana", "cherry", None]


@pytest.fixture(scope="module")
def with_texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[LanceDbStore, IndexRef]:
    store = make(LanceDbStore, full_text=True)
    folder = tmp_path_factory.mktemp("texts")
    ref = build(store, folder, TEXTS, np.eye(5, 8, dtype=np.float32), meta={"part": [0, 0, 1, 1, 1]})
    return store, ref  # type: ignore[return-value]


def test_text_search_finds_the_words_and_nothing_else(with_texts: tuple[LanceDbStore, IndexRef]) -> None:
    opened = session(*with_texts, mode="text")
    queries = Queries(texts=["apple", "cherries", "durian", "", '"apple (:'])
    found = opened.search(queries, 4)
    assert [sorted(row[row >= 0].tolist()) for row in found.rows] == [[0, 2], [3], [], [], [0, 2]]
    assert opened.search(queries, 4, Filter.parse({"part": 1})).rows[0].tolist() == [2, -1, -1, -1]


@pytest.mark.parametrize("fuse", ["rrf", "linear"])
def test_hybrid_search_puts_first_what_both_find(with_texts: tuple[LanceDbStore, IndexRef], fuse: str) -> None:
    store, ref = with_texts
    opened = session(store, ref, mode="hybrid", fuse=fuse)
    queries = Queries(np.eye(5, 8, dtype=np.float32)[[2, 3]], ["banana", "cherry"])
    found = opened.search(queries, 3)
    assert found.rows[:, 0].tolist() == [2, 3]
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert store.consumes(store.Query(mode="hybrid")) == {"vector", "text"}
    if fuse == "rrf":
        # first in both rankings: 1/(60 + 1) + 1/(60 + 1)
        assert found.scores[1, 0] == pytest.approx(2 / 61, rel=1e-5)


def test_full_text_needs_no_vectors_and_reads_its_options_back(tmp_path: Path) -> None:
    store = make(LanceDbStore, full_text={"stem": False, "remove_stop_words": False})
    ref = build(store, tmp_path, TEXTS)
    held = store.describe(ref)
    assert (held.type, held.rows_indexed, held.flat) == ("FTS", 5, False)
    assert (held.parameters["full_text"]["stem"], held.parameters["full_text"]["remove_stop_words"]) == (False, False)
    assert session(store, ref, mode="text").search(Queries(texts=["cherries"]), 2).rows[0, 0] == -1


def test_a_fault_in_the_batches_reaches_the_caller_as_it_was_raised(tmp_path: Path, corpus: Floats) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(vectors=corpus[:10])
        raise InvalidVectors("row 11 is NaN")

    with pytest.raises(InvalidVectors, match="row 11"):
        make(LanceDbStore, type="IVF_FLAT").build(
            broken(), place=Place("law", tmp_path), similarity=Similarity.DOT, dimension=DIMENSION
        )


def test_a_table_that_is_gone_is_missing(tmp_path: Path) -> None:
    store = make(LanceDbStore)
    ref = IndexRef("gone", str(tmp_path), 3, 8, Similarity.DOT)
    with pytest.raises(IndexMissing):
        store.open(ref)
    with pytest.raises(IndexMissing):
        store.describe(ref)


def test_a_given_uri_holds_the_tables_and_dropping_removes_them(tmp_path: Path, corpus: Floats) -> None:
    store = LanceDbStore(LanceDbStore.Index(), LanceDbStore.Connection(uri=str(tmp_path / "db")))
    ref = build(store, tmp_path / "place", vectors=corpus[:20])
    assert list((tmp_path / "place").iterdir()) == []
    assert store.open(ref).search(Queries(corpus[:1]), 1).rows[0, 0] == 0
    assert store.describe(ref).bytes
    store.drop(ref)
    with pytest.raises(IndexMissing):
        store.open(ref)
    with pytest.raises(ValidationError, match="LanceDB Cloud"):
        LanceDbStore.Connection(uri="db://mine")


def test_a_relative_uri_starts_at_the_experiment_file_and_takes_variables(
    tmp_path: Path, corpus: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLES", "db")
    connection = LanceDbStore.Connection(uri="$TABLES/here")
    store = LanceDbStore(LanceDbStore.Index(), connection, Context(tmp_path))
    build(store, tmp_path / "place", vectors=corpus[:20])
    assert [path.suffix for path in (tmp_path / "db" / "here").iterdir()] == [".lance"]
    assert connection.model_dump()["uri"] == "$TABLES/here"
