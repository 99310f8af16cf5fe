"""Laws of money: the bill is known before anything is spent, `max_cost` is kept, unknown is not free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import small
from tests.standin import StandIn

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
    path = small.write(tmp_path, spec(latency={"samples": 5, "seconds": 5}))
    outcome = small.bench("run", path, "--dry-run", "--quiet", "--cache", tmp_path / "cache")
    assert outcome.exit_code == 0
    assert "bill, estimated" in outcome.stdout and "embed-v5.0-pro" in outcome.stdout and "total:" in outcome.stdout
    assert not service.seen.answered


def test_every_system_has_a_cost_with_its_parts_and_a_local_one_no_price(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    _, result = small.measure(tmp_path, spec(projection={"documents": 1000, "queries_per_month": 2000}))
    systems = small.by_name(result)
    local, pro = systems["bm25"].cost, systems["pro"].cost
    assert local is not None and pro is not None
    assert local["per_1000_queries_usd"] is None
    billed = {part["of"]: part for part in pro["parts"] if part["provider"] == "cohere"}
    # .12 USD per million tokens, for the tokens that the answers reported.
    assert billed["corpus"]["usd"] == pytest.approx(0.12 * billed["corpus"]["usage"]["tokens"] / 1e6)
    assert pro["per_1000_queries_usd"] == pytest.approx(1000 * billed["queries"]["usd"] / billed["queries"]["count"])
    assert pro["projection"]["monthly_usd"] == pytest.approx(2 * pro["per_1000_queries_usd"])
    assert list(result.provenance["addresses"]) == ["encoders.pro"]


def test_with_a_price_of_the_machine_local_work_costs_its_time(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    timed = spec(latency={"samples": 6, "seconds": 5}, machine_usd_per_hour=3.6)
    _, result = small.measure(tmp_path, timed)
    bm25 = small.by_name(result)["bm25"]
    assert bm25.cost is not None
    parts = {part["part"]: part for part in bm25.cost["parts"]}
    # 3.60 USD an hour are .001 USD a second.
    assert parts["search"]["usd"] == pytest.approx(0.001 * parts["search"]["seconds"])
    assert bm25.cost["per_1000_queries_usd"] == pytest.approx(1000 * parts["search"]["usd"] / 12)


def test_an_encoder_of_ones_own_is_local_work_that_max_cost_asks_no_price_of(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    own = {"adapter": "openai", "model": "stand-in-512", "dimension": 512, "base_url": f"{service.url}/v1", **CALLS}
    content = small.spec(
        [{"name": "own", "encoder": "own"}], encoders={"own": own}, max_cost=0.000001, machine_usd_per_hour=3.6
    )
    _, result = small.measure(tmp_path, content)
    cost = small.by_name(result)["own"].cost
    assert cost is not None
    encoded = next(part for part in cost["parts"] if part["part"] == "encoder" and part["of"] == "corpus")
    assert encoded["provider"] is None
    # 3.60 USD an hour are .001 USD a second.
    assert encoded["usd"] == pytest.approx(0.001 * encoded["seconds"]) and encoded["seconds"] > 0
