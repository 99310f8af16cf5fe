"""The laws of the Weaviate store that the conformance suite does not know, on real servers."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from adapters.base import (
    AdapterRejected,
    AdapterUnavailable,
    Filter,
    Floats,
    IndexMissing,
    InvalidOptions,
    NotIndexed,
    Queries,
    Similarity,
    exact_top_k,
    index_name,
)
from adapters.servers.weaviate import Ports
from adapters.stores.weaviate import WeaviateStore
from adapters.stores.weaviate.schema import class_name
from tests.stores.arrays import batches
from tests.weaviate.conftest import store_at
from tests.weaviate.corpora import DIMENSION, build, corpus, recall, search, with_columns

REUSED, OTHERS, LOSSY = (index_name(digit * 32) for digit in "123")
ROWS = 1200


@pytest.fixture(scope="module")
def data() -> tuple[Floats, Floats]:
    return corpus(ROWS)


def effective(store: WeaviateStore, ref: Any) -> Any:
    held = store.describe(ref)
    json.dumps(held.as_dict())
    assert (held.rows, held.rows_indexed) == (ref.rows, ref.rows)
    return held


# Index families


@pytest.mark.parametrize(
    ("index", "kind", "least"),
    [
        ({"type": "hnsw", "ef_construction": 100, "max_connections": 24}, "hnsw", 0.99),
        ({"type": "hnsw", "quantizer": "bq"}, "hnsw+bq", 0.5),
        ({"type": "hnsw", "quantizer": "rq", "bits": 8}, "hnsw+rq", 0.95),
        ({"type": "hnsw", "quantizer": "rq", "bits": 1}, "hnsw+rq", 0.9),
        ({"type": "hnsw", "quantizer": "pq", "segments": 16, "training_limit": 1000}, "hnsw+pq", 0.8),
        ({"type": "hnsw", "quantizer": "sq", "training_limit": 1000}, "hnsw+sq", 0.95),
        # 32 bits tie often, and chance orders ties: .49 to .53.
        ({"type": "flat", "quantizer": "bq", "cache": True}, "flat+bq", 0.45),
        ({"type": "flat", "quantizer": "rq", "bits": 8}, "flat+rq", 0.95),
        ({"type": "dynamic", "threshold": 1000, "max_connections": 16}, "dynamic", 0.99),
        ({"type": "dynamic", "threshold": 1000, "quantizer": "pq", "training_limit": 1000}, "dynamic+pq", 0.8),
        ({"type": "dynamic", "threshold": 1000, "quantizer": "sq", "training_limit": 1000}, "dynamic+sq", 0.95),
        ({"type": "ivf_pq", "max_posting_size_kb": 16, "replicas": 2}, "hfresh", 0.95),
    ],
)
def test_every_index_family_is_built_as_asked(
    asynchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any, index: Any, kind: str, least: float
) -> None:
    vectors, queries = data
    store = opened(asynchronous, **index)
    ref = build(store, vectors, tmp_path)
    held = effective(store, ref)
    assert (held.type, held.adjusted, held.flat) == (kind, (), False)
    assert held.parameters["server_version"].count(".") == 2
    assert recall(search(store, ref, queries), vectors, queries) >= least
    store.drop(ref)


@pytest.mark.parametrize("codec", ["pq", "sq"])
def test_a_synchronous_server_trains_what_it_was_asked_for(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any, codec: str
) -> None:
    store = opened(synchronous, quantizer=codec)  # the training limit of 100,000 holds for asynchronous servers only
    ref = build(store, data[0], tmp_path)
    assert effective(store, ref).type == f"hnsw+{codec}"
    store.drop(ref)


def test_pq_on_too_few_rows_is_not_indexed_with_the_cause(
    asynchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    with pytest.raises(NotIndexed, match=r"training_limit is 100000 .*1200 rows.*training_limit below 1200"):
        build(opened(asynchronous, quantizer="pq"), data[0], tmp_path)


def test_a_dynamic_index_that_is_still_flat_is_not_compressed_and_says_why(
    asynchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    with pytest.raises(NotIndexed, match=r"threshold is 5000 .*1200 rows.*Set index.threshold below 1200"):
        build(opened(asynchronous, type="dynamic", quantizer="bq", threshold=5000), data[0], tmp_path)


def test_dynamic_on_a_synchronous_server_is_refused_with_the_cure(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    with pytest.raises(InvalidOptions, match="ASYNC_INDEXING=true"):
        build(opened(synchronous, type="dynamic"), data[0], tmp_path)


def test_an_option_that_the_server_drops_is_an_error(
    asynchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    store = opened(asynchronous, quantizer="rq", centering=True)  # no server up to 1.38 knows it
    with pytest.raises(AdapterRejected, match="dropped centering"):
        build(store, data[0], tmp_path, name="dropped")
    assert store._at("dropped").find() is None


def test_a_local_server_tells_its_bytes_on_disk(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    for more in ({}, {"shards": 3}, {"tenant": "alice"}):
        store = opened(synchronous, type="flat", **more)
        ref = build(store, data[0], tmp_path)
        assert (effective(store, ref).bytes or 0) > ROWS * DIMENSION * 4
        elsewhere = opened({**synchronous, "data_path": str(tmp_path)}, type="flat", **more)
        assert elsewhere.describe(ref).bytes is None
        store.drop(ref)


def test_a_server_tells_its_own_memory(synchronous: dict[str, Any], opened: Any) -> None:
    store = opened(synchronous)
    assert (store.server_memory() or 0) > 50e6
    assert [node.partition(" ")[2] for node in store.health()] == ["HEALTHY"]


def test_a_part_of_a_cluster_is_not_told_as_the_whole(synchronous: dict[str, Any], opened: Any) -> None:
    twice = opened({**synchronous, "metrics_url": [synchronous["metrics_url"]] * 2})
    with pytest.raises(AdapterRejected, match=r"has 1 nodes, and metrics_url names 2"):
        twice.server_memory()


def test_metrics_of_nobody_and_of_another_program_are_named(synchronous: dict[str, Any], opened: Any) -> None:
    nobody = f"http://127.0.0.1:{Ports.free().metrics}/metrics"
    with pytest.raises(AdapterUnavailable, match=f"No metrics at {nobody}"):
        opened({**synchronous, "metrics_url": nobody}).server_memory()
    other = f"http://127.0.0.1:{synchronous['port']}/v1/.well-known/live"
    with pytest.raises(AdapterRejected, match="Name the server's own endpoint"):
        opened({**synchronous, "metrics_url": other}).server_memory()


# Search options


def test_search_options_are_set_in_the_collection_and_taken_back(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    store = opened(synchronous, quantizer="rq")
    ref = build(store, data[0], tmp_path)

    def kept() -> tuple[Any, ...]:
        config = store.describe(ref).parameters["vector_index"]
        return config["ef"], config["filterStrategy"], config["flatSearchCutoff"], config["rq"]["rescoreLimit"]

    built = kept()
    with store.open(ref) as session:
        session.configure(store.Query(ef=7, filter_strategy="sweeping", flat_search_cutoff=0, rescore_limit=3))
        assert kept() == (7, "sweeping", 0, 3)
        session.configure(store.Query(ef=9))
        assert kept() == (9, *built[1:])
    with store.open(ref) as session:
        session.configure(store.Query())
        assert kept() == built == (-1, "acorn", 40000, 20)
    assert store.describe(ref).adjusted == ()
    store.drop(ref)


def test_many_sessions_may_set_the_same_search_options_at_once(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    """As processes that share out a load do. A server refuses a change while another one is under way."""
    store = opened(synchronous)
    ref = build(store, data[0], tmp_path)
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        sessions = [stack.enter_context(store.open(ref)) for _ in range(8)]
        for ef in range(16, 32):
            list(pool.map(lambda session, ef=ef: session.configure(store.Query(ef=ef)), sessions))
            assert store.describe(ref).parameters["vector_index"]["ef"] == ef
    store.drop(ref)


def test_recall_rises_with_the_probes_of_hfresh(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    vectors, queries = data
    store = opened(synchronous, type="hfresh", max_posting_size_kb=8)
    ref = build(store, vectors, tmp_path)
    low, high = (recall(search(store, ref, queries, search_probe=n), vectors, queries) for n in (1, 64))
    assert low <= high and high >= 0.95
    store.drop(ref)


def test_the_ends_of_alpha_are_text_alone_and_vectors_alone(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    vectors = data[0][:200]
    texts = [f"common word{i % 20} " + "filler " * (i % 7) for i in range(200)]
    store = opened(synchronous, type="flat", full_text=True, bm25_k1=1.5, bm25_b=0.5, stopwords="none")
    ref = build(store, batches(texts, vectors), tmp_path)
    asked = Queries(vectors[:5], [f"word{i}" for i in range(5)])

    def rows(**query: Any) -> list[list[int]]:
        with store.open(ref) as session:
            session.configure(store.Query(**query))
            found: list[list[int]] = session.search(asked, 5).rows.tolist()
            return found

    assert rows(mode="hybrid", alpha=1.0) == rows(mode="vector")
    by_text = rows(mode="text")
    assert [set(found) for found in rows(mode="hybrid", alpha=0.0)] == [set(found) for found in by_text]
    assert all({row % 20 for row in found} == {i} for i, found in enumerate(by_text))
    assert rows(mode="hybrid", alpha=0.5, fusion="ranked") != rows(mode="vector")
    store.drop(ref)


def test_and_wants_every_word_and_or_a_least_number(synchronous: dict[str, Any], opened: Any, tmp_path: Path) -> None:
    store = opened(synchronous, full_text=True, tokenization="whitespace")
    texts = ["red blue green", "red blue", "red", "yellow"]
    ref = build(store, batches(texts), tmp_path, dimension=None)
    assert effective(store, ref).type == "inverted"

    def found(**query: Any) -> set[int]:
        with store.open(ref) as session:
            session.configure(store.Query(mode="text", **query))
            return set(session.search(Queries(texts=["red blue green"]), 4).rows[0].tolist()) - {-1}

    assert found() == found(bm25_operator="or") == {0, 1, 2}
    assert found(minimum_match=2) == {0, 1}
    assert found(bm25_operator="and") == {0}
    store.drop(ref)


# Filters


ODD = ["it", "the", "Hello World", "hello world", " pad ", "pad", "", "a*b", "é", "日本 語", None, "ZZ"]


@pytest.mark.parametrize("range_filters", [False, True])
def test_filters_pass_exactly_what_the_oracle_passes(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any, range_filters: bool
) -> None:
    vectors, queries = data[0][:240], data[1]
    columns = {
        "lang": [ODD[i % 12] for i in range(240)],
        "year": [None if i % 11 == 0 else 1990 + i % 30 for i in range(240)],
        "weight": [float("nan") if i % 13 == 0 else i / 10 - 5 for i in range(240)],
        "good": [None if i % 7 == 0 else i % 2 == 0 for i in range(240)],
    }
    table = pa.Table.from_batches(list(with_columns(vectors, **columns)))
    store = opened(synchronous, type="flat", range_filters=range_filters)
    ref = build(store, with_columns(vectors, **columns), tmp_path)
    specs: list[dict[str, Any]] = [{"lang": value} for value in ODD if value is not None]
    specs += [{"lang": {"gt": "hello world"}}, {"lang": {"lte": "hello world"}}, {"lang": ["it", " pad ", "nowhere"]}]
    specs += [{"year": {"gte": 2000, "lt": 2010}}, {"year": [1990, 1991]}, {"year": 3000}, {"year": {"lte": 1990}}]
    specs += [{"weight": {"gt": 0}}, {"weight": {"lt": -2.5}}, {"weight": [0.0, 1.5]}]
    specs += [{"good": True}, {"good": [False]}, {"good": True, "year": {"gt": 2005}, "lang": "the"}]
    with store.open(ref) as session:
        for spec in specs:
            condition = Filter.parse(spec)
            found = session.search(Queries(queries[:1]), 240, condition).rows[0]
            passed = np.flatnonzero(condition.mask(table)).tolist()
            assert sorted(found[found >= 0].tolist()) == passed, spec
        with pytest.raises(InvalidOptions, match="does not compare"):
            session.search(Queries(queries[:1]), 3, Filter.parse({"year": "soon"}))
    store.drop(ref)


# Collections


def test_a_tenant_holds_its_own_rows(synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any) -> None:
    vectors, queries = data
    store = opened(synchronous, type="flat", tenant="alice")
    ref = build(store, vectors[:100], tmp_path)
    assert effective(store, ref).flat
    assert recall(search(store, ref, queries), vectors[:100], queries) == 1.0
    store.drop(ref)


def test_shards_together_hold_every_row_once(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    vectors, queries = data
    store = opened(synchronous, type="flat", shards=3, replication_factor=1)
    ref = build(store, vectors, tmp_path)
    held = effective(store, ref)
    assert (held.parameters["shards"], held.parameters["replication_factor"]) == (3, 1)
    hits = search(store, ref, queries, consistency="ALL")
    assert recall(hits, vectors, queries) == 1.0
    store.drop(ref)


def test_a_collection_that_matches_is_reused(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    store = opened(synchronous, type="flat")
    first = build(store, data[0], tmp_path, name=REUSED)
    created = store._at(REUSED).schema()
    again = build(opened(synchronous, type="flat"), data[0], tmp_path, name=REUSED)
    assert (first.details["reused"], again.details["reused"]) == (False, True)
    assert again.details["build_seconds"] == first.details["build_seconds"] > 0
    assert store._at(REUSED).schema() == created
    store.drop(first)


def test_a_collection_with_other_data_is_neither_used_nor_deleted(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    vectors = data[0][:50]
    store = opened(synchronous, type="flat")
    ref = build(store, vectors, tmp_path, name=OTHERS)
    with pytest.raises(AdapterRejected, match="first rows differ"):
        build(store, vectors[::-1].copy(), tmp_path, name=OTHERS)
    with pytest.raises(AdapterRejected, match="holds 50 rows, the corpus 49"):
        build(store, vectors[:49], tmp_path, name=OTHERS)
    assert search(store, ref, vectors[:1], 1).rows.tolist() == [[0]]
    store.drop(ref)
    collections = store._link.client.collections
    collections.create_from_dict({"class": class_name(OTHERS), "description": "somebody's"})
    with pytest.raises(AdapterRejected, match="this harness did not make it"):
        build(store, vectors, tmp_path, name=OTHERS)
    with pytest.raises(AdapterRejected, match="this harness did not make it"):
        store.drop(ref)
    collections.delete(class_name(OTHERS))


def test_a_collection_that_lost_rows_is_missing_and_built_again(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    vectors = data[0][:50]
    store = opened(synchronous, type="flat")
    ref = build(store, vectors, tmp_path, name=LOSSY)
    handle = store._at(LOSSY).handle
    handle.data.delete_by_id(next(iter(handle.iterator())).uuid)
    with pytest.raises(IndexMissing, match="49 rows, the index was built of 50"):
        store.open(ref)
    ref = build(store, vectors, tmp_path, name=LOSSY)
    assert ref.rows == 50
    assert store.open(ref).search(Queries(vectors), 50).rows.min() >= 0
    store.drop(ref)
    with pytest.raises(IndexMissing):
        store.open(ref)
    with pytest.raises(IndexMissing):
        store.describe(ref)


def test_rejected_objects_are_counted(synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any) -> None:
    weights = np.arange(50, dtype=np.float64)
    weights[[3, 20, 44]] = np.inf  # JSON has no infinity: the server cannot store these three objects
    with pytest.raises(NotIndexed, match=r"rejected 3 of 50 objects; the first: row 3"):
        build(opened(synchronous, type="flat"), with_columns(data[0][:50], weight=weights), tmp_path)


def test_a_reference_by_another_metric_is_refused(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, data: Any
) -> None:
    store = opened(synchronous, type="flat")
    ref = build(store, data[0][:50], tmp_path)
    with pytest.raises(NotIndexed, match="compares by cosine, not by l2"):
        store.describe(replace(ref, similarity=Similarity.L2))
    store.drop(ref)


def test_a_port_that_is_not_of_grpc_is_named(synchronous: dict[str, Any]) -> None:
    metrics = int(synchronous["metrics_url"].split(":")[-1].split("/")[0])
    with pytest.raises(AdapterUnavailable, match=f"not its gRPC port 127.0.0.1:{metrics} .what listens there is no"):
        store_at({**synchronous, "grpc_port": metrics, "connect_seconds": 1}).check()
    with pytest.raises(AdapterUnavailable, match=r"Another program may listen there: check the port\."):
        store_at({**synchronous, "port": synchronous["grpc_port"], "grpc_port": metrics}).check()
    with pytest.raises(ValidationError, match="is the port of REST"):
        store_at({**synchronous, "grpc_port": synchronous["port"]})


def test_a_grpc_port_of_nothing_is_named(synchronous: dict[str, Any]) -> None:
    start = time.monotonic()
    with pytest.raises(AdapterUnavailable, match="gRPC port"):
        store_at({**synchronous, "grpc_port": Ports.free().grpc}).check()
    assert time.monotonic() - start < 30  # the client's own pauses take 63


@pytest.mark.parametrize("full_text", [False, True])
def test_zero_documents_are_no_neighbours_and_zero_queries_find_nothing(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, full_text: bool
) -> None:
    vectors, queries = (array.copy() for array in corpus(200))
    vectors[[0, 7, 199]], queries[3] = 0, 0
    store = opened(synchronous, type="hnsw", full_text=full_text)
    texts = [f"word{i}" for i in range(200)]
    ref = build(store, batches(texts, vectors), tmp_path)
    try:
        assert (ref.rows, ref.given) == ((200, 200) if full_text else (197, 200))
        hits = search(store, ref, queries, 190, ef=400)
        assert (hits.rows[3] == -1).all() and not np.isin(hits.rows, [0, 7, 199]).any()
        best = exact_top_k(queries, vectors, 190, Similarity.COSINE)
        assert np.allclose(hits.scores, best.scores, atol=1e-5)
    finally:
        store.drop(ref)
