"""Laws of `bench encode`: the vectors are the encoder's, each with its text, and nothing asked for has no effect."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.base import Context, DatasetInvalid, Encoder, TextRows
from adapters.registry import load
from bench.cache.artifacts import Cache
from bench.train.kept import KeptModels
from bench.train.texts import every_text, read_texts
from tests import small
from tests.train.stored import provenance

TEXTS = ["the violin", "an apple pie\nto bake"]


@pytest.fixture
def config(tmp_path: Path, third_party: None) -> Path:
    """An experiment with an encoder that needs no model, and one that hands on vectors."""
    small.collection(tmp_path / "data")
    encoders = {"words": {"adapter": "words"}, "given": {"adapter": "precomputed"}}
    systems = [{"name": "bm25", "store": "bm25"}]
    return small.write(tmp_path, small.spec(systems, encoders=encoders))


@pytest.fixture
def encoder(config: Path) -> Iterator[Encoder]:
    kind = load("encoders", "words")
    made: Encoder = kind(kind.Options(), Context())
    yield made
    made.close()


def encode(config: Path, *words: str | Path) -> Any:
    return small.bench("encode", "words", "--config", config, *words)


def test_vectors_are_those_of_the_encoder_in_every_form(config: Path, encoder: Encoder, tmp_path: Path) -> None:
    wanted = encoder.encode(TextRows(TEXTS), "document").vectors
    rows = [json.loads(line) for line in encode(config, *TEXTS).stdout.splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    np.testing.assert_array_equal(np.array([row["vector"] for row in rows], np.float32), wanted)
    for name in ("v.npy", "v.parquet", "v.jsonl"):
        told = encode(config, *TEXTS, "-o", tmp_path / name)
        assert told.exit_code == 0 and told.stdout == f"{tmp_path / name}\n", told.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), wanted)
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column("text").to_pylist() == TEXTS
    np.testing.assert_array_equal(np.array(table.column("vector").to_pylist(), np.float32), wanted)
    assert len((tmp_path / "v.jsonl").read_text().splitlines()) == 2


def test_the_nearest_documents_are_those_of_exact_search(config: Path, encoder: Encoder, tmp_path: Path) -> None:
    documents = ["bake a pie", "the violin and the harbour", "violin the", "nothing of the kind"]
    small.write_jsonl(tmp_path / "corpus.jsonl", [{"_id": f"d{i}", "text": text} for i, text in enumerate(documents)])
    vectors, [asked] = (
        encoder.encode(TextRows(documents), "document").vectors,
        encoder.encode(TextRows(["the violin"]), "query").vectors,
    )
    cosines = vectors @ asked / np.linalg.norm(vectors, axis=1) / np.linalg.norm(asked)
    best = [f"d{i}" for i in np.argsort(-cosines, kind="stable")[:2]]
    words = ("the violin", "--corpus", tmp_path / "corpus.jsonl", "--top", "2")
    rows = [json.loads(line) for line in encode(config, *words, "--format", "jsonl").stdout.splitlines()]
    assert [row["id"] for row in rows] == best and [row["rank"] for row in rows] == [1, 2]
    assert rows[0]["score"] == pytest.approx(float(cosines.max()), abs=1e-6)
    shown = encode(config, *words).stdout.splitlines()
    assert shown[0] == "the violin" and [line.split()[2] for line in shown[1:3]] == best


def test_texts_come_from_lines_and_from_rows(config: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("the violin\n\n  the harbour  \n")
    rows = [json.loads(line) for line in encode(config, "--file", tmp_path / "lines.txt").stdout.splitlines()]
    assert [(row["id"], row["text"]) for row in rows] == [("1", "the violin"), ("3", "the harbour")]
    small.write_jsonl(tmp_path / "rows.jsonl", [{"_id": 0, "title": "A", "text": "b"}, {"query": "c"}])
    assert read_texts(tmp_path / "rows.jsonl") == [("0", "A b"), ("2", "c")]
    (tmp_path / "rows.csv").write_text('id,sentence,n\nx,"a, b",1\n')
    assert read_texts(tmp_path / "rows.csv") == [("x", "a, b")]
    pq.write_table(pa.table({"text": ["a"], "more": [["b", "c"]]}), tmp_path / "rows.parquet")
    assert read_texts(tmp_path / "rows.parquet") == [("1", "a")]
    assert list(every_text(tmp_path / "rows.parquet")) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": " "}\n', 'a.jsonl:2: "text" is empty'),
        ("a.jsonl", '{"other": "a"}\n', 'a.jsonl:1: has no "text"'),
        ("a.jsonl", '{"text": 1}\n', 'a.jsonl:1: "text" must be a string'),
        ("a.txt", "\n \n", "a.txt: holds no texts"),
    ],
)
def test_a_file_without_texts_is_named_with_its_line(tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetInvalid) as raised:
        read_texts(tmp_path / name)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Give texts, or a file of them"),
        (("a", "--file", "x.txt"), "Give texts, or a file of them"),
        (("a", " "), "A text is empty."),
        (("a", "--top", "3"), "--top has no effect without --corpus."),
        (("a", "--role", "query", "--corpus", "x.txt"), "--role has no effect with --corpus"),
        (("a", "--role", "both"), "known are query, document"),
        (("a", "--format", "csv"), "known are jsonl, npy, parquet"),
        (("a", "--format", "npy"), "Name a file: --output FILE.npy"),
        (("a", "--format", "npy", "--corpus", "x.txt"), "--format npy holds vectors"),
        (("a", "--format", "npy", "-o", "x.jsonl"), "contradict each other"),
    ],
)
def test_what_would_have_no_effect_is_refused(config: Path, words: tuple[str, ...], told: str) -> None:
    outcome = encode(config, *words)
    assert outcome.exit_code == 2 and told in outcome.stderr and outcome.stdout == ""


def test_an_encoder_that_is_not_there_is_told(config: Path) -> None:
    told = small.bench("encode", "wrods", "a", "--config", config)
    assert told.exit_code == 2 and "encoders: wrods is not there. Did you mean words?" in told.stderr
    told = small.bench("encode", "given", "a", "--config", config)
    assert told.exit_code == 1 and "it reads no texts" in told.stderr
    told = small.bench("encode", "trained:nothing", "a", "--cache", config.parent / "cache")
    assert told.exit_code == 2 and "holds no trained models" in told.stderr
    told = small.bench("encode", "words", "a", "--set", "seed=1")
    assert told.exit_code == 2 and "--set has no effect without --config" in told.stderr


def test_a_trained_model_gives_its_vectors_by_name_by_key_and_in_a_file(tmp_path: Path, static_model: Path) -> None:
    about = provenance()
    store = KeptModels(Cache(tmp_path / "cache"))
    draft = store.draft(about.key)
    for path in static_model.rglob("*"):
        if path.is_file():
            (draft / path.relative_to(static_model)).parent.mkdir(parents=True, exist_ok=True)
            (draft / path.relative_to(static_model)).write_bytes(path.read_bytes())
    store.keep(about.key, draft, about)
    reranker = provenance("ce", makes="reranker")
    store.keep(reranker.key, store.draft(reranker.key), reranker)
    told = []
    for word in (str(static_model), "trained:tuned", "trained:tuned#1", "tuned", "tuned#1", about.key):
        outcome = small.bench("encode", word, "a violin", "--cache", tmp_path / "cache", "-o", tmp_path / "v.npy")
        assert outcome.exit_code == 0, outcome.stderr
        told.append(np.load(io.BytesIO((tmp_path / "v.npy").read_bytes())))
    assert told[0].shape == (1, 256) and all((each == told[0]).all() for each in told)
    outcome = small.bench("encode", "trained:ce", "a", "--cache", tmp_path / "cache")
    assert outcome.exit_code == 1 and "it scores pairs and gives no vectors" in outcome.stderr
