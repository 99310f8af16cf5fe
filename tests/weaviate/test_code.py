"""The code of Weaviate's searches finds what its adapter finds in the same collection, in both ways of calling it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import Filter, Floats, IndexRef, Place, Similarity, index_name
from adapters.code.contract import RetrieverError
from tests.code.made import assert_finds, expected, made
from tests.filtering import batches as every_column
from tests.filtering import conditions
from tests.stores.arrays import batches, clustered
from tests.weaviate.conftest import store_at

ROWS, DIMENSION = 300, 16
TEXTS = [f"{('red', 'blue', 'green')[i % 3]} {('fox', 'dog')[i % 2]} number {i % 7}" for i in range(ROWS)]
ASKED = ["red fox", "blue dog number 3", "  ", "an {query} 'n all", "green"]
VECTORS: Floats = clustered(ROWS, DIMENSION, clusters=20, noise=0.6, seed=1)
META = {"lang": [("en", "it's", None)[i % 3] for i in range(ROWS)], "year": list(range(ROWS))}
QUERIES: Floats = VECTORS[:5] + np.float32(0.05)


def indexed(server: dict[str, Any], folder: Path, similarity: Similarity = Similarity.COSINE, **index: Any) -> Any:
    """A store with a collection of its own, and the reference."""
    store = store_at(server, **index)
    place = Place(index_name(uuid.uuid4().hex, "code"), folder)
    given = batches(TEXTS, VECTORS, meta=META)
    return store, store.build(given, place=place, similarity=similarity, dimension=DIMENSION)


@pytest.fixture(scope="module")
def texts(synchronous: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, IndexRef]]:
    store, ref = indexed(synchronous, tmp_path_factory.mktemp("texts"), full_text=True)
    yield store, ref
    store.close()


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"ef": 16},
        {"mode": "text"},
        {"mode": "text", "bm25_operator": "and"},
        {"mode": "text", "minimum_match": 2},
        {"mode": "hybrid"},
        {"mode": "hybrid", "alpha": 0.2, "fusion": "ranked", "bm25_operator": "or"},
        {"mode": "hybrid", "max_vector_distance": 0.5, "consistency": "ONE"},
    ],
)
def test_each_mode_finds_what_the_adapter_finds(texts: tuple[Any, IndexRef], query: dict[str, Any]) -> None:
    store, ref = texts
    options = store.Query(**query)
    vectors = None if options.mode == "text" else QUERIES
    for payload, condition in ((False, None), (True, Filter.parse({"lang": {"ne": "en"}, "year": {"gte": 40}}))):
        wanted = expected(store, ref, options, ASKED, vectors, 10, condition, payload=payload)
        assert any(wanted)
        piece = store.export(ref, options, filter=condition, payload=payload)
        assert_finds(made(piece), wanted, ASKED, vectors, 10)


@pytest.mark.parametrize(
    ("index", "query"),
    [
        ({"type": "flat"}, {}),
        ({"type": "flat", "quantizer": "bq"}, {"rescore_limit": 30}),
        ({"type": "hnsw", "quantizer": "rq"}, {"rescore_limit": 40, "filter_strategy": "sweeping"}),
        ({"type": "dynamic", "threshold": 100}, {}),
        ({"type": "ivf_pq"}, {"search_probe": 3}),
        ({"type": "hnsw", "tenant": "theirs"}, {"dynamic_ef_factor": 4}),
    ],
)
def test_each_index_type_finds_what_the_adapter_finds(
    synchronous: dict[str, Any],
    asynchronous: dict[str, Any],
    tmp_path: Path,
    index: dict[str, Any],
    query: dict[str, Any],
) -> None:
    server = asynchronous if index["type"] == "dynamic" else synchronous
    store, ref = indexed(server, tmp_path, **index)
    options = store.Query(**query)
    wanted = expected(store, ref, options, ASKED, QUERIES, ROWS + 5)
    assert_finds(made(store.export(ref, options)), wanted, ASKED, QUERIES, ROWS + 5)
    store.drop(ref)
    store.close()


@pytest.mark.parametrize("similarity", [Similarity.DOT, Similarity.L2])
def test_scores_are_those_of_each_metric(synchronous: dict[str, Any], tmp_path: Path, similarity: Similarity) -> None:
    store, ref = indexed(synchronous, tmp_path, similarity)
    wanted = expected(store, ref, store.Query(), ASKED, QUERIES, 5)
    assert_finds(made(store.export(ref, store.Query())), wanted, ASKED, QUERIES, 5)
    store.drop(ref)
    store.close()


def test_a_filter_means_what_it_means_to_the_adapter(synchronous: dict[str, Any], tmp_path: Path) -> None:
    vectors = np.random.default_rng(3).standard_normal((90, 8)).astype(np.float32)
    store = store_at(synchronous, type="flat")
    place = Place(index_name(uuid.uuid4().hex, "code"), tmp_path)
    given = every_column(90, vectors, exact_numbers=False)
    ref = store.build(given, place=place, similarity=Similarity.COSINE, dimension=8)
    options = store.Query()
    with store.session(ref) as session:
        session.configure(options)
        for spec in list(conditions(exact_numbers=False))[::25]:
            condition = Filter.parse(spec)
            (wanted,) = expected(store, ref, options, [""], vectors[:1], 90, condition)
            engine = made(store.export(ref, options, filter=condition))
            assert engine.search("", vectors[0], 90) == wanted, spec
            engine.close()
    store.drop(ref)
    store.close()


def test_the_settings_that_the_collection_keeps_are_those_of_the_system(texts: tuple[Any, IndexRef]) -> None:
    store, ref = texts
    with store.session(ref) as session:
        session.configure(store.Query(ef=77))
        engine = made(store.export(ref, store.Query(ef=33)))
        engine.search("", QUERIES[0], 5)
        assert session._changes({"ef": 33}) == {}
        engine.close()


def test_a_collection_that_is_gone_or_grown_is_told_with_the_cure(synchronous: dict[str, Any], tmp_path: Path) -> None:
    store, ref = indexed(synchronous, tmp_path)
    piece = store.export(ref, store.Query())
    changed = {**piece.arguments, "rows": ROWS + 1}
    with pytest.raises(RetrieverError, match=f"holds {ROWS} rows; the one that was measured held {ROWS + 1}"):
        made(_with(piece, changed)).search("", QUERIES[0], 5)
    store.drop(ref)
    engine = made(piece)
    with pytest.raises(RetrieverError, match=r"has no collection .* Run the experiment again"):
        engine.search("", QUERIES[0], 5)
    store.close()


def test_a_key_that_is_missing_or_wrong_is_told_with_its_variable(
    texts: tuple[Any, IndexRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ref = texts
    piece = store.export(ref, store.Query())
    (variable,) = piece.keys
    monkeypatch.setenv(variable, "wrong")
    with pytest.raises(RetrieverError, match=f"refused the key in {variable}"):
        made(piece).search("", QUERIES[0], 5)
    monkeypatch.delenv(variable)
    with pytest.raises(RetrieverError, match=f"export {variable}="):
        made(piece).search("", QUERIES[0], 5)


def test_a_server_that_is_away_is_told_with_its_address(texts: tuple[Any, IndexRef]) -> None:
    store, ref = texts
    piece = store.export(ref, store.Query())
    away = _with(piece, {**piece.arguments, "http": ["127.0.0.1", 9], "grpc": ["127.0.0.1", 10]})
    with pytest.raises(RetrieverError, match=r"http://127.0.0.1:9 cannot be reached"):
        made(away).search("", QUERIES[0], 5)


def _with(piece: Any, arguments: dict[str, Any]) -> Any:
    import dataclasses

    return dataclasses.replace(piece, arguments=arguments)
