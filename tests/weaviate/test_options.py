"""What the store refuses before anything is built; needs no Weaviate server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.base import AdapterRejected, AdapterUnavailable, InvalidOptions, Similarity
from adapters.registry import load
from adapters.servers.weaviate import Ports
from adapters.stores._fields import MetaFields
from adapters.stores.weaviate import WeaviateStore
from adapters.stores.weaviate.fields import property_name, property_names
from adapters.stores.weaviate.schema import Mark, class_name
from tests.weaviate.conftest import store_at

Index, Query, Connection = WeaviateStore.Index, WeaviateStore.Query, WeaviateStore.Connection


@pytest.fixture
def answering() -> Iterator[Any]:
    """Starts HTTP servers that answer everything alike; gives connection settings."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, body: str) -> dict[str, Any]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return {"url": f"http://127.0.0.1:{server.server_port}", "connect_seconds": 1}

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_registry_knows_the_store() -> None:
    assert load("stores", "weaviate") is WeaviateStore


def test_ivf_pq_resolves_to_hfresh_and_says_so() -> None:
    store = WeaviateStore(Index(type="IVF_PQ"), Connection())
    assert store.index.kind == "hfresh"
    assert "ivf_pq on Weaviate is hfresh" in (store.note() or "")
    assert WeaviateStore(Index(type="hfresh"), Connection()).note() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segments": 8}, "segments has no effect with quantizer none"),
        ({"type": "flat", "quantizer": "pq"}, "pq does not go with type flat"),
        ({"type": "hfresh", "quantizer": "bq"}, "bq does not go with type hfresh"),
        ({"type": "hfresh", "quantizer": "none"}, "none does not go with type hfresh"),
        ({"type": "hfresh", "bits": 8}, "bits 8 does not go with hfresh"),
        ({"type": "flat", "ef_construction": 64}, "ef_construction has no effect on type flat"),
        ({"type": "hnsw", "threshold": 10}, "threshold has no effect on type hnsw"),
        ({"type": "hnsw", "cache": True, "quantizer": "bq"}, "cache has no effect on type hnsw"),
        ({"quantizer": "rq", "bits": 4}, "8 or 1"),
        ({"tokenization": "word"}, "tokenization has no effect without full_text"),
        ({"tenant": "a", "shards": 3}, "shards have no effect with a tenant"),
    ],
)
def test_an_index_option_that_the_server_would_drop_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Index(**options)


@pytest.mark.parametrize(
    ("index", "query", "key"),
    [
        ({}, {"mode": "text"}, "query.mode"),
        ({"type": "flat"}, {"ef": 64}, "query.ef"),
        ({"type": "hnsw"}, {"search_probe": 64}, "query.search_probe"),
        ({"type": "hnsw"}, {"rescore_limit": 64}, "query.rescore_limit"),
        ({"type": "hnsw", "quantizer": "pq"}, {"rescore_limit": 64}, "query.rescore_limit"),
    ],
)
def test_a_search_option_that_the_index_does_not_heed_is_refused(
    index: dict[str, Any], query: dict[str, Any], key: str
) -> None:
    with pytest.raises(InvalidOptions) as refused:
        WeaviateStore(Index(**index), Connection()).consumes(Query(**query))
    assert refused.value.key == key


@pytest.mark.parametrize("query", [{"alpha": 0.5}, {"mode": "text", "fusion": "ranked"}, {"bm25_operator": "and"}])
def test_a_search_option_of_another_mode_is_refused(query: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="has no effect in mode"):
        Query(**query)


def test_a_search_needs_what_its_mode_says() -> None:
    store = WeaviateStore(Index(full_text=True), Connection())
    assert store.consumes(Query()) == {"vector"}
    assert store.consumes(Query(mode="text")) == {"text"}
    assert store.consumes(Query(mode="hybrid")) == {"vector", "text"}


def test_hfresh_by_dot_product_is_refused_before_the_run() -> None:
    store = WeaviateStore(Index(type="ivf_pq"), Connection())
    with pytest.raises(InvalidOptions, match="dot product"):
        store.plan(1000, 64, Similarity.DOT)
    store.plan(1000, 64, Similarity.COSINE)


def test_segments_that_do_not_divide_the_dimension_are_refused_before_the_run() -> None:
    with pytest.raises(InvalidOptions, match="48 does not divide the dimension 100"):
        WeaviateStore(Index(quantizer="pq", segments=48), Connection()).plan(1000, 100, Similarity.COSINE)


def test_an_index_without_vectors_and_without_texts_is_refused() -> None:
    with pytest.raises(InvalidOptions, match="full_text"):
        WeaviateStore(Index(), Connection()).plan(1000, None, None)


def test_a_server_that_is_not_there_is_named_at_once() -> None:
    port = Ports.free().http
    start = time.monotonic()
    with pytest.raises(AdapterUnavailable, match=rf"needs a server at http://127\.0\.0\.1:{port}"):
        store_at({"host": "127.0.0.1", "port": port}).check()
    assert time.monotonic() - start < 30  # the client's own pauses take 63


def test_a_server_too_old_for_an_index_type_is_named_before_the_run(answering: Any) -> None:
    old = answering(200, json.dumps({"version": "1.30.4"}))
    with pytest.raises(AdapterRejected, match=r"Weaviate 1\.30\.4; hfresh needs 1\.36 or newer"):
        store_at(old, type="hfresh").check()
    with pytest.raises(AdapterRejected, match=r"rq needs 1\.32"):
        store_at(old, quantizer="rq").check()


def test_a_wrong_key_is_named_by_its_variable(answering: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = answering(401, '{"error": [{"message": "unauthorized"}]}')
    with pytest.raises(AdapterRejected, match="api_key_env"):
        store_at(locked).check()
    monkeypatch.setenv("LAW_KEY", "wrong")
    with pytest.raises(AdapterRejected, match="Check the key in LAW_KEY"):
        store_at({**locked, "api_key_env": "LAW_KEY"}).check()
    monkeypatch.delenv("LAW_KEY")
    with pytest.raises(AdapterRejected, match="LAW_KEY, which is not set"):
        store_at({**locked, "api_key_env": "LAW_KEY"}).check()


def test_a_literal_key_has_no_place_in_the_options() -> None:
    with pytest.raises(ValidationError, match="api_key"):
        Connection(api_key="wcs-abc")
    with pytest.raises(ValidationError, match="api_key_env"):
        Connection(api_key_env="a literal key!")
    with pytest.raises(ValidationError, match="cloud needs api_key_env"):
        Connection(cloud="x.weaviate.cloud")


@pytest.mark.parametrize("body", ["<html>hello</html>", "{}", "[]"])
def test_a_server_that_is_no_weaviate_is_said_to_be_none(answering: Any, body: str) -> None:
    with pytest.raises(AdapterRejected, match=r"not as a Weaviate server|no Weaviate server"):
        store_at(answering(200, body)).check()


def test_a_closed_grpc_port_is_named(answering: Any) -> None:
    port = Ports.free().grpc
    with pytest.raises(AdapterUnavailable, match=f"gRPC port 127.0.0.1:{port}"):
        store_at({**answering(200, '{"version": "1.38.11"}'), "grpc_port": port}).check()


@pytest.mark.parametrize(
    ("options", "address", "grpc"),
    [
        ({}, "http://localhost:8080", ("localhost", 50051)),
        ({"host": "db", "port": 81, "grpc_port": 82}, "http://db:81", ("db", 82)),
        ({"url": "https://db.example:8443/", "grpc_host": "g"}, "https://db.example:8443", ("g", 50051)),
        ({"cloud": "a.weaviate.cloud", "api_key_env": "K"}, "https://a.weaviate.cloud", ("grpc-a.weaviate.cloud", 443)),
    ],
)
def test_every_way_to_name_a_server_gives_both_addresses(
    options: dict[str, Any], address: str, grpc: tuple[str, int]
) -> None:
    connection = Connection(**options)
    assert (connection.address, connection.grpc) == (address, grpc)


def test_a_server_named_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="name the server twice"):
        Connection(host="a", url="http://b")


def test_different_fields_never_meet_in_one_property() -> None:
    names = ["year", "Year", "a.b", "a_b", "a b", "ä", "a_2e_b", "日"]
    assert len({property_name(name) for name in names}) == len(names)
    assert property_name("year") == "meta_year"
    # The server takes names that differ in capitals alone for one.
    assert len({name.lower() for name in property_names(names).values()}) == len(names)
    assert property_names(["Year", "ä"]) == {"Year": property_name("Year"), "ä": property_name("ä")}
    assert class_name("a1-b2") == "Bench_a1_b2"


def test_a_mark_reads_back_and_nothing_else_passes_for_one() -> None:
    mark = Mark("name", 10, 1.5, {"ef": -1})
    assert Mark.read(mark.write()) == mark
    for text in (None, "", "my collection", "[]", '{"a": 1}'):
        assert Mark.read(text) is None


def test_columns_that_no_filter_can_ask_stay_out() -> None:
    import pyarrow as pa

    nested = pa.struct([("a", pa.int64())])
    schema = pa.schema(
        [("row", pa.int32()), ("meta.year", pa.int16()), ("meta.who", nested), ("meta.tags", pa.list_(pa.string()))]
    )
    fields = MetaFields.load(MetaFields.of(pa.RecordBatch.from_pylist([], schema)).dump())
    assert fields.schema.names == ["meta.year", "meta.tags"]
