"""Laws of importing: a model of this program keeps its key and provenance, any other is told apart, and what is not
known of its training data is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.cache.artifacts import Cache
from bench.data.normal import plain_query
from bench.train.kept import QUERIES, KeptModel, KeptModels
from bench.train.provenance import IMPORTED
from tests import small
from tests.train.stored import CURVE, provenance


def write_model(folder: Path) -> Path:
    """A static model of three tokens, by its files alone."""
    import numpy as np
    from safetensors.numpy import save_file

    module = {
        "idx": 0,
        "name": "0",
        "path": "",
        "type": "sentence_transformers.sentence_transformer.modules.StaticEmbedding",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modules.json").write_text(json.dumps([module]))
    save_file({"embedding.weight": np.eye(3, dtype=np.float32)}, folder / "model.safetensors")
    (folder / "README.md").write_text("# Mine\n")
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An experiment; its first query is a text of the model's training data."""
    small.collection(tmp_path / "data")
    return small.write(tmp_path, small.spec([{"name": "bm25", "store": "bm25"}]))


def query(config: Path) -> str:
    text: str = json.loads((config.parent / "data" / "queries.jsonl").read_text().splitlines()[0])["text"]
    return text


def take_in(config: Path, *words: str | Path) -> Any:
    return small.bench("models", "import", *words, "--cache", config.parent / "cache")


def store(config: Path) -> KeptModels:
    return KeptModels(Cache(config.parent / "cache"))


@pytest.fixture
def exported(config: Path) -> Path:
    """A model that another machine trained on a query of this experiment."""
    elsewhere = KeptModels(Cache(config.parent / "elsewhere"))
    about = provenance()
    draft = write_model(elsewhere.draft(about.key))
    kept = elsewhere.keep(about.key, draft, about, curve=CURVE, queries=[plain_query(query(config)), "another"])
    return Path(shutil.copytree(kept.folder, config.parent / "exported"))


def the_one(config: Path) -> KeptModel:
    [kept] = store(config).all()
    found = store(config).find(kept.key)
    assert found is not None, store(config).damage(kept.key)
    return found


def test_a_model_of_this_program_keeps_its_key_and_what_is_said_of_it(config: Path, exported: Path) -> None:
    done = take_in(config, exported)
    assert done.exit_code == 0, done.stderr
    kept = the_one(config)
    assert kept.key == provenance().key and kept.provenance.recipe == "mnrl" and kept.curve() == list(CURVE)
    assert "compared with no evaluation queries" in done.stderr and kept.provenance.notes[-1] in done.stderr
    assert done.stdout.startswith(f"tuned#1  {kept.key}  ")
    again = take_in(config, exported, "--name", "another")
    assert again.exit_code == 2 and "is kept already, as tuned#1" in again.stderr


def test_evaluation_queries_among_the_training_texts_are_told(config: Path, exported: Path) -> None:
    told = take_in(config, exported, config, "--name", "theirs")
    assert told.exit_code == 0, told.stderr
    # small.collection has twelve queries, one of which was learnt from
    assert (
        f"1 of 12 evaluation queries stands among the 2 texts that it learnt from: {plain_query(query(config))!r}."
        in told.stderr
    )
    assert "Near copies were not looked for" in told.stderr and "It was measured on other data" in told.stderr
    assert "What all-MiniLM-L6-v2 had learnt from before is not known." in told.stderr
    kept = the_one(config)
    assert kept.provenance.name == "theirs" and any("1 of 12" in note for note in kept.provenance.notes)
    assert "1 of 12" in kept.card()


def test_a_file_of_its_training_texts_is_compared_whole(config: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "theirs")
    near = f"{query(config)} indeed"
    rows = [{"anchor": query(config).upper(), "positive": "x"}, {"anchor": near, "positive": "y"}]
    small.write_jsonl(tmp_path / "texts.jsonl", rows)
    told = take_in(config, model, config, "--data", tmp_path / "texts.jsonl")
    assert told.exit_code == 0, told.stderr
    assert "1 of 12 evaluation queries stands among the 4 texts" in told.stderr
    kept = the_one(config)
    assert kept.query_digests() is not None and len(kept.query_digests() or ()) == 4


def test_of_a_model_of_unknown_training_nothing_is_claimed(config: Path, tmp_path: Path) -> None:
    told = take_in(config, write_model(tmp_path / "theirs"), config)
    assert told.exit_code == 0, told.stderr
    assert "whether it has seen these queries cannot be told" in told.stderr
    kept = the_one(config)
    about = kept.provenance
    assert (about.recipe, about.seed, about.dev_after, about.name) == (IMPORTED, None, None, "theirs")
    assert (kept.folder / "README.before-import.md").read_text() == "# Mine\n"
    assert "theirs  imported" in small.bench("models", "--cache", config.parent / "cache").stdout


def test_a_provenance_that_tells_of_other_files_is_not_believed(config: Path, exported: Path) -> None:
    (exported / "modules.json").write_text((exported / "modules.json").read_text() + " ")
    told = take_in(config, exported, config)
    assert told.exit_code == 0, told.stderr
    assert "not believed: modules.json is not the file" in told.stderr
    assert "Nothing is known of the texts" in told.stderr
    kept = the_one(config)
    assert kept.key != provenance().key and kept.provenance.recipe == IMPORTED
    assert not (kept.folder / QUERIES).exists()


def test_what_is_no_model_is_refused_and_leaves_nothing(config: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "My Model")
    (tmp_path / "empty").mkdir()
    without = write_model(tmp_path / "without")
    (without / "model.safetensors").unlink()
    linked = write_model(tmp_path / "linked")
    (linked / "more.json").symlink_to(config)
    foreign = write_model(tmp_path / "foreign")
    (foreign / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "mine.Module"}]))
    for folder, cause in (
        (model, "'my model' is no name of a model"),
        (tmp_path / "absent", "there is no such folder"),
        (tmp_path / "empty", "neither modules.json nor config.json"),
        (without, "holds no weights"),
        (linked, "more.json: is a symbolic link"),
        (foreign, "code of its own (mine.Module)"),
    ):
        told = take_in(config, folder)
        assert told.exit_code == 2 and cause in told.stderr, told.stderr
    idle = take_in(config, model, "--data", config)
    assert idle.exit_code == 2 and "--data has no effect without an experiment FILE" in idle.stderr
    assert list(store(config).all()) == [] and not list((config.parent / "cache").glob("models/.*"))
