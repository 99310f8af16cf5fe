"""Laws of the managed rerankers, with the real clients against a real server on loopback."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.base import (
    AdapterError,
    AdapterRejected,
    AdapterTimeout,
    AdapterUnavailable,
    Corpus,
    InvalidOptions,
    ModelNotFound,
    Queries,
    Reranker,
    Scored,
)
from adapters.rerankers.cohere import CohereReranker, CohereRerankOptions
from adapters.rerankers.http_rerank import RerankApiOptions, RerankApiReranker
from tests.managed.conftest import PLANTED_KEY
from tests.standin import KINDS, Faults, StandIn

QUICK: dict[str, Any] = {"backoff_seconds": 0.001, "timeout_seconds": 10.0}
DOCUMENTS = ["iron melts at great heat", "a violin has four strings", "bread needs flour and water", "mars is red", ""]
QUERIES = ["how hot must a furnace for iron be", "baking bread", "the strings of a violin"]
CANDIDATES = np.array([[0, 1, 2, 3], [2, -1, 0, 4], [3, 2, 1, -1]], dtype=np.int32)  # 4 + 3 + 3 = 10 pairs


def cohere(standin: StandIn, **options: Any) -> Reranker:
    return CohereReranker(CohereRerankOptions(**{"model": "rerank-v5.0-pro", **QUICK, **options}))


def rerank_api(standin: StandIn, **options: Any) -> Reranker:
    given = {"model": "rerank-v5.0-pro", "base_url": standin.url, "api_key_env": "CO_API_KEY", **QUICK, **options}
    return RerankApiReranker(RerankApiOptions(**given))


MAKERS: list[Callable[..., Reranker]] = [cohere, rerank_api]


def score(reranker: Reranker, candidates: Any = CANDIDATES) -> Scored:
    with reranker:
        reranker.prepare(Corpus(DOCUMENTS))
        return reranker.score(Queries(None, QUERIES), candidates)


@pytest.mark.parametrize("make", MAKERS)
def test_scores_stand_in_the_places_of_their_candidates(make: Callable[..., Reranker], standin: StandIn) -> None:
    scores = score(make(standin)).scores
    assert np.isneginf(scores[CANDIDATES < 0]).all()
    assert CANDIDATES[0, scores[0].argmax()] == 0
    assert CANDIDATES[1, scores[1].argmax()] == 2
    assert CANDIDATES[2, scores[2].argmax()] == 1
    mirrored = score(make(standin), CANDIDATES[:, ::-1].copy()).scores
    np.testing.assert_array_equal(mirrored[:, ::-1], scores)


@pytest.mark.parametrize("make", MAKERS)
def test_splitting_a_query_changes_no_score(make: Callable[..., Reranker], standin: StandIn) -> None:
    whole = score(make(standin))
    split = score(make(standin, documents_per_request=2))
    np.testing.assert_array_equal(whole.scores, split.scores)
    assert (whole.usage.requests, split.usage.requests) == (3, 6)  # 4, 3 and 3 documents in twos: 2 + 2 + 2


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("model", "units", "tokens"), [("rerank-v5.0-fast", False, True), ("rerank-v4.0-pro", True, False)]
)
def test_billed_is_what_the_answer_says(
    make: Callable[..., Reranker], model: str, units: bool, tokens: bool, standin: StandIn
) -> None:
    usage = score(make(standin, model=model)).usage
    assert usage.search_units == (3 if units else 0)  # one query with up to 100 documents each
    assert (usage.tokens > 0) is tokens


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_alone_changes_no_score(make: Callable[..., Reranker], kind: str, standin: StandIn) -> None:
    undisturbed = score(make(standin, documents_per_request=1)).scores
    standin.forget()
    standin.faults = Faults(0.4, (kind,), slow_seconds=0.02, retry_after="0.01")
    disturbed = score(make(standin, documents_per_request=1, max_retries=20))
    np.testing.assert_array_equal(disturbed.scores, undisturbed)
    assert standin.seen.faults[kind] > 0
    assert standin.seen.repeated == 0
    assert len(standin.seen.answered) == 10


@pytest.mark.parametrize("make", MAKERS)
def test_failures_are_told_by_kind(make: Callable[..., Reranker], standin: StandIn) -> None:
    with pytest.raises(ModelNotFound, match="rerank-v9"):
        score(make(standin, model="rerank-v9"))
    standin.faults = Faults(1.0, ("503",))
    with pytest.raises(AdapterUnavailable, match="503"):
        score(make(standin, max_retries=1))
    standin.faults = Faults(1.0, ("nan",))
    with pytest.raises(AdapterRejected, match="not finite"):
        score(make(standin, max_retries=1))
    standin.faults = Faults()
    standin.expired = True
    with pytest.raises(AdapterRejected, match="CO_API_KEY"):
        score(make(standin))
    standin.expired = False
    standin.latency_seconds = 1.0
    with pytest.raises(AdapterTimeout):
        score(make(standin, timeout_seconds=0.05, max_retries=0))


@pytest.mark.parametrize("make", MAKERS)
def test_an_answer_that_comes_drop_by_drop_is_not_waited_for(make: Callable[..., Reranker], standin: StandIn) -> None:
    standin.faults = Faults(1.0, ("slow",), slow_seconds=0.05, slow_pieces=1200)
    began = time.monotonic()
    with pytest.raises(AdapterTimeout, match=r"within 0\.5 s"):
        score(make(standin, timeout_seconds=0.5, max_retries=0))
    assert time.monotonic() - began < 30  # the answer would be whole after a minute


def test_an_exhausted_quota_behind_a_rerank_server_is_final_at_once(standin: StandIn) -> None:
    standin.exhausted = True
    with pytest.raises(AdapterRejected, match="quota of the account behind CO_API_KEY"):
        score(rerank_api(standin), CANDIDATES[:1])
    assert standin.seen.requests.total() == 1


@pytest.mark.parametrize("make", MAKERS)
def test_the_planted_key_is_in_no_error(make: Callable[..., Reranker], standin: StandIn) -> None:
    shown: list[str] = []
    for kind in (*KINDS, "expired"):
        standin.expired = kind == "expired"
        standin.faults = Faults(0.0 if standin.expired else 1.0, KINDS if standin.expired else (kind,))
        reranker = make(standin, max_retries=1, longest_wait_seconds=0.0)
        try:
            score(reranker)
        except AdapterError as error:
            shown.append("".join(traceback.format_exception(error)))
        shown += [repr(reranker), repr(reranker.identity), repr(reranker.options), repr(vars(reranker))]
    assert not [text for text in shown if PLANTED_KEY in text]


def test_a_retired_reranker_is_told_before_the_run(standin: StandIn) -> None:
    with pytest.raises(InvalidOptions, match=r"2025-04-30.*rerank-v5\.0-pro"):
        cohere(standin, model="rerank-english-v2.0").check()


def test_a_server_of_ones_own_bills_nobody_and_is_named_in_the_identity(standin: StandIn) -> None:
    own = rerank_api(standin, api_key_env=None)
    assert not own.bills
    assert rerank_api(standin).bills
    assert own.identity.address == f"{standin.url}/v1/rerank"


def test_a_named_variable_without_a_key_is_told(standin: StandIn) -> None:
    with pytest.raises(InvalidOptions, match="export NO_SUCH_KEY="):
        rerank_api(standin, api_key_env="NO_SUCH_KEY").check()
