"""`bench init` on a folder of data, then `bench run`: a table, with nothing edited in between."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.cache.artifacts import check_writable
from bench.experiment.reader import load_experiment
from tests import small

TEXTS = {
    "tin.md": "# Tin\n\nTin is a soft metal that was mixed with copper to make bronze.",
    "neon.txt": "Neon is a gas that glows red in a tube.",
    "deep/oak.html": "<html><body><p>The oak is a tree that bears acorns.</p></body></html>",
    "brass.txt": "Brass is made of copper and zinc.",
}
FAST = ("--set", "latency.samples=5", "--set", "latency.seconds=5", "--set", "latency.workers=2")


def documents(folder: Path) -> None:
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def files_with_documents(folder: Path) -> None:
    documents(folder)
    (folder / "questions.csv").write_text(
        "query,document\nwhich metal makes bronze?,tin.md\nwhat bears acorns?,deep/oak.html\nwhat glows red?,neon.txt\n"
    )


def files_with_answers(folder: Path) -> None:
    documents(folder)
    small.write_jsonl(
        folder / "questions.jsonl",
        [{"query": "what is brass made of?", "answer": "copper"}, {"query": "who glows?", "answer": "glows red"}],
    )


def beir(folder: Path) -> None:
    small.collection(folder, documents=300, queries=8)


def pairs(folder: Path) -> None:
    rows = [{"query": f"what is in box {i}", "positive": f"box {i} holds {word}"} for i, word in enumerate(TEXTS)]
    small.write_jsonl(folder / "pairs.jsonl", rows)


def labels(folder: Path) -> None:
    (folder / "intents.csv").write_text(
        "query,label\nwhere is my card,card_arrival\nmy card was lost,lost_card\nwhen comes the card,card_arrival\n"
    )


def arrays(folder: Path) -> None:
    small.vectors(folder, documents=400, queries=10)


def parquet(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, n in (("corpus", 300), ("queries", 6)):
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.standard_normal(n * 16), pa.float32()), 16)
        pq.write_table(
            pa.table({"id": [f"{name}{i}" for i in range(n)], "vector": vectors}), folder / f"{name}.parquet"
        )
    (folder / "qrels.tsv").write_text("queries0\tcorpus1\t1\nqueries1\tcorpus2\t1\n")


@pytest.mark.parametrize(
    ("fill", "found", "systems"),
    [
        (files_with_documents, "Found 4 text files and questions.csv, questions with their relevant documents.", 4),
        (files_with_answers, "Found 4 text files and questions.jsonl, questions with their answers.", 4),
        (beir, "Found a BEIR collection of 300 documents with judgements for test.", 5),
        (pairs, "Found pairs.jsonl, pairs of query and positive.", 4),
        (labels, "Found intents.csv, pairs of query and label.", 4),
        (arrays, "Found vectors without judgements.", 2),
        (parquet, "Found vectors with judgements.", 2),
    ],
)
def test_what_lies_in_a_folder_becomes_an_experiment_that_runs(
    tmp_path: Path, minilm: Path, fill: Callable[[Path], None], found: str, systems: int
) -> None:
    folder = tmp_path / "My Data"
    folder.mkdir()
    fill(folder)
    wrote = small.bench("init", folder)
    assert wrote.exit_code == 0
    assert found in wrote.stderr
    assert wrote.stdout == f"bench run '{folder}/bench.yaml'\n"
    experiment = load_experiment(folder / "bench.yaml")
    assert len(experiment.systems) == systems
    assert experiment.name == "my-data"
    places = ("--output", tmp_path / "results", "--cache", tmp_path / "cache", "--quiet")
    ran = small.bench("run", folder, *places, *FAST)
    assert ran.exit_code == 0, ran.stdout + ran.stderr
    assert len(ran.stdout.split("\n\n")[1].splitlines()[2:]) == systems  # behind the caption and the heading


def test_an_experiment_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    files_with_documents(tmp_path)
    (tmp_path / "bench.yaml").write_text("mine")
    refused = small.bench("init", tmp_path)
    assert refused.exit_code == 2
    assert "is there already" in refused.stderr and "--force" in refused.stderr
    assert (tmp_path / "bench.yaml").read_text() == "mine"
    assert small.bench("init", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "bench.yaml").read_text() != "mine"


def test_it_may_be_written_elsewhere_and_its_paths_follow(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "experiments"
    data.mkdir()
    other.mkdir()
    files_with_documents(data)
    assert small.bench("init", data, "--output", other / "mine.yaml").exit_code == 0
    options = load_experiment(other / "mine.yaml").dataset.options.model_dump(mode="json")
    assert options["path"] == "../data"
    assert options["questions"] == "../data/questions.csv"


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "text", "column"),
    [
        ("p.tsv", "query\tpositive\na\tb\n", "positive"),
        ("p.csv", "\ufeff\r\nquery, passage\r\na,b\r\n", "passage"),
        ("p.ndjson", '\n{"query": "a", "label": "b"}\n', "label"),
    ],
)
def test_tables_of_every_ending_are_found(tmp_path: Path, name: str, text: str, column: str, packed: str) -> None:
    raw = text.encode()
    (tmp_path / f"{name}{packed}").write_bytes(gzip.compress(raw) if packed else raw)
    outcome = small.bench("init", tmp_path)
    assert outcome.exit_code == 0, outcome.stderr
    assert f"Found {name}{packed}, pairs of query and {column}." in outcome.stderr
    options = load_experiment(tmp_path / "bench.yaml").dataset.options
    assert str(options.path) == f"{name}{packed}"


def test_a_collection_of_compressed_files_is_found(tmp_path: Path) -> None:
    small.collection(tmp_path)
    for file in (tmp_path / "corpus.jsonl", tmp_path / "qrels" / "test.tsv"):
        (file.parent / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    outcome = small.bench("init", tmp_path)
    assert "Found a BEIR collection of" in outcome.stderr
    assert load_experiment(tmp_path / "bench.yaml").dataset.options.split == "test"


@pytest.mark.parametrize("ending", ["npy", "parquet"])
def test_vectors_that_cannot_be_read_are_named(tmp_path: Path, ending: str) -> None:
    for name in ("corpus", "queries"):
        (tmp_path / f"{name}.{ending}").write_bytes(b"junk")
    outcome = small.bench("init", tmp_path)
    assert outcome.exit_code == 2
    assert f"corpus.{ending}: is no readable" in outcome.stderr or f"corpus.{ending} is no readable" in outcome.stderr


@pytest.mark.parametrize("content", [{}, {"table.csv": "a,b\n1,2\n"}, {"broken.jsonl": "{"}])
def test_nothing_usable_is_said_with_what_was_looked_for(tmp_path: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    outcome = small.bench("init", tmp_path)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    for kind in ("(BEIR)", "(vectors)", "questions file", "query and positive"):
        assert kind in outcome.stderr
    assert not (tmp_path / "bench.yaml").exists()


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    outcome = small.bench("init", tmp_path / "none")
    assert outcome.exit_code == 2
    assert "none: there is no such file or folder." in outcome.stderr


def test_the_judgements_of_a_split_are_chosen_test_first(tmp_path: Path) -> None:
    small.collection(tmp_path)
    (tmp_path / "qrels" / "train.tsv").write_text("q0\td0\t1\n")
    small.bench("init", tmp_path)
    assert load_experiment(tmp_path / "bench.yaml").dataset.options.split == "test"
    json.dumps(load_experiment(tmp_path / "bench.yaml").resolved)  # result.json must be able to hold it


def test_what_is_written_takes_no_pipes_place(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a pipe or a device"):
        check_writable(tmp_path / "pipe")
    done = small.bench("init", tmp_path / "data", "--output", tmp_path / "pipe", "--force")
    assert done.exit_code == 2 and "is a pipe or a device, where a file is needed" in done.stderr
    assert (tmp_path / "pipe").is_fifo()
