"""A server on loopback that answers as it likes, and the adapters that may come to ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np

from adapters import registry
from adapters.base import Context, Corpus, Queries, TextRows
from tests.security.recording import Reply
from tests.stores.arrays import build


def saying(body: bytes, status: int = 200, **headers: str) -> Reply:
    """An answer of that body."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def _encoder(adapter: str, folder: Path, options: Mapping[str, Any]) -> None:
    kind = registry.load("encoders", adapter)
    with kind(kind.Options.model_validate({"backoff_seconds": 0.001, **options}), Context(folder)) as encoder:
        encoder.encode(TextRows(["a secret document"]), "document")


def _reranker(adapter: str, folder: Path, options: Mapping[str, Any]) -> None:
    kind = registry.load("rerankers", adapter)
    with kind(kind.Options.model_validate({"backoff_seconds": 0.001, **options}), Context(folder)) as reranker:
        reranker.prepare(Corpus(["a secret document"]))
        reranker.score(Queries(texts=["a question"]), np.zeros((1, 1), np.int32))


def _http(folder: Path, url: str, timeout_seconds: float, key: str) -> None:
    kind = registry.load("stores", "http")
    index = kind.Index(url=f"{url}/find", body={"q": "{query}"}, ids="ids.*", scores="scores.*")
    connection = kind.Connection(timeout_seconds=timeout_seconds, api_key_env=key, api_key_header="X-Own: {key}")
    with kind(index, connection, Context(folder)) as store:
        reference = build(store, folder / "place", ["a secret document"])
        with store.open(reference) as session:
            session.search(Queries(texts=["a secret document"]), 1)


#: What asks a server: given the folder, its URL, the seconds that an answer may take, and the variable of the key.
CLIENTS: Mapping[str, Callable[[Path, str, float, str], None]] = {
    "openai": lambda folder, url, seconds, key: _encoder(
        "openai",
        folder,
        {"model": "m", "dimension": 4, "base_url": f"{url}/v1", "api_key_env": key, "timeout_seconds": seconds},
    ),
    "cohere encoder": lambda folder, url, seconds, key: _encoder(
        "cohere",
        folder,
        {"model": "embed-v4.0", "base_url": url, "api_key_env": key, "timeout_seconds": seconds},
    ),
    "cohere reranker": lambda folder, url, seconds, key: _reranker(
        "cohere",
        folder,
        {"model": "rerank-v3.5", "base_url": url, "api_key_env": key, "timeout_seconds": seconds},
    ),
    "rerank_api": lambda folder, url, seconds, key: _reranker(
        "rerank_api", folder, {"model": "m", "base_url": url, "api_key_env": key, "timeout_seconds": seconds}
    ),
    "http": _http,
}
