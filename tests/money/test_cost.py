"""Laws of money. All sums are worked by hand."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import RECKONING_ERROR, Usage, reckoned_tokens
from bench.money.cost import (
    ABOUT,
    AT_MOST,
    PartWork,
    PriceFaults,
    Projection,
    embedding_usage,
    load_prices,
    price_of,
    reranking_usage,
    system_cost,
    text_bytes,
)
from tests.standin.meaning import meaning

PRICES = load_prices()


def test_every_shipped_price_has_a_source_and_a_date() -> None:
    assert len(PRICES.by_model) >= 15
    for price in PRICES.by_model.values():
        assert price.source
        assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", price.read_on)


def test_tokens_are_priced_by_the_million_and_searches_by_the_thousand() -> None:
    # 0.12 $ / 1,000,000 · 250,000 = 0.03 $; 2.50 $ / 1,000 · 40 = 0.10 $
    assert price_of(PRICES, "cohere", "embed-v5.0-pro", Usage(requests=1, tokens=250_000)) == pytest.approx(0.03)
    assert price_of(PRICES, "cohere", "rerank-v4.0-pro", Usage(requests=40, search_units=40)) == pytest.approx(0.10)


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("no-such-model", Usage(requests=1, tokens=5)),
        ("embed-v5.0-pro", Usage(requests=1)),  # the answer did not say how many tokens
        ("rerank-v4.0-pro", Usage(requests=1, tokens=100)),  # billed by something the price is not per
    ],
)
def test_unknown_is_never_zero(model: str, usage: Usage) -> None:
    assert price_of(PRICES, "cohere", model, usage) is None


def test_nothing_sent_costs_nothing_whatever_the_price() -> None:
    assert price_of(PRICES, "cohere", "no-such-model", Usage()) == 0.0
    assert price_of(PRICES, "cohere", "embed-v4.0", Usage()) == 0.0


def test_an_experiment_overrides_a_price_and_adds_one() -> None:
    mine = load_prices(
        [
            {
                "provider": "cohere",
                "model": "embed-v4.0",
                "unit": "per_million_tokens",
                "usd": 1,
                "read_on": "2026-12-01",
            },
            {"provider": "rerank_api", "model": "bge", "unit": "per_thousand_searches", "usd": 0.5},
        ]
    )
    assert price_of(mine, "cohere", "embed-v4.0", Usage(tokens=1_000_000)) == 1.0
    assert price_of(mine, "rerank_api", "bge", Usage(search_units=1000)) == 0.5
    assert len(mine.by_model) == len(PRICES.by_model) + 1


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"provider": "x", "model": "y", "unit": "per_kilo", "usd": 1}, r"prices\[0\]\.unit"),
        ({"provider": "x", "model": "y", "unit": "per_million_tokens", "usd": -1}, r"prices\[0\]\.usd"),
        ({"provider": "x", "unit": "per_million_tokens", "usd": 1}, r"prices\[0\]\.model"),
        ({"provider": "x", "model": "y", "unit": "per_million_tokens", "usd": 1, "eur": 2}, r"prices\[0\]\.eur"),
    ],
)
def test_a_price_that_cannot_be_read_is_named_by_its_place(entry: dict[str, Any], fault: str) -> None:
    with pytest.raises(PriceFaults, match=fault):
        load_prices([entry])


def test_estimates_take_four_bytes_for_a_token() -> None:
    assert text_bytes(["abc", "", "日本"]).tolist() == [3, 0, 6]
    assert embedding_usage(np.full(1000, 400), ABOUT).total().tokens == 100_000  # 1,000 · 400 / 4
    usage = reranking_usage(np.full(10, 40), np.full((10, 150), 400), ABOUT).total()
    assert usage.tokens == 165_000  # 10 · 150 · (40 + 400) / 4
    assert usage.search_units == 20  # 10 · ceil(150 / 100)
    # 3,960 and 40 bytes are 1,000 tokens or two chunks: 10 · ceil(150 · 2 / 100)
    assert reranking_usage(np.full(10, 40), np.full((10, 150), 3960), ABOUT).total().search_units == 30


@pytest.mark.parametrize(
    ("text", "of_four_bytes"),  # what OpenAI's tokenizer makes of four bytes in prose of the language
    [
        ("Everyone has the right to rest and to leisure, with reasonable hours of work and regular holidays.", 0.81),
        ("Jeder hat das Recht auf Erholung und Freizeit und insbesondere auf eine vernünftige Begrenzung.", 0.90),
        ("Каждый человек имеет право на отдых и досуг, включая право на разумное ограничение рабочего дня.", 0.85),
        ("ทุกคนมีสิทธิในการพักผ่อนและเวลาว่าง รวมทั้งการจำกัดเวลาทำงานตามสมควร", 1.21),
        ("すべて人は、労働時間の合理的な制限を含む休息及び余暇をもつ権利を有する。", 1.37),
        ("人人有享有休息和闲暇的权利,包括工作时间有合理限制和定期给薪休假的权利。", 1.39),
        ("प्रत्येक व्यक्ति को विश्राम और अवकाश का अधिकार है, जिसमें काम के घंटों की सीमा भी है।", 1.51),
        ("모든 사람은 노동시간의 합리적 제한과 정기적 유급휴가를 포함하여 휴식할 권리를 가진다.", 1.60),
    ],
)
def test_tokens_are_reckoned_by_script(text: str, of_four_bytes: float) -> None:
    really = of_four_bytes * len(text.encode()) / 4
    assert embedding_usage(ABOUT.sizes([text]), ABOUT).total().tokens == pytest.approx(really, rel=RECKONING_ERROR)
    assert reckoned_tokens(text) == pytest.approx(really, rel=RECKONING_ERROR)


@given(st.text())
def test_what_is_reckoned_is_at_most_what_is_sure(text: str) -> None:
    about, most = (embedding_usage(tokens.sizes([text]), tokens).total().tokens for tokens in (ABOUT, AT_MOST))
    assert about <= most


@given(st.lists(st.text(), min_size=1), st.text())
def test_no_tokenizer_makes_more_tokens_than_the_most(texts: list[str], query: str) -> None:
    tokens = [len(ids) for ids in meaning().tokens([query, *texts])]
    most = embedding_usage(text_bytes(texts), AT_MOST)
    assert (most.tokens >= tokens[1:]).all()
    ranking = reranking_usage(text_bytes([query]), text_bytes(texts)[None], AT_MOST).total()
    assert ranking.tokens >= tokens[0] * len(texts) + sum(tokens[1:])


def test_empty_places_of_a_ranking_cost_nothing() -> None:
    usage = reranking_usage(np.array([8, 8]), np.array([[4, -1, -1], [-1, -1, -1]]), ABOUT)
    assert (usage.tokens.tolist(), usage.search_units.tolist()) == ([3, 0], [1, 0])


def managed() -> list[PartWork]:
    return [
        PartWork("encoder", "corpus", 1000, "cohere", "embed-v5.0-pro", Usage(requests=11, tokens=200_000), 4.0),
        PartWork("index", "corpus", 1000, seconds=36.0),
        PartWork("encoder", "queries", 50, "cohere", "embed-v5.0-fast", Usage(requests=1, tokens=1000), 0.5),
        PartWork("search", "queries", 50, seconds=0.9),
        PartWork("reranker", "queries", 50, "cohere", "rerank-v4.0-pro", Usage(requests=50, search_units=50), 3.0),
    ]


def test_a_managed_system_without_a_machine_price_is_what_is_billed() -> None:
    cost = system_cost(managed(), PRICES)
    assert cost.corpus_usd == pytest.approx(0.024)  # 0.2 M · 0.12
    # per query 0.08 · 1000 / 1e6 / 50 = 0.0000016, and 2.50 / 1000 = 0.0025: times 1,000
    assert cost.per_1000_queries_usd == pytest.approx(2.5016)


def test_a_machine_price_adds_the_local_parts_alone() -> None:
    cost = system_cost(managed(), PRICES, machine_usd_per_hour=2.0)
    assert cost.corpus_usd == pytest.approx(0.024 + 0.02)  # 36 s of 2 $ an hour
    # the search: 0.9 s / 50 · 1000 = 18 s = 0.01 $; waiting for a provider is not the machine's work
    assert cost.per_1000_queries_usd == pytest.approx(2.5116)


def test_a_local_system_is_unknown_without_a_machine_price_and_priced_with_one() -> None:
    local = [
        PartWork("encoder", "corpus", 100, seconds=18.0),
        PartWork("encoder", "queries", 10, seconds=0.36),
    ]
    bare = system_cost(local, PRICES)
    assert (bare.corpus_usd, bare.per_1000_queries_usd) == (None, None)
    priced = system_cost(local, PRICES, machine_usd_per_hour=1.0)
    assert priced.corpus_usd == pytest.approx(0.005)  # 18 / 3600
    assert priced.per_1000_queries_usd == pytest.approx(0.01)  # 0.036 · 1000 / 3600


def test_one_unknown_part_makes_the_sum_unknown() -> None:
    work = [*managed(), PartWork("reranker", "queries", 50, "cohere", "rerank-v9", Usage(requests=50, tokens=9))]
    cost = system_cost(work, PRICES)
    assert cost.corpus_usd is not None
    assert cost.per_1000_queries_usd is None


def test_a_projection_scales_documents_and_queries() -> None:
    cost = system_cost(managed(), PRICES, projection=Projection(documents=1_000_000, queries_per_month=200_000))
    assert cost.projected["corpus_usd"] == pytest.approx(24.0)  # 0.024 · 1,000
    assert cost.projected["monthly_usd"] == pytest.approx(500.32)  # 2.5016 · 200
    assert json.loads(json.dumps(cost.as_dict()))["projection"]["documents"] == 1_000_000


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_usages_are_additive(first: int, second: int) -> None:
    def usd(tokens: int) -> float:
        found = price_of(PRICES, "openai", "text-embedding-3-small", Usage(requests=1, tokens=tokens))
        assert found is not None
        return found

    assert usd(first) + usd(second) == pytest.approx(usd(first + second))


def test_money_from_time_has_the_interval_of_that_time() -> None:
    rounds = np.array([0.017, 0.019, 0.018, 0.018])  # seconds of a query, the search's .9 s / 50 = .018 on the mean
    cost = system_cost(managed(), PRICES, machine_usd_per_hour=2.0, machine_seconds=rounds, disturbed=True)
    # Student, 3 degrees of freedom: 3.182 · .000816 / 2 = .00130 s, of 2 $ / 3600 s, for 1,000 queries: .00072 $
    assert cost.per_1000_queries_usd == pytest.approx(2.5116)
    assert cost.per_1000_queries_interval_usd == pytest.approx((2.5116 - 0.000722, 2.5116 + 0.000722), abs=1e-6)
    assert cost.disturbed and cost.as_dict()["per_1000_queries_interval_usd"] is not None


@pytest.mark.parametrize("rounds", [None, np.array([0.018]), np.array([0.018, np.nan])])
def test_one_round_gives_no_interval(rounds: Any) -> None:
    cost = system_cost(managed(), PRICES, machine_usd_per_hour=2.0, machine_seconds=rounds)
    assert (cost.per_1000_queries_interval_usd, cost.disturbed) == (None, False)


def test_what_is_billed_alone_has_no_interval() -> None:
    assert system_cost(managed(), PRICES, machine_seconds=np.full(9, 0.018)).per_1000_queries_interval_usd is None


def test_a_query_whose_time_was_not_measured_has_no_price() -> None:
    untimed = [PartWork("encoder", "queries", 50, "cohere", "embed-v5.0-fast", Usage(requests=1, tokens=1000)),
               PartWork("search", "queries", 50)]  # fmt: skip
    assert system_cost(untimed, PRICES, machine_usd_per_hour=2.0).per_1000_queries_usd is None
    assert system_cost(untimed, PRICES).per_1000_queries_usd == pytest.approx(0.0016)  # what is billed is known


def test_a_projection_carries_the_interval() -> None:
    size = Projection(documents=1000, queries_per_month=2000)
    cost = system_cost(
        managed(), PRICES, machine_usd_per_hour=2.0, projection=size, machine_seconds=np.array([0.017, 0.019])
    )
    assert cost.per_1000_queries_interval_usd is not None
    low, high = cost.per_1000_queries_interval_usd
    assert cost.projected["monthly_interval_usd"] == pytest.approx((2 * low, 2 * high))
