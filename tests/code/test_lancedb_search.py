"""The code of LanceDB's searches finds what its adapter finds, in both ways of calling it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import Context, Filter, Floats, IndexRef, Similarity
from adapters.code.contract import RetrieverError
from adapters.stores.lancedb import LanceDbStore
from tests.code.made import assert_finds, expected, made
from tests.stores.arrays import build, clustered, make

ROWS, DIMENSION = 600, 32
TEXTS = [f"{('red', 'blue', 'green')[i % 3]} {('fox', 'dog')[i % 2]} number {i % 7}" for i in range(ROWS)]
ASKED = ["red fox", "blue dog number 3", 'it\'s a "fox" OR (dog', "green"]
META = {"lang": [("en", "it's", None)[i % 3] for i in range(ROWS)], "year": list(range(ROWS))}
FAMILIES: dict[str, dict[str, Any]] = {
    "none": {},
    "IVF_FLAT": {"num_partitions": 4},
    "IVF_SQ": {"num_partitions": 4},
    "IVF_PQ": {"num_partitions": 2, "num_sub_vectors": 8},
    "IVF_RQ": {"num_partitions": 4},
    "IVF_HNSW_FLAT": {},
    "IVF_HNSW_SQ": {},
    "IVF_HNSW_PQ": {"num_sub_vectors": 8},
}


@pytest.fixture(scope="module")
def corpus() -> Floats:
    return clustered(ROWS, DIMENSION, clusters=20, noise=0.6, seed=1)


@pytest.fixture(scope="module")
def queries(corpus: Floats) -> Floats:
    found: Floats = corpus[:4] + np.float32(0.05)
    return found


@pytest.fixture(scope="module")
def built(corpus: Floats, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[LanceDbStore, IndexRef]]:
    """An index of each family; the flat one holds texts and metadata too."""
    indexes = {}
    for family, options in FAMILIES.items():
        more = {"full_text": True} if family in ("none", "IVF_PQ") else {}
        store = make(LanceDbStore, type=family, **options, **more)
        assert isinstance(store, LanceDbStore)
        ref = build(
            store, tmp_path_factory.mktemp(family), TEXTS if more else None, corpus, meta=META if more else None
        )
        indexes[family] = store, ref
    return indexes


@pytest.mark.parametrize(
    ("family", "query"),
    [
        ("none", {}),
        ("IVF_FLAT", {"nprobes": 1}),
        ("IVF_FLAT", {"minimum_nprobes": 1, "maximum_nprobes": 3}),
        ("IVF_SQ", {"nprobes": 2}),
        ("IVF_PQ", {"nprobes": 1}),
        ("IVF_PQ", {"nprobes": 1, "refine_factor": 4}),
        ("IVF_PQ", {"bypass_vector_index": True}),
        ("IVF_RQ", {"nprobes": 3}),
        ("IVF_RQ", {"refine_factor": 1}),
        ("IVF_HNSW_FLAT", {"ef": 40}),
        ("IVF_HNSW_SQ", {"ef": 64, "refine_factor": 2}),
        ("IVF_HNSW_PQ", {}),
        ("none", {"mode": "text"}),
        ("none", {"mode": "hybrid"}),
        ("none", {"mode": "hybrid", "rrf_k": 5}),
        ("IVF_PQ", {"mode": "hybrid", "fuse": "linear", "weight": 0.3, "nprobes": 1}),
    ],
)
def test_each_family_and_mode_finds_what_the_adapter_finds(
    built: dict[str, tuple[LanceDbStore, IndexRef]], queries: Floats, family: str, query: dict[str, Any]
) -> None:
    store, ref = built[family]
    options = store.Query(**query)
    vectors = None if options.mode == "text" else queries
    wanted = expected(store, ref, options, ASKED, vectors, 10)
    assert any(wanted)
    assert_finds(made(store.export(ref, options)), wanted, ASKED, vectors, 10)


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
@pytest.mark.parametrize("condition", [{"lang": "it's"}, {"lang": {"ne": "en"}, "year": {"lt": 90}}])
def test_a_filter_holds_and_texts_come_along(
    built: dict[str, tuple[LanceDbStore, IndexRef]], queries: Floats, mode: str, condition: dict[str, Any]
) -> None:
    store, ref = built["none"]
    options, vectors = store.Query(mode=mode), None if mode == "text" else queries
    asked = Filter.parse(condition)
    wanted = expected(store, ref, options, ASKED, vectors, 10, asked, payload=True)
    assert all(hit.text == TEXTS[int(hit.document)] for hits in wanted for hit in hits)
    assert_finds(made(store.export(ref, options, filter=asked, payload=True)), wanted, ASKED, vectors, 10)


def test_more_documents_than_there_are_gives_all(
    built: dict[str, tuple[LanceDbStore, IndexRef]], queries: Floats
) -> None:
    store, ref = built["none"]
    engine = made(store.export(ref, store.Query()))
    assert len(engine.search("", queries[0], ROWS + 50)) == ROWS


@pytest.mark.parametrize("similarity", list(Similarity))
def test_scores_are_those_of_each_metric(
    corpus: Floats, queries: Floats, tmp_path: Path, similarity: Similarity
) -> None:
    store = make(LanceDbStore)
    ref = build(store, tmp_path, None, 3 * corpus[:50], similarity=similarity)
    options = store.Query()
    wanted = expected(store, ref, options, ASKED, queries, 5)
    assert_finds(made(store.export(ref, options)), wanted, ASKED, queries, 5)


def test_a_table_in_a_folder_of_the_users_is_opened_there(corpus: Floats, queries: Floats, tmp_path: Path) -> None:
    store = LanceDbStore(LanceDbStore.Index(), LanceDbStore.Connection(uri="tables"), Context(base=tmp_path))
    ref = build(store, tmp_path / "place", None, corpus[:50])
    piece = store.export(ref, store.Query())
    assert (piece.arguments["place"], piece.files) == (str(tmp_path / "tables"), {})
    assert_finds(made(piece), expected(store, ref, store.Query(), ASKED, queries, 5), ASKED, queries, 5)


def test_an_index_that_is_gone_is_told_with_the_cure(corpus: Floats, queries: Floats, tmp_path: Path) -> None:
    store = make(LanceDbStore)
    ref = build(store, tmp_path / "index", None, corpus[:50])
    piece = store.export(ref, store.Query())
    (tmp_path / "index").rename(tmp_path / "elsewhere")
    with pytest.raises(RetrieverError, match=r"no folder .*index.* run the experiment again"):
        made(piece).search("", queries[0], 5)
    assert not (tmp_path / "index").exists()
    (tmp_path / "index").mkdir()
    with pytest.raises(RetrieverError, match="There is no table"):
        made(piece).search("", queries[0], 5)


def test_more_documents_than_the_graph_keeps_candidates_are_refused(
    built: dict[str, tuple[LanceDbStore, IndexRef]], queries: Floats
) -> None:
    store, ref = built["IVF_HNSW_FLAT"]
    engine = made(store.export(ref, store.Query(ef=40)))
    assert len(engine.search("", queries[0], 40)) == 40
    with pytest.raises(RetrieverError, match="ef 40 is smaller than the 41 candidates"):
        engine.search("", queries[0], 41)
