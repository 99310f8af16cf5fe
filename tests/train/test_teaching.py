"""Recipes with a teacher, as a stage of an experiment: what is learnt, whom it asks, and what a result says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.base import Event, StageStarted
from bench.cache.artifacts import Cache
from bench.experiment.faults import ConfigFaults
from bench.results.model import Result
from bench.run.folder import Places
from bench.run.plan import plan
from bench.run.runner import run
from bench.run.training import train_models
from bench.train.kept import KeptModels
from tests.models import tiny_cross_encoder
from tests.train import planted
from tests.train.planted import written


def of_a_teacher(data: Path, model: Path) -> dict[str, Any]:
    """A static model learns the planted task, and another one learns its query side from it."""
    spec = planted.experiment(data, model)
    static = {"adapter": "sentence_transformers"}
    return {
        **spec,
        "models": {
            **spec["models"],
            "side": {
                "recipe": "distill",
                "base": "static",
                "teacher": "tuned",
                "side": "query",
                "batch_size": 16,
                "learning_rate": 0.05,
                "epochs": 6,
            },
        },
        "encoders": {**spec["encoders"], "side": {**static, "model": "trained:side"}},
        "systems": [
            {"name": "static", "encoder": "static"},
            {"name": "tuned", "encoder": "tuned"},
            {"name": "side", "encoder": {"document": "tuned", "query": "side"}, "shared_space": True},
        ],
    }


@pytest.fixture(scope="module")
def distilled(
    data: Path, static_model: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Result, list[Event]]:
    events: list[Event] = []
    folder = tmp_path_factory.mktemp("distilled")
    experiment = written(folder, of_a_teacher(data, static_model))
    return run(experiment, Places(folder / "results", cache), listeners=[events.append])[1], events


def quality(result: Result, name: str) -> float:
    value: float = next(each for each in result.systems if each.name == name).measures["nDCG@10"].mean
    return value


def test_a_query_side_answers_in_front_of_the_documents_of_its_teacher(distilled: tuple[Result, list[Event]]) -> None:
    result, _ = distilled
    assert quality(result, "static") < 0.6
    assert quality(result, "tuned") > 0.9
    assert quality(result, "side") > 0.9


def test_a_result_tells_of_texts_and_of_a_teacher_where_no_judgement_was_learnt(
    distilled: tuple[Result, list[Event]],
) -> None:
    """16 documents and 8 queries for each of them, 144 texts; of a document the query side learns the beginning."""
    model = next(each for each in distilled[0].models if each.name == "side")
    assert model.pairs == 16 + 8 * 16
    told = " ".join(model.notes)
    assert "It learns from 16 documents and 128 queries, and from no judgement." in told
    assert "documents are embedded by trained:tuned" in told
    assert "was asked for 144 texts" in told


def test_dev_judges_a_query_side_by_the_documents_of_its_teacher(distilled: tuple[Result, list[Event]]) -> None:
    model = next(each for each in distilled[0].models if each.name == "side")
    assert model.seeds[0].dev is not None and model.seeds[0].dev > 0.9


def test_what_a_teacher_answered_is_kept(
    distilled: tuple[Result, list[Event]], data: Path, static_model: Path, cache: Path, tmp_path: Path
) -> None:
    spec = of_a_teacher(data, static_model)
    spec["models"]["side"]["epochs"] = 1  # another training of the same texts
    events: list[Event] = []
    train_models(written(tmp_path, spec), ["side"], cache, emit=events.append)
    encoded = [event.label for event in events if isinstance(event, StageStarted) and "teacher" in event.label]
    assert not encoded


def test_a_dry_run_tells_what_a_teacher_is_asked(data: Path, static_model: Path, cache: Path, tmp_path: Path) -> None:
    spec = of_a_teacher(data, static_model)
    spec["models"]["side"]["epochs"] = 2
    told = plan(written(tmp_path, spec), cache, emit=lambda event: None)
    assert "It learns from 16 documents and 128 queries, and from no judgement." in told
    assert "asked for 144 texts, once for all seeds and runs" in told


def test_a_query_side_is_no_encoder_of_documents(data: Path, static_model: Path, tmp_path: Path) -> None:
    spec = of_a_teacher(data, static_model)
    spec["systems"].append({"name": "both", "encoder": "side"})
    with pytest.raises(ConfigFaults, match="learnt to encode queries alone") as refused:
        written(tmp_path, spec)
    assert "shared_space: true" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"teacher": "nowhere"}, "nowhere"),
        ({"teacher": None}, "teacher"),
        ({"teacher": "cut"}, r"\(cut\) has options of its own \(truncate_dim\)"),
        ({"teacher": "lexical"}, r"\(lexical\) is no model on this machine but a part of adapter bm25"),
        ({"pairs": 8}, "pairs has no effect: recipe distill learns from the documents"),
        ({"negatives": {"strategy": "random"}}, "does not learn from negatives"),
        ({"data": {"path": "x.tsv"}}, "learns from the documents"),
    ],
)
def test_what_cannot_teach_is_refused_with_what_to_do(
    data: Path, static_model: Path, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    spec = of_a_teacher(data, static_model)
    spec["encoders"]["cut"] = {"adapter": "sentence_transformers", "model": str(static_model), "truncate_dim": 4}
    spec["rerankers"] = {"lexical": {"adapter": "bm25"}}
    spec["models"]["side"] = {k: v for k, v in {**spec["models"]["side"], **change}.items() if v is not None}
    with pytest.raises(ConfigFaults, match=told):
        train_models(written(tmp_path, spec), ["side"], tmp_path / "cache", emit=lambda event: None)


def test_the_card_of_a_query_side_says_who_embeds_its_documents(
    distilled: tuple[Result, list[Event]], cache: Path
) -> None:
    found = next(each for each in KeptModels(Cache(cache)).all() if each.provenance.name == "side")
    assert "documents are embedded by trained:tuned" in (found.folder / "README.md").read_text()


# -- margins and labels of a cross-encoder -----------------------------------------------------------------------------


def of_a_judge(data: Path, model: Path, judge: Path, recipe: str, **options: Any) -> dict[str, Any]:
    spec = planted.experiment(data, model)
    pupil = {
        "recipe": recipe,
        "base": "static",
        "teacher": "ce",
        "negatives": {"strategy": "random", "per_query": 3},
        "batch_size": 16,
        "learning_rate": 0.05,
        "epochs": 2,
        **options,
    }
    return {
        **spec,
        "models": {"tuned": pupil},
        "rerankers": {"ce": {"adapter": "cross_encoder", "model": str(judge)}},
    }


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("judge"), train=False)


@pytest.mark.parametrize("recipe", ["gpl", "augmented_sbert"])
def test_a_cross_encoder_is_asked_for_each_pair_once_for_all_seeds(
    data: Path, static_model: Path, judge: Path, tmp_path: Path, recipe: str
) -> None:
    """128 pairs with 3 documents each. With other options the same pairs are asked for: none is scored again."""
    stages: list[StageStarted] = []

    def hear(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "rerank":
            stages.append(event)

    spec = of_a_judge(data, static_model, judge, recipe, seeds=1)
    [trained] = train_models(written(tmp_path, spec), ["tuned"], tmp_path / "cache", emit=hear)
    assert trained.error is None
    assert trained.pairs == 128
    scored = sum(stage.total or 0 for stage in stages)
    assert 0 < scored <= 128 * (4 if recipe == "gpl" else 3)
    assert f"was asked for {scored:,} pairs" in " ".join(trained.notes)
    stages.clear()
    again = of_a_judge(data, static_model, judge, recipe, epochs=1)
    [other] = train_models(written(tmp_path, again), ["tuned"], tmp_path / "cache", emit=hear)
    assert other.error is None and not stages
    assert f"{scored:,} of them before" in " ".join(other.notes)


@pytest.mark.parametrize(
    ("recipe", "change", "told"),
    [
        ("gpl", {"teacher": "static"}, "is the base itself"),
        ("augmented_sbert", {"teacher": "static"}, "is no cross-encoder"),
        ("gpl", {"negatives": None}, "negatives is missing: recipe gpl learns from negatives"),
        ("distill", {"teacher": "ce", "negatives": None}, "is a cross-encoder, which has no vectors to learn"),
    ],
)
def test_a_teacher_of_another_kind_is_refused(
    data: Path, static_model: Path, judge: Path, tmp_path: Path, recipe: str, change: dict[str, Any], told: str
) -> None:
    spec = of_a_judge(data, static_model, judge, recipe, **change)
    spec["models"]["tuned"] = {key: value for key, value in spec["models"]["tuned"].items() if value is not None}
    with pytest.raises(ConfigFaults, match=told):
        train_models(written(tmp_path, spec), ["tuned"], tmp_path / "cache", emit=lambda event: None)


def test_an_encoder_teaches_margins_where_no_cross_encoder_is_at_hand(
    data: Path, static_model: Path, judge: Path, cache: Path, tmp_path: Path
) -> None:
    """It knows the task, and the pupil learns it from its similarities alone."""
    spec = of_a_judge(data, static_model, judge, "gpl")
    knows, pupil = planted.experiment(data, static_model)["models"]["tuned"], spec["models"]["tuned"]
    spec["models"] = {"knows": knows, "tuned": {**pupil, "teacher": "trained:knows", "epochs": 8}}
    spec["encoders"]["knows"] = {"adapter": "sentence_transformers", "model": "trained:knows"}
    _, trained = train_models(written(tmp_path, spec), ["tuned"], cache, emit=lambda event: None)
    assert trained.error is None
    before, after = trained.dev_base, trained.dev
    assert before is not None and after is not None and before < 0.6 < 0.8 < after
    assert "It learnt margins of trained:knows" in " ".join(trained.notes)
