"""Laws: a result keeps the judgements and the texts that its reader looks at, cut, each once; or none, where that is
asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.dataset import Dataset
from bench.results.model import Result, read_result
from bench.results.rankings import Rankings, run_file
from bench.results.texts import KeptTexts, read_judgements, read_query_texts
from bench.run.texts import write_texts
from tests import small

# Ids that a run file cannot hold as they are, and a text that nobody may see where texts are off.
ODD = ["50 off", "50%20off", 'say "x"', "a\tb", "\u00a0", "=1+1", "猫", "plain"]
SECRET = "zebrafinch"


def beir(folder: Path) -> None:
    """Document i and query i share the word word<i>; query 0 is judged twice, once as not relevant."""
    data = folder / "data"
    (data / "qrels").mkdir(parents=True)
    rows = [{"_id": name, "title": f"title{i}", "text": f"word{i} {SECRET}"} for i, name in enumerate(ODD)]
    rows[1]["text"] += " x" * 2_000
    small.write_jsonl(data / "corpus.jsonl", [*rows, {"_id": "unseen", "title": "", "text": "nobody asks for this"}])
    asked = [{"_id": f"q {i}", "text": f"word{i}", "topic": "a"} for i in range(len(ODD))]
    small.write_jsonl(data / "queries.jsonl", asked)
    judged = "".join(f"q {i}\t{name}\t1\n" for i, name in enumerate(ODD) if "\t" not in name and '"' not in name)
    (data / "qrels" / "test.tsv").write_text(judged + "q 0\tplain\t0\n", encoding="utf-8")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("kept")
    beir(folder)
    return small.measure(folder, small.spec([{"name": "bm25", "store": "bm25"}]))


def test_each_judged_query_relevant_document_and_first_hit_is_kept_once(kept: tuple[Path, Result]) -> None:
    table = pq.read_table(kept[0] / "texts.parquet").to_pylist()
    queries = [row["id"] for row in table if row["kind"] == "query"]
    documents = [row["id"] for row in table if row["kind"] == "document"]
    assert queries == [f"q {i}" for i in (0, 1, 4, 5, 6, 7)]
    # Six are relevant, and each is found by its own query alone; of the two others one is never found.
    assert documents == ["50 off", "50%20off", "\u00a0", "=1+1", "猫", "plain"]
    assert {row["meta.topic"] for row in table} == {"a", None}


def test_a_text_is_cut_and_says_so(kept: tuple[Path, Result]) -> None:
    found = KeptTexts(kept[0]).documents(["50 off", "50%20off", "unseen"])
    assert sorted(found) == ["50 off", "50%20off"]
    # title1 (6), and word1 zebrafinch (16) with 2,000 times two characters
    cut = found["50%20off"]
    assert (cut.cut, cut.characters, len(cut.text or "")) == (True, 6 + 16 + 4_000, 2_000)
    assert found["50 off"] == ("50 off", "title0", f"word0 {SECRET}", False, 6 + 16)


def test_judgements_are_kept_with_the_ids_of_the_collection(kept: tuple[Path, Result]) -> None:
    judged = read_judgements(kept[0])
    assert judged is not None
    assert judged["q 0"] == {"50 off": 1, "plain": 0} and judged["q 1"] == {"50%20off": 1}


def test_rankings_are_read_back_with_the_ids_of_the_collection(kept: tuple[Path, Result]) -> None:
    folder, judged = kept[0], read_judgements(kept[0]) or {}
    documents = {name for grades in judged.values() for name in grades}
    rankings = Rankings(run_file(folder, "bm25", 0), judged, documents)
    assert {query: [hit.document for hit in rankings.of(query)] for query in judged} == {
        query: [next(name for name, grade in grades.items() if grade)] for query, grades in judged.items()
    }


def test_every_file_that_is_kept_has_its_digest(kept: tuple[Path, Result]) -> None:
    folder, result = kept
    assert {"texts.parquet", "qrels.parquet"} <= result.files.keys()
    assert read_result(folder).warnings == result.warnings


def test_a_result_that_is_to_keep_no_texts_has_none_in_any_file(tmp_path: Path) -> None:
    beir(tmp_path)
    folder, _ = small.measure(tmp_path, small.spec([{"name": "bm25", "store": "bm25"}], texts=False))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert "texts.parquet" not in {path.name for path in files}
    assert [path for path in files if SECRET.encode() in path.read_bytes() or b"word0" in path.read_bytes()] == []
    assert read_query_texts(folder) == {} and (read_judgements(folder) or {})["q 0"] == {"50 off": 1, "plain": 0}


def test_a_result_of_an_older_version_has_its_queries_and_judgements_in_its_events(
    kept: tuple[Path, Result], tmp_path: Path
) -> None:
    (tmp_path / "events.jsonl").write_bytes((kept[0] / "events.jsonl").read_bytes())
    assert read_judgements(tmp_path) == read_judgements(kept[0])
    assert read_query_texts(tmp_path) == read_query_texts(kept[0])
    assert KeptTexts(tmp_path).documents(["50 off"]) == {}


def test_a_collection_of_vectors_alone_keeps_no_texts(tmp_path: Path) -> None:
    small.vectors(tmp_path / "data", documents=30, queries=4, dimension=8)
    experiment = {
        "experiment": "small",
        "dataset": {"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "systems": [{"name": "exact", "encoder": "given"}],
        "measures": ["ANN@10"],
        "latency": False,
    }
    folder, _ = small.measure(tmp_path, experiment)
    assert not (folder / "texts.parquet").exists() and not (folder / "qrels.parquet").exists()
    assert read_query_texts(folder) == {} and read_judgements(folder) is None


def test_texts_are_taken_from_the_right_rows_however_the_corpus_is_cut(tmp_path: Path) -> None:
    ids = [f"d{i}" for i in range(1_203)]
    chunks = [pa.array(ids[start : start + 7]) for start in range(0, len(ids), 7)]
    column = pa.chunked_array(chunks)
    corpus = pa.table({"id": column, "title": pa.nulls(len(ids), pa.string()), "text": column})
    queries = pa.table({"id": ["q"], "text": ["what"]})
    dataset = Dataset("x", None, corpus, queries, None, 1, "f")
    rows = np.array([[1202, -1, 6, 7, 600, 5_000]], np.int32)  # the last is no row of the corpus
    write_texts(tmp_path / "texts.parquet", dataset, [rows, rows[:, :3]], wanted=True)
    kept = KeptTexts(tmp_path).documents(ids)
    assert list(kept) == ["d6", "d7", "d600", "d1202"]
    assert all(text.text == name for name, text in kept.items())
