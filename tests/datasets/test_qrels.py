"""Judgements in the forms that people keep them: read where there is one way to read them, and said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.base import Context, DatasetInvalid, Tables
from adapters.datasets.beir import BeirFolder
from adapters.datasets.vectors import VectorFiles
from tests.datasets.test_beir import write

WANTED = [("q1", "d1", 2), ("q1", "d2", 0)]


def read(folder: Path, **options: Any) -> Tables:
    return BeirFolder(BeirFolder.Options(path=folder, **options), Context()).load()


def fault(folder: Path, **options: Any) -> str:
    with pytest.raises(DatasetInvalid) as raised:
        read(folder, **options)
    return str(raised.value)


def judged(tables: Tables) -> list[tuple[str, str, int]]:
    assert tables.qrels is not None
    return [(row["query_id"], row["document_id"], row["grade"]) for row in tables.qrels.to_pylist()]


def folder_with(folder: Path, name: str, content: str | bytes) -> Path:
    write(folder)
    (folder / "qrels" / "test.tsv").unlink()
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


FORMS = {
    "TREC, blanks": "q1 0 d1 2\nq1 0 d2 0\n",
    "TREC, many blanks": "q1  Q0   d1 2\r\nq1  Q0   d2 0\r\n",
    "TREC, tabs": "q1\t0\td1\t2\nq1\t0\td2\t0\n",
    "TREC with a heading": "qid\titer\tdocno\trel\nq1\t0\td1\t2\nq1\t0\td2\t0\n",
    "three, blanks": "q1 d1 2\nq1 d2 0\n",
    "a heading between blanks": "query-id corpus-id score\nq1 d1 2\nq1 d2 0\n",
    "commas": "q1,d1,2\nq1,d2,0\n",
    "commas and blanks": "q1, d1, 2\nq1, d2, 0\n",
    "commas and quotes": '"query_id","doc_id","relevance"\n"q1","d1","2"\n"q1","d2","0"\n',
    "semicolons": "query_id;doc_id;relevance\nq1;d1;2\nq1;d2;0\n",
    "another order": "score\tcorpus-id\tquery-id\n2\td1\tq1\n0\td2\tq1\n",
    "more columns": "qid\tpid\tlabel\tannotator\nq1\td1\t2\tann\nq1\td2\t0\tbob\n",
    "a byte order mark": "\ufeffquery-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n",
    "names of its own": "frage\ttreffer\tscore\nq1\td1\t2\nq1\td2\t0\n",
    "carriage returns": "q1\td1\t2\rq1\td2\t0\r",
    "grades as fractions of one": "q1\td1\t2.0\nq1\td2\t0.0\n",
}


@pytest.mark.parametrize("ending", ["tsv", "txt", "csv"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_judgements(tmp_path: Path, form: str, ending: str) -> None:
    assert judged(read(folder_with(tmp_path, f"qrels/test.{ending}", FORMS[form]))) == WANTED


@pytest.mark.parametrize("query", ["query-id", "query_id", "queryId", "qid", "QueryID", "topic_id", "query"])
@pytest.mark.parametrize("document", ["corpus-id", "doc_id", "docid", "DocNo", "pid", "passage-id", "document_id"])
@pytest.mark.parametrize("grade", ["score", "rel", "Relevance", "label", "grade"])
def test_a_heading_may_use_any_usual_names(tmp_path: Path, query: str, document: str, grade: str) -> None:
    lines = f"{document}\t{query}\tnote\t{grade}\nd1\tq1\tx\t2\nd2\tq1\ty\t0\n"
    assert judged(read(folder_with(tmp_path, "qrels/test.tsv", lines))) == WANTED


def test_rows_with_named_fields_are_judgements_too(tmp_path: Path) -> None:
    rows = [{"query-id": q, "corpus-id": d, "score": g} for q, d, g in WANTED]
    jsonl = "".join(json.dumps(row) + "\n" for row in rows)
    tables = read(folder_with(tmp_path, "qrels/test.jsonl", jsonl))
    assert (judged(tables), tables.notes) == (
        WANTED,
        ("qrels/test.jsonl was read: there is no qrels/test.tsv.",),
    )
    (tmp_path / "qrels" / "test.jsonl").unlink()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "qrels" / "test.parquet")
    assert judged(read(tmp_path)) == WANTED


def test_the_result_says_what_was_read_instead(tmp_path: Path) -> None:
    trec = "q1 0 d1 2\nq1 0 d2 0\n"
    form = "TREC's form (query id, iteration, document id, grade)"
    assert read(folder_with(tmp_path, "qrels/test.csv", trec)).notes == (
        "qrels/test.csv was read: there is no qrels/test.tsv.",
        f"Judgements in test.csv were read as {form}, separated by blanks.",
    )
    names = read(folder_with(tmp_path, "qrels/test.csv", "qid,docid,rel\nq1,d1,2\nq1,d2,0\n")).notes
    assert names[1] == "Judgements in test.csv were read from the columns qid, docid, rel, separated by commas."


def test_the_usual_form_needs_no_word(tmp_path: Path) -> None:
    assert read(write(tmp_path)).notes == ()


def test_compressed_files_are_read(tmp_path: Path) -> None:
    write(tmp_path)
    plain = read(tmp_path)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    packed = read(tmp_path)
    assert packed.corpus.equals(plain.corpus)
    assert judged(packed) == judged(plain)
    assert packed.notes == (
        "corpus.jsonl.gz was read: there is no corpus.jsonl.",
        "queries.jsonl.gz was read: there is no queries.jsonl.",
        "qrels/test.tsv.gz was read: there is no qrels/test.tsv.",
    )


def test_the_usual_file_comes_before_its_compressed_twin(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(b'{"_id": "x", "text": ""}\n'))
    tables = read(tmp_path)
    assert tables.corpus.column("id").to_pylist() == ["d1", "d2"]
    assert tables.notes == ()


def test_two_files_that_could_be_meant_are_a_fault_that_lists_both(tmp_path: Path) -> None:
    folder_with(tmp_path, "qrels/test.csv", "q1,d1,1\n")
    (tmp_path / "qrels" / "test.tsv.gz").write_bytes(gzip.compress(b"q1\td2\t1\n"))
    assert fault(tmp_path) == (
        f"{tmp_path}/qrels/test.tsv: there is no such file, and several stand in its place: test.tsv.gz, test.csv. "
        "Keep one."
    )
    (tmp_path / "corpus.jsonl").rename(tmp_path / "corpus.ndjson")
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(b"{}"))
    assert "corpus.jsonl.gz, corpus.ndjson" in fault(tmp_path)


def test_judgements_without_a_split_serve_where_none_is_asked_for(tmp_path: Path) -> None:
    folder_with(tmp_path, "qrels.tsv", "q1\td1\t2\nq1\td2\t0\n")
    (tmp_path / "qrels").rmdir()
    tables = read(tmp_path)
    assert judged(tables) == WANTED
    assert tables.notes == ("qrels.tsv was read: there is no qrels/test.tsv.",)
    assert "there are no judgements" in fault(tmp_path, split="dev")


def test_what_lies_there_is_said(tmp_path: Path) -> None:
    folder_with(tmp_path, "qrels/test.xlsx", b"PK")
    assert "The folder holds: test.xlsx. Files of judgements end in .tsv, .csv," in fault(tmp_path)
    (tmp_path / "qrels" / "dev.tsv.gz").write_bytes(gzip.compress(b""))
    assert "there is no split 'test'. Set `split` to one of: dev." in fault(tmp_path)
    (tmp_path / "corpus.jsonl").rename(tmp_path / "corpus.txt")
    assert "The folder holds: corpus.txt, qrels, queries.jsonl." in fault(tmp_path)


UNCLEAR = {
    "qid\tquery_id\tdocid\trel\nq1\tq1\td1\t1\n": "qid and query_id could both be the column of query ids.",
    "qid\tdocid\nq1\td1\n": "has no column of grades. It has: qid, docid. Name it score.",
    "qid\titer\trel\nq1\t0\t1\n": "has no column of document ids. It has: qid, iter, rel. Name it corpus-id.",
    "q1 Q0 d1 1 9.5 bm25\n": "has 6 cells, as a run file has.",
    "q1\tQ0\td1\t1\t9\t8\n": "has 6 cells, as a run file has.",
    "q1|d1|1\n": "has 1 cell between tabs, expected query id, document id, grade.",
}


@pytest.mark.parametrize("lines", UNCLEAR)
def test_what_cannot_be_read_in_one_way_is_a_fault(tmp_path: Path, lines: str) -> None:
    message = fault(folder_with(tmp_path, "qrels/test.tsv", lines))
    assert message.startswith(f"{tmp_path}/qrels/test.tsv:1: ")
    assert UNCLEAR[lines] in message


def test_beirs_own_names_come_before_others(tmp_path: Path) -> None:
    lines = "query-id\tqid\tcorpus-id\tpid\tscore\nq1\t7\td1\t8\t2\nq1\t7\td2\t8\t0\n"
    assert judged(read(folder_with(tmp_path, "qrels/test.tsv", lines))) == WANTED


def test_quotes_belong_to_the_id_between_tabs_and_to_the_format_between_commas(tmp_path: Path) -> None:
    write(tmp_path, corpus=[{"_id": '"d1', "text": "a"}, {"_id": "d,2", "text": "b"}])
    (tmp_path / "qrels" / "test.tsv").write_text('q1\t"d1\t1\nq1\td,2\t1\n')
    assert judged(read(tmp_path)) == [("q1", '"d1', 1), ("q1", "d,2", 1)]
    (tmp_path / "qrels" / "test.tsv").unlink()
    (tmp_path / "qrels" / "test.csv").write_text('query-id,corpus-id,score\nq1,"d,2",1\nq1,"""d1",1\n')
    assert judged(read(tmp_path)) == [("q1", "d,2", 1), ("q1", '"d1', 1)]


def test_vectors_take_judgements_in_the_same_forms(tmp_path: Path) -> None:
    for name, rows in (("corpus", [[1.0], [2.0]]), ("queries", [[1.0]])):
        pq.write_table(
            pa.table({"id": [f"{name[0]}{i}" for i in range(len(rows))], "vector": rows}), tmp_path / f"{name}.parquet"
        )
    (tmp_path / "qrels.csv").write_text("qid,docid,rel\nq0,c1,1\n")
    options = VectorFiles.Options(corpus="corpus.parquet", queries="queries.parquet", qrels="qrels.csv")
    tables = VectorFiles(options, Context(base=tmp_path)).load()
    assert judged(tables) == [("q0", "c1", 1)]
    assert tables.notes == ("Judgements in qrels.csv were read from the columns qid, docid, rel, separated by commas.",)
