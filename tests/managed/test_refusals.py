"""Laws of requests that a service refuses for what they hold: halved down to the text, which fails by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import AdapterRejected, Corpus, Encoder, Queries, Reranker, TextRows
from adapters.service import CallOptions, RequestRefused, Service
from adapters.transport import shortened
from bench.quality.scoring import unscored_last
from tests import small
from tests.managed.test_encoders import MAKERS, TEXTS, openai
from tests.managed.test_rerankers import CANDIDATES, DOCUMENTS, QUERIES
from tests.managed.test_rerankers import MAKERS as RERANKERS
from tests.standin import StandIn

CALLS: dict[str, Any] = {"backoff_seconds": 0.001, "max_retries": 5, "timeout_seconds": 10}
FAST = {"adapter": "cohere", "model": "embed-v5.0-fast", "output_dimension": 256, "batch_size": 16, **CALLS}
RERANKER = {"adapter": "cohere", "model": "rerank-v5.0-pro", **CALLS}


def in_parts(encoder: Encoder, texts: list[str]) -> tuple[Any, dict[int, str]]:
    """Vectors, NaN where there is none, and failures by position."""
    vectors, failures = np.full((len(texts), encoder.dimension), np.nan, np.float32), {}
    with encoder:
        for positions, part in encoder.encode_each(TextRows(texts), "document"):
            places = list(positions)
            there = [i for i in range(len(places)) if i not in part.failures]
            vectors[[places[i] for i in there]] = part.vectors[there]
            failures |= {places[i]: cause for i, cause in part.failures.items()}
    return vectors, failures


@pytest.mark.parametrize("make", MAKERS)
def test_a_refused_text_fails_alone_and_the_others_have_their_vectors(
    make: Callable[..., Encoder], standin: StandIn
) -> None:
    expected, _ = in_parts(make(), TEXTS)
    standin.forget()
    standin.objects_to = ("frozen water", "boiling bread")
    encoder = make()
    found, failures = in_parts(encoder, TEXTS)
    assert {TEXTS[i] for i in failures} == {"frozen water", "boiling bread"}
    assert all("content policy" in cause and "(400)" in cause for cause in failures.values())
    assert not encoder.remarks()  # they were not too many
    others = [i for i in range(len(TEXTS)) if i not in failures]
    np.testing.assert_allclose(found[others], expected[others], atol=1e-6)
    assert standin.seen.repeated == 0
    with make() as encoder, pytest.raises(AdapterRejected, match=r"frozen water|boiling bread"):
        encoder.encode(TextRows(TEXTS), "document")


@pytest.mark.parametrize("make", MAKERS)
def test_a_service_that_refuses_whatever_is_sent_is_not_asked_for_every_text(
    make: Callable[..., Encoder], standin: StandIn
) -> None:
    standin.objects_to = ("",)
    with make(concurrency=1) as encoder, pytest.raises(AdapterRejected, match="content policy"):
        encoder.encode(TextRows(TEXTS), "document")
    assert standin.seen.requests.total() == 2  # the batch, and a text that nobody objects to


@pytest.mark.parametrize("make", MAKERS)
def test_a_request_of_too_many_texts_is_halved_and_the_reader_told(
    make: Callable[..., Encoder], standin: StandIn
) -> None:
    expected, _ = in_parts(make(), TEXTS)
    standin.forget()
    standin.most_texts = 8
    encoder = make()
    found, failures = in_parts(encoder, TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not failures
    assert max(standin.seen.batch_sizes) == 8  # 30 = 7 + 8 + 7 + 8
    assert "of up to 30 texts, were refused" in encoder.remarks()[0]


def test_openai_takes_many_long_texts_whose_tokens_were_reckoned_too_low_and_learns_from_it(standin: StandIn) -> None:
    """The stand-in's tokenizer makes three tokens of each of these characters: over 300,000 of a full batch."""
    pieces = "魑魅魍魉饕餮龘靐齉爨"

    def refusals() -> int:
        return standin.seen.requests.total() - sum(standin.seen.batch_sizes.values())

    texts = ["".join(pieces[(i * 7 + j * (1 + i % 5)) % 10] for j in range(480)) + str(i) for i in range(700)]
    with openai(batch_size=2048) as encoder:
        found = encoder.encode(TextRows(texts), "document")
        assert np.isfinite(found.vectors).all() and not found.failures
        assert len(standin.seen.answered) == 700 and standin.seen.repeated == 0
        first = refusals()
        assert first > 0
        encoder.encode(TextRows([f"{text} again" for text in texts]), "document")
    assert refusals() == first
    assert len(standin.seen.answered) == 1400


@pytest.mark.parametrize(
    ("said", "status", "asked", "most"),
    [
        ("Requested 449770 tokens, max 300000 tokens per request", 400, 449_770, 300_000),
        ("This model's maximum context length is 8192 tokens, however you requested 9001 tokens", 400, 9001, 8192),
        ("Input validation error: `inputs` must have less than 512 tokens. Given: 600", 413, 600, 512),
        ("too many tokens: total tokens in the request cannot exceed 128000, got 150000", 400, 150_000, 128_000),
        ("Request too large for x on tokens per min (TPM): Limit 40,000, Requested 77,000.", 429, 77_000, 40_000),
        ("batch size 64 > maximum allowed batch size 32", 413, 64, 32),
        ("input is too large to process. increase the physical batch size", 500, None, None),
    ],
)
def test_a_refusal_for_size_is_known_by_its_words(said: str, status: int, asked: int | None, most: int | None) -> None:
    service = Service("It", CallOptions(), own_address="http://x", address_env=None, key_env=None)
    refused = service.failed(status, said, error=ValueError())
    assert isinstance(refused, RequestRefused) and refused.too_large
    assert (refused.asked, refused.most) == (asked, most)


@pytest.mark.parametrize(
    ("said", "status"), [("rate limit reached", 429), ("internal error", 500), ("overloaded", 503)]
)
def test_a_failure_that_passes_by_itself_is_no_refusal_of_the_request(said: str, status: int) -> None:
    service = Service("It", CallOptions(), own_address="http://x", address_env=None, key_env=None)
    assert not isinstance(service.failed(status, said, error=ValueError()), RequestRefused)


def test_a_text_is_shortened_by_as_much_as_the_refusal_says() -> None:
    refusal = RequestRefused("", asked=1000, most=500)
    assert shortened("ab" * 500, refusal) == ("ab" * 500)[:485]  # 1,000 · 500 / 1,000 · .97
    assert shortened("ab" * 500, refusal, "start") == ("ab" * 500)[-485:]
    assert shortened("ab" * 500, RequestRefused("", too_large=True)) == "ab" * 250
    assert shortened("ab" * 500, RequestRefused("")) is None
    assert shortened("short", refusal) is None


@pytest.mark.parametrize("make", RERANKERS)
def test_a_refused_document_has_no_score_and_the_others_have_theirs(
    make: Callable[..., Reranker], standin: StandIn
) -> None:
    def scored() -> Any:
        with make(standin) as reranker:
            reranker.prepare(Corpus(DOCUMENTS))
            return reranker.score(Queries(None, QUERIES), CANDIDATES)

    expected = scored().scores
    standin.objects_to = ("violin has",)  # document 1, a candidate of the first query and the third
    found = scored()
    refused = CANDIDATES == 1
    assert set(found.failures) == {tuple(place) for place in np.argwhere(refused).tolist()}
    assert np.isneginf(found.scores[refused]).all()
    np.testing.assert_array_equal(found.scores[~refused], expected[~refused])
    standin.objects_to = ("baking",)  # the second query
    with pytest.raises(AdapterRejected, match="All candidates of the query"):
        scored()


@pytest.mark.parametrize("make", RERANKERS)
def test_a_request_of_too_many_documents_is_halved_and_the_option_named(
    make: Callable[..., Reranker], standin: StandIn
) -> None:
    standin.most_texts = 2
    with make(standin) as reranker:
        reranker.prepare(Corpus(DOCUMENTS))
        scores = reranker.score(Queries(None, QUERIES), CANDIDATES).scores
        assert np.isfinite(scores[CANDIDATES >= 0]).all()
        assert re.search("held 2. Set documents_per_request", reranker.remarks()[0])


def test_candidates_without_a_score_stand_last_as_they_were_retrieved() -> None:
    rows = np.array([[4, 2, 7, 9, -1], [1, 3, -1, -1, -1]], np.int32)
    none = -np.inf
    scores = np.array([[0.5, none, -2.0, none, none], [none, none, none, none, none]], np.float32)
    found = unscored_last(rows, scores)
    assert np.argsort(-found[0], kind="stable").tolist() == [0, 2, 1, 3, 4]
    assert np.isneginf(found[0, 4]) and np.isneginf(found[1]).all()


def test_a_refused_document_is_named_and_never_found_and_search_is_not_blamed(tmp_path: Path, standin: StandIn) -> None:
    small.collection(tmp_path / "data", documents=200)
    lines = (tmp_path / "data" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "data" / "corpus.jsonl").write_text(
        "\n".join(line.replace("the ", "forbidden ", 1) if i == 3 else line for i, line in enumerate(lines)) + "\n",
        encoding="utf-8",
    )
    standin.objects_to = ("forbidden",)
    stores = {"flat": {"adapter": "faiss", "index": {"type": "FLAT"}}}
    systems = [{"name": "exact", "encoder": "fast"}, {"name": "flat", "encoder": "fast", "store": "flat"}]
    content = small.spec(systems, encoders={"fast": FAST}, stores=stores)
    folder, result = small.measure(tmp_path, content)
    for system in result.systems:
        assert (system.status, system.documents_without_vector) == ("success", 1)  # 1 of 200 is under 1 %
        assert system.ann_recall["10"] == 1.0
        assert any("1 of 200 documents (0.5 %)" in note for note in system.notes)
        assert system.index is not None and system.index.rows == 199
    assert any("encoders.fast" in warning and "document d3 " in warning for warning in result.warnings)
    assert " d3 " not in (folder / "runs" / "exact.trec").read_text(encoding="utf-8")
    # Once the service takes it, the same command embeds that text and builds the index anew.
    standin.objects_to = ()
    standin.forget()
    _, whole = small.measure(tmp_path, content)
    assert len(standin.seen.answered) == 1
    assert [system.documents_without_vector for system in whole.systems] == [0, 0]
    assert [system.index.rows for system in whole.systems if system.index] == [200, 200]


@pytest.mark.parametrize("share", ["documents", "queries"])
def test_more_than_a_hundredth_of_the_documents_or_any_query_refused_is_partial(
    tmp_path: Path, standin: StandIn, share: str
) -> None:
    small.collection(tmp_path / "data")
    file = tmp_path / "data" / ("corpus.jsonl" if share == "documents" else "queries.jsonl")
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[5] = re.sub(r'("text": ")', r"\1forbidden ", lines[5])
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    standin.objects_to = ("forbidden",)
    systems = [{"name": "bm25", "store": "bm25"}, {"name": "fast", "encoder": "fast"}]
    _, result = small.measure(tmp_path, small.spec(systems, encoders={"fast": FAST}, baseline="bm25"))
    fast = small.by_name(result)["fast"]
    assert fast.status == "partial" and fast.error is not None
    assert ("1 of 60 documents (1.7 %)" if share == "documents" else "query q5 could not be embedded") in fast.error
    assert fast.measures["nDCG@10"].failed == (0 if share == "documents" else 1)


def test_a_refused_pair_is_ranked_last_and_counted_and_asked_for_again(tmp_path: Path, standin: StandIn) -> None:
    small.collection(tmp_path / "data", documents=60)
    standin.objects_to = ("number 1",)
    systems = [
        {"name": "bm25", "store": "bm25", "k": 20},
        {"name": "reranked", "store": "bm25", "reranker": "v5", "depth": 20, "k": 20},
    ]
    content = small.spec(systems, rerankers={"v5": RERANKER})
    folder, result = small.measure(tmp_path, content)
    reranked = small.by_name(result)["reranked"]
    assert reranked.status == "partial" and reranked.unscored_pairs > 0
    assert any("have no score and were ranked last" in note for note in reranked.notes)
    assert any("rerankers.v5" in warning and "the first: query q" in warning for warning in result.warnings)
    lines = (folder / "runs" / "reranked.trec").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len((folder / "runs" / "bm25.trec").read_text(encoding="utf-8").splitlines())
    standin.objects_to = ()
    standin.forget()
    _, whole = small.measure(tmp_path, content)
    assert small.by_name(whole)["reranked"].unscored_pairs == 0
    assert sum(standin.seen.answered.values()) == reranked.unscored_pairs
