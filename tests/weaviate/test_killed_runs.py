"""Killed at any moment, a run over a Weaviate server and a search service ends as if nothing happened to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import small
from tests.killing import Place, check_same, kill_and_continue, launcher
from tests.search_service import Service
from tests.thorough import enough

DOCUMENTS, QUERIES = 300, 30


@pytest.fixture
def service() -> Iterator[Service]:
    """Finds the documents of a collection that share most words with the query."""
    texts: list[str] = []

    def answer(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
        words = set(body["query"].split())
        order = sorted(range(len(texts)), key=lambda i: (-len(words & set(texts[i].split())), i))[: body["k"]]
        return 200, json.dumps({"ids": [f"d{i}" for i in order]}), {}

    running = Service(answer)
    running.texts = texts
    yield running
    running.stop()


def place(folder: Path, connection: dict[str, Any], service: Service) -> Place:
    folder.mkdir()
    small.collection(folder / "data", documents=DOCUMENTS, queries=QUERIES)
    lines = (folder / "data" / "corpus.jsonl").read_text().splitlines()
    service.texts[:] = [json.loads(line)["text"] for line in lines]
    words = {"full_text": True, "type": "flat"}
    stores: dict[str, dict[str, Any]] = {
        "vector": {"adapter": "weaviate", "index": {"type": "flat"}},
        # 300 candidates for 300 documents: it finds the same whatever graph was built.
        "graph": {"adapter": "weaviate", "index": {"type": "hnsw"}, "query": {"ef": DOCUMENTS}},
        "text": {"adapter": "weaviate", "index": words, "query": {"mode": "text"}},
        "hybrid": {"adapter": "weaviate", "index": words, "query": {"mode": "hybrid"}},
    }
    asked = {"url": service.url, "body": {"query": "{query}", "k": "{k}"}, "ids": "ids.*"}
    systems: list[dict[str, Any]] = [
        {"name": "exact", "encoder": "words"},
        *({"name": s, "store": s, **({} if s == "text" else {"encoder": "words"})} for s in stores),
        {"name": "service", "store": "service"},
        {"name": "fused", "fuse": ["text", "service"], "depth": DOCUMENTS},
    ]
    experiment = small.spec(
        # All documents are asked for: which of several with the same score are left out is up to the server's build.
        [{**system, "k": DOCUMENTS} for system in systems],
        encoders={"words": {"adapter": "words"}},
        stores={
            **{name: {**store, **connection} for name, store in stores.items()},
            "service": {"adapter": "http", "index": asked},
        },
        baseline="exact",
        measures=["nDCG@10"],
        # Two workers, so that those whose queries are texts are asked by processes of their own.
        latency=[{"name": "two", "workers": 2, "processes": 2, "samples": 20, "seconds": 2}],
    )
    small.write(folder, experiment)
    return Place(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments_a_run_on_servers_ends_with_the_same_figures(
    synchronous: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    def drop(here: Place) -> None:
        cleaned = small.bench("clean", "--yes", "--trust", "--cache", here.folder / "cache")
        assert cleaned.exit_code == 0, cleaned.output

    def check(here: Place, undisturbed: Place) -> None:
        check_same(here, undisturbed, ignored=search_settings)
        drop(here)

    def make(folder: Path) -> Place:
        if (undisturbed := Place(tmp_path / "undisturbed")).folder.exists() and not folder.exists():
            drop(undisturbed)  # else the server would have its collections, and nothing would be built
        return place(folder, synchronous, service)

    with launcher(tmp_path, "weaviate") as started:
        kill_and_continue(started, tmp_path, make, kills=enough(4, 15), in_writing=1, seed=52, each=4, check=check)


def search_settings(difference: str) -> bool:
    """A collection keeps the `ef` of the searches before."""
    return ".vector_index.ef: " in difference
