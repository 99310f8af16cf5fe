"""Laws of the trackers: the real SDKs, against a real server on loopback and a real folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Context, Delivery, Event, QueryScored, RunFinished, RunStarted, SystemFinished, Tracker
from adapters.trackers._sending import scores_within_bounds
from adapters.trackers.braintrust import BraintrustOptions, BraintrustTracker
from adapters.trackers.mlflow import MlflowOptions, MlflowTracker, metric_name
from tests.standin import Faults, StandIn

PLANTED_KEY = "planted-key-fedcba9876543210"
SYSTEMS = ("dense", "bm25", "hybrid")
RUN = "20261122T120000Z-0123456789ab"


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(keys=frozenset({PLANTED_KEY}), git_metadata={"collect": "all"}) as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        yield service


def events(queries: int = 7) -> Iterator[Event]:
    configuration = {"experiment": "demo", "baseline": "bm25", "encoders": {"mini": {"adapter": "precomputed"}}}
    yield RunStarted(configuration, f"results/demo/{RUN}", {"name": "toy", "judged": queries}, SYSTEMS)
    for number, system in enumerate(SYSTEMS):
        mean = (1 + number) / 4
        entry = {
            "status": "success",
            "measures": {"nDCG@10": {"mean": mean}, "MRR@1": {"mean": None}},
            "pipeline": {"store": {"name": "exact"}, "depth": None, "k": 10},
            "latency": {"total": {"p50_ms": 1.5, "samples": 20}},
            "cost": {"corpus_usd": 0.5, "per_1000_queries_usd": None},
        }
        yield SystemFinished(system, "success", None, entry)
        for i in range(queries):
            yield QueryScored(
                system,
                f"q{i}",
                f"question {i}",
                ["d1", "d2"],
                {"d1": 1},
                {"nDCG@10": mean, "MRR@1": None, "Recall@5": 1.0000000001},
                {"total_seconds": 0.25},
                failed=i == 3,
            )
    yield RunFinished("success", f"results/demo/{RUN}")


def delivered(tracker: Tracker, queries: int = 7, seconds: float = 60.0) -> Delivery:
    for event in events(queries):
        tracker.on(event)
    return tracker.finish(seconds)


def braintrust(**options: Any) -> BraintrustTracker:
    return BraintrustTracker(BraintrustOptions(**{"project": "p", "backoff_seconds": 0.01, **options}))


def name_of(system: str) -> str:
    return f"demo · {system} · {RUN}"


def test_every_query_is_one_row_with_all_that_belongs_to_it(standin: StandIn) -> None:
    delivery = delivered(braintrust())
    assert (delivery.sent, delivery.unsent) == (21, 0)
    assert delivery.link is not None
    for number, system in enumerate(SYSTEMS):
        rows = standin.tracking.experiment_rows(name_of(system))
        assert len(rows) == 7
        for row in rows.values():
            assert row["input"]["query"].startswith("question ")
            assert row["output"] == ["d1", "d2"]
            assert row["expected"] == {"d1": 1}
            assert row["scores"] == {"nDCG@10": (1 + number) / 4, "Recall@5": 1.0}
            assert row["metrics"]["total_seconds"] == 0.25
            assert row["metrics"]["end"] - row["metrics"]["start"] == pytest.approx(0.25, abs=1e-3)
        assert sum(row.get("error") is not None for row in rows.values()) == 1


def test_systems_are_compared_with_the_baselines_experiment(standin: StandIn) -> None:
    delivery = delivered(braintrust())
    experiments = {item["name"]: item for item in standin.tracking.experiments.values()}
    base = experiments[name_of("bm25")]
    assert "base_exp_id" not in base
    assert experiments[name_of("hybrid")]["base_exp_id"] == base["id"]
    # 3/4 - 2/4 and 1/4 - 2/4 for each of seven queries
    assert any("hybrid" in note and "nDCG@10 +0.250 (7 up, 0 down)" in note for note in delivery.notes)
    assert any("dense" in note and "nDCG@10 -0.250 (0 up, 7 down)" in note for note in delivery.notes)
    assert experiments[name_of("hybrid")]["metadata"]["configuration"]["baseline"] == "bm25"


def test_nothing_of_the_repository_is_sent_though_the_organisation_collects_all(standin: StandIn) -> None:
    delivered(braintrust())
    for experiment in standin.tracking.experiments.values():
        assert not {"repo_info", "ancestor_commits"} & experiment.keys()


def test_sending_a_result_again_adds_nothing(standin: StandIn) -> None:
    delivered(braintrust())
    before = {name: sorted(standin.tracking.experiment_rows(name_of(name))) for name in SYSTEMS}
    logged = standin.seen.requests["/logs3"]
    delivery = delivered(braintrust())
    assert (delivery.sent, delivery.unsent) == (21, 0)
    assert {name: sorted(standin.tracking.experiment_rows(name_of(name))) for name in SYSTEMS} == before
    assert len(standin.tracking.experiments) == 3
    assert standin.seen.requests["/logs3"] == logged


def test_faults_lose_no_row_and_double_none(standin: StandIn) -> None:
    standin.faults = Faults(0.3, ("429", "500", "503", "slow", "reset", "truncated", "cut"), slow_seconds=0.05)
    delivery = delivered(braintrust(max_retries=20), queries=40)
    assert (delivery.sent, delivery.unsent) == (120, 0)
    assert sum(standin.seen.faults.values()) > 0
    for system in SYSTEMS:
        rows = standin.tracking.experiment_rows(name_of(system))
        assert sorted(row["input"]["query_id"] for row in rows.values()) == sorted(f"q{i}" for i in range(40))


def test_a_data_set_is_filled_once_and_rows_point_to_its_records(standin: StandIn) -> None:
    for _ in range(2):
        delivered(braintrust(dataset={"name": "toy"}))
    (dataset,) = standin.tracking.datasets.values()
    records = standin.tracking.rows[dataset["id"]]
    assert sorted(record["input"]["query_id"] for record in records.values()) == [f"q{i}" for i in range(7)]
    for system in SYSTEMS:
        for row in standin.tracking.experiment_rows(name_of(system)).values():
            assert records[row["origin"]["id"]]["input"] == row["input"]


def test_a_data_set_that_is_taken_is_not_written(standin: StandIn) -> None:
    delivery = delivered(braintrust(dataset={"name": "toy", "mode": "take"}))
    assert delivery.unsent == 0
    assert any("7 of 7 queries are not in the data set toy" in note for note in delivery.notes)
    (dataset,) = standin.tracking.datasets.values()
    assert standin.tracking.rows[dataset["id"]] == {}


def test_without_a_key_nothing_is_sent_and_it_is_said(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRAINTRUST_API_KEY")
    delivery = delivered(braintrust())
    assert (delivery.sent, delivery.unsent) == (0, 21)
    assert "BRAINTRUST_API_KEY is not set" in delivery.notes[0]
    assert f"bench track results/demo/{RUN}" in delivery.notes[0]
    assert standin.seen.requests.total() == 0


@pytest.mark.parametrize("trouble", ["expired", "500", "away"])
def test_a_failing_service_is_told_and_the_key_is_not(
    trouble: str, standin: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    standin.expired = trouble == "expired"
    standin.faults = Faults(1.0 if trouble == "500" else 0.0, ("500",))
    if trouble == "away":
        for name in ("BRAINTRUST_APP_URL", "BRAINTRUST_API_URL"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
    delivery = delivered(braintrust(max_retries=1))
    assert (delivery.sent, delivery.unsent) == (0, 21)
    assert any("21 of 21 rows were not sent" in note for note in delivery.notes)
    assert PLANTED_KEY not in repr(delivery) + "".join(capfd.readouterr())


def test_a_service_that_hangs_is_waited_for_no_longer_than_agreed(standin: StandIn) -> None:
    standin.latency_seconds = 60.0
    began = time.monotonic()
    delivery = delivered(braintrust(), seconds=3.0)
    assert time.monotonic() - began < 30.0
    assert delivery.unsent == 21
    assert any("longer than 3 s" in note for note in delivery.notes)


def test_scores_outside_the_bounds_are_no_scores() -> None:
    given = {"a": 0.5, "b": 1.0000000001, "c": float("nan"), "d": 2.0, "e": None, "f": -1e-9}
    assert scores_within_bounds(given) == {"a": 0.5, "b": 1.0, "f": 0.0}


def mlflow(folder: Path) -> MlflowTracker:
    return MlflowTracker(MlflowOptions(uri=str(folder), max_retries=0), Context(base=folder))


def test_mlflow_holds_one_run_per_system_once(tmp_path: Path) -> None:
    for _ in range(2):
        delivery = delivered(mlflow(tmp_path / "mlruns"))
        assert (delivery.sent, delivery.unsent) == (21, 0)
    files = sorted((tmp_path / "mlruns").rglob("per_query.jsonl"))
    assert len(files) == 3
    rows = [json.loads(line) for line in files[0].read_text(encoding="utf-8").splitlines()]
    assert [row["query_id"] for row in rows] == [f"q{i}" for i in range(7)]
    metrics = {path.name for path in (tmp_path / "mlruns").rglob("metrics/*")}
    assert metrics == {"nDCG_at_10", "total_p50_ms", "total_samples", "corpus_usd"}
    parameters = {path.name: path.read_text() for path in (tmp_path / "mlruns").rglob("params/*")}
    assert parameters["pipeline.store.name"] == "exact"


def test_mlflow_away_is_told(tmp_path: Path) -> None:
    tracker = MlflowTracker(MlflowOptions(uri="http://127.0.0.1:9", max_retries=0), Context(base=tmp_path))
    delivery = delivered(tracker)
    assert (delivery.sent, delivery.unsent) == (0, 21)
    assert any("MLflow did not take everything" in note for note in delivery.notes)


def test_a_measures_name_becomes_one_that_mlflow_takes() -> None:
    assert metric_name("nDCG@10") == "nDCG_at_10"
    assert metric_name("a(b)") == "a_b_"
