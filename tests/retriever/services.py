"""An experiment whose systems use services: stand-ins of managed ones, a search service, and a Weaviate server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import small
from tests.search_service import Service
from tests.standin import StandIn

DOCUMENTS = 300


def texts_of(folder: Path) -> dict[str, str]:
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["_id"]: row["text"] for row in map(json.loads, lines)}


@contextmanager
def search_service(folder: Path) -> Iterator[Service]:
    """Finds documents of the collection that share words with a query."""
    texts = {name: set(text.split()) for name, text in texts_of(folder).items()}

    def answer(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
        words = set(body["q"].split())
        scores = {name: len(words & held) + int(name[1:]) / 1000 for name, held in texts.items()}
        best = sorted(scores.items(), key=lambda hit: -hit[1])[: body["n"]]
        return 200, json.dumps({"hits": [{"id": name, "score": score} for name, score in best]}), {}

    service = Service(answer)
    try:
        yield service
    finally:
        service.stop()


def experiment(standin: StandIn, search: Service, weaviate: dict[str, Any] | None) -> dict[str, Any]:
    """Systems over services. weaviate: connection of a server, None for none."""
    cohere = {"adapter": "cohere", "output_dimension": 256}
    stores: dict[str, Any] = {
        "bm25": {"adapter": "bm25"},
        "pq": {"adapter": "lancedb", "index": {"type": "IVF_PQ", "num_sub_vectors": 16, "num_partitions": 1}},
        "search": {
            "adapter": "http",
            "index": {
                "url": search.url,
                "body": {"q": "{query}", "n": "{k}"},
                "ids": "hits.*.id",
                "scores": "hits.*.score",
            },
        },
    }
    systems: list[Any] = [
        {"name": "bm25", "store": "bm25"},
        {"name": "cohere", "encoder": "pro"},
        {"name": "cohere-int8", "encoder": "int8"},
        {"name": "openai-pq", "encoder": "openai", "store": "pq"},
        {"name": "one-space", "encoder": {"document": "pro", "query": "fast"}, "store": "pq"},
        {"name": "search", "store": "search"},
        {"name": "reranked", "store": "bm25", "reranker": "cohere", "depth": 20},
        {"name": "by-server", "encoder": "openai", "reranker": "server", "depth": 20},
        {"name": "by-vectors", "store": "bm25", "reranker": "vectors", "depth": 20},
        {"name": "by-bm25", "encoder": "pro", "reranker": "words", "depth": 30},
        {"name": "fused", "fuse": ["cohere", "search"], "by": "rrf", "depth": 30},
    ]
    if weaviate is not None:
        at = {"adapter": "weaviate", "index": {"full_text": True}, **weaviate}
        stores |= {
            "weaviate": at,
            "weaviate-text": {**at, "query": {"mode": "text"}},
            "weaviate-hybrid": {**at, "query": {"mode": "hybrid", "alpha": 0.4}},
        }
        systems += [
            {"name": "w-vector", "encoder": "pro", "store": "weaviate"},
            {"name": "w-filtered", "encoder": "pro", "store": "weaviate", "filter": {"lang": "en"}},
            {"name": "w-text", "store": "weaviate-text"},
            {"name": "w-hybrid", "encoder": "pro", "store": "weaviate-hybrid"},
        ]
    return small.spec(
        systems,
        encoders={
            "pro": {**cohere, "model": "embed-v5.0-pro"},
            "fast": {**cohere, "model": "embed-v5.0-fast"},
            "int8": {**cohere, "model": "embed-v5.0-pro", "embedding_type": "int8"},
            "openai": {"adapter": "openai", "model": "text-embedding-3-small", "dimensions": 256},
        },
        stores=stores,
        rerankers={
            "cohere": {"adapter": "cohere", "model": "rerank-v5.0-pro"},
            "server": {
                "adapter": "rerank_api",
                "model": "rerank-v5.0-pro",
                "base_url": standin.url,
                "api_key_env": "CO_API_KEY",
            },
            "vectors": {"adapter": "bi_encoder", "encoder": "openai"},
            "words": {"adapter": "bm25"},
        },
        measures=["nDCG@10"],
    )
