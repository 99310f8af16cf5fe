"""What only the whole of a collection shows, its fingerprint, and the tables kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from adapters.base import Context, DatasetInvalid, DatasetSource, InvalidOptions, Tables
from adapters.registry import load
from bench.data.dataset import Dataset, DatasetFaults, load_dataset
from bench.data.tables import table_digest
from bench.experiment.reader import load_experiment
from bench.quality.collection import load_data
from tests.datasets.test_beir import DOCUMENTS, write


class Given(DatasetSource):
    """A source that gives the tables it was made with."""

    name: ClassVar[str] = "given"

    def __init__(self, tables: Tables) -> None:
        super().__init__(None)
        self.tables = tables

    def load(self) -> Tables:
        return self.tables


def texts(rows: dict[str, str | None], **columns: Any) -> pa.Table:
    return pa.table({"id": pa.array(rows, pa.string()), "text": pa.array(rows.values(), pa.string()), **columns})


def judged(*rows: tuple[str, str, int]) -> pa.Table:
    queries, documents, grades = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "query_id": pa.array(queries, pa.string()),
            "document_id": pa.array(documents, pa.string()),
            "grade": pa.array(grades, pa.int32()),
        }
    )


CORPUS = texts({"d1": "tin", "d2": "neon"})
QUERIES = texts({"q1": "metal", "q2": "gas"})
QRELS = judged(("q1", "d1", 1), ("q2", "d2", 1))


def checked(
    corpus: pa.Table = CORPUS, queries: pa.Table = QUERIES, qrels: pa.Table | None = QRELS, **how: Any
) -> Dataset:
    how = {"name": "given", "split": "test", "needs_judgements": True, **how}
    return load_dataset(Given(Tables(corpus, queries, qrels)), **how)


def faults(*tables: Any, **how: Any) -> list[str]:
    with pytest.raises(DatasetFaults) as raised:
        checked(*tables, **how)
    return raised.value.faults


def beir(folder: Path, **how: Any) -> Dataset:
    kind = load("datasets", "beir")
    how = {"name": "folder", "split": "test", "needs_judgements": True, **how}
    return load_dataset(kind(kind.Options(path=folder), Context()), **how)


def test_scifact_has_300_judged_of_1109_queries(collections: Path) -> None:
    dataset = beir(collections / "scifact", name="scifact")
    assert (dataset.documents, dataset.queries_in_file, dataset.judged) == (5183, 1109, 300)
    # 1,109 - 300 = 809
    assert dataset.notes == ("809 of 1,109 queries have no judgement in split test and are left out.",)
    assert dataset.warnings == ()
    assert dataset.qrels is not None
    assert dataset.qrels.num_rows == 339
    first = dataset.document_texts[0]
    assert first.startswith("Microstructural development of human newborn")
    assert "in vivo by diffusion tensor magnetic resonance imaging. Alterations of the architecture" in first


@pytest.mark.parametrize(
    ("path", "name"),
    [(".", "v1.2"), ("./", "v1.2"), ("../v1.2", "v1.2"), ("sub", "sub"), ("sub/..", "v1.2"), ("sub/.", "sub"),
     ("$HERE/sub", "sub"), ("link", "link")],
)  # fmt: skip
def test_a_collection_is_called_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, name: str
) -> None:
    folder = tmp_path / "v1.2"
    (folder / "sub").mkdir(parents=True)
    write(folder)
    write(folder / "sub")
    (folder / "link").symlink_to(folder / "sub")
    monkeypatch.setenv("HERE", str(folder))
    (folder / "e.yaml").write_text(
        f"experiment: e\ndataset: {{adapter: beir, path: {path}}}\nstores: {{b: {{adapter: bm25}}}}\n"
        "systems: [{store: b}]\n"
    )
    assert load_data(load_experiment(folder / "e.yaml"), tmp_path / "cache").name == name


def test_without_judgements_all_queries_are_evaluated() -> None:
    dataset = checked(qrels=None, needs_judgements=False)
    assert (dataset.qrels, dataset.judged, dataset.queries_in_file) == (None, 2, 2)
    with pytest.raises(ValueError, match="has no judgements"):
        dataset.qrels_coded()


def test_evaluated_are_the_judged_queries_in_the_order_of_the_file() -> None:
    queries = texts({"q3": "c", "q1": "a", "q2": "b"})
    dataset = checked(queries=queries, qrels=judged(("q2", "d1", 0), ("q3", "d1", 1)))
    assert list(dataset.query_ids) == ["q3", "q2"]
    assert dataset.notes == ("1 of 3 queries have no judgement in split test and are left out.",)


def test_a_documents_text_is_title_space_text() -> None:
    corpus = pa.table(
        {
            "id": ["1", "2", "3", "4", "5"],
            "title": ["Tin", "", None, "Tin", None],
            "text": ["a metal ", "a metal", " a metal", None, None],
        }
    )
    dataset = checked(corpus=corpus, qrels=judged(("q1", "1", 1)))
    assert list(dataset.document_texts) == ["Tin a metal", "a metal", "a metal", "Tin", ""]
    assert dataset.document_texts[1:3] == ["a metal", "a metal"]
    assert dataset.document_texts[-2] == "Tin"
    assert dataset.document_texts[::2] == ["Tin a metal", "a metal", ""]
    assert dataset.warnings == ("1 document without any text; kept.",)


def test_repeated_ids_are_all_listed_with_both_lines(tmp_path: Path) -> None:
    rows = [*DOCUMENTS, DOCUMENTS[0], DOCUMENTS[1]]
    with pytest.raises(DatasetFaults) as raised:
        beir(write(tmp_path, corpus=rows, queries=[{"_id": "q1", "text": "a"}] * 2))
    corpus, queries = tmp_path / "corpus.jsonl", tmp_path / "queries.jsonl"
    cure = "Ids must be unique: rename or remove one."
    assert raised.value.faults == [
        f"{corpus}:3: document id 'd1' stands twice, first at {corpus}:1. {cure}",
        f"{corpus}:4: document id 'd2' stands twice, first at {corpus}:2. {cure}",
        f"{queries}:2: query id 'q1' stands twice, first at {queries}:1. {cure}",
    ]


def test_judgements_that_point_nowhere_are_listed_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(DatasetFaults) as raised:
        beir(write(tmp_path, qrels="q1\td1\t1\nq9\td1\t1\nq1\td9\t1\n"))
    where, cure = tmp_path / "qrels" / "test.tsv", "Correct the id, or set `dangling: keep`."
    assert raised.value.faults == [
        f"{where}:2: judges the query 'q9', which is not there. {cure}",
        f"{where}:3: judges the document 'd9', which is not there. {cure}",
    ]


def test_many_faults_of_one_kind_are_counted() -> None:
    listed = faults(CORPUS, QUERIES, judged(*(("q1", f"x{i}", 1) for i in range(1234))))
    assert len(listed) == 6
    # 1,234 - 5 spelled out = 1,229
    assert listed[-1] == "row 6: and 1,229 more of that kind."


def test_kept_dangling_documents_stay_relevant_and_queries_are_left_out() -> None:
    qrels = judged(("q1", "d2", 1), ("q1", "lost", 2), ("q2", "gone", 1), ("q2", "lost", 1), ("q9", "d1", 1))
    dataset = checked(qrels=qrels, dangling="keep")
    queries, documents, grades = dataset.qrels_coded()
    # Two documents, rows 0 and 1: the absent ones are numbered 2 and 3 as they come.
    assert (queries.tolist(), documents.tolist(), grades.tolist()) == ([0, 0, 1, 1], [1, 2, 3, 2], [1, 2, 1, 1])
    assert {array.dtype for array in (queries, documents, grades)} == {np.dtype(np.int32)}
    assert dataset.warnings == (
        "1 judgement for a query that is not there; such a query is left out (dangling: keep).",
        "3 judgements for a document that is not there; such a document counts as never found (dangling: keep).",
    )


def test_a_judgement_counts_once() -> None:
    dataset = checked(qrels=judged(("q1", "d1", 1), ("q1", "d2", 0), ("q1", "d1", 1)))
    assert dataset.qrels is not None
    assert dataset.qrels.num_rows == 2
    assert dataset.warnings == ("1 judgement stood twice with the same grade; counted once.",)


def test_judgements_that_contradict_each_other_are_a_fault(tmp_path: Path) -> None:
    with pytest.raises(DatasetFaults) as raised:
        beir(write(tmp_path, qrels="q1\td1\t1\nq1\td2\t1\nq1\td1\t2\n"))
    where = tmp_path / "qrels" / "test.tsv"
    assert raised.value.faults == [
        f"{where}:3: grades query 'q1' and document 'd1' with 2, but {where}:1 with 1. Keep one of them."
    ]


def test_an_empty_collection_is_a_fault() -> None:
    assert faults(texts({}), texts({}), None, needs_judgements=False) == [
        "The corpus is empty: there is no document to search.",
        "The queries table is empty: there is no query to evaluate.",
    ]


def test_a_measure_that_needs_judgements_gets_some() -> None:
    assert faults(CORPUS, QUERIES, None) == [
        "The data set has no judgements, though a measure needs them. Add qrels, or measure ANN@k alone."
    ]
    assert faults(CORPUS, QUERIES, judged()) == [
        "The qrels: no query is judged in split test. Compare the ids of queries and qrels, or choose another split."
    ]


def test_all_faults_of_the_whole_are_listed_together() -> None:
    twice = pa.table({"id": ["d1", "d1"], "text": ["a", "b"]})
    listed = faults(twice, QUERIES, judged(("q1", "d9", 1), ("q1", "d1", 1), ("q1", "d1", 2)))
    assert [next(word for word in ("twice", "not there", "grades") if word in fault) for fault in listed] == [
        "twice", "not there", "grades",
    ]  # fmt: skip


def test_a_table_that_breaks_the_contract_is_refused() -> None:
    with pytest.raises(DatasetInvalid, match="given: corpus: the table has no column text"):
        checked(corpus=pa.table({"id": ["1"]}))
    with pytest.raises(DatasetInvalid, match=r"given: corpus\.id: expected string, got int64"):
        checked(corpus=pa.table({"id": [1], "text": ["x"]}))
    with pytest.raises(DatasetInvalid, match=r"given: corpus\.vector: expected a fixed-size list of float32"):
        checked(corpus=CORPUS.append_column("vector", pa.array([[1.0], [2.0]])))


def matrix(values: Any) -> pa.Array:
    array = np.asarray(values, np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])


def test_vectors_are_read_without_a_copy() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    corpus = CORPUS.append_column("vector", matrix(values))
    dataset = checked(corpus=corpus, queries=QUERIES.append_column("vector", matrix([[1, 2, 3], [4, 5, 6]])))
    assert dataset.vector_dimension == 3
    assert dataset.document_vectors is not None
    assert dataset.query_vectors is not None
    np.testing.assert_array_equal(dataset.document_vectors, values)
    np.testing.assert_array_equal(dataset.query_vectors, [[1, 2, 3], [4, 5, 6]])
    assert dataset.document_vectors.dtype == np.float32
    held = corpus.column("vector").chunk(0).flatten().to_numpy()
    assert np.shares_memory(dataset.document_vectors, held)


def test_vectors_of_two_dimensions_are_a_fault() -> None:
    corpus = CORPUS.append_column("vector", matrix([[1, 2], [3, 4]]))
    assert faults(corpus, QUERIES.append_column("vector", matrix([[1], [2]])), QRELS) == [
        "Document vectors have dimension 2, query vectors 1."
    ]


def test_a_collection_of_vectors_alone_has_no_text() -> None:
    corpus = texts({"d1": None, "d2": None}, vector=matrix([[1, 2], [3, 4]]))
    dataset = checked(corpus=corpus)
    assert (dataset.has_text, dataset.warnings, list(dataset.document_texts)) == (False, (), ["", ""])
    assert checked().has_text


def test_queries_without_a_group_are_groups_of_their_own() -> None:
    queries = texts({"q1": "a", "q2": "b", "q3": "c", "q4": "d"}, **{"meta.page": ["x", None, "x", None]})
    dataset = checked(queries=queries, qrels=None, needs_judgements=False)
    codes = dataset.cluster_codes("meta.page")
    assert codes.tolist() == [0, 1, 0, 2]
    with pytest.raises(InvalidOptions, match=r"no column meta\.pages\. They have: meta\.page"):
        dataset.cluster_codes("meta.pages")


CHANGES: dict[str, Callable[[], Dataset]] = {
    "a document's text": lambda: checked(corpus=texts({"d1": "tim", "d2": "neon"})),
    "a document's id": lambda: checked(corpus=texts({"d1": "tin", "d3": "neon"}), qrels=judged(("q1", "d1", 1))),
    "where one text ends": lambda: checked(corpus=texts({"d1": "tinn", "d2": "eon"})),
    "a missing text": lambda: checked(corpus=texts({"d1": "tin", "d2": None})),
    "an empty text": lambda: checked(corpus=texts({"d1": "tin", "d2": ""})),
    "the order of documents": lambda: checked(corpus=texts({"d2": "neon", "d1": "tin"})),
    "a title": lambda: checked(corpus=CORPUS.append_column("title", pa.array(["a", "b"]))),
    "a meta column": lambda: checked(corpus=CORPUS.append_column("meta.n", pa.array([1, 2]))),
    "a meta value": lambda: checked(corpus=CORPUS.append_column("meta.n", pa.array([1, None]))),
    "a meta type": lambda: checked(corpus=CORPUS.append_column("meta.n", pa.array([True, False]))),
    "a vector": lambda: checked(corpus=CORPUS.append_column("vector", matrix([[1, 2], [3, 4]]))),
    "a vector's value": lambda: checked(corpus=CORPUS.append_column("vector", matrix([[1, 2], [3, 5]]))),
    "a query": lambda: checked(queries=texts({"q1": "metal", "q2": "air"})),
    "a grade": lambda: checked(qrels=judged(("q1", "d1", 2), ("q2", "d2", 1))),
    "a judgement": lambda: checked(qrels=judged(("q1", "d1", 1), ("q2", "d2", 1), ("q2", "d1", 0))),
    "no judgements": lambda: checked(qrels=None, needs_judgements=False),
    "nothing": checked,
}


def test_the_fingerprint_covers_all_content() -> None:
    prints = {what: make().fingerprint for what, make in CHANGES.items()}
    assert len(set(prints.values())) == len(CHANGES)
    assert all(len(value) == 32 for value in prints.values())


def test_the_fingerprint_ignores_queries_of_other_splits_and_where_files_lie(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here = beir(write(tmp_path / "a"))
    there = beir(write(tmp_path / "b", queries=[{"_id": "q1", "text": "which metal?"}, {"_id": "q2", "text": "x"}]))
    assert here.fingerprint == there.fingerprint
    assert (here.queries_in_file, there.queries_in_file) == (1, 2)


def test_the_digest_does_not_depend_on_chunks() -> None:
    table = pa.table(
        {
            "id": ["a", "bc", "d"],
            "text": ["x", None, "zz"],
            "vector": matrix([[1, 2], [3, 4], [5, 6]]),
            "meta.n": [1, None, 3],
            "meta.b": [True, None, False],
            "meta.f": [0.5, 1.5, None],
        }
    )
    pieces = pa.concat_tables([table.slice(0, 1), table.slice(1, 0), table.slice(1, 2)])
    assert table_digest(pieces) == table_digest(table)
    assert table_digest(table.slice(0, 2)) != table_digest(table)
    assert table_digest(table.slice(1)) == table_digest(table.take(pa.array([1, 2])))


def arrow_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.arrow"))


def test_parsed_tables_are_kept_until_a_file_changes(tmp_path: Path) -> None:
    folder, kept = write(tmp_path), tmp_path / "kept"
    first = beir(folder, kept_in=kept)
    [copy] = kept.iterdir()
    written = {file: file.stat().st_mtime_ns for file in copy.iterdir()}
    assert beir(folder, kept_in=kept).fingerprint == first.fingerprint == beir(folder).fingerprint
    assert {file: file.stat().st_mtime_ns for file in copy.iterdir()} == written

    write(folder, corpus=[*DOCUMENTS, {"_id": "d3", "text": "new"}])
    assert beir(folder, kept_in=kept).documents == 3
    write(folder, qrels="q1\td1\t2\n")
    os.utime(folder / "corpus.jsonl", ns=(1, 1))
    assert beir(folder, kept_in=kept).qrels_coded().grades.tolist() == [2]
    assert not [entry for entry in kept.iterdir() if entry.name.startswith(".")]


def test_faults_of_kept_tables_still_name_lines(tmp_path: Path) -> None:
    folder = write(tmp_path, corpus=[*DOCUMENTS, DOCUMENTS[0]])
    for _ in range(2):
        with pytest.raises(DatasetFaults, match=r"corpus\.jsonl:3: document id 'd1' stands twice"):
            beir(folder, kept_in=tmp_path / "kept")


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "manifest"])
def test_damaged_kept_tables_are_made_again(tmp_path: Path, damage: str) -> None:
    folder, kept = write(tmp_path), tmp_path / "kept"
    sound = beir(folder, kept_in=kept).fingerprint
    [copy] = kept.iterdir()
    victim = copy / ("manifest.json" if damage == "manifest" else "corpus.arrow")
    content = bytearray(victim.read_bytes())
    victim.unlink()
    if damage == "flip":
        content[len(content) // 2] ^= 1
    if damage != "remove":
        victim.write_bytes(content[: len(content) // 2] if damage in ("cut", "manifest") else content)
    assert beir(folder, kept_in=kept).fingerprint == sound
    assert list(beir(folder, kept_in=kept).document_texts) == ["Tin a metal", "a gas"]


def test_kept_tables_are_mapped_not_read(tmp_path: Path) -> None:
    before = pa.total_allocated_bytes()
    rows = [{"_id": str(i), "text": "word " * 400} for i in range(2_000)]  # 2,000 × 2,000 bytes = 4 MB
    folder = write(tmp_path, corpus=rows, qrels="q1\t7\t1\n")
    dataset = beir(folder, kept_in=tmp_path / "kept")
    assert dataset.corpus.nbytes > 4_000_000
    assert pa.total_allocated_bytes() - before < 1_000_000
