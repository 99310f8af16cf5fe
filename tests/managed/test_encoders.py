"""Laws of the managed encoders, with the real SDKs against real servers on loopback."""

from __future__ import annotations

import itertools
import os
import socket
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
    Encoded,
    Encoder,
    InvalidOptions,
    InvalidVectors,
    Role,
    TextRows,
)
from adapters.encoders.cohere import CohereEncoder, CohereOptions
from adapters.encoders.openai import OpenAIEncoder, OpenAIOptions
from tests.standin import KINDS, Faults, StandIn
from tests.standin.meaning import meaning

QUICK: dict[str, Any] = {"backoff_seconds": 0.001, "timeout_seconds": 10.0}
TEXTS = [f"{adjective} {noun}" for adjective, noun in itertools.product(
    ["sorting", "boiling", "distant", "frozen", "ancient"], ["arrays", "water", "planets", "bread", "violins", "iron"]
)]  # fmt: skip


def cohere(**options: Any) -> CohereEncoder:
    return CohereEncoder(CohereOptions(**{"model": "embed-v5.0-pro", "output_dimension": 256, **QUICK, **options}))


def openai(**options: Any) -> OpenAIEncoder:
    return OpenAIEncoder(OpenAIOptions(**{"model": "text-embedding-3-small", "dimensions": 256, **QUICK, **options}))


MAKERS: list[Callable[..., Encoder]] = [cohere, openai]


def encode(encoder: Encoder, texts: list[str] = TEXTS, role: Role = "document") -> Encoded:
    with encoder:
        return encoder.encode(TextRows(texts), role)


@pytest.mark.parametrize("make", MAKERS)
def test_vectors_come_in_input_order_whatever_the_batches(make: Callable[..., Encoder], standin: StandIn) -> None:
    one = encode(make(batch_size=1, concurrency=4))
    many = encode(make(batch_size=7))
    np.testing.assert_allclose(one.vectors, many.vectors, atol=1e-6)
    assert one.vectors.shape == (30, 256)
    assert (one.usage.requests, many.usage.requests) == (30, 5)  # ceil(30 / 7) = 5
    assert one.usage.tokens == many.usage.tokens > 30


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_alone_changes_no_vector(make: Callable[..., Encoder], kind: str, standin: StandIn) -> None:
    undisturbed = encode(make(batch_size=3)).vectors
    standin.forget()
    standin.faults = Faults(0.4, (kind,), slow_seconds=0.02, retry_after="0.01")
    disturbed = encode(make(batch_size=3, max_retries=20))
    np.testing.assert_array_equal(disturbed.vectors, undisturbed)
    assert standin.seen.faults[kind] > 0
    assert standin.seen.repeated == 0
    assert len(standin.seen.answered) == 30
    if kind != "slow":
        assert disturbed.usage.retries == standin.seen.faults[kind]


@pytest.mark.parametrize("make", MAKERS)
def test_a_fifth_of_faults_of_every_kind_changes_no_vector_and_sends_no_answered_text_again(
    make: Callable[..., Encoder], standin: StandIn
) -> None:
    texts = [f"{text} number {i}" for i in range(20) for text in TEXTS]  # 600 texts in 60 requests
    undisturbed = encode(make(batch_size=10), texts).vectors
    standin.forget()
    standin.faults = Faults(0.2, slow_seconds=0.02, retry_after="0.01")
    np.testing.assert_array_equal(encode(make(batch_size=10), texts).vectors, undisturbed)
    assert sum(standin.seen.faults.values()) >= 5
    assert standin.seen.repeated == 0
    assert len(standin.seen.answered) == 600


@pytest.mark.parametrize("make", MAKERS)
def test_what_was_answered_before_a_failure_is_not_paid_again(make: Callable[..., Encoder], standin: StandIn) -> None:
    standin.faults = Faults(0.5, ("500",), seed=3)
    with make(batch_size=1, concurrency=1, max_retries=0) as encoder:
        failures = 0
        while failures < 200:
            try:
                found = encoder.encode(TextRows(TEXTS), "document")
                break
            except AdapterUnavailable:
                failures += 1
    assert 0 < failures < 200
    assert standin.seen.repeated == 0
    assert found.usage.requests == 30
    standin.faults = Faults()
    np.testing.assert_array_equal(found.vectors, encode(make(batch_size=1)).vectors)


@pytest.mark.parametrize("make", MAKERS)
def test_parts_hold_every_text_once_also_those_under_way_when_another_fails(
    make: Callable[..., Encoder], standin: StandIn
) -> None:
    whole = encode(make(batch_size=4)).vectors
    standin.forget()
    standin.faults = Faults(0.3, ("500",), seed=1)
    found = np.full_like(whole, np.nan)
    with make(batch_size=4, concurrency=3, max_retries=0) as encoder:
        for _ in range(200):
            missing = np.flatnonzero(np.isnan(found[:, 0]))
            try:
                for positions, part in encoder.encode_each(TextRows([TEXTS[i] for i in missing]), "document"):
                    found[missing[list(positions)]] = part.vectors
                break
            except AdapterUnavailable:
                continue
    np.testing.assert_allclose(found, whole, atol=1e-6)
    assert standin.seen.faults["500"] > 0
    assert standin.seen.repeated == 0


@pytest.mark.parametrize("make", MAKERS)
def test_a_key_that_expires_is_told_and_what_was_paid_stays(make: Callable[..., Encoder], standin: StandIn) -> None:
    with make(batch_size=5) as encoder:
        encoder.encode(TextRows(TEXTS[:10]), "document")
        standin.expired = True
        with pytest.raises(AdapterRejected, match=r"the key in (CO|OPENAI)_API_KEY \(401\)"):
            encoder.encode(TextRows(TEXTS), "document")
        assert standin.seen.requests.total() <= 2 + 8  # no retry, nothing beyond what was under way


@pytest.mark.parametrize("make", MAKERS)
def test_a_rate_limit_that_does_not_end_is_a_refusal(make: Callable[..., Encoder], standin: StandIn) -> None:
    standin.faults = Faults(1.0, ("429",), retry_after="0")
    with pytest.raises(AdapterRejected, match=r"429.*requests_per_minute"):
        encode(make(max_retries=2), TEXTS[:1])
    assert standin.seen.requests.total() == 3


def test_an_exhausted_quota_is_final_at_once_and_no_rate_limit(standin: StandIn) -> None:
    standin.exhausted = True
    with pytest.raises(
        AdapterRejected, match=r"quota of the account behind OPENAI_API_KEY.*\(429\).*billing"
    ) as raised:
        encode(openai(), TEXTS[:1])
    assert "requests_per_minute" not in str(raised.value)
    assert standin.seen.requests.total() == 1


@pytest.mark.parametrize("make", MAKERS)
def test_a_service_that_asks_for_an_hour_is_not_waited_for(make: Callable[..., Encoder], standin: StandIn) -> None:
    standin.faults = Faults(1.0, ("429",), retry_after="3600")
    with pytest.raises(AdapterRejected, match="3,600 s"):
        encode(make(), TEXTS[:1])
    assert standin.seen.requests.total() == 1


@pytest.mark.parametrize("make", MAKERS)
def test_no_answer_in_time_is_a_timeout(make: Callable[..., Encoder], standin: StandIn) -> None:
    standin.latency_seconds = 1.0
    with pytest.raises(AdapterTimeout, match=r"within 0\.05 s"):
        encode(make(timeout_seconds=0.05, max_retries=1), TEXTS[:1])


@pytest.mark.parametrize("make", MAKERS)
def test_an_answer_that_comes_drop_by_drop_is_not_waited_for(make: Callable[..., Encoder], standin: StandIn) -> None:
    standin.faults = Faults(1.0, ("slow",), slow_seconds=0.05, slow_pieces=1200)
    began = time.monotonic()
    with pytest.raises(AdapterTimeout, match=r"within 0\.5 s"):
        encode(make(timeout_seconds=0.5, max_retries=0), TEXTS[:1])
    assert time.monotonic() - began < 30  # the answer would be whole after a minute


@pytest.mark.parametrize("make", MAKERS)
def test_silence_after_a_late_beginning_counts_from_the_requests_leaving(
    make: Callable[..., Encoder], standin: StandIn
) -> None:
    standin.latency_seconds = 0.6
    standin.faults = Faults(1.0, ("slow",), slow_seconds=0.6)
    with pytest.raises(AdapterTimeout):
        encode(make(timeout_seconds=1.0, max_retries=0), TEXTS[:1])


@pytest.mark.parametrize("make", MAKERS)
def test_nobody_there_is_told_with_the_address(make: Callable[..., Encoder], standin: StandIn) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(AdapterUnavailable, match=f"127.0.0.1:{port}"):
            encode(make(base_url=f"http://127.0.0.1:{port}", max_retries=1), TEXTS[:1])


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", ["truncated", "count", "nan"])
def test_answers_that_stay_unusable_are_refused(make: Callable[..., Encoder], kind: str, standin: StandIn) -> None:
    standin.faults = Faults(1.0, (kind,))
    with pytest.raises(AdapterRejected, match="unusable"):
        encode(make(max_retries=2), TEXTS[:3])
    assert standin.seen.requests.total() == 3


@pytest.mark.parametrize("make", MAKERS)
def test_concurrency_is_kept_and_used(make: Callable[..., Encoder], standin: StandIn) -> None:
    standin.latency_seconds = 0.2
    encode(make(batch_size=1, concurrency=6))
    assert standin.seen.peak == 6


@pytest.mark.parametrize("make", MAKERS)
def test_a_variable_that_names_another_address_shows_in_the_identity(
    make: Callable[..., Encoder], standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(make().identity.address).startswith(standin.url)
    for variable in ("CO_API_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable)
    assert make().identity.address is None


def test_a_server_of_ones_own_bills_nobody(standin: StandIn) -> None:
    assert openai().bills  # where the SDK's own variable points is no word of the experiment
    assert openai(base_url=f"{standin.url}/v1", api_key_env="OPENAI_API_KEY").bills
    assert openai(base_url="https://api.openai.com/v1/").bills
    assert not openai(base_url=f"{standin.url}/v1").bills


@pytest.mark.parametrize("make", MAKERS)
def test_credentials_in_an_address_stay_out_of_the_identity(make: Callable[..., Encoder], standin: StandIn) -> None:
    encoder = make(base_url="http://user:word@127.0.0.1:9/v1?token=1")
    assert encoder.identity.address == "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(("make", "variable"), [(cohere, "CO_API_KEY"), (openai, "OPENAI_API_KEY")])
def test_without_a_key_the_variable_is_named(
    make: Callable[..., Encoder], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (variable, "CO_API_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AdapterRejected, match=f"export {variable}="):
        make().check()


@pytest.mark.parametrize("make", MAKERS)
def test_an_empty_text_has_a_vector(make: Callable[..., Encoder], standin: StandIn) -> None:
    assert np.isfinite(encode(make(), ["", "water"]).vectors).all()


def test_batches_fill_the_limits_of_a_request(standin: StandIn) -> None:
    texts = [f"word {i}" for i in range(200)]
    encode(cohere(), texts)
    assert sorted(standin.seen.batch_sizes) == [8, 96]  # 200 = 96 + 96 + 8
    standin.forget()
    # 40 bytes are 10 tokens, so 25 tokens hold two of them
    encode(cohere(tokens_per_request=25), ["x" * 40 for _ in range(3)] + ["y" * 400])
    assert sorted(standin.seen.batch_sizes.elements()) == [1, 1, 2]


def test_query_and_document_differ_in_their_input_type(standin: StandIn) -> None:
    encode(cohere(), ["water"], "query")
    encode(cohere(), ["water"], "document")
    roles = {key[2] for key in standin.seen.answered}
    assert roles == {"search_query", "search_document"}
    assert cohere().role_settings("query") != cohere().role_settings("document")


@pytest.mark.parametrize(
    ("kind", "at_least"),
    # float travels exactly; whole numbers of 8 bits keep the angle; signs alone keep about 1 - 2·angle/π
    [("float", 0.9999), ("int8", 0.999), ("uint8", 0.999), ("binary", 0.75), ("ubinary", 0.75)],
)
def test_every_embedding_type_keeps_the_direction(kind: str, at_least: float, standin: StandIn) -> None:
    exact = encode(cohere(transfer="list", output_dimension=2048)).vectors
    found = encode(cohere(embedding_type=kind, output_dimension=2048)).vectors
    cosines = (exact * found).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(found, axis=1)
    assert cosines.min() > at_least
    assert found.shape == exact.shape


def test_signed_and_unsigned_bits_are_the_same_vectors_of_plus_and_minus_one(standin: StandIn) -> None:
    signed, unsigned = (encode(cohere(embedding_type=kind)).vectors for kind in ("binary", "ubinary"))
    np.testing.assert_array_equal(signed, unsigned)
    assert set(np.unique(signed)) == {-1.0, 1.0}


def test_base64_and_lists_carry_the_same_vectors(standin: StandIn) -> None:
    np.testing.assert_array_equal(encode(cohere()).vectors, encode(cohere(transfer="list")).vectors)


def test_pro_and_fast_share_a_space_and_nothing_else_does(standin: StandIn) -> None:
    pro, fast = cohere(), cohere(model="embed-v5.0-fast")
    assert pro.space == fast.space
    assert pro.space != cohere(model="embed-v4.0").space
    a, b = encode(pro).vectors, encode(fast).vectors
    assert ((a @ b.T).argmax(axis=1) == np.arange(len(TEXTS))).mean() > 0.9
    assert not np.allclose(a, b, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "embed-english-v2.0"}, r"retired on 2026-04-04.*embed-v5\.0-pro"),
        ({"model": "embed-english-light-v2.0"}, "retired"),
        ({"output_dimension": 300}, "2048, 1536"),
        ({"model": "embed-english-v3.0", "output_dimension": 512}, "1024 only"),
        ({"model": "embed-v9", "output_dimension": None}, "dimension: N"),
        ({"dimension": 17}, "output_dimension"),
    ],
)
def test_what_cohere_cannot_do_is_told_before_the_run(options: dict[str, Any], message: str, standin: StandIn) -> None:
    with pytest.raises(InvalidOptions, match=message):
        cohere(**options).check()
    assert standin.seen.requests.total() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "text-embedding-ada-002"}, "cannot be shortened"),
        ({"dimensions": 2000}, "at most 1536"),
        ({"model": "bge-m3", "dimensions": None}, "dimension: N"),
        ({"dimensions": None, "dimension": 512}, "dimensions: 512"),
    ],
)
def test_what_openai_cannot_do_is_told_before_the_run(options: dict[str, Any], message: str, standin: StandIn) -> None:
    with pytest.raises(InvalidOptions, match=message):
        openai(**options).check()


def test_a_text_that_is_too_long_is_cut_to_what_the_service_takes_and_counts_as_cut(standin: StandIn) -> None:
    long = "water " * 9000
    found = encode(openai(), ["short", long, "bread"])
    assert found.truncated is None or found.truncated.tolist() == [False, True, False]
    assert found.failures == {}
    np.testing.assert_allclose(found.vectors[[0, 2]], encode(openai(), ["short", "bread"]).vectors, atol=1e-6)
    kept = max((key[-1] for key in standin.seen.answered), key=len)
    assert 0.9 * 8191 <= len(meaning().tokens([kept])[0]) <= 8191 and long.startswith(kept)
    by_hand = encode(openai(truncate_characters=1000), ["short", long]).truncated
    assert by_hand is not None and by_hand.tolist() == [False, True]


def test_cohere_without_truncation_fails_the_text_that_is_too_long(standin: StandIn) -> None:
    texts = ["short", "water " * 600, "bread"]  # the model takes 512 tokens
    strict = cohere(model="embed-english-v3.0", output_dimension=None, truncate="NONE")
    with strict:
        failed = {
            part[i]: why for part, e in strict.encode_each(TextRows(texts), "document") for i, why in e.failures.items()
        }
    assert list(failed) == [1] and "too many tokens" in failed[1]


def test_a_model_unknown_here_works_by_its_dimension_and_a_wrong_one_is_told(standin: StandIn) -> None:
    of_its_own: dict[str, Any] = {"model": "stand-in-512", "dimensions": None}
    with pytest.raises(InvalidVectors, match="dimension: 512"):
        encode(openai(**of_its_own, dimension=99), ["water"])
    assert encode(openai(**of_its_own, dimension=512), ["water"]).vectors.shape == (1, 512)


@pytest.mark.parametrize("make", MAKERS)
def test_the_planted_key_is_in_no_error(make: Callable[..., Encoder], standin: StandIn) -> None:
    keys = {os.environ["CO_API_KEY"], os.environ["OPENAI_API_KEY"]}
    shown: list[str] = []
    for kind in (*KINDS, "expired"):
        standin.expired = kind == "expired"
        standin.faults = Faults(0.0 if standin.expired else 1.0, KINDS if standin.expired else (kind,))
        encoder = make(max_retries=1, longest_wait_seconds=0.0)
        try:
            encode(encoder, TEXTS[:2])
        except AdapterError as error:
            shown.append("".join(traceback.format_exception(error)))
        shown += [repr(encoder), repr(encoder.identity), repr(encoder.options), repr(vars(encoder))]
    assert len(shown) > 8 * 5
    assert not [text for text in shown for key in keys if key in text]
