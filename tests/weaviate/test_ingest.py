"""Rows written into a real server while it is searched."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests import small


def test_all_rows_are_held_and_no_scratch_collection_is_left(tmp_path: Path, asynchronous: dict[str, Any]) -> None:
    small.vectors(tmp_path / "data", documents=600, queries=20)
    connection = {key: value for key, value in asynchronous.items() if key in ("host", "port", "grpc_port", "url")}
    kinds = {"hnsw": {"type": "hnsw"}, "hfresh": {"type": "hfresh"}}
    spec = {
        "experiment": "writing",
        "dataset": {"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": {name: {"adapter": "weaviate", "index": index, **connection} for name, index in kinds.items()},
        "systems": [{"name": name, "encoder": "given", "store": name} for name in kinds],
        "measures": ["ANN@10"],
        "latency": [{"samples": 30}, {"seconds": 10, "ingest": {"rows_per_second": 200, "batch": 20}}],
    }
    _, result = small.measure(tmp_path, spec)
    assert not result.warnings
    for entry in result.systems:
        written = entry.loads[1].ingest
        assert written is not None and written.error is None
        assert (written.rows, written.rows_held_after, written.failed_batches) == (60, 600, 0)
        assert (written.found_after or 0) >= 0.99
    assert small.bench("clean", "--cache", tmp_path / "cache", "--yes").exit_code == 0
    address = asynchronous.get("url") or f"http://{asynchronous['host']}:{asynchronous['port']}"
    with urllib.request.urlopen(f"{address}/v1/schema") as answer:
        left = [found["class"] for found in json.load(answer)["classes"]]
    assert not [name for name in left if "ingest" in name.lower()]
