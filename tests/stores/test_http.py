"""A search service behind HTTP, real on loopback: what is sent, what is read, and every way an answer can be wrong."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.base import (
    AdapterRejected,
    AdapterTimeout,
    AdapterUnavailable,
    Filter,
    Hits,
    IndexMissing,
    InvalidOptions,
    Queries,
    Similarity,
    exact_top_k,
)
from adapters.code.http_template import filled_template
from adapters.registry import load
from adapters.stores.http import HttpStore
from tests import small
from tests.search_service import Answer, Service
from tests.stores.arrays import build

TEXTS = ["red fox", "red dog", "blue dog", "green cat"]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Service]]:
    services: list[Service] = []

    def start(answer: Answer) -> Service:
        services.append(Service(answer))
        return services[-1]

    yield start
    for service in services:
        service.stop()


def always(value: Any, status: int = 200) -> Answer:
    text = value if isinstance(value, str) else json.dumps(value)
    return lambda path, headers, body: (status, text, {})


def by_words(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
    """Finds documents that share words with the query, in the form of a well-known search engine."""
    words = set(body["query"]["match"].split())
    scores = {f"d{i}": len(words & set(text.split())) for i, text in enumerate(TEXTS)}
    found = sorted((hit for hit in scores.items() if hit[1]), key=lambda hit: -hit[1])[: body["size"]]
    return 200, json.dumps({"hits": {"hits": [{"_id": name, "_score": score} for name, score in found]}}), {}


WORDS = {
    "body": {"query": {"match": "{query}"}, "size": "{k}"},
    "ids": "hits.hits.*._id",
    "scores": "hits.hits.*._score",
}
PLAIN: dict[str, Any] = {"body": {"q": "{query}"}, "ids": "ids.*"}


def store_at(url: str, index: dict[str, Any], **connection: Any) -> HttpStore:
    return HttpStore(HttpStore.Index(url=url, **index), HttpStore.Connection(**connection))


def searched(
    store: HttpStore, folder: Path, queries: Queries, limit: int = 3, texts: Any = TEXTS, **query: Any
) -> Hits:
    with store:
        ref = build(store, folder / "place", texts)
        with store.open(ref) as session:
            session.configure(store.Query(**query))
            return session.search(queries, limit)


def test_the_registry_knows_the_store() -> None:
    assert load("stores", "http") is HttpStore


def test_ids_and_scores_come_from_where_the_paths_lead(serve: Any, tmp_path: Path) -> None:
    store = store_at(serve(by_words).url, WORDS)
    assert store.consumes(store.Query()) == {"text"}
    hits = searched(store, tmp_path, Queries(texts=["red dog", "blue", "nothing"]))
    assert hits.rows[0, 0] == 1 and set(hits.rows[0, 1:].tolist()) == {0, 2}
    assert hits.rows[1:].tolist() == [[2, -1, -1], [-1, -1, -1]]
    assert hits.scores[0].tolist() == [2.0, 1.0, 1.0]
    assert np.isneginf(hits.scores[2]).all()


def test_texts_come_from_where_their_path_leads_and_only_where_asked_for(serve: Any, tmp_path: Path) -> None:
    """The documents of an answer are put in the order of their scores, and their texts with them."""
    hits = [{"id": "d1", "s": 1, "t": "one"}, {"id": "d3", "s": 3, "t": None}, {"id": "d0", "s": 2, "t": ""}]
    index = {"body": {"q": "{query}"}, "ids": "h.*.id", "scores": "h.*.s", "texts": "h.*.t"}
    with store_at(serve(always({"h": hits})).url, index) as store:
        ref = build(store, tmp_path / "place", TEXTS)
        with store.session(ref, payload=True) as session:
            for limit, texts in ((2, [None, ""]), (5, [None, "", "one"])):
                found = session.search(Queries(texts=["a", "b"]), limit)
                assert found.texts == [texts, texts]
        with store.session(ref) as session:
            assert session.search(Queries(texts=["a"]), 2).texts is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"ids": ["d1", "d2"], "t": ["one"]}, "2 ids at ids.* and 1 texts at t.*"),
        ({"ids": ["d1"], "t": [1]}, "gave 1 at t.*, which is no text"),
        ({"ids": ["d1"]}, "has no 't' at the top (index.texts: t.*)"),
    ],
)
def test_texts_that_do_not_go_with_the_ids_are_refused(serve: Any, tmp_path: Path, answer: Any, told: str) -> None:
    with store_at(serve(always(answer)).url, {**PLAIN, "texts": "t.*"}) as store:
        session = store.session(build(store, tmp_path / "place", TEXTS), payload=True)
        with pytest.raises(AdapterRejected, match=re.escape(told)):
            session.search(Queries(texts=["a"]), 2)


def test_an_index_without_a_path_to_texts_is_written_as_before_there_was_one() -> None:
    index = {"url": "http://localhost:1/", **PLAIN}
    assert "texts" not in HttpStore.Index(**index).model_dump(mode="json")
    assert HttpStore.Index(**index, texts="t.*").model_dump(mode="json")["texts"] == "t.*"


def test_one_query_and_many_give_the_same(serve: Any, tmp_path: Path) -> None:
    texts = ["red dog", "blue cat", "green", "fox fox"] * 5
    store = store_at(serve(by_words).url, WORDS, search_threads=8)
    with store:
        session = store.open(build(store, tmp_path / "place", TEXTS))
        many = session.search(Queries(texts=texts), 4)
        for i, text in enumerate(texts):
            one = session.search(Queries(texts=[text]), 4)
            assert (one.rows[0].tolist(), one.scores[0].tolist()) == (many.rows[i].tolist(), many.scores[i].tolist())
        session.close()


def test_a_search_by_vector_equals_the_oracle(serve: Any, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    queries = np.random.default_rng(1).standard_normal((6, 8)).astype(np.float32)

    def nearest(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
        assert body["ef"] == 64
        best = exact_top_k(np.array([body["v"]], np.float32), vectors, body["k"], Similarity.L2)
        distances = (-best.scores[0]).tolist()
        return 200, json.dumps({"d": distances, "n": [f"d{row}" for row in best.rows[0]]}), {}

    index = {
        "body": {"v": "{vector}", "k": "{k}", "ef": "{ef}"}, "ids": "n.*", "scores": "d.*", "smaller_is_better": True,
    }  # fmt: skip
    store = store_at(serve(nearest).url, index)
    assert store.consumes(store.Query(values={"ef": 64})) == {"vector"}
    with store:
        ref = build(store, tmp_path / "place", vectors=vectors, similarity=Similarity.L2)
        session = store.open(ref)
        session.configure(store.Query(values={"ef": 64}))
        hits = session.search(Queries(queries), 10)
        session.close()
    oracle = exact_top_k(queries, vectors, 10, Similarity.L2)
    assert np.array_equal(hits.rows, oracle.rows) and np.allclose(hits.scores, oracle.scores)


def test_get_sends_the_query_in_the_url_and_the_order_counts_without_scores(serve: Any, tmp_path: Path) -> None:
    service = serve(always({"ids": ["d3", "d1", "d3", "d0"]}))
    index = {"method": "GET", "parameters": {"q": "{query}", "n": "{k}", "lang": "en"}, "ids": "ids.*"}
    hits = searched(store_at(service.url, index), tmp_path, Queries(texts=["Köln & Umland?"]), 4)
    assert parse_qs(urlsplit(service.asked[0][0]).query) == {"q": ["Köln & Umland?"], "n": ["4"], "lang": ["en"]}
    assert hits.rows.tolist() == [[3, 1, 0, -1]]  # an id that comes twice counts once
    assert (np.diff(hits.scores[0, :3]) < 0).all()


def test_unknown_ids_are_left_out_where_the_config_says_so(serve: Any, tmp_path: Path) -> None:
    answer = [{"id": 7, "s": 5}, {"id": "d0", "s": 1}, {"id": "d2", "s": 3}, {"id": "d1", "s": 2}]
    index = {"body": {"q": "{query}"}, "ids": "*.id", "scores": "*.s", "unknown_ids": "ignore"}
    hits = searched(store_at(serve(always(answer)).url, index), tmp_path, Queries(texts=["x"]), 2)
    assert (hits.rows.tolist(), hits.scores.tolist()) == ([[2, 1]], [[3.0, 2.0]])  # the best two, by score


def test_the_key_comes_from_the_environment_and_goes_where_the_header_says(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve(always({"ids": []}))
    connection = {"api_key_env": "LAW_SEARCH_KEY", "api_key_header": "X-Api-Key: {key}"}
    monkeypatch.delenv("LAW_SEARCH_KEY", raising=False)
    with pytest.raises(AdapterRejected, match="LAW_SEARCH_KEY, which is not set"):
        store_at(service.url, PLAIN, **connection).check()
    monkeypatch.setenv("LAW_SEARCH_KEY", "s3cret")
    store_at(service.url, PLAIN, **connection).check()
    searched(store_at(service.url, PLAIN, **connection), tmp_path, Queries(texts=["x"]))
    assert service.asked[0][1]["x-api-key"] == "s3cret"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "https://user:pass@host/", **PLAIN}, "api_key_env"),
        ({"url": "http://host/", "headers": {"Authorization": "Bearer abc"}, **PLAIN}, "looks like a key"),
        ({"url": "host/search", **PLAIN}, "url"),
        ({"url": "http://host/"}, "ids"),
    ],
)
def test_a_literal_key_and_a_half_url_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HttpStore.Index(**options)


@pytest.mark.parametrize(
    ("index", "values", "message"),
    [
        ({"body": {"q": "constant"}, "ids": "x"}, {}, "neither {query} nor {vector}"),
        ({"body": {"q": "{query}", "n": "{top}"}, "ids": "x"}, {}, "{top} has no value"),
        (PLAIN, {"ef": 3}, "No template holds {ef}"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_before_the_run(
    index: dict[str, Any], values: dict[str, Any], message: str
) -> None:
    store = store_at("http://127.0.0.1:1/", index)
    with pytest.raises(InvalidOptions, match=message):
        store.consumes(store.Query(values=values))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (always("<html>oops</html>"), "did not answer with JSON"),
        (always('{"ids": ["d1"'), "did not answer with JSON"),
        (always({"error": "x", "took": 3}), "no 'ids' at the top .* it has the keys error, took"),
        (always({"ids": "d1"}), r"no '\*' at ids .* it has str"),
        (always({"ids": [{"id": "d1"}]}), "leads to no plain values"),
        (always({"ids": ["d1", "d99"]}), "found the id 'd99', which is not in the corpus"),
        (always({"ids": ["d1"]}, 404), "answered 404"),
        (always({"ids": ["d1"]}, 302), "answered 302"),
        (always("internal trouble", 500), "answered 500: internal trouble"),
        (always("no", 401), "refused the key"),
    ],
)
def test_a_wrong_answer_is_an_error_that_says_what_is_wrong(
    serve: Any, tmp_path: Path, answer: Answer, message: str
) -> None:
    with pytest.raises(AdapterRejected, match=message):
        searched(store_at(serve(answer).url, PLAIN), tmp_path, Queries(texts=["x"]))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"i": ["d1", "d2"], "s": [1]}', "2 ids at i.* and 1 scores"),
        ('{"i": ["d1"], "s": ["high"]}', "score 'high'"),
        ('{"i": ["d1"], "s": [NaN]}', "score nan"),
        ('{"i": ["d1"], "s": [true]}', "score True"),
    ],
)
def test_a_score_that_is_no_number_is_an_error(serve: Any, tmp_path: Path, body: str, message: str) -> None:
    index = {"body": {"q": "{query}"}, "ids": "i.*", "scores": "s.*"}
    with pytest.raises(AdapterRejected, match=message):
        searched(store_at(serve(always(body)).url, index), tmp_path, Queries(texts=["x"]))


def test_a_slow_answer_times_out(serve: Any, tmp_path: Path) -> None:
    over = threading.Event()

    def slow(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
        over.wait(30)
        return 200, '{"ids": []}', {}

    with pytest.raises(AdapterTimeout, match=r"no answer in 0\.3 s"):
        searched(store_at(serve(slow).url, PLAIN, timeout_seconds=0.3), tmp_path, Queries(texts=["x"]))
    over.set()


def test_an_answer_that_comes_drop_by_drop_times_out(serve: Any, tmp_path: Path) -> None:
    service = serve(always('{"ids": ["d1", "d2", "d3"]}' + 600 * " "))
    service.piece, service.pause = 1, 0.1
    start = time.monotonic()
    with pytest.raises(AdapterTimeout, match=r"no answer in 0\.3 s"):
        searched(store_at(service.url, PLAIN, timeout_seconds=0.3), tmp_path, Queries(texts=["x"]))
    assert time.monotonic() - start < 30  # the answer would be whole after a minute


def test_a_passing_failure_is_tried_again_and_a_lasting_one_is_told(serve: Any, tmp_path: Path) -> None:
    def moody(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
        if len(service.asked) <= 2:
            return 503, "busy", {"Retry-After": "0.01"}
        return 200, '{"ids": ["d2"]}', {}

    service = serve(moody)
    hits = searched(store_at(service.url, PLAIN), tmp_path, Queries(texts=["x"]), 1)
    assert (hits.rows.tolist(), len(service.asked)) == ([[2]], 3)
    lasting = serve(always("busy", 503))
    with pytest.raises(AdapterUnavailable, match="answered 503: busy"):
        searched(store_at(lasting.url, PLAIN, retries=1), tmp_path / "b", Queries(texts=["x"]))
    assert len(lasting.asked) == 2
    with pytest.raises(AdapterRejected, match="answered 429"):
        searched(store_at(serve(always("slow down", 429)).url, PLAIN, retries=0), tmp_path / "c", Queries(texts=["x"]))


def test_a_service_that_is_not_there_is_unavailable_before_and_during_the_run(serve: Any, tmp_path: Path) -> None:
    service = serve(always({"ids": []}))
    store = store_at(service.url, PLAIN, retries=0)
    store.check()
    service.stop()
    with pytest.raises(AdapterUnavailable, match="needs a service at"):
        store.check()
    with pytest.raises(AdapterUnavailable, match="cannot be reached"):
        searched(store, tmp_path, Queries(texts=["x"]))


def test_the_address_is_part_of_the_identity() -> None:
    one, other = (store_at(url, PLAIN).identity.as_dict() for url in ("http://a/s", "http://b/s"))
    assert one["address"] == "http://a/s" and one != other


def test_a_filter_is_refused(serve: Any, tmp_path: Path) -> None:
    store = store_at(serve(always({"ids": []})).url, PLAIN)
    with store:
        session = store.open(build(store, tmp_path / "place", TEXTS))
        with pytest.raises(InvalidOptions, match="cannot filter"):
            session.search(Queries(texts=["x"]), 2, Filter.parse({"year": 1}))


def test_a_filtered_system_does_not_start(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    asked = {"url": "http://127.0.0.1:1/", "body": {"q": "{query}"}, "ids": "ids.*"}
    systems = [{"name": "service", "store": "service", "filter": {"lang": "en"}}]
    path = small.write(tmp_path, small.spec(systems, stores={"service": {"adapter": "http", "index": asked}}))
    outcome = small.bench("run", path, "--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    assert outcome.exit_code == 2
    assert "systems[0].filter: store http cannot filter" in outcome.stderr
    assert not (tmp_path / "results").exists()


def test_ids_that_are_gone_are_a_missing_index(tmp_path: Path) -> None:
    store = store_at("http://127.0.0.1:1/", PLAIN)
    ref = build(store, tmp_path / "place", TEXTS)
    held = store.describe(ref)
    assert (held.rows, held.flat) == (4, False)
    (tmp_path / "place" / "ids.arrow").unlink()
    with store, pytest.raises(IndexMissing):
        store.open(ref)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab {}_", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.text(max_size=10), st.lists(st.floats(allow_nan=False), max_size=3))
def test_a_template_keeps_its_shape_and_a_lone_placeholder_its_type(template: Any, text: str, vector: Any) -> None:
    values = {"query": text, "vector": vector, "a": "A", "b": 1, "ab": 2, "ba": 3, "k": 3, "_": 4}
    filled = filled_template(
        {"t": template if "{" not in json.dumps(template) else None, "v": "{vector}", "k": "{k}"}, values
    )
    assert (filled["v"], filled["k"]) == (vector, 3)
    assert filled["t"] == (template if "{" not in json.dumps(template) else None)
    assert filled_template("say {query}!", values) == f"say {text}!"
