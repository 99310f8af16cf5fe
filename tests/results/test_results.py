"""result.json and its published schema; what cannot be read says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from bench.experiment.schema import experiment_schema
from bench.results.model import ResultUnreadable, read_result, result_schema
from tests import small
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A result with a success, a partial, a void, an error and a system that was not indexed."""
    folder = tmp_path_factory.mktemp("finished")
    small.collection(folder / "data")
    experiment = small.spec(
        [
            {"name": "bm25", "store": "bm25"},
            {"name": "dense", "encoder": "words"},
            {"name": "hybrid", "fuse": ["bm25", "dense"]},
            {"name": "reranked", "store": "bm25", "reranker": "r"},
            {"name": "partial", "store": "fragile"},
            {"name": "void", "encoder": "words", "store": "forgetful"},
            {"name": "lazy", "encoder": "words", "store": "lazy"},
            {"name": "nan", "encoder": "nan"},
        ],
        encoders={"words": {"adapter": "words"}, "nan": {"adapter": "words", "salt": 1, "nan_for": "the"}},
        stores={
            "bm25": {"adapter": "bm25"},
            "fragile": {"adapter": "fragile", "query": {"fails_for": "3"}},
            "forgetful": {"adapter": "forgetful"},
            "lazy": {"adapter": "lazy"},
        },
        rerankers={"r": {"adapter": "bi_encoder", "encoder": "words"}},
        baseline="bm25",
        margin=0.02,
        latency=[{"samples": 6, "turn_seconds": 0.001}, {"mode": "open", "rate": 200, "samples": 6}],
    )
    with small.installed(tmp_path_factory.mktemp("site")):
        yield small.measure(folder, experiment)[0]


def test_the_published_schemas_are_those_the_command_prints() -> None:
    for arguments, file in (((), "schema.json"), (("--result",), "result.schema.json")):
        outcome = small.bench("schema", *arguments)
        assert outcome.exit_code == 0
        published = (REPOSITORY / "configs" / file).read_text(encoding="utf-8")
        assert json.loads(outcome.stdout) == json.loads(published), f"configs/{file} is old: make schema"


def test_both_schemas_are_schemas() -> None:
    for schema in (experiment_schema(), result_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)


def test_a_written_result_satisfies_its_schema(finished: Path) -> None:
    written = json.loads((finished / "result.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(result_schema()).validate(written)
    statuses = {system["name"]: system["status"] for system in written["systems"]}
    assert statuses == {
        "bm25": "success", "dense": "success", "hybrid": "success", "reranked": "success",
        "partial": "partial", "void": "void", "lazy": "not_indexed", "nan": "error",
    }  # fmt: skip


def test_a_result_holds_what_a_reader_is_promised(finished: Path) -> None:
    written = json.loads((finished / "result.json").read_text(encoding="utf-8"))
    assert written.keys() >= {
        "format", "status", "experiment", "dataset", "provenance", "baseline", "primary", "margin",
        "detectable_difference", "work", "latency_samples", "systems",
    }  # fmt: skip
    assert written["dataset"].keys() >= {"name", "fingerprint", "documents", "queries", "judged"}
    assert written["work"].keys() == {"texts_embedded", "indexes_built", "queries_searched", "pairs_scored"}
    assert written["provenance"].keys() >= {"commit", "dirty", "packages", "machine", "addresses", "seed"}
    systems = {system["name"]: system for system in written["systems"]}
    dense, hybrid, reranked = systems["dense"], systems["hybrid"], systems["reranked"]
    assert dense.keys() >= {
        "name", "status", "error", "pipeline", "index", "measures", "against_baseline", "ann_recall", "loss",
        "latency", "loads", "build_seconds", "index_bytes", "memory", "usage", "cost",
    }  # fmt: skip
    assert dense["pipeline"]["encoder"]["document"]["name"] == "words"
    assert dense["pipeline"]["store"]["adapter"] == "exact"
    assert hybrid["pipeline"]["fusion"]["by"] == "rrf"
    assert hybrid["pipeline"]["fusion"]["legs"] == ["bm25", "dense"]
    assert (hybrid["pipeline"]["depth"], hybrid["pipeline"]["k"]) == (100, 10)
    assert reranked["pipeline"]["reranker"]["name"] == "r"
    assert dense["index"].keys() >= {"type", "rows_indexed", "adjusted", "builds"}
    assert dense["measures"]["nDCG@10"].keys() == {"mean", "interval", "queries", "failed"}
    assert dense["against_baseline"]["nDCG@10"].keys() >= {
        "difference", "interval", "p", "p_corrected", "verdict", "queries_to_decide", "wins", "ties", "losses",
    }  # fmt: skip
    assert dense["against_baseline"]["Recall@10"]["verdict"] is None
    assert dense["against_baseline"]["Recall@10"]["p"] is None
    assert dense["ann_recall"] == {"10": 1.0}
    assert reranked["loss"][0].keys() >= {"stage", "measure", "mean", "interval"}
    assert len(dense["loads"]) == 2 and dense["loads"][0] == dense["latency"]
    assert dense["latency"]["search"].keys() >= {"p50_ms", "p95_ms", "p99_ms", "samples"}
    assert systems["nan"]["measures"]["nDCG@10"] == {"mean": None, "interval": None, "queries": 12, "failed": 0}


def test_a_result_read_and_written_again_is_the_same(finished: Path) -> None:
    text = (finished / "result.json").read_text(encoding="utf-8")
    assert read_result(finished).model_dump(mode="json") == json.loads(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file. A result folder holds result.json."),
        ("{", "cannot be read: "),
        ("[]", "is not a result (it has no format version)."),
        ('{"format": 2}', "was written in format 2; this version reads up to 1. Upgrade: pip install --upgrade"),
        ('{"format": 1}', "status: Field required"),
    ],
)
def test_a_result_that_cannot_be_read_says_why(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(ResultUnreadable) as raised:
        read_result(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}/result.json: ")
    assert message in str(raised.value)


@pytest.mark.parametrize("file", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_that_comes_with_it_satisfies_the_published_schema(file: Path) -> None:
    schema = json.loads((REPOSITORY / "configs" / "schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    assert file.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json")
