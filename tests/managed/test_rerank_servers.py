"""Laws of rerank servers that speak other interfaces, or take less than they are sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from adapters.base import AdapterRejected, Corpus, ModelNotFound, Queries, Scored
from adapters.rerankers._managed import scores_in_order
from adapters.rerankers.http_rerank import RerankApiOptions, RerankApiReranker
from adapters.service import Retryable
from tests.standin import StandIn

DOCUMENTS = [f"a {thing} of {stuff} {i}" for i, (thing, stuff) in enumerate(
    (thing, stuff) for thing in ("cup", "bar", "grain", "sheet", "drop") for stuff in ("iron", "bread", "water") * 5
)]  # fmt: skip
QUERY = Queries(None, ["hot iron"])
ALL = np.arange(75, dtype=np.int32)[None]


def server(url: str, **options: Any) -> RerankApiReranker:
    given = {"model": "m", "base_url": url, "path": "/rerank", "backoff_seconds": 0.001, "max_retries": 1, **options}
    made = RerankApiReranker(RerankApiOptions(**given))
    made.prepare(Corpus(DOCUMENTS))
    return made


def score(reranker: RerankApiReranker, candidates: Any = ALL) -> Scored:
    with reranker:
        return reranker.score(QUERY, candidates)


@pytest.fixture
def tei(standin: StandIn) -> StandIn:
    """A server that asks for no key."""
    standin.keys = None
    standin.keyless = True
    return standin


@pytest.mark.parametrize("interface", [None, "tei"])
def test_text_embeddings_inference_is_spoken_as_it_comes(interface: str | None, tei: StandIn) -> None:
    subject = server(tei.url, interface=interface)
    scores = score(subject).scores
    assert np.isfinite(scores).all()
    assert "iron" in DOCUMENTS[int(scores[0].argmax())]
    assert max(tei.seen.batch_sizes) <= 32
    assert "documents_per_request" in subject.remarks()[0]


def test_a_limit_of_documents_is_met_once_and_then_kept(tei: StandIn) -> None:
    with server(tei.url, interface="tei", concurrency=1) as subject:
        for _ in range(4):
            subject.score(QUERY, ALL)
    # 75 documents are refused once; halves of 37 and 38 are over 32 too and not sent; quarters of 18 and 19 pass.
    assert tei.seen.requests["/rerank"] == 1 + 4 * 4
    assert tei.seen.batch_sizes == {18: 4, 19: 12}


def test_the_path_of_the_interface_is_the_default_and_a_wrong_one_is_told(tei: StandIn) -> None:
    assert server("http://h", path=None).identity.address == "http://h/v1/rerank"
    assert server("http://h", path=None, interface="tei").identity.address == "http://h/rerank"
    with pytest.raises(ModelNotFound, match="say where: path: /rerank"):
        score(server(tei.url, path="/v7/rerank"))


def test_raw_scores_keep_the_order_and_change_the_key(tei: StandIn) -> None:
    plain, raw = server(tei.url, interface="tei"), server(tei.url, interface="tei", raw_scores=True)
    assert plain.identity != raw.identity
    assert plain.identity == server(tei.url).identity  # what is spoken is found out, and changes no score
    one, other = score(plain).scores[0], score(raw).scores[0]
    np.testing.assert_array_equal(np.argsort(-one, kind="stable"), np.argsort(-other, kind="stable"))
    assert not np.allclose(one, other)


def test_a_document_that_the_server_does_not_cut_is_cut_here_and_counted(tei: StandIn) -> None:
    subject = server(tei.url, interface="tei", truncate=False)
    subject.prepare(Corpus(["iron", "hot iron " * 400, "bread"]))
    scored = score(subject, np.array([[0, 1, 2]], np.int32))
    assert np.isfinite(scored.scores).all()
    assert scored.truncated is not None and scored.truncated.tolist() == [[False, True, False]]


class BestFew(BaseHTTPRequestHandler):
    """Answers with the best five unless it is asked for more, and remembers what it was asked."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        results = [{"index": i, "relevance_score": 1 / (1 + i)} for i in range(len(body["documents"]))]
        data = json.dumps({"results": results[: body.get("top_n", 5)]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def best_few() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []
    served = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (BestFew,), {"asked": asked}))
    threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_address[1]}", asked
    served.shutdown()
    served.server_close()


def test_a_server_that_gives_the_best_few_is_asked_for_all(best_few: tuple[str, list[dict[str, Any]]]) -> None:
    url, asked = best_few
    assert np.isfinite(score(server(url)).scores).all()
    assert [body["top_n"] for body in asked] == [75]


@pytest.mark.parametrize(
    ("indexes", "told"),
    [
        ([0, 0, 2], "two scores for document 0 of 0 to 2"),
        ([0, 1, 3], "a score for document 3, and it was sent documents 0 to 2"),
        ([0, 1, -1], "a score for document -1, and it was sent documents 0 to 2"),
        ([0, 1], "2 scores for 3 documents"),
    ],
)
def test_an_answer_about_other_documents_is_told_by_what_is_wrong(indexes: list[int], told: str) -> None:
    service = server("http://127.0.0.1:1").service
    with pytest.raises(Retryable if told.startswith("2 scores") else AdapterRejected, match=told):
        scores_in_order(service, [(index, 0.5) for index in indexes], 3)
