"""Training as a stage of an experiment: what is trained, when, and what a result says of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Event
from bench.cache.artifacts import Cache
from bench.experiment.faults import ConfigFaults
from bench.report.document.source import Source
from bench.report.document.unjudged import bounds
from bench.results.model import Result
from bench.run.folder import Places
from bench.run.plan import plan
from bench.run.runner import run
from bench.run.training import train_models
from bench.train.kept import KeptModels
from tests.train import planted
from tests.train.planted import written


def measured(folder: Path, spec: dict[str, Any], cache: Path, **options: Any) -> tuple[Path, Result]:
    return run(written(folder, spec), Places(folder / "results", cache), **options)


def system(result: Result, name: str) -> Any:
    return next(each for each in result.systems if each.name == name)


def mean(result: Result, name: str) -> float:
    value: float = system(result, name).measures["nDCG@10"].mean
    return value


def kept(cache: Path) -> list[str]:
    return [each.key for each in KeptModels(Cache(cache)).all()]


def test_a_run_trains_what_is_missing_and_measures_it(
    data: Path, static_model: Path, cache: Path, tmp_path: Path
) -> None:
    spec = planted.experiment(data, static_model)
    folder, result = measured(tmp_path, spec, cache)
    assert result.status == "success"
    assert mean(result, "static") < 0.6 < 0.8 < mean(result, "tuned")
    model = result.models[0]
    assert (model.name, model.makes, model.recipe, model.pairs) == ("tuned", "encoder", "mnrl", 128)  # 16 × 8
    assert model.measure == "nDCG@10" and model.chosen_seed == 1 and not model.worse_than_base
    assert model.dev is not None and model.dev_base is not None and model.dev > model.dev_base
    assert {"nDCG@10", "triplet accuracy", "Spearman", "Pearson"} <= model.seeds[0].after.keys()
    tuned = system(result, "tuned")
    assert tuned.models == {"encoders.tuned": "tuned"} and tuned.seeds == [1]
    assert not any(each.name.startswith(".scratch-") for each in cache.iterdir())
    assert (folder / "runs" / "tuned.trec").is_file()


def test_a_model_is_trained_once_and_retrained_when_asked(
    data: Path, static_model: Path, cache: Path, tmp_path: Path
) -> None:
    spec = planted.experiment(data, static_model)
    _, first = measured(tmp_path, spec, cache)
    before = kept(cache)
    _, again = measured(tmp_path, spec, cache)
    assert again.models[0].seeds[0].reused and kept(cache) == before
    assert mean(again, "tuned") == mean(first, "tuned")
    [anew] = train_models(written(tmp_path, spec), ["tuned"], cache, emit=lambda event: None, retrain=True)
    assert not anew.seeds[0].reused and anew.seeds[0].key == first.models[0].seeds[0].key
    assert anew.dev == first.models[0].dev  # the same seed learns the same


def test_seeds_are_builds_of_one_system(data: Path, static_model: Path, cache: Path, tmp_path: Path) -> None:
    spec = planted.experiment(data, static_model)
    spec["models"]["tuned"]["seeds"] = 3
    spec["stores"] = {"bm25": {"adapter": "bm25"}}
    spec["systems"] += [{"name": "bm25", "store": "bm25"}, {"name": "hybrid", "fuse": ["bm25", "tuned"]}]
    folder, result = measured(tmp_path, spec, cache)
    tuned = system(result, "tuned")
    assert tuned.seeds == [1, 2, 3] and len(tuned.builds) == 3 == len(system(result, "hybrid").builds)
    stages = system(result, "hybrid").loss
    assert [stage.stage for stage in stages] == ["exact", "fused"]
    # Each stage is of all seeds, as the measure itself.
    assert stages[0].mean == mean(result, "tuned") and stages[1].mean == mean(result, "hybrid")
    assert system(result, "bm25").seeds == [] == system(result, "bm25").builds
    names = {path.name for path in (folder / "runs").iterdir()}
    assert names == {
        "static.trec", "bm25.trec",
        *(f"{name}{build}.trec" for name in ("tuned", "hybrid") for build in ("", ".build2", ".build3")),
    }  # fmt: skip
    # Only relevant documents are judged, so nothing changes if no other one is relevant.
    unjudged = {bound["system"]: bound["none"] for bound in bounds(Source(folder, {}))}
    assert unjudged == pytest.approx({name: mean(result, name) for name in ("static", "bm25", "tuned", "hybrid")})
    model = result.models[0]
    devs = [seed.dev for seed in model.seeds]
    assert model.chosen_seed == tuned.chosen_seed == devs.index(max(devs)) + 1  # type: ignore[type-var]
    assert len({seed.key for seed in model.seeds}) == 3


def test_a_plan_trains_nothing_and_tells_what_training_takes(data: Path, static_model: Path, tmp_path: Path) -> None:
    spec = planted.experiment(data, static_model)
    text = plan(written(tmp_path, spec), tmp_path / "empty", emit=lambda event: None)
    assert "tuned: recipe mnrl" in text and "1 of 1 training to do" in text
    assert "128 examples" in text and "32 steps" in text  # 128 / 16 × 4 epochs
    assert kept(tmp_path / "empty") == []
    assert not list((tmp_path / "empty").glob(".scratch-*"))


def test_the_test_split_decides_nothing(data: Path, static_model: Path, cache: Path, tmp_path: Path) -> None:
    """Whatever the test split's judgements say, the same model is made: its key does not depend on them."""
    other = planted.collection(tmp_path / "other")
    lines = (other / "qrels" / "test.tsv").read_text().splitlines()
    wrong = [lines[0], *(line.rsplit("\t", 2)[0] + "\td0\t1" for line in lines[1:])]
    (other / "qrels" / "test.tsv").write_text("\n".join(wrong) + "\n")
    _, first = measured(tmp_path, planted.experiment(data, static_model), cache)
    _, second = measured(tmp_path, planted.experiment(other, static_model), cache)
    assert second.models[0].seeds[0].key == first.models[0].seeds[0].key
    assert second.models[0].seeds[0].reused


def test_a_sweep_is_decided_on_dev(data: Path, static_model: Path, cache: Path, tmp_path: Path) -> None:
    spec = planted.experiment(data, static_model)
    spec["models"]["tuned"]["learning_rate"] = [1e-7, 0.05]  # the first learns nothing
    _, result = measured(tmp_path, spec, cache)
    model = result.models[0]
    assert [variant.kept for variant in model.variants] == [False, True]
    assert model.options["learning_rate"] == 0.05 and len([s for s in result.systems if s.models]) == 1


def test_recipes_chain_and_seed_follows_seed(data: Path, static_model: Path, cache: Path, tmp_path: Path) -> None:
    spec = planted.experiment(data, static_model)
    spec["models"]["tuned"]["seeds"] = 2
    spec["models"]["twice"] = {**spec["models"]["tuned"], "base": "trained:tuned", "steps": 3}
    del spec["models"]["twice"]["epochs"]
    spec["encoders"]["twice"] = {"adapter": "sentence_transformers", "model": "trained:twice"}
    spec["systems"] = [{"encoder": "static"}, {"encoder": "twice"}]
    _, result = measured(tmp_path, spec, cache)
    tuned, twice = result.models
    assert (tuned.name, twice.name) == ("tuned", "twice")
    assert [seed.dev_base for seed in twice.seeds] == [seed.dev for seed in tuned.seeds]


def test_a_model_worse_than_its_base_is_kept_and_told(
    data: Path, static_model: Path, cache: Path, tmp_path: Path
) -> None:
    spec = planted.experiment(data, static_model)
    spec["models"]["spoilt"] = {**spec["models"]["tuned"], "base": "trained:tuned", "learning_rate": 30.0, "steps": 4}
    del spec["models"]["spoilt"]["epochs"]
    spec["encoders"]["spoilt"] = {"adapter": "sentence_transformers", "model": "trained:spoilt"}
    spec["systems"] = [{"encoder": "static"}, {"encoder": "spoilt"}]
    _, result = measured(tmp_path, spec, cache)
    spoilt = result.models[1]
    assert spoilt.worse_than_base and spoilt.error is None and system(result, "spoilt").status == "success"


def test_a_training_that_fails_ends_its_systems_alone(
    data: Path, static_model: Path, cache: Path, tmp_path: Path
) -> None:
    spec = planted.experiment(data, static_model)
    spec["models"]["tuned"]["learning_rate"] = 1e38  # the loss is soon not finite
    events: list[Event] = []
    _, result = measured(tmp_path, spec, cache, listeners=[events.append])
    assert result.status == "partial" and system(result, "static").status == "success"
    assert system(result, "tuned").status == "error" and "learning_rate" in system(result, "tuned").error
    assert result.models[0].error == system(result, "tuned").error


def test_the_hash_of_a_system_changes_with_its_model(
    data: Path, static_model: Path, cache: Path, tmp_path: Path
) -> None:
    spec = planted.experiment(data, static_model)
    _, one = measured(tmp_path, spec, cache)
    spec["models"]["tuned"]["learning_rate"] = 0.04
    _, other = measured(tmp_path, spec, cache)
    assert system(one, "static").hash == system(other, "static").hash
    assert system(one, "tuned").hash != system(other, "tuned").hash


def test_a_damaged_model_is_trained_again(data: Path, static_model: Path, tmp_path: Path) -> None:
    spec, events = planted.experiment(data, static_model), list[Event]()
    _, first = measured(tmp_path, spec, tmp_path / "cache")
    folder = tmp_path / "cache" / "models" / first.models[0].seeds[0].key
    next(folder.rglob("*.safetensors")).write_bytes(b"nothing")
    _, again = measured(tmp_path, spec, tmp_path / "cache", listeners=[events.append])
    assert mean(again, "tuned") == mean(first, "tuned") and not again.models[0].seeds[0].reused
    assert any("is not as it was" in getattr(event, "message", "") for event in events)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"models": {"tuned": {"recipe": "mnlr"}}}, "models.tuned.recipe (mnlr)"),
        ({"models": {"tuned": {"base": "trained:nobody"}}}, "models.tuned.base (nobody) is not among the models"),
        ({"models": {"tuned": {"base": "trained:tuned"}}}, "models.tuned would be trained from itself"),
        ({"models": {"tuned": {"seeds": 0}}}, "models.tuned.seeds"),
        ({"models": {"tuned": {"epoch": 3}}}, "models.tuned.epoch is unknown. Did you mean epochs?"),
        ({"models": {"tuned": {"data": {"path": "x.tsv"}}}}, "models.tuned.data has no effect"),
        ({"models": {"tuned": {"base": "/nowhere"}}}, "models.tuned.base: model '/nowhere'"),
        ({"encoders": {"tuned": {"model": "trained:tunde"}}}, "Did you mean tuned?"),
        ({"models": {"tuned": {"negatives": {"strategy": "best"}}}}, "models.tuned.negatives.strategy"),
        ({"models": {"tuned": {"negatives": {"model": "minilm"}}}}, "models.tuned.negatives.model (minilm)"),
        ({"models": {"tuned": {"negatives": {"not_same": "meta.page"}}}}, "models.tuned.negatives.not_same"),
    ],
)
def test_what_is_wrong_with_a_model_is_a_fault_before_the_start(
    change: dict[str, Any], told: str, data: Path, static_model: Path, tmp_path: Path
) -> None:
    spec = merged(planted.experiment(data, static_model), change)
    with pytest.raises(ConfigFaults) as raised:
        measured(tmp_path, spec, tmp_path / "cache")
    assert told in str(raised.value), str(raised.value)
    assert not (tmp_path / "results").exists()


def merged(spec: Any, change: Any) -> Any:
    if not isinstance(change, dict) or not isinstance(spec, dict):
        return change
    found = copy.deepcopy(spec)
    for key, value in change.items():
        found[key] = merged(found.get(key), value)
    return found


def test_a_trained_model_knows_where_it_comes_from(data: Path, static_model: Path, cache: Path, tmp_path: Path) -> None:
    _, result = measured(tmp_path, planted.experiment(data, static_model), cache)
    folder = cache / "models" / result.models[0].seeds[0].key
    told = json.loads((folder / "provenance.json").read_text())
    assert told["recipe"] == "mnrl" and told["base"]["identity"]["weights"] and told["seed_number"] == 1
    assert told["data"]["train"]["queries"] == 128 and told["data"]["test"]["queries"] == 64  # 16 × 8 and 16 × 4
    assert told["dev_before"] < told["dev_after"] and told["versions"] and told["device"] == "cpu"
    assert "mnrl" in (folder / "README.md").read_text()
