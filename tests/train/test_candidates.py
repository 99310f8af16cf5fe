"""Laws of negatives that are the candidates of a named system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.experiment.reader import load_experiment
from bench.experiment.trust import contacts_of
from bench.run.training import plan_training, train_models
from tests import small
from tests.train import planted

HYBRID = {"name": "hybrid", "fuse": ["bm25", "static"]}


def spec_of(data: Path, model: Path, negatives: dict[str, Any], **keys: Any) -> dict[str, Any]:
    spec = planted.experiment(data, model)
    tuned = {**spec["models"]["tuned"], "epochs": 1, "negatives": {"strategy": "system", "per_query": 3, **negatives}}
    systems = [{"name": "bm25", "store": "bm25"}, *spec["systems"], HYBRID]
    return {**spec, "stores": {"bm25": {"adapter": "bm25"}}, "systems": systems, "models": {"tuned": tuned}, **keys}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 documents with two training questions each: 32 pairs."""
    return planted.collection(tmp_path_factory.mktemp("few") / "data", splits={"train": 2, "dev": 1, "test": 1})


@pytest.fixture(scope="module")
def place(few: Path, static_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the experiment; its cache is shared by what is mined."""
    folder = tmp_path_factory.mktemp("candidates")
    planted.written(folder, spec_of(few, static_model, {"system": "hybrid"}))
    return folder


def mine(place: Path, *arguments: Any) -> dict[str, Any]:
    outcome = small.bench("mine", place, "--cache", place / "cache", "--quiet", "--json", "--look", "99", *arguments)
    assert outcome.exit_code == 0, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def ids(found: dict[str, Any]) -> dict[str, list[str]]:
    return {row["query_id"]: row["negative_ids"] for row in found["negatives"]}


def test_a_system_of_one_store_or_encoder_finds_what_the_strategies_of_that_name_find(place: Path) -> None:
    """Ties aside: BM25 finds few documents of a question, by the words that they have in common."""
    dense = mine(place, "--strategy", "system", "--per-query", "3", "--option", "system=static")
    top = mine(place, "--strategy", "top", "--per-query", "3", "--model", "static")
    assert ids(dense) == ids(top) and dense["found"] == 96
    lexical = mine(place, "--strategy", "system", "--per-query", "3", "--option", "system=bm25")
    bm25 = mine(place, "--strategy", "bm25", "--per-query", "3")
    assert lexical["found"] == bm25["found"]
    assert lexical["key"] != dense["key"] and lexical["system"] == "bm25"


def test_the_candidates_of_a_fusion_are_taken_and_kept(place: Path) -> None:
    first = mine(place, "tuned")
    assert (first["strategy"], first["system"], first["reused"]) == ("system", "hybrid", False)
    assert first["found"] == first["wanted"] == 96
    assert first["dropped"].get("positive", 0) <= 32
    assert mine(place, "tuned")["reused"]
    deeper = mine(place, "--strategy", "system", "--per-query", "12", "--option", "system=hybrid")
    for query, names in ids(first).items():
        assert ids(deeper)[query][:3] == names


def test_another_system_behind_the_name_is_another_key(
    place: Path, few: Path, static_model: Path, tmp_path: Path
) -> None:
    spec = spec_of(few, static_model, {"system": "hybrid"})
    spec["systems"][-1] = {**HYBRID, "weights": {"bm25": 3.0, "static": 1.0}}
    planted.written(tmp_path, spec)
    outcome = small.bench("mine", tmp_path, "--cache", place / "cache", "--quiet", "--json")
    assert json.loads(outcome.stdout)["key"] != mine(place, "tuned")["key"]


def test_a_model_learns_from_the_candidates_of_a_system_and_a_dry_run_names_it(
    place: Path, few: Path, static_model: Path
) -> None:
    experiment = load_experiment(place / "bench.yaml")
    told = plan_training(experiment, [], place / "cache", emit=lambda event: None)
    assert "negatives: 3 documents for each pair, system hybrid" in told
    [model] = train_models(experiment, [], place / "cache", emit=lambda event: None)
    assert model.error is None and model.negatives is not None
    assert (model.negatives.strategy, model.negatives.found) == ("system", 96)


def two_models(data: Path, model: Path, system: str) -> dict[str, Any]:
    """The first learns from plain pairs, the second from the candidates of a system."""
    spec = spec_of(data, model, {"system": system})
    tuned = spec["models"]["tuned"]
    first = {key: value for key, value in tuned.items() if key != "negatives"}
    static = {"adapter": "sentence_transformers"}
    spec["models"] = {"first": first, "tuned": tuned}
    spec["encoders"]["first"] = {**static, "model": "trained:first"}
    spec["systems"].append({"name": "of-first", "encoder": "first"})
    return spec


def test_a_system_that_needs_another_model_waits_for_its_training(
    few: Path, static_model: Path, place: Path, tmp_path: Path
) -> None:
    experiment = planted.written(tmp_path, two_models(few, static_model, "of-first"))
    assert list(experiment.models) == ["first", "tuned"]
    models = train_models(experiment, ["tuned"], place / "cache", emit=lambda event: None)
    assert [(model.name, model.error) for model in models] == [("first", None), ("tuned", None)]
    alone = small.bench("mine", tmp_path, "tuned", "--cache", place / "cache", "--quiet", "--json")
    assert json.loads(alone.stdout)["reused"]


def read(folder: Path, spec: dict[str, Any]) -> Experiment:
    return planted.written(folder, spec)


def test_a_circle_of_a_model_and_the_system_that_finds_its_negatives_is_named(
    few: Path, static_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigFaults) as own:
        read(tmp_path / "own", spec_of(few, static_model, {"system": "tuned"}))
    [fault] = own.value.faults
    assert "models.tuned.negatives.system (tuned) needs the model tuned, and tuned needs tuned: a circle" in fault
    spec = two_models(few, static_model, "of-first")
    spec["models"]["first"]["base"] = "trained:tuned"
    with pytest.raises(ConfigFaults) as longer:
        read(tmp_path / "longer", spec)
    [fault] = longer.value.faults
    assert "models.tuned.negatives.system (of-first) needs the model first" in fault
    assert "tuned needs first needs tuned: a circle" in fault
    fused = spec_of(few, static_model, {"system": "both"})
    fused["systems"].append({"name": "both", "fuse": ["bm25", "tuned"]})
    with pytest.raises(ConfigFaults, match=r"\(both\) needs the model tuned"):
        read(tmp_path / "fused", fused)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"system": "hybird"}, r"models\.tuned\.negatives\.system \(hybird\) is not a system.*hybrid"),
        ({"system": None}, "system is missing"),
        ({"system": "old"}, "is a run file"),
        ({"system": "hybrid", "min_score": 0.1}, "min_score has no effect"),
    ],
)
def test_a_system_that_cannot_find_candidates_is_named(
    few: Path, static_model: Path, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    negatives = {key: value for key, value in change.items() if value is not None}
    spec = spec_of(few, static_model, negatives)
    spec["systems"].append({"name": "old", "run": "old.trec"})
    with pytest.raises(ConfigFaults, match=told):
        read(tmp_path, spec)


def test_whom_such_a_system_asks_is_known_before(few: Path, static_model: Path, tmp_path: Path) -> None:
    spec = spec_of(few, static_model, {"system": "paid"})
    spec["encoders"]["paid"] = {"adapter": "openai", "model": "text-embedding-3-small"}
    assert any("encoders.paid" in place for place in contacts_of(read(tmp_path, spec)))


def test_what_stands_against_such_a_system_is_named_before_the_training(
    few: Path, static_model: Path, tmp_path: Path
) -> None:
    spec = spec_of(few, static_model, {"system": "lost"})
    spec["encoders"]["lost"] = {"adapter": "sentence_transformers", "model": "./nowhere"}
    with pytest.raises(ConfigFaults, match=r"models\.tuned\.negatives\.system: .*nowhere"):
        train_models(read(tmp_path, spec), [], tmp_path / "cache", emit=lambda event: None)
