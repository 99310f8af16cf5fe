"""Measures with parameters through whole runs: their names work wherever a measure's name stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
import yaml

from bench.experiment.reader import load_experiment
from bench.experiment.schema import experiment_schema
from bench.report.cells import heading
from bench.report.table import render
from bench.results.model import read_result
from tests import small

NAMES = ["Recall(rel=2)@10", "nDCG(dcg='exp-log2')@10", "R_cap@10", "MRR(rel=2)@3", "MAP(rel=2)@10", "Hit(rel=2)@1"]
WORDS = {"words": {"adapter": "words"}}


pytestmark = pytest.mark.usefixtures("third_party")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.collection(tmp_path / "data")
    return tmp_path


def spec(**keys: Any) -> dict[str, Any]:
    systems = [{"name": "bm25", "store": "bm25"}, {"name": "dense", "encoder": "words"}]
    return small.spec(systems, encoders=WORDS, **{"measures": NAMES, **keys})


def test_such_measures_are_told_in_result_table_and_files_by_one_name(folder: Path) -> None:
    events: list[Any] = []
    where, _ = small.measure(folder, spec(baseline="bm25"), listeners=[events.append])
    result = read_result(where)
    assert result.primary == NAMES[0] and result.experiment["measures"] == NAMES
    for system in result.systems:
        assert list(system.measures) == NAMES
        assert all(value.mean is not None for value in system.measures.values())
    assert set(small.by_name(result)["dense"].against_baseline) == set(NAMES)
    assert {*NAMES} < set(pq.read_table(where / "per_query.parquet").column_names)
    scored = [event for event in events if type(event).__name__ == "QueryScored"]
    assert all({*NAMES} < set(event.scores) for event in scored)
    table = render(result)
    assert "R(rel=2)@10 [95 %]" in table and "nDCG(exp-log2)@10" in table


def test_of_a_collection_of_one_grade_two_document_each_recall_from_two_is_one_hit(folder: Path) -> None:
    _, result = small.measure(folder, spec(measures=["Recall(rel=2)@10", "Hit(rel=2)@10", "R_cap@1", "Hit@1"]))
    for system in result.systems:
        values = {name: value.mean for name, value in system.measures.items()}
        # Query i has one document of grade 2 and one of grade 1: one place can hold one of them.
        assert values["Recall(rel=2)@10"] == values["Hit(rel=2)@10"]
        assert values["R_cap@1"] == values["Hit@1"]


def test_targets_and_bare_cutoffs_take_their_names(folder: Path) -> None:
    keys: dict[str, Any] = {"targets": {"r(rel=2)@10": [0.1]}, "latency": {"samples": 30, "turn_seconds": 0.001}}
    _, result = small.measure(folder, spec(measures=["Recall(rel=2)@10", 5, "ndcg(dcg=exp-log2)@10,3"], **keys))
    names = ["Recall(rel=2)@10", "Recall(rel=2)@5", "nDCG(dcg='exp-log2')@10", "nDCG(dcg='exp-log2')@3"]
    assert list(result.systems[0].measures) == names
    assert {row.measure for row in result.targets} == {"Recall(rel=2)@10"}


def test_they_may_be_set_on_the_command_line_and_the_schema_lets_them_pass(folder: Path) -> None:
    path = small.write(folder, spec())
    listed = "measures=[nDCG(dcg='exp-log2')@10, Recall(rel=2)@10, 5]"
    measures = load_experiment(path, [listed]).measures
    assert [str(m) for m in measures] == ["nDCG(dcg='exp-log2')@10", "Recall(rel=2)@10", "Recall(rel=2)@5"]
    jsonschema.validate(yaml.safe_load(path.read_text()), experiment_schema())


def test_one_measure_in_two_spellings_is_measured_once(folder: Path) -> None:
    path = small.write(folder, spec(measures=["nDCG@10", "ndcg@10", "NDCG(dcg='log2')@10", "P@5", "Precision@5"]))
    assert [str(m) for m in load_experiment(path).measures] == ["nDCG@10", "Precision@5"]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("nDCG@10", "nDCG@10"), ("Recall@10", "Recall@10"), ("Recall(rel=2)@10", "R(rel=2)@10"),
        ("R_cap@10", "R_cap@10"), ("nDCG(dcg='exp-log2')@10", "nDCG(exp-log2)@10"),
        ("Precision(rel=2)@5", "P(rel=2)@5"), ("ANN@10", "ANN@10"),
    ],
)  # fmt: skip
def test_headings_are_short(name: str, short: str) -> None:
    assert heading(name) == short
