"""Laws of rate limits, batches, retries' pauses and scrubbing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import TextRows, reckoned_tokens
from adapters.encoders.cohere import CohereEncoder, CohereOptions
from adapters.rate_limit import RateLimit
from adapters.service import retry_after, scrub, without_credentials
from adapters.transport import batches
from tests.standin import StandIn


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    st.lists(st.tuples(st.floats(0, 40), st.integers(1, 50)), min_size=1, max_size=60),
    st.integers(3, 20),
    st.integers(60, 200),
)
def test_no_sixty_seconds_hold_more_than_the_limits(
    arrivals: list[tuple[float, int]], requests: int, tokens: int
) -> None:
    clock = Clock()
    limit = RateLimit({"requests": requests, "tokens": tokens, "items": None}, clock=clock)
    sent: list[tuple[float, int]] = []
    for gap, amount in arrivals:
        clock.now += gap
        wait = limit.reserve({"requests": 1, "tokens": amount, "items": 1}).wait_seconds
        sent.append((clock.now + wait, amount))
    assert [at for at, _ in sent] == sorted(at for at, _ in sent)
    for end, _ in sent:
        window = [amount for at, amount in sent if end - 60 + 1e-6 < at <= end]
        assert len(window) <= requests
        assert sum(window) <= tokens


def test_a_limit_lets_pass_what_fits_at_once_and_then_waits_out_the_minute() -> None:
    clock = Clock()
    limit = RateLimit({"requests": 2}, clock=clock)
    amounts = {"requests": 1.0}
    assert [limit.reserve(amounts).wait_seconds for _ in range(5)] == [0, 0, 60, 60, 120]


def test_an_estimate_is_corrected_by_what_was_billed() -> None:
    clock = Clock()
    limit = RateLimit({"tokens": 100}, clock=clock)
    first = limit.reserve({"tokens": 90})
    limit.settle(first, "tokens", 10)
    assert limit.reserve({"tokens": 90}).wait_seconds == 0  # 10 + 90 = 100
    assert limit.reserve({"tokens": 1}).wait_seconds == 60


def test_an_amount_above_the_limit_passes_alone() -> None:
    clock = Clock()
    limit = RateLimit({"tokens": 100}, clock=clock)
    assert [limit.reserve({"tokens": 500}).wait_seconds for _ in range(2)] == [0, 60]


def test_the_pause_of_our_own_limit_is_counted_as_waiting(standin: StandIn) -> None:
    options = CohereOptions(model="embed-v4.0", output_dimension=256, batch_size=1, tokens_per_minute=1e6)
    with CohereEncoder(options) as free:
        assert free.encode(TextRows(["water", "bread"]), "document").usage.waited_seconds == 0
    standin.latency_seconds = 0.1
    with CohereEncoder(options.model_copy(update={"concurrency": 1})) as single:
        began = time.perf_counter()
        usage = single.encode(TextRows(["water", "bread"]), "document").usage
        assert time.perf_counter() - began >= 0.2
        assert usage.waited_seconds == 0  # waiting for an answer is not waiting for the limit


@given(st.lists(st.text(max_size=60), max_size=60), st.integers(1, 10), st.integers(1, 40))
def test_batches_are_consecutive_whole_and_within_the_limits(texts: list[str], items: int, tokens: int) -> None:
    found = batches(texts, items=items, tokens=tokens)
    assert [i for part in found for i in part] == list(range(len(texts)))
    for part in found:
        assert 1 <= len(part) <= items
        assert len(part) == 1 or sum(reckoned_tokens(texts[i]) for i in part) <= tokens


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    found = retry_after({"Retry-After": date})
    assert found is not None
    assert 3000 <= found <= 3600


def test_scrubbing_finds_a_key_as_json_escapes_it() -> None:
    assert scrub('said "a\\"b" and a"b', ['a"b']) == 'said "[key]" and [key]'
    assert scrub("nothing", [None, ""]) == "nothing"


def test_an_address_is_shown_without_credentials() -> None:
    assert without_credentials("https://me:secret@host:1/v1/?key=x") == "https://host:1/v1"
