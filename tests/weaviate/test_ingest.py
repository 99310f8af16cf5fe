"""Rows written into a real server while it is searched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests import small
from tests.weaviate.conftest import answered

ADDRESS = ("host", "port", "grpc_port", "url", "api_key_env")


def test_all_rows_are_held_and_no_scratch_collection_is_left(tmp_path: Path, asynchronous: dict[str, Any]) -> None:
    small.vectors(tmp_path / "data", documents=600, queries=20)
    connection = {
        key: value for key, value in asynchronous.items() if key in ("host", "port", "grpc_port", "url", "api_key_env")
    }
    kinds = {"hnsw": {"type": "hnsw"}, "hfresh": {"type": "hfresh"}}
    spec = {
        "experiment": "writing",
        "dataset": {"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": {name: {"adapter": "weaviate", "index": index, **connection} for name, index in kinds.items()},
        "systems": [{"name": name, "encoder": "given", "store": name} for name in kinds],
        "measures": ["ANN@10"],
        "latency": [
            {"samples": 30, "turn_seconds": 0.001},
            {"seconds": 10, "ingest": {"rows_per_second": 200, "batch": 20}},
        ],
    }
    _, result = small.measure(tmp_path, spec)
    assert not result.warnings
    for entry in result.systems:
        written = entry.loads[1].ingest
        assert written is not None and written.error is None
        assert (written.rows, written.rows_held_after, written.failed_batches) == (60, 600, 0)
        assert (written.found_after or 0) >= 0.99
    assert small.bench("clean", "--cache", tmp_path / "cache", "--yes", "--trust").exit_code == 0
    assert not [name for name in collections(asynchronous) if "ingest" in name.lower()]


def test_what_a_build_that_did_not_end_left_on_the_server_is_dropped_by_clean(
    tmp_path: Path, asynchronous: dict[str, Any]
) -> None:
    before = collections(asynchronous)
    small.vectors(tmp_path / "data", documents=400, queries=5)
    connection = {
        key: value for key, value in asynchronous.items() if key in ("host", "port", "grpc_port", "url", "api_key_env")
    }
    spec = {
        "experiment": "unfinished",
        "dataset": {"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": {"pq": {"adapter": "weaviate", "index": {"type": "hnsw", "quantizer": "pq"}, **connection}},
        "systems": [{"name": "pq", "encoder": "given", "store": "pq"}],
        "measures": ["ANN@10"],
        "latency": False,
    }
    _, result = small.measure(tmp_path, spec)
    assert small.by_name(result)["pq"].status == "not_indexed"
    assert len(collections(asynchronous)) == len(before) + 1
    cleaned = small.bench("clean", "--cache", tmp_path / "cache", "--yes", "--trust")
    assert cleaned.exit_code == 0 and "dropped unfinished index" in cleaned.stdout + cleaned.stderr
    assert collections(asynchronous) == before


def collections(connection: dict[str, Any]) -> set[str]:
    address = connection.get("url") or f"http://{connection['host']}:{connection['port']}"
    schema = answered(f"{address}/v1/schema", os.environ.get(connection.get("api_key_env", "")))
    return {found["class"] for found in schema["classes"]}
