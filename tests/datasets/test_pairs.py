"""Pairs of queries and passages or labels."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from adapters.base import Context, DatasetInvalid, Tables
from adapters.base.sheets import layout_of, table_rows
from adapters.datasets.pairs import Pairs

CSV = 'query,passage,lang\nwhich metal?,"tin, a metal",en\n\nwhich gas?,neon,en\nwhich metal?,"iron\nFe",de\n'


def read(path: Path, **options: Any) -> Tables:
    return Pairs(Pairs.Options(path=path, **options), Context()).load()


def fault(path: Path, content: str, **options: Any) -> str:
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(DatasetInvalid) as raised:
        read(path, **options)
    return str(raised.value).removeprefix(str(path))


def judgements(tables: Tables) -> list[tuple[str, str, int]]:
    assert tables.qrels is not None
    return [(row["query_id"], row["document_id"], row["grade"]) for row in tables.qrels.to_pylist()]


def test_equal_queries_are_one_query_and_equal_passages_one_document(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(CSV + "which gas?,neon,fr\n", newline="")
    tables = read(tmp_path / "p.csv")
    assert tables.queries.drop_columns(["line"]).to_pylist() == [
        {"id": "q1", "text": "which metal?", "meta.lang": "en"},
        {"id": "q2", "text": "which gas?", "meta.lang": "en"},
    ]
    assert tables.corpus.column("text").to_pylist() == ["tin, a metal", "neon", "iron\nFe"]
    assert judgements(tables) == [("q1", "d1", 1), ("q2", "d2", 1), ("q1", "d3", 1), ("q2", "d2", 1)]
    assert tables.qrels is not None
    # The third row spans lines 5 and 6.
    assert tables.qrels.column("line").to_pylist() == [2, 4, 5, 7]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_all_formats_give_the_same_tables(tmp_path: Path, suffix: str) -> None:
    rows = [{"query": "a", "positive": "x", "grade": 2}, {"query": "b", "positive": "y", "grade": -1}]
    path = tmp_path / f"pairs.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "jsonl":
        path.write_text(
            "".join(
                f'{{"query": "{r["query"]}", "positive": "{r["positive"]}", "grade": {r["grade"]}}}\n' for r in rows
            )
        )
    else:
        mark = "," if suffix == "csv" else "\t"
        path.write_text("\n".join(mark.join(map(str, row)) for row in [rows[0].keys(), *(r.values() for r in rows)]))
    tables = read(path, grade="grade")
    assert judgements(tables) == [("q1", "d1", 2), ("q2", "d2", -1)]
    assert tables.corpus.column("text").to_pylist() == ["x", "y"]


def test_labels_are_documents_of_their_own_words(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("text,label\nwhere is my card,card_arrival\nis it here,card_arrival\nrate,fx\n")
    tables = read(tmp_path / "p.csv", query="text")
    assert tables.corpus.select(["id", "text"]).to_pylist() == [
        {"id": "card_arrival", "text": "card arrival"},
        {"id": "fx", "text": "fx"},
    ]
    assert judgements(tables) == [("q1", "card_arrival", 1), ("q2", "card_arrival", 1), ("q3", "fx", 1)]


def test_malformed_rows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    assert fault(path, "query,passage\na,b,c\n") == (
        ":2: has 3 cells, the heading has 2 (query, passage). Put quotes around "
        "cells that hold the separator, or set `separator`."
    )
    assert fault(path, 'query,passage\na,"b\n').startswith(":2: is not valid CSV: ")
    assert fault(path, "query,answer\na,b\n") == (
        ": has no column of passages or labels. Set `passage` or `label` to one of: query, answer."
    )
    assert fault(path, "query,passage\na,b\n", passage="psg") == ': has no column "psg". It has: query, passage.'
    assert fault(path, "query,passage\n") == ": holds no row."
    assert fault(path, "query,passage,g\na,b,x\n", grade="g") == (
        ":2: the grade must be a whole number, got the string 'x'."
    )
    assert fault(tmp_path / "p.jsonl", '{"query": 1, "passage": "b"}\n') == (
        ':1: "query" must be a string, got the number 1.'
    )
    assert fault(tmp_path / "p.parquet", "no").startswith(": is no readable Parquet file: ")
    assert fault(tmp_path / "p.xlsx", "no").startswith(": is no readable Excel file: ")
    assert fault(tmp_path / "p.xls", "no") == (": is a spreadsheet that cannot be read here. Save it as .xlsx or .csv.")
    assert fault(tmp_path / "p.docx", "no") == (
        ": is no file of rows. Give one that ends in .csv, .tsv, .jsonl, .ndjson, .json, .parquet."
    )


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(b"query,passage\na,caf\xe9\n")
    with pytest.raises(DatasetInvalid, match=r"p\.csv:2: is not UTF-8"):
        read(tmp_path / "p.csv")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match=r"there is no such file\. Set `path` to a file of pairs\."):
        Pairs(Pairs.Options(path="p.csv"), Context(base=tmp_path)).check()


def test_passages_and_labels_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="not both"):
        Pairs.Options(path="p.csv", passage="a", label="b")


HEROES = [
    ("q one", '"Heroes is a song'),
    ("q two", "Something else"),
    ("q three", 'ends with a quote"'),
    ("q four", '"all of it"'),
    ('"q five', 'a "word" inside'),
]


def test_a_quote_in_a_tsv_file_is_text(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_text("query\tpassage\n" + "".join(f"{q}\t{p}\n" for q, p in HEROES))
    tables = read(path)
    assert tables.queries.column("text").to_pylist() == [query for query, _ in HEROES]
    assert tables.corpus.column("text").to_pylist() == [passage for _, passage in HEROES]
    assert judgements(tables) == [(f"q{i}", f"d{i}", 1) for i in range(1, 6)]


def test_a_quote_in_a_csv_file_is_csvs(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("query", "passage"), *HEROES, ("line\nbreak", "tab\tand, comma")])
    tables = read(path)
    assert tables.corpus.column("text").to_pylist() == [*(passage for _, passage in HEROES), "tab\tand, comma"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with a mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_line_ends_and_compression_change_nothing(
    tmp_path: Path, suffix: str, encoding: str, end: str, packed: bool
) -> None:
    rows = [("wie heißt das?", "Straße 猫"), ("and this?", "plain")]
    if suffix == "jsonl":
        lines = [json.dumps({"query": q, "passage": p}, ensure_ascii=False) for q, p in rows]
    else:
        mark = "," if suffix == "csv" else "\t"
        lines = [mark.join(cells) for cells in [("query", "passage"), *rows]]
    text = end.join(lines) + end + end + " " + end
    raw = text.encode(encoding) if " " not in encoding else b"\xff\xfe" + text.encode("utf-16-le")
    path = tmp_path / (f"p.{suffix}.gz" if packed else f"p.{suffix}")
    path.write_bytes(gzip.compress(raw) if packed else raw)
    tables = read(path)
    assert list(zip(*(t.column("text").to_pylist() for t in (tables.queries, tables.corpus)), strict=True)) == rows


def test_queries_that_stand_in_several_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("query,passage\na,x\na,y\nb,x\nb,z\nb,w\nc,x\n")
    # a stands in two rows, b in three, c in one.
    assert read(path).notes == (
        "2 queries stand in several rows (again in lines 3, 5 and 6); each is one query with the "
        "documents of all its rows, and with the further columns of the first.",
    )


def test_neither_of_two_columns_of_one_name_is_taken_for_the_other_and_nameless_ones_are_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.csv"
    told = "has no column of passages or labels. Set `passage` or `label` to one of: query, passage (1), passage (2)."
    assert fault(path, "query,passage,passage\na,b,c\n") == f": {told}"
    assert read(path, passage="passage (2)").corpus.column("text").to_pylist() == ["c"]
    path.write_text(",query,passage,\n0,a,b,\n")
    assert read(path).queries.column_names == ["id", "text", "line"]
    table = pa.table([["a"], ["b"], ["c"]], names=["query", "passage", "passage"])
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(DatasetInvalid, match="has two columns of the name 'passage'"):
        read(tmp_path / "p.parquet")


def test_a_tsv_row_that_does_not_fit_is_told_the_rules_of_tsv(tmp_path: Path) -> None:
    assert fault(tmp_path / "p.tsv", 'query\tpassage\na\t"b\tc"\n') == (
        ":2: has 3 cells, the heading has 2 (query, passage). "
        "A TSV cell cannot hold a tab or a line end; a CSV cell can, in quotes."
    )


ARTICLES = "id,body,name,team\nKB1,tin is a metal,Tin,a\nKB2,neon is a gas,,b\n17,iron is a metal,Iron,a\n"
ASKED = "query,named,lang\nwhich metal?,KB1; 17,en\nwhich gas?,KB2,en\nwhich fee?,KB9,en\nwhich sea?,KB9 KB2,de\n"


def by_id(folder: Path, asked: str = ASKED, articles: str = ARTICLES, **options: Any) -> Tables:
    (folder / "asked.csv").write_text(asked)
    (folder / "articles.csv").write_text(articles)
    documents = {"path": folder / "articles.csv", "text": "body", "title": "name", **options.pop("documents", {})}
    return read(folder / "asked.csv", document_id="named", documents=documents, **options)


def test_documents_of_a_table_of_their_own_are_the_corpus_and_are_named_by_id(tmp_path: Path) -> None:
    tables = by_id(tmp_path)
    assert tables.corpus.drop_columns(["line"]).to_pylist() == [
        {"id": "KB1", "title": "Tin", "text": "tin is a metal", "meta.team": "a"},
        {"id": "KB2", "title": "", "text": "neon is a gas", "meta.team": "b"},
        {"id": "17", "title": "Iron", "text": "iron is a metal", "meta.team": "a"},
    ]
    assert judgements(tables) == [("q1", "KB1", 1), ("q1", "17", 1), ("q2", "KB2", 1), ("q3", "KB2", 1)]
    assert tables.queries.column("meta.lang").to_pylist() == ["en", "en", "de"]
    assert tables.notes == (
        "2 rows name a document that articles.csv lacks, which counts for nothing (lines 4 and 5).",
    )


def test_lists_and_whole_numbers_name_documents_too(tmp_path: Path) -> None:
    rows = [{"query": "which metals?", "named": [1, 2]}, {"query": "which gas?", "named": 3}]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    documents = [{"id": i, "text": text} for i, text in enumerate(["tin", "iron", "neon"], start=1)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    tables = read(tmp_path / "asked.jsonl", document_id="named", documents={"path": tmp_path / "d.jsonl"})
    assert judgements(tables) == [("q1", "1", 1), ("q1", "2", 1), ("q2", "3", 1)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"articles": ARTICLES + "KB1,another text,,\n"}, "document id 'KB1' stood earlier with another text"),
        ({"documents": {"text": "words"}}, 'articles.csv:2: has no column "words". It has: id, body, name, team.'),
        ({"asked": "query,named\nwhich?,KB9\n"}, 'no "named" is an "id" of'),
    ],
)
def test_documents_that_cannot_be_meant_are_told(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(DatasetInvalid) as raised:
        by_id(tmp_path, **change)
    assert told in str(raised.value)


def test_documents_without_id_or_text_are_left_out_and_told(tmp_path: Path) -> None:
    tables = by_id(tmp_path, articles=ARTICLES + ",a text,,\nKB5,,x,\n")
    assert tables.corpus.num_rows == 3
    assert "articles.csv: 2 rows lack id or text and are left out (lines 5 and 6)." in tables.notes


def test_what_has_no_effect_beside_a_table_of_documents_is_refused(tmp_path: Path) -> None:
    documents = {"path": tmp_path / "d.csv"}
    with pytest.raises(ValidationError, match="`documents` needs `document_id`"):
        Pairs.Options(path=tmp_path / "p.csv", documents=documents)
    with pytest.raises(ValidationError, match="have no effect with `documents`"):
        Pairs.Options(path=tmp_path / "p.csv", documents=documents, document_id="d", passage="text")


LINKS = "question,doc,rel,by\n1,KB1,2,x\n1,17,1,y\n2,KB2,1,x\n9,KB1,1,x\n,KB1,1,x\n3,KB9,1,y\n"
QUESTIONS = "id,query,lang,doc\n1,which metal?,en,-\n2,which gas?,de,-\n3,which sea?,en,-\n4,which fee?,en,-\n5,,en,-\n"


def of_three(folder: Path, links: str = LINKS, questions: str = QUESTIONS, **asked: Any) -> Tables:
    (folder / "links.csv").write_text(links)
    (folder / "questions.csv").write_text(questions)
    (folder / "articles.csv").write_text(ARTICLES)
    return read(
        folder / "links.csv",
        query_id="question",
        document_id="doc",
        grade="rel",
        questions={"path": folder / "questions.csv", "text": "query", **asked},
        documents={"path": folder / "articles.csv", "text": "body", "title": "name"},
    )


def test_rows_that_only_name_queries_and_documents_are_judgements_of_two_tables(tmp_path: Path) -> None:
    tables = of_three(tmp_path)
    assert judgements(tables) == [("1", "KB1", 2), ("1", "17", 1), ("2", "KB2", 1)]
    assert tables.corpus.num_rows == 3
    assert tables.queries.drop_columns(["line"]).to_pylist() == [
        {"id": "1", "text": "which metal?", "meta.lang": "en"},
        {"id": "2", "text": "which gas?", "meta.lang": "de"},
    ]
    assert tables.notes == (
        "1 row names a document that articles.csv lacks, which counts for nothing (line 7).",
        "1 row lacks a query or what answers it and is left out (line 6).",
        "questions.csv: 1 row lacks id or text and is left out (line 6).",
        "1 row names a query that questions.csv lacks, which counts for nothing (line 5).",
        "1 query of questions.csv stands in no row of links.csv and is left out.",
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"questions": QUESTIONS + "1,another text,en,-\n"}, "query id '1' stood earlier with another text"),
        ({"text": "words"}, 'questions.csv:2: has no column "words". It has: id, query, lang, doc.'),
        ({"links": "question,doc,rel\n8,KB1,1\n"}, 'no "question" is an "id" of'),
    ],
)
def test_queries_that_cannot_be_meant_are_told(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(DatasetInvalid) as raised:
        of_three(tmp_path, **change)
    assert told in str(raised.value)


def test_what_has_no_effect_beside_a_table_of_questions_is_refused(tmp_path: Path) -> None:
    questions = {"path": tmp_path / "q.csv"}
    with pytest.raises(ValidationError, match="`questions` needs `query_id`"):
        Pairs.Options(path=tmp_path / "p.csv", questions=questions)
    with pytest.raises(ValidationError, match="query has no effect without questions in the same table"):
        Pairs.Options(path=tmp_path / "p.csv", questions=questions, query_id="q", query="asked")


@pytest.mark.parametrize(
    ("content", "first", "quotes"),
    [
        ('a\tb\n"Tin" is a metal\tx\nneon\ty\n', '"Tin" is a metal', None),
        ('a\tb\n"a phrase"\tx\nneon\ty\n', '"a phrase"', None),
        ('a\tb\n5" disk\tx\nneon\ty\n', '5" disk', None),
        ('a\tb\n"is ""tin"" and\ngoes on"\tx\nneon\ty\n', 'is "tin" and\ngoes on', True),
        ('"a"\t"b"\n"tin"\t"x"\n"neon"\t"y"\n', "tin", True),
    ],
)
def test_quotes_of_a_tsv_file_belong_to_its_texts_unless_a_program_wrote_them(
    tmp_path: Path, content: str, first: str, quotes: bool | None
) -> None:
    path = tmp_path / "p.tsv"
    path.write_text(content)
    layout = layout_of(path)
    assert layout.quotes is quotes
    assert next(table_rows(path, layout)).cells == {"a": first, "b": "x"}
