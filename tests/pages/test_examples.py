"""Every example on every page is what it says: experiments are planned, code runs, outputs are what is printed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.cache.artifacts import Cache
from bench.experiment.reader import load_experiment
from bench.run.folder import Places
from bench.run.plan import plan
from bench.run.runner import run
from bench.train.board import TrainingLog
from bench.train.kept import KeptModels
from tests import small
from tests.models import tiny_cross_encoder
from tests.pages import blocks as pages
from tests.pages.blocks import Block
from tests.train.stored import CURVE, keep, provenance

# What an excerpt of an experiment stands in: the parts that its systems name.
WHOLE: dict[str, Any] = {
    "experiment": "page",
    "dataset": {"adapter": "beir", "path": "data/scifact", "split": "test"},
    "encoders": {"minilm": {"adapter": "sentence_transformers", "model": "all-MiniLM-L6-v2"}},
    "stores": {"bm25": {"adapter": "bm25"}},
    "rerankers": {"ce": {"adapter": "cross_encoder", "model": "ce"}},
    "systems": [{"name": "bm25", "store": "bm25"}, {"name": "dense", "encoder": "minilm"}],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, static_model: Path) -> Path:
    """A folder with what the examples name: a collection with metadata, two tables, a run file, two models."""
    folder = tmp_path_factory.mktemp("examples")
    small.collection(folder / "data/scifact", documents=400, queries=10)
    corpus = folder / "data/scifact/corpus.jsonl"
    lines = corpus.read_text(encoding="utf-8").splitlines()
    corpus.write_text("".join(f'{line[:-1]}, "year": {2000 + i % 25}}}\n' for i, line in enumerate(lines)))
    (folder / "questions.csv").write_text("question,article\nwhich?,KB-7; KB-9\n")
    (folder / "articles.csv").write_text("article_id,name,body\nKB-7,Seven,seven words\nKB-9,Nine,nine words\n")
    (folder / "today.trec").write_text("".join(f"q{i} Q0 d{i} 1 1.0 today\n" for i in range(10)))
    tiny_cross_encoder(folder / "cross-encoder", train=False)
    shutil.copytree(static_model, folder / "encoder")
    return folder


# A block with a name is another program's file.
EXPERIMENTS = [block for block in pages.blocks("yaml") if not block.name]


@pytest.mark.parametrize("block", EXPERIMENTS, ids=lambda block: block.where)
@pytest.mark.usefixtures("standin")
def test_every_experiment_on_a_page_can_be_run(place: Path, block: Block) -> None:
    written = yaml.safe_load(block.text)
    if "experiment" not in written:
        written = {**WHOLE, **{key: _within(key, value) for key, value in written.items()}}
    settings = []
    for role, model in (("encoders", "encoder"), ("rerankers", "cross-encoder")):
        for name, part in written.get(role, {}).items():
            if part["adapter"] in ("sentence_transformers", "cross_encoder"):
                settings.append(f"{role}.{name}.model={place / model}")
            if part["adapter"] == "sentence_transformers":
                size = {"num_sub_vectors": 16, "num_partitions": 2}  # of 400 documents with 256 dimensions
                for store, options in written.get("stores", {}).items():
                    index = options.get("index", {})
                    settings += [f"stores.{store}.index.{key}={size[key]}" for key in size if key in index]
    path = place / "bench.yaml"
    path.write_text(yaml.safe_dump(written, sort_keys=False))
    assert "systems" in plan(load_experiment(path, settings), place / "cache", emit=lambda event: None)


def _within(key: str, value: Any) -> Any:
    """An excerpt's parts beside those that it takes for granted; another dataset stands for itself."""
    if key == "dataset" and "adapter" in value:
        return value
    return {**WHOLE[key], **value} if isinstance(WHOLE.get(key), dict) else value


# -- code --------------------------------------------------------------------------------------------------------


def files_of(page: str, folder: Path) -> list[Path]:
    """The page's Python files, written into a folder as an author has them."""
    found = []
    for block in pages.blocks("python", page):
        assert block.name.endswith(".py"), f"{block.where}: a Python block is a file: ```python NAME.py"
        found.append(folder / block.name)
        found[-1].write_text(block.text, encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def authored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapters of the page on adapters, as an installer would leave them."""
    folder = tmp_path_factory.mktemp("authored")
    files_of("docs/adapters.md", folder)
    entries = [tomllib.loads(block.text) for block in pages.blocks("toml", "docs/adapters.md")]
    metadata = folder / "authored-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: authored\nVersion: 1.0\n")
    lines = [
        line
        for entry in entries
        for group, names in entry["project"]["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in names.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_every_python_file_on_a_page_runs(authored: Path) -> None:
    """Of the page on adapters; the script of the page on Python is run beside the frames. The tests among them are
    green, and none of them is skipped but for a reason that the suite gives."""
    assert {block.page for block in pages.blocks("python")} == {"docs/adapters.md", "docs/python.md"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", authored, authored],
        cwd=authored,
        env={**os.environ, "PYTHONPATH": str(authored), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]


def test_the_code_on_a_page_is_formatted_as_an_author_formats_it(authored: Path) -> None:
    (authored / "ruff.toml").write_text('line-length = 120\nlint.select = ["E", "F", "W", "I", "B", "UP"]\n')
    for command in (["check", "--quiet"], ["format", "--diff", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=authored,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_adapters_of_the_page_run_beside_exact_search(tmp_path: Path, authored: Path) -> None:
    """As parts of an experiment, found by their names."""
    small.vectors(tmp_path / "data", documents=400, queries=20)
    stores = [name for block in pages.blocks("toml") for name in _stores(block)]
    experiment = {
        "experiment": "page",
        "dataset": {"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": {name: {"adapter": name} for name in stores},
        "systems": [{"name": name, "encoder": "given", "store": name} for name in ("exact", *stores)],
        "measures": ["ANN@10"],
        "latency": False,
    }
    sys.path.insert(0, str(authored))
    try:
        loaded = load_experiment(small.write(tmp_path, experiment))
        _, result = run(loaded, Places(tmp_path / "results", tmp_path / "cache"))
    finally:
        sys.path.remove(str(authored))
    assert result.status == "success"
    found = {name: values["ANN@10"] for name, values in small.means(result).items()}
    assert found["exact"] == found["toy"] == 1.0
    assert all(value is not None and value >= 0.5 for value in found.values())


def _stores(block: Block) -> list[str]:
    points = tomllib.loads(block.text).get("project", {}).get("entry-points", {})
    return list(points.get("retrieval_bench.stores", {}))


# -- outputs -----------------------------------------------------------------------------------------------------


def test_what_a_page_says_that_a_run_leaves_is_there(tmp_path: Path) -> None:
    [block] = [block for block in pages.blocks("text") if block.name == "result-folder"]
    small.collection(tmp_path / "data", documents=20, queries=4)
    folder, _ = small.measure(
        tmp_path,
        small.spec([{"name": "bm25", "store": "bm25"}], latency={"samples": 5, "workers": 2}),
    )
    left = {str(path.relative_to(folder)) for path in folder.rglob("[!.]*") if path.is_file()}
    named = {line.split()[0].replace("<system>", "bm25") for line in block.text.splitlines() if line.startswith("  ")}
    assert named == left


def test_what_the_page_on_training_says_is_kept_is_kept(tmp_path: Path) -> None:
    [block] = [block for block in pages.blocks("text") if block.name == "kept-models"]
    models, key = KeptModels(Cache(tmp_path)), keep(tmp_path, provenance()).key
    models.checkpoints(key)
    with TrainingLog(models, name="tuned", key=key, seed_number=1) as log:
        log.step(CURVE[0])
    left = {f"{path.name}/" if path.is_dir() else path.name for path in models.folder.iterdir()}
    left |= {path.name for path in (models.folder / key).iterdir() if path.suffix in (".json", ".md", ".csv")}
    named = {line.split()[0].replace("<key>", key) for line in block.text.splitlines() if line.startswith("  ")}
    assert named <= left, named - left


def test_commands_that_serve_name_options_that_there_are() -> None:
    told = small.bench("ui", "--help").stdout
    for block in pages.blocks("text"):
        if block.name in ("ui", "space", "ui-login"):
            [command] = [line for line in block.text.splitlines() if "bench ui" in line]
            assert [word for word in command.split() if word.startswith("--") and word not in told] == []


def test_every_text_on_a_page_is_held_to_what_prints_it() -> None:
    """A text block has a name, and a test of this folder that looks at it."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    for block in pages.blocks("text"):
        assert block.name and f'"{block.name}"' in source, block.where
