"""The code of the store `http` asks and reads as its adapter does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import Filter, InvalidOptions
from adapters.code import http_search
from adapters.code.contract import RetrieverError
from adapters.stores import http
from adapters.stores.http import HttpStore
from tests.code.made import assert_finds, expected, made
from tests.search_service import Answer, Service
from tests.stores.arrays import build

TEXTS = ["red fox", "red dog", "blue dog", "green cat"]
ASKED = ["red dog", 'a "blue" {query} \\ dog', "nothing"]
VECTORS = np.eye(3, 4, dtype=np.float32)


def by_words(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
    words = set(body["query"]["match"].split())
    scores = {f"d{i}": len(words & set(text.split())) for i, text in enumerate(TEXTS)}
    found = sorted((hit for hit in scores.items() if hit[1]), key=lambda hit: -hit[1])[: body["size"]]
    hits = [{"_id": name, "_score": score, "text": TEXTS[int(name[1:])]} for name, score in found]
    if "unknown" in body:
        hits.append({"_id": "elsewhere", "_score": 9, "text": None})
    return 200, json.dumps({"hits": {"hits": hits}}), {}


WORDS: dict[str, Any] = {
    "body": {"query": {"match": "{query}"}, "size": "{k}"},
    "ids": "hits.hits.*._id",
    "scores": "hits.hits.*._score",
    "texts": "hits.hits.*.text",
}


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Service]]:
    services: list[Service] = []

    def start(answer: Answer) -> Service:
        services.append(Service(answer))
        return services[-1]

    yield start
    for service in services:
        service.stop()


@pytest.mark.parametrize(
    ("more", "query", "payload"),
    [
        ({}, {}, False),
        ({}, {}, True),
        ({"scores": None}, {}, False),
        ({"smaller_is_better": True}, {}, False),
        ({"body": {**WORDS["body"], "unknown": 1}, "unknown_ids": "ignore"}, {}, True),
        ({"body": {**WORDS["body"], "v": "{vector}", "ef": "x{ef}"}, "parameters": {"p": "{ef}"}}, {"ef": 7}, False),
    ],
)
def test_it_finds_what_the_adapter_finds(
    serve: Callable[[Answer], Service], tmp_path: Path, more: dict[str, Any], query: dict[str, Any], payload: bool
) -> None:
    service = serve(by_words)
    store = HttpStore(HttpStore.Index(url=service.url, **{**WORDS, **more}), HttpStore.Connection())
    ref, options = build(store, tmp_path / "place", TEXTS), store.Query(values=query)
    vectors = VECTORS if "v" in store.index.body else None
    with store:
        wanted = expected(store, ref, options, ASKED, vectors, 3, payload=payload)
        asked, service.asked = [(path, body) for path, _, body in service.asked], []
        assert_finds(made(store.export(ref, options, payload=payload)), wanted, ASKED, vectors, 3)
        assert [(path, body) for path, _, body in service.asked] == asked * 2


def test_templates_are_filled_by_the_code_of_the_adapter() -> None:
    assert http_search.filled_template is http.filled_template


def test_the_key_goes_into_its_header_and_is_asked_for_by_name(
    serve: Callable[[Answer], Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve(by_words)
    connection = HttpStore.Connection(api_key_env="SEARCH_KEY", api_key_header="X-Key: k={key}")
    store = HttpStore(HttpStore.Index(url=service.url, **WORDS), connection)
    ref = build(store, tmp_path / "place", TEXTS)
    piece = store.export(ref, store.Query())
    assert piece.keys == ("SEARCH_KEY",)
    with pytest.raises(RetrieverError, match="export SEARCH_KEY="):
        made(piece).search("red", None, 3)
    monkeypatch.setenv("SEARCH_KEY", "s3cret")
    part = made(piece)
    assert [hit.document for hit in part.search("red dog", None, 2)] == [1, 0]
    assert service.asked[-1][1]["x-key"] == "k=s3cret"
    part.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((403, "no", {}), "refused the key"),
        ((500, "broken", {}), "answered 500: broken"),
        ((200, "<html>", {}), "did not answer with JSON"),
        ((200, '{"hits": {}}', {}), "has no 'hits' on the way"),
        ((200, '{"hits": {"hits": [{"_id": "d9", "_score": 1, "text": ""}]}}', {}), "id 'd9', which is not among"),
        ((200, '{"hits": {"hits": [{"_id": "d1", "_score": "1", "text": ""}]}}', {}), "no finite number"),
        ((302, "", {"Location": "http://elsewhere"}), "answered 302"),
    ],
)
def test_what_the_service_does_wrong_is_told(
    serve: Callable[[Answer], Service], tmp_path: Path, answer: tuple[int, str, dict[str, str]], message: str
) -> None:
    service = serve(lambda path, headers, body: answer)
    store = HttpStore(HttpStore.Index(url=service.url, **WORDS), HttpStore.Connection())
    part = made(store.export(build(store, tmp_path / "place", TEXTS), store.Query()))
    with pytest.raises(RetrieverError, match=message):
        part.search("red", None, 3)
    part.close()


def test_a_passing_failure_is_tried_again_and_a_lasting_one_told(
    serve: Callable[[Answer], Service], tmp_path: Path
) -> None:
    left = [2]

    def answer(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
        left[0] -= 1
        return (503, "later", {"Retry-After": "0.01"}) if left[0] >= 0 else by_words(path, headers, body)

    service = serve(answer)
    store = HttpStore(HttpStore.Index(url=service.url, **WORDS), HttpStore.Connection(retries=2))
    part = made(store.export(build(store, tmp_path / "place", TEXTS), store.Query()))
    assert [hit.document for hit in part.search("red dog", None, 1)] == [1]
    left[0] = 99
    with pytest.raises(RetrieverError, match="answered 503"):
        part.search("red dog", None, 1)
    part.close()


def test_a_service_that_is_away_and_a_filter_are_refused(serve: Callable[[Answer], Service], tmp_path: Path) -> None:
    store = HttpStore(HttpStore.Index(url="http://127.0.0.1:9/x", **WORDS), HttpStore.Connection(retries=0))
    ref = build(store, tmp_path / "place", TEXTS)
    part = made(store.export(ref, store.Query()))
    with pytest.raises(RetrieverError, match=r"127.0.0.1:9/x cannot be reached"):
        part.search("red", None, 3)
    part.close()
    with pytest.raises(InvalidOptions, match="cannot filter"):
        store.export(ref, store.Query(), filter=Filter.parse({"a": 1}))
