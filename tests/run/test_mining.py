"""The command that mines hard negatives alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from bench.data.normal import normalised
from tests import small

WORDS = ("tower", "bridge", "market", "chapel", "castle", "harbour", "station", "theatre", "library", "museum")
BM25 = {"name": "bm25", "store": "bm25"}


@pytest.fixture
def experiment(tmp_path: Path, static_model: Path) -> Path:
    """Sixty documents, each the answer of a query and the next best of another; a model that learns from negatives."""
    small.collection(tmp_path / "data", queries=60)
    local = {"adapter": "sentence_transformers", "model": str(static_model)}
    tuned = {"recipe": "mnrl", "base": "local", "negatives": {"strategy": "hybrid", "per_query": 4, "batch_size": 8}}
    spec = small.spec([BM25], encoders={"local": local}, models={"tuned": tuned})
    return small.write(tmp_path, {**spec, "dataset": {**spec["dataset"], "test_size": 10, "dev_size": 5}})


def mine(experiment: Path, *arguments: Any) -> Any:
    return small.bench("mine", experiment, "--cache", experiment.parent / "cache", "--quiet", *arguments)


def test_a_models_negatives_are_mined_for_the_train_split_and_written_as_n_tuples(
    experiment: Path, tmp_path: Path
) -> None:
    outcome = mine(experiment, "tuned", "-o", tmp_path / "tuples.parquet", "--look", "1")
    assert outcome.exit_code == 0, outcome.stderr
    table = pq.read_table(tmp_path / "tuples.parquet").to_pylist()
    assert f"{len(table)} pairs, strategy hybrid by " in outcome.stdout
    assert "Negatives to look at:" in outcome.stdout
    judged = [line.split("\t") for line in (tmp_path / "data/qrels/test.tsv").read_text().splitlines()]
    relevant = {(query, document) for query, document, _ in judged}
    for row in table:
        assert len(row["negatives"]) == len(row["negative_ids"]) == len(row["negative_scores"]) == 4
        assert not {(row["query_id"], name) for name in row["negative_ids"]} & relevant
        assert normalised(row["positive"]) not in map(normalised, row["negatives"])
    assert len({row["query_id"] for row in table}) == 45  # 60 without 10 that are evaluated and 5 that decide


def test_a_second_time_nothing_is_mined_again(experiment: Path) -> None:
    first, second = (json.loads(mine(experiment, "--json").stdout) for _ in range(2))
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["negatives"] == second["negatives"]
    assert first["wanted"] == first["found"] == 4 * first["pairs"]
    assert isinstance(first["relevant_to_test"], int)


def test_a_dry_run_tells_what_mining_takes_and_mines_nothing(experiment: Path) -> None:
    before = mine(experiment, "--dry-run")
    assert before.exit_code == 0, before.stderr
    assert before.stdout.startswith("90 pairs, 4 negatives for each, strategy hybrid by local\n")
    assert "local (documents): 60 of 60 texts to embed" in before.stdout
    assert "local (queries): 45 of 45 texts to embed" in before.stdout
    assert not (experiment.parent / "cache/negatives").exists()
    by_system = mine(experiment, "--strategy", "system", "--option", "system=bm25", "--dry-run")
    assert "strategy system bm25\n" in by_system.stdout and "index bm25: 60 rows to load and index" in by_system.stdout
    assert mine(experiment).exit_code == 0
    assert "they are kept: nothing is mined" in mine(experiment, "--dry-run").stdout


def test_a_dry_run_tells_which_models_are_trained_before_and_trains_none(experiment: Path) -> None:
    chained(experiment)
    told = mine(experiment, "tuned", "--dry-run")
    assert told.exit_code == 0, told.stderr
    assert "first: recipe mnrl from " in told.stdout and "1 seed: 1 of 1 training to do" in told.stdout
    assert not (experiment.parent / "cache/models").exists()


def chained(experiment: Path) -> None:
    """Have the model learn from another one of the file, which mines for it."""
    first = "models:\n  first: {recipe: mnrl, base: local, epochs: 1, batch_size: 16, device: cpu}"
    text = experiment.read_text().replace("models:", first)
    experiment.write_text(text.replace("base: local\n    neg", "base: trained:first\n    neg"))


def test_a_mining_model_of_the_file_is_trained_first(experiment: Path) -> None:
    chained(experiment)
    told = json.loads(mine(experiment, "tuned", "--json").stdout)
    assert told["miner"] == "trained:first#1"
    assert told["found"] == told["wanted"]


@pytest.mark.parametrize("strategy", ["random", "bm25", "top", "cluster"])
def test_the_command_line_alone_can_say_how_to_mine(experiment: Path, strategy: str) -> None:
    told = json.loads(mine(experiment, "--strategy", strategy, "--per-query", "2", "--json").stdout)
    assert (told["strategy"], told["per_query"], told["found"]) == (strategy, 2, 2 * told["pairs"])


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["tuend"], "Did you mean tuned?"),
        (["--strategy", "adversarial"], "by is missing: name the generator of this file"),
        (["--strategy", "system", "--option", "system=bm52"], "Did you mean bm25?"),
        (["--strategy", "top", "--option", "range_mx=9"], "negatives.range_mx is unknown. Did you mean range_max?"),
        (["--strategy", "top", "--option", "range_max"], "write KEY=VALUE"),
        (["--strategy", "random", "--option", "min_score=0.5"], "min_score has no effect without"),
        (["--strategy", "top", "--option", "filter=judge"], "rerankers: judge is not there"),
        (["--strategy", "top", "--model", "locl"], "Did you mean local?"),
        (["--strategy", "top", "--option", "not_same=meta.page"], "the documents have no column meta.page"),
        (["--per-query", "2"], "go with --strategy"),
        (["tuned", "--strategy", "top"], "--set models.tuned.negatives.strategy=top"),
    ],
)
def test_what_cannot_be_mined_is_named_with_its_cure(experiment: Path, arguments: list[str], cure: str) -> None:
    outcome = mine(experiment, *arguments)
    assert outcome.exit_code == 2, outcome.stdout
    assert cure in outcome.stderr


def test_a_model_that_learns_from_structure_is_mined_for_among_its_own_texts(
    tmp_path: Path, static_model: Path
) -> None:
    """Halves of the documents: no judgement is asked for, and there is none."""
    sentences = [f"The {word} stands in the old part of town. It was built of stone by hand {word}." for word in WORDS]
    rows = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(sentences)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "data/queries.jsonl").write_text('{"_id": "q0", "text": "which tower is old"}\n')
    (tmp_path / "data/qrels").mkdir()
    (tmp_path / "data/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\n")
    tuned = {
        "recipe": "contrastive_pretrain", "base": "local", "pairs_from": ["halves"],
        "negatives": {"strategy": "top", "per_query": 2},
    }  # fmt: skip
    local = {"adapter": "sentence_transformers", "model": str(static_model)}
    file = small.write(tmp_path, small.spec([BM25], encoders={"local": local}, models={"tuned": tuned}))
    told = json.loads(mine(file, "--json", "--look", "99").stdout)
    assert told["pairs"] == len(WORDS) and told["found"] == 2 * len(WORDS)
    first, second = sentences[0].split(". ")
    assert {row["query"] for row in told["negatives"]} >= {f"{first}."}
    assert all(row["positive"] != text for row in told["negatives"] for text in row["negatives"])
    assert all(text.startswith("It was built") for row in told["negatives"] for text in row["negatives"]), second
