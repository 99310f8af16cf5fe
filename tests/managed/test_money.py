"""Laws of money: the bill is known before anything is spent, `max_cost` is kept, unknown is not free."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests import small
from tests.standin import StandIn
from tests.standin.meaning import meaning

CALLS: dict[str, Any] = {"backoff_seconds": 0.001, "max_retries": 5, "timeout_seconds": 10}
PRO = {"adapter": "cohere", "model": "embed-v5.0-pro", "output_dimension": 256, **CALLS}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Any:
    with StandIn() as standin:
        for name, value in standin.environment().items():
            monkeypatch.setenv(name, value)
        yield standin


def spec(**keys: Any) -> dict[str, Any]:
    return small.spec(
        [{"name": "bm25", "store": "bm25"}, {"name": "pro", "encoder": "pro"}], encoders={"pro": PRO}, **keys
    )


def test_a_run_whose_bill_passes_max_cost_does_not_start(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    path = small.write(tmp_path, spec(max_cost=0.000001))
    outcome = small.bench("run", path, "--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    assert outcome.exit_code == 2
    assert "max_cost" in outcome.stderr and "--dry-run" in outcome.stderr
    assert not (tmp_path / "results").exists()
    assert not service.seen.answered


def test_a_limit_without_a_price_is_refused(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    # A price per search tells nothing of what an encoder's tokens cost.
    prices = [{"provider": "cohere", "model": "embed-v5.0-pro", "unit": "per_thousand_searches", "usd": 1.0}]
    path = small.write(tmp_path, spec(max_cost=5, prices=prices))
    outcome = small.bench("run", path, "--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    assert outcome.exit_code == 2
    assert "no price is known of cohere embed-v5.0-pro" in outcome.stderr
    assert not service.seen.answered


def test_the_dry_run_shows_the_bill_and_sends_nothing(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    path = small.write(tmp_path, spec(latency={"samples": 5, "seconds": 5, "turn_seconds": 0.001}))
    outcome = small.bench("run", path, "--dry-run", "--quiet", "--cache", tmp_path / "cache")
    assert outcome.exit_code == 0
    assert (
        "bill, estimated" in outcome.stdout
        and "± 20%" in outcome.stdout
        and "embed-v5.0-pro" in outcome.stdout
        and "total:" in outcome.stdout
    )
    assert not service.seen.answered


def test_the_dry_run_shows_the_bill_without_a_key(
    tmp_path: Path, service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.collection(tmp_path / "data")
    path = small.write(tmp_path, spec())
    places = ("--cache", tmp_path / "cache", "--output", tmp_path / "results")
    with_key = small.bench("run", path, "--dry-run", *places)
    monkeypatch.delenv("CO_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    without = small.bench("run", path, "--dry-run", *places)
    assert (without.exit_code, bill(without.stdout)) == (0, bill(with_key.stdout))
    assert "takes a key from the variable CO_API_KEY, which is not set" in without.stderr
    assert "CO_API_KEY" not in with_key.stderr
    assert not service.seen.answered


def bill(plan: str) -> list[str]:
    return [line for line in plan.splitlines() if "USD" in line]


def test_the_bill_of_chinese_texts_is_that_of_their_tokens(tmp_path: Path, service: StandIn) -> None:
    folder = small.collection(tmp_path / "data")
    chinese = [{"_id": f"d{i}", "text": "猫是一种喜欢打呼噜的动物" * 40} for i in range(60)]
    small.write_jsonl(folder / "corpus.jsonl", chinese)
    path = small.write(tmp_path, spec())
    outcome = small.bench("run", path, "--dry-run", "--quiet", "--cache", tmp_path / "cache")
    # One text of 480 characters, a little over one token each, at .12 USD per million: 480 · 1.03 · .12 / 1e6 = .0001
    assert "pro: 1 document texts: 0.0001 USD" in outcome.stdout


def test_every_system_has_a_cost_with_its_parts_and_a_local_one_no_price(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    _, result = small.measure(tmp_path, spec(projection={"documents": 1000, "queries_per_month": 2000}))
    systems = small.by_name(result)
    local, pro = systems["bm25"].cost, systems["pro"].cost
    assert local is not None and pro is not None
    assert local.per_1000_queries_usd is None
    billed = {part.of: part for part in pro.parts if part.provider == "cohere"}
    # .12 USD per million tokens, for the tokens that the answers reported.
    assert billed["corpus"].usd == pytest.approx(0.12 * (billed["corpus"].usage.tokens or 0) / 1e6)
    assert pro.per_1000_queries_usd == pytest.approx(1000 * (billed["queries"].usd or 0) / billed["queries"].count)
    assert pro.projection is not None and pro.per_1000_queries_usd is not None
    assert pro.projection.monthly_usd == pytest.approx(2 * pro.per_1000_queries_usd)
    assert list(result.provenance.addresses) == ["encoders.pro"]


def symbols(count: int) -> list[str]:
    """Texts with a token for nearly every byte, as in scripts that a tokenizer knows little of."""
    return [" ".join(chr(0x1F700 + (7 * i + 3 * j) % 110) for j in range(12)) + f" {i}" for i in range(count)]


def embedded_tokens(service: StandIn) -> int:
    """What the service has billed for embedding."""
    texts = [key[-1] for key, count in service.seen.answered.items() for _ in range(count) if "embed" in key[0]]
    return sum(len(ids) for ids in meaning().tokens(texts))


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_max_cost_is_not_passed_by_texts_of_many_tokens(tmp_path: Path, service: StandIn, share: float) -> None:
    """Four bytes a token is too few for these texts, so that the run may start, and is stopped on its way."""
    texts = symbols(300)
    small.collection(tmp_path / "data", documents=300)
    small.write_jsonl(tmp_path / "data" / "corpus.jsonl", [{"_id": f"d{i}", "text": t} for i, t in enumerate(texts)])
    whole = sum(len(ids) for ids in meaning().tokens(texts))
    limit = share * whole * 0.12 / 1e6
    _, result = small.measure(tmp_path, spec(max_cost=limit))
    pro = small.by_name(result)["pro"]
    assert pro.status == "error" and "max_cost" in (pro.error or "")
    spent = embedded_tokens(service) * 0.12 / 1e6
    assert 0.8 * limit < spent <= limit
    assert small.by_name(result)["bm25"].status == "success"


def test_live_queries_of_all_systems_share_one_budget(tmp_path: Path, service: StandIn) -> None:
    """The texts take more than was reckoned, so that what is left is enough for the live queries of one system."""
    texts = symbols(300)
    small.collection(tmp_path / "data", documents=300)
    small.write_jsonl(tmp_path / "data" / "corpus.jsonl", [{"_id": f"d{i}", "text": t} for i, t in enumerate(texts)])
    reckoned, really = sum(len(t.encode()) / 4 for t in texts), sum(len(ids) for ids in meaning().tokens(texts))
    lines = (tmp_path / "data" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    a_query = math.ceil(round(sum(len(json.loads(line)["text"]) for line in lines) / len(lines)) / 4)  # tokens
    samples = round((really - reckoned) / 1.5 / a_query)
    limit = 1.03 * (reckoned + 3 * samples * a_query) * 0.12 / 1e6
    systems = [{"name": f"pro{k}", "encoder": "pro", "k": k} for k in (10, 11, 12)]
    latency = {"samples": samples, "seconds": 1}
    _, result = small.measure(tmp_path, small.spec(systems, encoders={"pro": PRO}, latency=latency, max_cost=limit))
    assert [system.status for system in result.systems] == ["success"] * 3
    assert [system.latency is None for system in result.systems] == [False, True, True]


def test_what_was_measured_is_not_billed_again(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    path = small.write(tmp_path, spec(latency={"samples": 5, "seconds": 5, "turn_seconds": 0.001}))
    places = ("--quiet", "--cache", tmp_path / "cache", "--output", tmp_path / "results")
    assert small.bench("run", path, *places).exit_code == 0
    plan = small.bench("run", path, "--dry-run", *places).stdout
    assert "bill" not in plan and "0 of 2 systems to measure" in plan
    assert "5 samples" in plan
    # Five samples, and ten to warm up once.
    assert "15 live queries" in small.bench("run", path, "--dry-run", "--remeasure", *places).stdout


def test_a_ranking_costs_the_same_whoever_else_shares_its_pairs(tmp_path: Path, service: StandIn) -> None:
    """A search unit is the price of a request of up to 100 documents, 2 USD per 1,000 for this model."""
    small.collection(tmp_path / "data")
    rerankers = {"v4": {"adapter": "cohere", "model": "rerank-v4.0-fast", **CALLS}}
    systems = [{"name": f"d{d}", "store": "bm25", "reranker": "v4", "depth": d} for d in (10, 30, 20)]
    _, result = small.measure(tmp_path, small.spec(systems, rerankers=rerankers))
    costs = {s.name: s.cost.per_1000_queries_usd for s in result.systems if s.cost}
    assert costs == {"d10": pytest.approx(2.0), "d30": pytest.approx(2.0), "d20": pytest.approx(2.0)}


def test_a_query_that_is_asked_twice_is_paid_twice(tmp_path: Path, service: StandIn) -> None:
    folder = small.collection(tmp_path / "data", queries=10)
    small.write_jsonl(folder / "queries.jsonl", [{"_id": f"q{i}", "text": "the copper violin"} for i in range(10)])
    _, result = small.measure(tmp_path, spec())
    cost = small.by_name(result)["pro"].cost
    assert cost is not None
    (part,) = (part for part in cost.parts if part.of == "queries" and part.provider)
    assert part.usage.tokens == 10 * len(meaning().tokens(["the copper violin"])[0])


def test_with_a_price_of_the_machine_local_work_costs_its_time(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    timed = spec(latency={"samples": 6, "seconds": 5, "turn_seconds": 0.001}, machine_usd_per_hour=3.6)
    _, result = small.measure(tmp_path, timed)
    bm25 = small.by_name(result)["bm25"]
    assert bm25.cost is not None
    parts = {part.part: part for part in bm25.cost.parts}
    # 3.60 USD an hour are .001 USD a second.
    assert parts["search"].usd == pytest.approx(0.001 * (parts["search"].seconds or 0))
    assert bm25.cost.per_1000_queries_usd == pytest.approx(1000 * (parts["search"].usd or 0) / 12)


def test_without_a_live_measurement_the_machines_part_of_a_query_has_no_price(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    _, result = small.measure(tmp_path, spec(latency=False, machine_usd_per_hour=3.6))
    for system in result.systems:
        assert system.cost is not None and system.cost.per_1000_queries_usd is None
        assert system.cost.corpus_usd is not None  # a corpus is embedded and indexed in batches anyway


def test_money_from_time_has_an_interval_over_the_rounds(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    timed = spec(latency={"samples": 6, "seconds": 5, "turn_seconds": 0.001}, machine_usd_per_hour=3.6)
    _, result = small.measure(tmp_path, timed)
    cost = small.by_name(result)["bm25"].cost
    assert cost is not None
    assert cost.per_1000_queries_usd is not None and cost.per_1000_queries_interval_usd is not None
    low, high = cost.per_1000_queries_interval_usd
    assert low < cost.per_1000_queries_usd < high


def test_an_encoder_of_ones_own_is_local_work_that_max_cost_asks_no_price_of(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    own = {"adapter": "openai", "model": "stand-in-512", "dimension": 512, "base_url": f"{service.url}/v1", **CALLS}
    content = small.spec(
        [{"name": "own", "encoder": "own"}], encoders={"own": own}, max_cost=0.000001, machine_usd_per_hour=3.6
    )
    _, result = small.measure(tmp_path, content)
    cost = small.by_name(result)["own"].cost
    assert cost is not None
    encoded = next(part for part in cost.parts if part.part == "encoder" and part.of == "corpus")
    assert encoded.provider is None and encoded.seconds is not None
    # 3.60 USD an hour are .001 USD a second.
    assert encoded.usd == pytest.approx(0.001 * encoded.seconds) and encoded.seconds > 0


def test_encode_knows_its_bill_keeps_the_limit_and_pays_for_no_text_twice(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    path = small.write(tmp_path, spec())
    words = ("encode", "pro", "--config", path, "--cache", tmp_path / "cache", "a violin", "a tower", "a violin")
    planned = small.bench(*words, "--dry-run")
    assert planned.exit_code == 0, planned.stderr
    assert planned.stdout.startswith("pro (documents): 2 of 2 texts to embed\n")
    assert "pro: 2 document texts: 0.0000 USD (cohere embed-v5.0-pro)" in planned.stdout
    refused = small.bench(*words, "--set", "max_cost=1e-9")
    assert refused.exit_code == 2 and "max_cost (1e-09 USD) would be passed" in refused.stderr
    assert not service.seen.answered
    first, second = small.bench(*words), small.bench(*words, "--set", "max_cost=0")
    assert first.exit_code == second.exit_code == 0, second.stderr
    assert first.stdout == second.stdout and len(first.stdout.splitlines()) == 3
    assert (len(service.seen.answered), service.seen.repeated) == (2, 0)
    assert "pro (documents): 2 texts, all cached\n" in small.bench(*words, "--dry-run").stdout
    near = ("encode", "pro", "--config", path, "--cache", tmp_path / "cache", "a bell", "--corpus")
    (tmp_path / "texts.txt").write_text("a tower\na violin\n")
    assert small.bench(*near, tmp_path / "texts.txt").exit_code == 0
    assert (len(service.seen.answered), service.seen.repeated) == (3, 0)
