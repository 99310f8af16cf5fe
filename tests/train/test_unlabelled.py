"""Models that learn without labels, as a stage of an experiment: what decides, what is told, and what is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Event
from bench.experiment.faults import ConfigFaults
from bench.report.models import table
from bench.results.model import Result
from bench.run.folder import Places
from bench.run.plan import plan
from bench.run.runner import run
from tests.train.planted import ANSWERED, ASKED, written

MODELS: dict[str, dict[str, Any]] = {
    "pretrained": {"recipe": "contrastive_pretrain", "batch_size": 8, "learning_rate": 0.05, "epochs": 15},
    "titles": {"recipe": "mnrl", "pairs_from": ["title"], "batch_size": 8, "learning_rate": 0.05, "epochs": 15},
    "tense": {"recipe": "contrastive_tension", "batch_size": 8, "steps": 4},
}


def collection(folder: Path) -> Path:
    """Documents whose titles ask and whose texts answer, and questions of the split test alone, which ask alike."""
    (folder / "qrels").mkdir(parents=True)
    words = list(zip(ASKED, ANSWERED, strict=True))
    documents = [
        {"_id": f"d{i + n}", "title": f"{asked} {extra}", "text": f"{answered} please tell {extra}"}
        for i, (asked, answered) in enumerate(words)
        for n, extra in enumerate(("more",))
    ]
    # What is asked for stands in texts alone: the documents have no titles to match.
    documents += [{"_id": f"a{i}", "title": "", "text": f"{answered} about"} for i, (_, answered) in enumerate(words)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))
    queries = [{"_id": f"q{i}", "text": f"what about {asked}"} for i, (asked, _) in enumerate(words)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(each) + "\n" for each in queries))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\ta{i}\t1" for i in range(len(words)))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    return folder


def experiment(data: Path, model: Path, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    encoders = {name: {"adapter": "sentence_transformers", "model": f"trained:{name}"} for name in models}
    return {
        "experiment": "unlabelled",
        "dataset": {"adapter": "beir", "path": str(data)},
        "models": {name: {"base": "static", **options} for name, options in models.items()},
        "encoders": {"static": {"adapter": "sentence_transformers", "model": str(model)}, **encoders},
        "systems": [{"encoder": ["static", *models]}],
        "baseline": "static",
        "measures": ["nDCG@10"],
        "latency": False,
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unlabelled")


@pytest.fixture(scope="module")
def data(place: Path) -> Path:
    return collection(place / "data")


@pytest.fixture(scope="module")
def foreseen(data: Path, static_model: Path, place: Path) -> str:
    spec = experiment(data, static_model, MODELS)
    return plan(written(place, spec), place / "cache", emit=lambda event: None)


@pytest.fixture(scope="module")
def result(data: Path, static_model: Path, place: Path, foreseen: str) -> Result:
    """One run of all models, after its plan."""
    events: list[Event] = []
    spec = experiment(data, static_model, MODELS)
    _, found = run(written(place, spec), Places(place / "results", place / "cache"), listeners=[events.append])
    assert found.status == "success", [each.error for each in found.systems]
    return found


def model(result: Result, name: str) -> Any:
    return next(each for each in result.models if each.name == name)


@pytest.mark.slow
def test_a_collection_without_training_queries_trains_models_from_its_documents(result: Result) -> None:
    means = {each.name: each.measures["nDCG@10"].mean for each in result.systems}
    assert (means["static"] or 0) < 0.5 < (means["pretrained"] or 0), means
    assert (means["static"] or 0) < 0.5 < (means["titles"] or 0), means


def test_a_plan_tells_what_is_learnt_from_and_that_nothing_decides(foreseen: str) -> None:
    # 16 titles with their texts, and 32 documents in all.
    assert "It learns from 16 pairs that the structure of 16 of 32 documents gives" in foreseen
    assert "16 from title, none from neighbours" in foreseen
    assert "It learns from 32 documents, and from no judgement." in foreseen
    assert foreseen.count("No judged queries decide while it learns") == 3


@pytest.mark.slow
def test_without_judged_dev_queries_the_last_weights_are_kept_and_nothing_is_measured(result: Result) -> None:
    for name in MODELS:
        found = model(result, name)
        (seed,) = found.seeds
        assert (found.measure, seed.dev, seed.dev_base, found.worse_than_base) == (None, None, None, None)
        assert seed.kept_step == seed.steps and seed.before == {} == seed.after
        assert any("the last step's weights are kept" in note for note in found.notes)


@pytest.mark.slow
def test_a_result_and_a_card_say_what_was_learnt_from(result: Result, place: Path) -> None:
    assert (model(result, "pretrained").pairs, model(result, "pretrained").learns_from) == (16, "structure")
    assert (model(result, "titles").pairs, model(result, "titles").learns_from) == (16, "structure")
    assert (model(result, "tense").pairs, model(result, "tense").learns_from) == (32, "documents")
    column = {row[0]: row[6] for row in table(result.models)}
    assert column["tense"] == "32 texts" and column["titles"] == "16 pairs"
    card = (place / "cache" / "models" / model(result, "tense").seeds[0].key / "README.md").read_text()
    assert "learnt from 32 texts" in card and "Nothing decided, because no judged queries did" in card


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("tense", {"pairs_from": ["title"]}, "models.tense.pairs_from: has no effect"),
        ("titles", {"pairs_from": ["titles"]}, "models.titles.pairs_from"),
        ("titles", {"pairs_from": None, "passages_of": "meta.page"}, "models.titles.passages_of has no effect"),
        ("titles", {"pairs_from": ["neighbours"], "passages_of": "meta.page"}, "no column meta.page"),
        ("titles", {"pairs_from": ["neighbours"]}, "0 pairs to learn from"),
        ("titles", {"pairs_from": None}, "has no split train to train on"),
        ("tense", {"patience": 2}, "models.tense.patience: has no effect: no judged dev query decides"),
        ("tense", {"learning_rate": [0.1, 0.2]}, "no judged dev query decides between them"),
        ("tense", {"recipe": "tsdae"}, "is a table of vectors"),
    ],
)
def test_what_is_wrong_is_a_fault_before_the_start(
    name: str, change: dict[str, Any], told: str, data: Path, static_model: Path, tmp_path: Path
) -> None:
    options = {key: value for key, value in {**MODELS[name], **change}.items() if value is not None}
    spec = experiment(data, static_model, {name: options})
    with pytest.raises(ConfigFaults) as raised:
        run(written(tmp_path, spec), Places(tmp_path / "results", tmp_path / "cache"))
    said = str(raised.value).replace(f"{name}.pairs_from has", f"{name}.pairs_from: has")
    assert told in said, said
