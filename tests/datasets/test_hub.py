"""Data sets of the hub, read through `datasets` from local folders of the same layout."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from adapters.base import Context, DatasetInvalid, InvalidOptions, ModelNotFound, Tables
from adapters.datasets.hub import HubDataset

CARD = """---
configs:
- config_name: default
  data_files: [{split: train, path: qrels/train.jsonl}, {split: test, path: qrels/test.jsonl}]
- config_name: corpus
  data_files: [{split: corpus, path: corpus.jsonl}]
- config_name: queries
  data_files: [{split: queries, path: queries.jsonl}]
---
"""


def read(dataset: str, folder: Path, *, seed: int = 0, **options: Any) -> Tables:
    chosen = HubDataset.Options(dataset=dataset, path=folder, cache_dir=folder.parent / "prepared", **options)
    return HubDataset(chosen, Context(seed=seed)).load()


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture
def mteb(tmp_path: Path) -> Path:
    folder = tmp_path / "scifact"
    (folder / "qrels").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    (folder / "corpus.jsonl").write_text(
        '{"_id": "d1", "title": "T", "text": "a"}\n{"_id": "d2", "title": "", "text": "b"}\n'
    )
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "x"}\n{"_id": "q2", "text": "y"}\n')
    (folder / "qrels" / "test.jsonl").write_text('{"query-id": "q1", "corpus-id": "d2", "score": 2}\n')
    (folder / "qrels" / "train.jsonl").write_text('{"query-id": "q2", "corpus-id": "d1", "score": 1.0}\n')
    return folder


def test_an_mteb_set_is_read_as_its_card_says(mteb: Path) -> None:
    tables = read("mteb/scifact", mteb)
    assert tables.corpus.to_pylist() == [
        {"id": "d1", "title": "T", "text": "a"},
        {"id": "d2", "title": "", "text": "b"},
    ]
    assert tables.queries.to_pylist() == [{"id": "q1", "text": "x"}, {"id": "q2", "text": "y"}]
    assert tables.qrels is not None
    assert tables.qrels.to_pylist() == [{"query_id": "q1", "document_id": "d2", "grade": 2}]
    assert tables.provenance["hub"]["dataset"] == "mteb/scifact"
    train = read("mteb/scifact", mteb, split="train").qrels
    assert train is not None
    assert train.to_pylist() == [{"query_id": "q2", "document_id": "d1", "grade": 1}]


def test_a_split_that_is_not_there_is_named(mteb: Path) -> None:
    with pytest.raises(InvalidOptions, match=r"\(default\) has no split 'dev'\. It has: train, test\.") as raised:
        read("mteb/scifact", mteb, split="dev")
    assert raised.value.key == "split"


def test_only_the_first_rows_of_a_corpus_can_be_asked_for(mteb: Path) -> None:
    assert read("mteb/scifact", mteb, rows=1).corpus.column("id").to_pylist() == ["d1"]


def test_folders_serve_as_configurations_without_a_card(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    parquet(folder / "en-corpus" / "test-00000-of-00001.parquet", [{"_id": 1, "text": "a", "year": 1999}])
    parquet(folder / "en-queries" / "test-00000-of-00001.parquet", [{"_id": 7, "text": "x"}])
    parquet(folder / "en-qrels" / "test-00000-of-00001.parquet", [{"query-id": "7", "corpus-id": "1", "score": 1}])
    tables = read("mteb/many", folder, config="en")
    assert tables.corpus.to_pylist() == [{"id": "1", "text": "a", "meta.year": 1999}]
    with pytest.raises(DatasetInvalid, match=r"nor a folder of that name"):
        read("mteb/many", folder, config="de")


def test_klue_mrc_asks_for_the_context_that_answers(tmp_path: Path) -> None:
    def row(guid: str, question: str, context: str, impossible: bool = False) -> dict[str, Any]:
        return {
            "title": "제목", "context": context, "news_category": "사회", "source": "hankyung", "guid": guid,
            "is_impossible": impossible, "question_type": 1, "question": question,
            "answers": {"answer_start": [0], "text": ["a"]},
        }  # fmt: skip

    folder = tmp_path / "klue"
    rows = [row("g1", "q one", "c1"), row("g2", "q two", "c1"), row("g3", "q three", "c2"), row("g4", "no", "c2", True)]
    parquet(folder / "mrc" / "validation-00000-of-00001.parquet", rows)
    parquet(folder / "mrc" / "train-00000-of-00001.parquet", rows[:1])
    tables = read("klue", folder)
    assert tables.queries.column("id").to_pylist() == ["g1", "g2", "g3"]
    assert tables.corpus.select(["id", "title", "text"]).to_pylist() == [
        {"id": "d1", "title": "제목", "text": "c1"},
        {"id": "d2", "title": "제목", "text": "c2"},
    ]
    assert tables.qrels is not None
    assert tables.qrels.column("document_id").to_pylist() == ["d1", "d1", "d2"]
    assert tables.queries.column("meta.source").to_pylist() == ["hankyung"] * 3
    assert tables.notes == ("1 of 4 questions that their context does not answer are left out.",)


def test_miracl_brings_its_own_vectors(tmp_path: Path) -> None:
    corpus, queries = tmp_path / "miracl-id-corpus-22-12", tmp_path / "miracl-id-queries-22-12"
    parquet(
        corpus / "data" / "train-00000.parquet",
        [{"docid": f"{i}#0", "title": "T", "text": f"t{i}", "emb": [float(i), 1.0]} for i in range(3)],
    )
    passages = [[{"docid": "2#0", "text": "t2", "title": "T"}], [{"docid": "0#0", "text": "t0", "title": "T"}]]
    asked = {"query_id": "5", "query": "apa?", "positive_passages": passages[0], "negative_passages": passages[1]}
    parquet(queries / "data" / "dev-00000.parquet", [{**asked, "emb": [0.5, 0.25]}])
    tables = read("Cohere/miracl-id-corpus-22-12", corpus)
    assert tables.corpus.column("vector").to_pylist() == [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]
    assert tables.corpus.schema.field("vector").type == pa.list_(pa.float32(), 2)
    assert tables.queries.to_pylist() == [{"id": "5", "text": "apa?", "vector": [0.5, 0.25]}]
    assert tables.qrels is not None
    assert tables.qrels.to_pylist() == [
        {"query_id": "5", "document_id": "2#0", "grade": 1},
        {"query_id": "5", "document_id": "0#0", "grade": 0},
    ]
    assert "dot product" in tables.notes[0]


def test_wikipedia_holds_out_a_seeded_sample_as_queries(tmp_path: Path) -> None:
    folder = tmp_path / "wiki"
    rows = [{"id": i, "title": "T", "text": "t", "url": "u", "emb": [float(i), 0.0]} for i in range(20)]
    parquet(folder / "data" / "train-00000.parquet", rows)
    tables = read("Cohere/wikipedia-22-12-simple-embeddings", folder, sample=5)
    assert (tables.corpus.num_rows, tables.queries.num_rows, tables.qrels) == (15, 5, None)
    ids = [*tables.corpus.column("id").to_pylist(), *tables.queries.column("id").to_pylist()]
    assert sorted(map(int, ids)) == list(range(20))
    assert set(tables.corpus.column("text").to_pylist()) == {None}
    first = np.array([vector[0] for vector in tables.queries.column("vector").to_pylist()])
    assert first.astype(int).astype(str).tolist() == tables.queries.column("id").to_pylist()
    again = read("Cohere/wikipedia-22-12-simple-embeddings", folder, sample=5)
    other = read("Cohere/wikipedia-22-12-simple-embeddings", folder, sample=5, seed=1)
    assert again.queries.equals(tables.queries)
    assert not other.queries.equals(tables.queries)
    with pytest.raises(InvalidOptions, match="20 rows: too few to hold out 20"):
        read("Cohere/wikipedia-22-12-simple-embeddings", folder, sample=20)


def test_a_column_mapping_reads_any_set(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    parquet(folder / "train-00000.parquet", [{"q": "a?", "p": "A"}, {"q": "b?", "p": "A"}, {"q": "a?", "p": "B"}])
    tables = read("me/own", folder, columns={"query": "q", "passage": "p"})
    assert tables.qrels is not None
    pairs = [(row["query_id"], row["document_id"]) for row in tables.qrels.to_pylist()]
    assert pairs == [("q1", "d1"), ("q2", "d1"), ("q1", "d2")]
    with pytest.raises(DatasetInvalid, match=r'has no column "x"\. It has: q, p\.'):
        read("me/own", folder, columns={"query": "q", "passage": "x"})


def test_without_network_the_error_says_how_to_use_a_copy() -> None:
    source = HubDataset(HubDataset.Options(dataset="mteb/nowhere-to-be-found"), Context())
    assert source.sources() is None
    start = time.monotonic()
    with pytest.raises(ModelNotFound) as raised:
        source.load()
    assert time.monotonic() - start < 30  # no pauses between tries of a hub that is not asked
    assert str(raised.value) == (
        "The data set mteb/nowhere-to-be-found is not on this machine, and the hub does not give it. Check the name; "
        "without network, download it elsewhere (hf download mteb/nowhere-to-be-found --repo-type dataset --local-dir "
        "DIR), copy the folder here, and set `path: DIR` beside `dataset`."
    )


def test_a_copy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match=r"there is no such folder\. Set `path` to a local copy"):
        HubDataset(HubDataset.Options(dataset="klue", path="nowhere"), Context(base=tmp_path)).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "me/own"}, "none that the presets know"),
        ({"dataset": "me/own", "columns": {"query": "q"}}, "needs query, and passage or label"),
        ({"dataset": "me/own", "columns": {"query": "q", "pasage": "p"}}, "columns.pasage is unknown"),
        ({"dataset": "klue", "preset": "mteb", "columns": {"query": "q", "label": "l"}}, "not both"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HubDataset.Options(**options)


def source(dataset: str, folder: Path, **options: Any) -> HubDataset:
    chosen = HubDataset.Options(dataset=dataset, path=folder, cache_dir=folder.parent / "prepared", **options)
    return HubDataset(chosen, Context())


def test_the_splits_are_those_of_the_judgements_and_each_can_be_loaded(mteb: Path) -> None:
    found = source("mteb/scifact", mteb)
    assert (found.judged_split, found.splits()) == ("test", ("train", "test"))
    assert found.of_split("train").judged_split == "train"
    judged = found.of_split("train").load().qrels
    assert judged is not None and judged.column("query_id").to_pylist() == ["q2"]


def test_rows_held_out_as_queries_are_no_split(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    found = source("Cohere/wikipedia-22-12-simple-embeddings", tmp_path / "copy")
    assert (found.judged_split, found.splits()) == (None, ())
