"""Laws of whole runs with managed models: faults change no number, no answered text is sent again, no key is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from bench.experiment.reader import load_experiment
from bench.results.model import Result
from bench.run.folder import Places
from bench.run.runner import run
from tests.managed.conftest import PLANTED_KEY
from tests.standin import KINDS, Faults, StandIn

NOUNS = ["arrays", "water", "planets", "bread", "violins", "iron", "rivers", "bridges", "clocks", "maps"]
ABOUT = ["how it is made", "why it breaks", "where it was found first", "what it costs", "who sells it", "its history"]
CALLS: dict[str, Any] = {"backoff_seconds": 0.001, "max_retries": 20, "timeout_seconds": 120}


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """60 documents, 20 queries."""
    folder = tmp_path / "toy"
    (folder / "qrels").mkdir(parents=True)
    documents = [(f"d{i}", f"{noun}: {about}") for i, (noun, about) in enumerate((n, a) for n in NOUNS for a in ABOUT)]
    queries = [
        (f"q{i}", f"tell me about {NOUNS[i % 10]} and {ABOUT[i // 10]}", i % 10 * 6 + i // 10) for i in range(20)
    ]
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"_id": key, "title": "", "text": text}) + "\n" for key, text in documents)
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"_id": key, "text": text}) + "\n" for key, text, _ in queries)
    lines = ["query-id\tcorpus-id\tscore", *(f"{key}\td{document}\t1" for key, _, document in queries)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def experiment(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "experiment": "managed",
        "dataset": {"adapter": "beir", "path": str(folder), "split": "test"},
        "encoders": {
            "pro": {"adapter": "cohere", "model": "embed-v5.0-pro", "output_dimension": 256, "batch_size": 8, **CALLS},
            "fast": {
                "adapter": "cohere",
                "model": "embed-v5.0-fast",
                "output_dimension": 256,
                "batch_size": 8,
                **CALLS,
            },
            "small": {"adapter": "openai", "model": "text-embedding-3-small", "batch_size": 8, **CALLS},
        },
        "rerankers": {"v5": {"adapter": "cohere", "model": "rerank-v5.0-pro", **CALLS}},
        "systems": [
            {"name": "pro", "encoder": "pro"},
            {"name": "fast", "encoder": "fast"},
            {"name": "pair", "encoder": {"document": "pro", "query": "fast"}},
            {"name": "small", "encoder": "small"},
            {"name": "reranked", "encoder": "fast", "reranker": "v5", "depth": 10},
        ],
        "baseline": "fast",
        "measures": ["nDCG@10", "MRR@10"],
        "latency": False,
        **changes,
    }


def execute(where: Path, content: dict[str, Any]) -> tuple[Path, Result]:
    where.mkdir(exist_ok=True)
    (where / "experiment.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    loaded = load_experiment(where / "experiment.yaml")
    return run(loaded, Places(where / "results", where / "cache"))


def per_query(folder: Path) -> dict[str, Any]:
    return pq.read_table(folder / "per_query.parquet").to_pydict()


def files_with(key: str, folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]


def test_a_fifth_of_faults_changes_no_number_and_nothing_answered_is_sent_again(
    collection: Path, tmp_path: Path, standin: StandIn
) -> None:
    quiet, undisturbed = execute(tmp_path / "quiet", experiment(collection))
    assert undisturbed.status == "success"
    assert standin.seen.repeated == 0
    standin.forget()
    standin.faults = Faults(0.2, slow_seconds=0.02, retry_after="0.01")
    noisy, disturbed = execute(tmp_path / "noisy", experiment(collection))
    assert disturbed.status == "success"
    assert per_query(noisy) == per_query(quiet)
    assert sum(standin.seen.faults.values()) > 5
    assert standin.seen.repeated == 0
    assert set(disturbed.provenance.addresses) == {"encoders.pro", "encoders.fast", "encoders.small", "rerankers.v5"}


def test_a_pair_of_encoders_pays_for_the_index_once(collection: Path, tmp_path: Path, standin: StandIn) -> None:
    systems = [{"name": "pro", "encoder": "pro"}, {"name": "pair", "encoder": {"document": "pro", "query": "fast"}}]
    _, result = execute(tmp_path / "run", experiment(collection, systems=systems, baseline="pro"))
    models = [key[1] for key in standin.seen.answered]
    assert (models.count("embed-v5.0-pro"), models.count("embed-v5.0-fast")) == (60 + 20, 20)
    means = {entry.name: entry.measures["nDCG@10"].mean for entry in result.systems}
    assert all(mean is not None and 0 < mean <= 1 for mean in means.values())


def test_a_run_that_died_of_an_expired_key_pays_only_for_the_rest(
    collection: Path, tmp_path: Path, standin: StandIn
) -> None:
    systems = [{"name": "pro", "encoder": "pro"}, {"name": "small", "encoder": "small"}]
    content = experiment(collection, systems=systems, baseline="pro")
    standin.expired = True
    folder, failed = execute(tmp_path / "run", content)
    assert failed.status == "error"
    assert all("(401)" in str(entry.error) for entry in failed.systems)
    assert files_with(PLANTED_KEY, tmp_path) == []
    standin.expired = False
    again, result = execute(tmp_path / "run", content)
    assert result.status == "success"
    assert again != folder
    assert standin.seen.repeated == 0
    _, third = execute(tmp_path / "run", content)
    assert third.work.texts_embedded.computed == 0
    assert standin.seen.repeated == 0


@pytest.mark.parametrize("requests", [3, 25])
def test_what_was_answered_before_a_key_expired_is_kept_and_never_paid_again(
    collection: Path, tmp_path: Path, standin: StandIn, requests: int
) -> None:
    """The third request is one of the encoder's, the twenty-fifth one of the reranker's."""
    content = experiment(collection, systems=[{"encoder": "fast", "reranker": "v5", "depth": 10}], baseline=None)
    standin.requests_until_expired = requests
    _, failed = execute(tmp_path / "run", content)
    assert failed.status == "error"
    answered = sum(standin.seen.answered.values())
    assert answered > 0
    (system,) = failed.systems
    assert system.cost is not None and system.cost.per_1000_queries_usd is None
    assert sum(part.usage.tokens or 0 for part in system.cost.parts) > 0
    standin.requests_until_expired, standin.expired = None, False
    _, result = execute(tmp_path / "run", content)
    assert result.status == "success"
    assert standin.seen.repeated == 0
    assert sum(standin.seen.answered.values()) == 60 + 20 + 20 * 10


def test_a_leg_that_is_reranked_is_the_same_live_as_judged_and_costs_what_a_fusion_wants_of_it(
    collection: Path, tmp_path: Path, standin: StandIn
) -> None:
    leg = {"encoder": "fast", "reranker": "v5"}
    systems = [
        {"name": "shallow", **leg, "depth": 10},
        {"name": "deep", **leg, "depth": 40},
        {"name": "plain", "encoder": "small"},
        {"name": "fused", "fuse": ["shallow", "plain"], "depth": 40},
    ]
    content = experiment(
        collection, systems=systems, baseline=None, latency={"samples": 10, "seconds": 20, "turn_seconds": 0.001}
    )
    _, result = execute(tmp_path / "run", content)
    found = {system.name: system for system in result.systems}
    fused = found["fused"].latency
    assert fused is not None and fused.agreement == 1.0

    def reranking(name: str) -> Any:
        cost = found[name].cost
        assert cost is not None
        (part,) = (part for part in cost.parts if part.part == "reranker")
        return part.usage.tokens

    assert reranking("fused") == reranking("deep") > 3 * reranking("shallow")


def test_the_planted_key_is_in_no_file_whatever_failed(collection: Path, tmp_path: Path, standin: StandIn) -> None:
    quick = {**CALLS, "max_retries": 0}
    content = experiment(collection)
    for part in (*content["encoders"].values(), *content["rerankers"].values()):
        part |= quick
    for kind in KINDS:
        standin.faults = Faults(0.5, (kind,), slow_seconds=0.01)
        _, result = execute(tmp_path / kind, content)
        assert result.status != "started"
    assert files_with(PLANTED_KEY, tmp_path) == []
    assert len(list(tmp_path.rglob("events.jsonl"))) == len(KINDS)
