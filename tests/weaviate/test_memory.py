"""What a run tells of a real server's memory and disk, and the server of `make weaviate-up`, which needs no naming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.servers import weaviate as weaviate_server
from adapters.servers.weaviate import Ports, ServerFailed
from adapters.stores.weaviate.options import WeaviateConnection
from bench.results.model import SystemResult
from tests import small
from tests.weaviate.conftest import store_at
from tests.weaviate.corpora import build, corpus


def told(folder: Path, connection: dict[str, Any]) -> tuple[SystemResult, list[str]]:
    """What a run through this server says of its system, and the warnings about its store."""
    small.vectors(folder / "data", documents=400, queries=20)
    experiment = {
        "experiment": "memory",
        "dataset": {"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": {"far": {"adapter": "weaviate", "index": {"type": "flat"}, **connection}},
        "systems": [{"name": "far", "encoder": "given", "store": "far"}],
        "measures": ["ANN@10"],
        "latency": {"samples": 6, "seconds": 5, "turn_seconds": 0.001},
    }
    written, result = small.measure(folder, experiment)
    events = [json.loads(line) for line in (written / "events.jsonl").read_text().splitlines()]
    return result.systems[0], [e["message"] for e in events if e["event"] == "Warned" and e["about"] == "far"]


def test_a_run_tells_the_memory_of_a_server_and_nothing_of_a_build_that_it_did_not_do(
    synchronous: dict[str, Any], tmp_path: Path
) -> None:
    system, warnings = told(tmp_path / "first", synchronous)
    memory = system.memory
    assert memory is not None and memory.where == "server" and not warnings
    assert min(memory.build_before_bytes or 0, memory.search_peak_bytes or 0) > 50e6
    assert (memory.build_peak_bytes or 0) >= (memory.build_before_bytes or 0)
    assert (system.index_bytes or 0) > 400 * 32 * 4

    again, _ = told(tmp_path / "second", synchronous)  # another cache: the server has the collection already
    assert again.memory is not None and again.memory.build_peak_bytes is None and again.memory.search_peak_bytes


def test_metrics_that_fail_are_one_warning_and_no_failure(synchronous: dict[str, Any], tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{Ports.free().metrics}/metrics"
    system, warnings = told(tmp_path, {**synchronous, "metrics_url": nobody})
    assert system.status == "success" and system.memory is not None
    assert (system.memory.build_peak_bytes, system.memory.search_peak_bytes) == (None, None)
    assert len(warnings) == 1 and nobody in warnings[0]


@pytest.mark.parametrize(
    ("connection", "ports"),
    [
        ({}, [2112]),
        ({"url": "http://127.0.0.1:8080/"}, [2112]),
        ({"port": 8091}, [2122, 2123, 2124]),
        ({"port": 8079}, []),
        ({"host": "db.example.org", "port": 8080}, []),
        ({"metrics_url": "http://db:1/metrics"}, [1]),
    ],
)
def test_the_metrics_of_servers_started_here_need_no_name(connection: dict[str, Any], ports: list[int]) -> None:
    urls = WeaviateConnection(**connection).metrics_urls
    assert [int(url.removesuffix("/metrics").rpartition(":")[2]) for url in urls] == ports


def test_the_data_folder_of_a_server_that_does_not_run_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    weaviate_server.local_server().data_path.mkdir(parents=True)
    assert WeaviateConnection().data_paths == ()


def test_the_server_of_the_makefile_tells_memory_and_disk_unasked(
    server_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    server = weaviate_server.local_server()
    try:
        server.start()
    except ServerFailed as error:
        pytest.skip(f"its ports are fixed: {error}")
    try:
        server.wait_ready()
        with store_at({}, type="flat") as store:
            ref = build(store, corpus(300)[0], tmp_path)
            assert (store.describe(ref).bytes or 0) > 300 * 32 * 4
            assert (store.server_memory() or 0) > 50e6
    finally:
        server.kill()
