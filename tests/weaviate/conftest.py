"""Real Weaviate servers for the tests: one named by BENCH_WEAVIATE_URL, or started from the binary on free ports."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Context
from adapters.servers import weaviate as weaviate_server
from adapters.servers.weaviate import Ports, Server
from tests.conftest import absent

METRICS = {"PROMETHEUS_MONITORING_ENABLED": "true"}
# The only node of its cluster need not wait five seconds for a leader to call.
ALONE = {"RAFT_TIMEOUTS_MULTIPLIER": "1", **METRICS}


@pytest.fixture(scope="session")
def server_binary() -> Path:
    """The built server."""
    built = weaviate_server.binary()
    if built is None:
        absent(f"no Weaviate server on this machine. {weaviate_server.advice()}")
        raise AssertionError
    return built


@pytest.fixture(scope="session")
def asynchronous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Connection settings of a server with asynchronous indexing. BENCH_WEAVIATE_URL names one, with
    BENCH_WEAVIATE_GRPC_PORT (50051) and its key, where it asks for one, in BENCH_WEAVIATE_KEY."""
    if url := os.environ.get("BENCH_WEAVIATE_URL"):
        key = {"api_key_env": "BENCH_WEAVIATE_KEY"} if "BENCH_WEAVIATE_KEY" in os.environ else {}
        yield {"url": url, "grpc_port": int(os.environ.get("BENCH_WEAVIATE_GRPC_PORT", "50051")), **key}
    else:
        yield from running(tmp_path_factory, {})


@pytest.fixture(scope="session")
def synchronous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Connection settings of a server that indexes while it inserts."""
    yield from running(tmp_path_factory, {"ASYNC_INDEXING": "false"})


@pytest.fixture
def mortal(server_binary: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that a test may kill; it indexes while it inserts."""
    server = Server(tmp_path / "server", Ports.free(), {**ALONE, "ASYNC_INDEXING": "false"})
    server.start()
    try:
        server.wait_ready()
        yield server
    finally:
        server.kill()


@pytest.fixture
def opened() -> Iterator[Any]:
    """Makes stores that are closed, and whose indexes are dropped, after the test."""
    made: list[Any] = []

    def make(connection: dict[str, Any], **index: Any) -> Any:
        store = store_at(connection, **index)
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


def revive(server: Server) -> None:
    """Start a killed server again."""
    server.start()
    server.wait_ready()


def running(factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A server of its own while the tests run; its connection settings."""
    if weaviate_server.binary() is None:
        absent(f"no Weaviate server on this machine. {weaviate_server.advice()}")
    server = Server(factory.mktemp("weaviate"), Ports.free(), {**ALONE, **environment})
    server.start()
    try:
        server.wait_ready()
        yield connection_of(server)
    finally:
        server.kill()


def connection_of(server: Server) -> dict[str, Any]:
    """How to reach a running server. Its key is put where an experiment that names it finds it."""
    variable = f"WEAVIATE_KEY_{server.ports.http}"
    os.environ[variable] = server.key or ""
    return {
        "api_key_env": variable,
        "host": "127.0.0.1",
        "port": server.ports.http,
        "grpc_port": server.ports.grpc,
        "data_path": str(server.data_path),
        "metrics_url": server.metrics_url,
    }


def store_at(connection: dict[str, Any], **index: Any) -> Any:
    """A Weaviate store with these index options."""
    from adapters.stores.weaviate import WeaviateStore

    return WeaviateStore(WeaviateStore.Index(**index), WeaviateStore.Connection(**connection), Context())


def answered(url: str, key: str | None) -> Any:
    """What REST answers to the holder of the key."""
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked) as answer:
        return json.load(answer)
