"""faiss under the laws of every store, and those of its own families."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from adapters._store_laws import NearnessLaws
from adapters.base import (
    Filter,
    Floats,
    IndexRef,
    InvalidOptions,
    NotIndexed,
    Queries,
    Similarity,
    Store,
    ann_recall,
    exact_top_k,
)
from adapters.registry import load
from adapters.stores.faiss import FaissStore
from adapters.testing import StoreConformance
from tests.stores.arrays import build, clustered, make

DIMENSION = 32


class TestFlat(StoreConformance):
    def store(self) -> Store:
        return make(FaissStore)


class TestIvfFlatExhaustive(StoreConformance):
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"nprobe": (1, 4)}

    def store(self) -> Store:
        return make(FaissStore, type="IVF_FLAT", nlist=4)

    def query(self, store: Store) -> Any:
        return store.Query(nprobe=4)


class TestHnsw(StoreConformance):
    exact: ClassVar[bool] = False
    scores_exact: ClassVar[bool] = True
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"ef_search": (1, 400)}

    def store(self) -> Store:
        return make(FaissStore, type="HNSW", hnsw_m=8)

    def query(self, store: Store) -> Any:
        return store.Query(ef_search=400)


class TestIvfFlat(NearnessLaws):
    exact: ClassVar[bool] = False
    scores_exact: ClassVar[bool] = True
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"nprobe": (1, 20)}

    def store(self) -> Store:
        return make(FaissStore, type="IVF_FLAT", nlist=20)

    def query(self, store: Store) -> Any:
        return store.Query(nprobe=20)


class TestIvfPq(StoreConformance):
    exact: ClassVar[bool] = False
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"nprobe": (1, 4)}
    test_a_batch_of_ten_thousand_rows_is_taken_whole = None  # training takes half a minute

    def store(self) -> Store:
        return make(FaissStore, type="IVF_PQ", nlist=4, pq_m=16)

    def query(self, store: Store) -> Any:
        return store.Query(nprobe=4)


@pytest.fixture(scope="module")
def corpus() -> Floats:
    return clustered(4000, DIMENSION, clusters=60, noise=0.6, seed=1)


@pytest.fixture(scope="module")
def queries(corpus: Floats) -> Floats:
    return corpus[::80] + 0.05 * np.random.default_rng(2).standard_normal((50, DIMENSION)).astype(np.float32)


def recall(store: Store, ref: IndexRef, corpus: Floats, queries: Floats, **query: Any) -> float:
    with store.open(ref) as session:
        session.configure(store.Query(**query))
        found = session.search(Queries(queries), 10).rows
    best = exact_top_k(queries, corpus, 10, ref.similarity).scores
    return float(ann_recall(found, queries, corpus, best, 10, ref.similarity, len(corpus)).mean())


def test_the_registry_knows_the_store() -> None:
    assert load("stores", "faiss") is FaissStore


@pytest.mark.parametrize("similarity", list(Similarity))
@pytest.mark.parametrize(
    ("index", "few", "many", "least"),
    [
        ({"type": "IVF_FLAT", "nlist": 64}, {"nprobe": 1}, {"nprobe": 64}, 1.0),
        ({"type": "IVF_PQ", "nlist": 16, "pq_m": 16, "pq_nbits": 4}, {"nprobe": 1}, {"nprobe": 16}, 0.5),
        ({"type": "HNSW", "hnsw_m": 16, "ef_construction": 80}, {"ef_search": 1}, {"ef_search": 400}, 0.97),
    ],
)
def test_recall_rises_with_the_effort(
    tmp_path: Path, corpus: Floats, queries: Floats, similarity: Similarity, index: Any, few: Any, many: Any, least: Any
) -> None:
    store = make(FaissStore, **index)
    ref = build(store, tmp_path, vectors=corpus, similarity=similarity)
    held = store.describe(ref)
    assert (held.type, held.rows_indexed, held.flat) == (index["type"], 4000, False)
    assert {key: held.parameters[key] for key in index if key != "type"} == {
        k: v for k, v in index.items() if k != "type"
    }
    low, high = (recall(store, ref, corpus, queries, **options) for options in (few, many))
    assert low < high and high >= least


def test_what_is_left_out_shows_in_the_description(tmp_path: Path, corpus: Floats) -> None:
    store = make(FaissStore, type="IVF_PQ")
    parameters = store.describe(build(store, tmp_path, vectors=corpus)).parameters
    # 4·√4000 = 253 lists, but at most 4000 // 39 = 102; 32 dimensions in parts of 8 are 4 sub-vectors
    assert (parameters["nlist"], parameters["pq_m"], parameters["pq_nbits"]) == (102, 4, 8)


def test_the_same_seed_builds_the_same_index(tmp_path: Path, corpus: Floats) -> None:
    def built(name: str, seed: int) -> bytes:
        store = make(FaissStore, type="IVF_FLAT", nlist=32, seed=seed)
        build(store, tmp_path / name, vectors=corpus)
        return (tmp_path / name / "index.faiss").read_bytes()

    assert built("a", 5) == built("b", 5) != built("c", 6)


@pytest.mark.parametrize(
    ("index", "rows", "cause"),
    [
        ({"type": "IVF_FLAT", "nlist": 100}, 60, "each of 100 lists"),
        ({"type": "IVF_PQ", "nlist": 1}, 255, "each of 256 codes"),
        ({"type": "IVF_PQ", "nlist": 1, "pq_nbits": 4}, 15, "each of 16 codes"),
    ],
)
def test_too_few_rows_to_train_on_are_not_indexed(
    tmp_path: Path, corpus: Floats, index: Any, rows: int, cause: str
) -> None:
    with pytest.raises(NotIndexed, match=cause):
        build(make(FaissStore, **index), tmp_path, vectors=corpus[:rows])


@pytest.mark.parametrize("index", [{"type": "IVF_FLAT", "nlist": 8}, {"type": "HNSW"}])
def test_a_filter_is_obeyed_inside_the_index(tmp_path: Path, corpus: Floats, queries: Floats, index: Any) -> None:
    store = make(FaissStore, **index)
    ref = build(store, tmp_path, vectors=corpus, meta={"part": [i % 50 for i in range(4000)]})
    with store.open(ref) as session:
        session.configure(store.Query(**({"nprobe": 8} if "nlist" in index else {"ef_search": 200})))
        rows = session.search(Queries(queries), 10, Filter.parse({"part": 7})).rows
    # 80 of 4,000 pass: ten that were cut out of an unfiltered top ten would leave most places empty
    assert (rows >= 0).mean() > 0.9 and (rows[rows >= 0] % 50 == 7).all()


def test_a_zero_document_takes_no_place_by_cosine(tmp_path: Path, corpus: Floats) -> None:
    vectors = np.vstack([corpus[:5], np.zeros((1, DIMENSION), np.float32)])
    store = make(FaissStore)
    hits = store.open(build(store, tmp_path, vectors=vectors)).search(Queries(corpus[:1]), 6)
    assert sorted(hits.rows[0].tolist()) == [-1, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nlist": 4}, "nlist has no effect on type FLAT"),
        ({"type": "HNSW", "pq_m": 4}, "pq_m has no effect on type HNSW"),
        ({"type": "ivf_sq"}, "IVF_FLAT"),
    ],
)
def test_an_option_of_another_type_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FaissStore.Index(**options)


def test_a_search_option_of_another_type_is_refused() -> None:
    store = make(FaissStore)
    with pytest.raises(InvalidOptions, match="nprobe has no effect on type FLAT"):
        store.consumes(store.Query(nprobe=4))


def test_sub_vectors_that_do_not_divide_the_dimension_are_refused_before_the_run() -> None:
    with pytest.raises(InvalidOptions, match="48 does not divide the dimension 100"):
        make(FaissStore, type="IVF_PQ", pq_m=48).plan(1000, 100, Similarity.COSINE)


@pytest.mark.parametrize("order", ["torch, faiss", "faiss, torch"])
def test_faiss_and_torch_work_in_one_process(order: str) -> None:
    # Each brings an OpenMP runtime of its own; on some platforms the second one to start ends the process.
    program = (
        f"import numpy, {order}\n"
        "x = numpy.random.default_rng(0).standard_normal((1000, 32)).astype('float32')\n"
        "for _ in range(2):\n"
        "    torch.from_numpy(x) @ torch.from_numpy(x).T\n"
        "    index = faiss.index_factory(32, 'IVF8,PQ4x4'); index.train(x); index.add(x)\n"
        "    assert (index.search(x[:50], 1)[1] >= 0).all()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
