"""What is done with data and results afterwards: training files, and delivery to trackers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.results.model import write_result
from bench.run.export import TrainingRow
from tests import small
from tests.standin import StandIn

BM25 = {"name": "bm25", "store": "bm25"}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("negatives", ["random", "bm25", "cosine"])
def test_a_hard_negative_is_never_relevant(tmp_path: Path, static_model: Path, negatives: str) -> None:
    small.collection(tmp_path / "data")
    local = {"adapter": "sentence_transformers", "model": str(static_model)}
    path = small.write(tmp_path, small.spec([BM25], encoders={"local": local}))
    outcome = small.bench(
        "export-training", path, "--split", "test", "--negatives", negatives, "--per-query", "3",
        "--output", tmp_path / "train.jsonl", "--cache", tmp_path / "cache",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.stderr
    found = rows(tmp_path / "train.jsonl")
    assert len(found) == 12
    for row in found:
        assert set(row) == {"query", "relevant_passages", "hard_negatives"}
        assert row["relevant_passages"] and len(row["hard_negatives"]) == 3
        assert not set(row["relevant_passages"]) & set(row["hard_negatives"])
    assert "ended fine-tuning on 2025-09-15" in outcome.stderr
    assert "at least 256" in outcome.stderr  # 12 examples


def export_by_cosine(folder: Path, **keys: Any) -> Any:
    """Exports what lies in `data` with the vectors of a managed encoder called far."""
    far = {"adapter": "cohere", "model": "embed-v5.0-pro", "output_dimension": 256, "max_retries": 0, "batch_size": 20}
    path = small.write(folder, small.spec([BM25], encoders={"far": far}, **keys))
    return small.bench(
        "export-training", path, "--split", "test", "--negatives", "cosine",
        "--output", folder / "train.jsonl", "--cache", folder / "cache",
    )  # fmt: skip


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn() as standin:
        for name, value in standin.environment().items():
            monkeypatch.setenv(name, value)
        yield standin


def test_an_export_keeps_max_cost(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    outcome = export_by_cosine(tmp_path, max_cost=0.000001)
    assert outcome.exit_code == 2
    assert "max_cost" in outcome.stderr
    assert not service.seen.answered
    outcome = export_by_cosine(tmp_path, max_cost=5)
    assert outcome.exit_code == 0, outcome.stderr
    assert len(service.seen.answered) == 60 + 12


def test_an_export_stops_where_its_bill_turns_out_higher_than_estimated(tmp_path: Path, service: StandIn) -> None:
    data = small.collection(tmp_path / "data")
    # Eight tokens each, where four bytes a token, as estimated, make four.
    small.write_jsonl(data / "queries.jsonl", [{"_id": f"q{i}", "text": f"a b c d e f g {i}"} for i in range(12)])
    texts = [row["text"] for name in ("corpus", "queries") for row in rows(data / f"{name}.jsonl")]
    outcome = export_by_cosine(tmp_path, max_cost=1.1 * 0.12e-6 * sum(map(len, texts)) / 4)
    assert outcome.exit_code == 1
    assert "cosine: error: max_cost" in outcome.stderr and "What was paid for is kept" in outcome.stderr
    assert 12 < len(service.seen.answered) < len(texts)


def test_an_export_whose_key_has_expired_says_so_as_a_run_does(tmp_path: Path, service: StandIn) -> None:
    small.collection(tmp_path / "data")
    service.expired = True
    outcome = export_by_cosine(tmp_path)
    assert outcome.exit_code == 1
    assert "cosine: error: " in outcome.stderr and "the key in CO_API_KEY (401)" in outcome.stderr
    assert not (tmp_path / "train.jsonl").exists()


def test_an_export_without_a_key_does_not_start(
    tmp_path: Path, service: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.collection(tmp_path / "data")
    for name in ("CO_API_KEY", "CO_API_URL"):
        monkeypatch.delenv(name)
    outcome = export_by_cosine(tmp_path)
    assert outcome.exit_code == 2
    assert "bench.yaml: encoders.far: Cohere needs an API key" in outcome.stderr


@pytest.mark.parametrize(
    "row",
    [
        {"query": "q", "relevant_passages": []},
        {"query": "", "relevant_passages": ["a"]},
        {"query": "q", "relevant_passages": ["a"], "hard_negatives": ["a"]},
        {"query": "q", "relevant_passages": [" "]},
    ],
)
def test_a_row_that_the_provider_would_have_refused_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainingRow(**row)


def test_an_unknown_way_of_choosing_negatives_is_named(tmp_path: Path) -> None:
    outcome = small.bench("export-training", tmp_path / "bench.yaml", "--negatives", "hardest")
    assert outcome.exit_code == 2
    assert "random, bm25 and cosine" in outcome.stderr


def test_what_was_not_sent_is_sent_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.collection(tmp_path / "data")
    for name in ("BRAINTRUST_API_KEY", "BRAINTRUST_API_URL", "BRAINTRUST_APP_URL"):
        monkeypatch.delenv(name, raising=False)
    tracker = {"adapter": "braintrust", "project": "p", "backoff_seconds": 0.01}
    folder, result = small.measure(tmp_path, small.spec([BM25], trackers={"far": tracker}))
    assert result.status == "success"  # no key: the run is unharmed
    assert [(t.sent, t.unsent) for t in result.tracked] == [(0, 12)]
    with StandIn() as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        outcome = small.bench("track", folder)
        assert outcome.exit_code == 0, outcome.stdout
        assert "12 rows sent" in outcome.stdout
        (experiment,) = service.tracking.experiments.values()
        sent = service.tracking.experiment_rows(experiment["name"])
    assert len(sent) == 12
    for row in sent.values():
        assert {f"{m}@{k}" for m in ("MRR", "Recall", "nDCG") for k in (1, 3, 5, 10)} <= set(row["scores"])


def test_a_relative_store_is_where_the_run_sent_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.collection(tmp_path / "data")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, result = small.measure(tmp_path, small.spec([BM25], trackers={"near": {"adapter": "mlflow"}}))
    assert [(t.sent, t.unsent) for t in result.tracked] == [(12, 0)]
    shutil.rmtree(tmp_path / "mlruns")
    monkeypatch.chdir(tmp_path)
    assert small.bench("track", folder).exit_code == 0
    assert len(list((tmp_path / "mlruns").rglob("per_query.jsonl"))) == 1
    assert not (folder / "mlruns").exists()


def test_a_result_that_does_not_tell_its_experiments_folder_is_sent_from_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.collection(tmp_path / "data")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder, result = small.measure(tmp_path, small.spec([BM25]))
    result.provenance.base = None
    write_result(folder, result)
    assert small.bench("track", folder, "--tracker", "mlflow").exit_code == 0
    assert len(list((folder / "mlruns").rglob("per_query.jsonl"))) == 1


def test_a_folder_that_is_no_result_is_named(tmp_path: Path) -> None:
    outcome = small.bench("track", tmp_path)
    assert outcome.exit_code == 2
    assert "result.json" in outcome.stderr
