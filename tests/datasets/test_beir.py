"""The BEIR folder: what is written is read, and every malformed line is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Context, DatasetInvalid, Tables
from adapters.datasets.beir import BeirFolder
from tests import small

DOCUMENTS = [{"_id": "d1", "title": "Tin", "text": "a metal"}, {"_id": "d2", "text": "a gas"}]
QUERIES = [{"_id": "q1", "text": "which metal?"}]
TEST = "query-id\tcorpus-id\tscore\nq1\td1\t1\n"


def write(
    folder: Path, corpus: Any = DOCUMENTS, queries: Any = QUERIES, qrels: str = TEST, split: str = "test"
) -> Path:
    """A BEIR folder; rows are objects, or the file's text as it stands."""
    for name, rows in (("corpus", corpus), ("queries", queries)):
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8", newline="")
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / f"{split}.tsv").write_text(qrels, encoding="utf-8", newline="")
    return folder


def read(folder: Path, **options: Any) -> Tables:
    return BeirFolder(BeirFolder.Options(path=folder, **options), Context()).load()


def fault(folder: Path, **options: Any) -> str:
    with pytest.raises(DatasetInvalid) as raised:
        read(folder, **options)
    return str(raised.value)


def test_a_relative_path_starts_at_the_experiment_file(tmp_path: Path) -> None:
    write(tmp_path)
    source = BeirFolder(BeirFolder.Options(path="."), Context(base=tmp_path))
    assert source.load().corpus.num_rows == 2
    assert source.sources() == (tmp_path / "corpus.jsonl", tmp_path / "queries.jsonl", tmp_path / "qrels/test.tsv")


@pytest.mark.parametrize("heading", ["query-id\tcorpus-id\tscore\n", "", "qid\tdocid\tRelevance\n"])
def test_the_heading_of_the_judgements_is_optional(tmp_path: Path, heading: str) -> None:
    qrels = read(write(tmp_path, qrels=f"{heading}q1\td1\t2\n\nq1\td2\t-1\n")).qrels
    assert qrels is not None
    assert qrels.select(["query_id", "document_id", "grade"]).to_pylist() == [
        {"query_id": "q1", "document_id": "d1", "grade": 2},
        {"query_id": "q1", "document_id": "d2", "grade": -1},
    ]


def test_a_title_is_optional(tmp_path: Path) -> None:
    assert read(write(tmp_path)).corpus.column("title").to_pylist() == ["Tin", None]


def test_any_split_can_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path, split="dev")
    assert read(tmp_path, split="dev").qrels is not None
    assert fault(tmp_path) == f"{tmp_path}/qrels/test.tsv: there is no split 'test'. Set `split` to one of: dev."


def test_a_collection_may_have_no_judgements(tmp_path: Path) -> None:
    write(tmp_path)
    assert read(tmp_path, qrels="none").qrels is None


def test_whole_numbers_serve_as_ids_and_grades_may_be_written_as_floats(tmp_path: Path) -> None:
    tables = read(write(tmp_path, corpus=[{"_id": 7, "text": "x"}], qrels="q1\t7\t1.0\n"))
    assert tables.corpus.column("id").to_pylist() == ["7"]
    assert tables.qrels is not None
    assert tables.qrels.column("grade").to_pylist() == [1]


def test_further_fields_become_typed_meta_columns(tmp_path: Path) -> None:
    rows = [
        {"_id": "1", "text": "", "year": 1999, "price": 2, "ok": True, "lang": "en", "tags": ["a"], "mixed": 1},
        {"_id": "2", "text": "", "year": None, "price": 2.5, "ok": False, "tags": "b", "mixed": "one"},
        {"_id": "3", "text": "", "metadata": {"source": "web"}, "mixed": True},
    ]
    table = read(write(tmp_path, corpus=rows)).corpus
    meta = {name: (str(table.schema.field(name).type), table.column(name).to_pylist()) for name in table.column_names}
    assert {name: column for name, column in meta.items() if name.startswith("meta.")} == {
        "meta.year": ("int64", [1999, None, None]),
        "meta.price": ("double", [2.0, 2.5, None]),
        "meta.ok": ("bool", [True, False, None]),
        "meta.lang": ("string", ["en", None, None]),
        "meta.tags": ("string", ['["a"]', "b", None]),
        "meta.mixed": ("string", ["1", "one", "true"]),
        "meta.source": ("string", [None, None, "web"]),
    }


@pytest.mark.parametrize(
    ("late", "kind", "first", "last"),
    [(0.5, "double", 1.0, 0.5), ("x", "string", "1", "x"), (True, "string", "1", "true"), (None, "int64", 1, None)],
)
def test_the_type_of_a_meta_column_does_not_depend_on_batches(
    tmp_path: Path, late: Any, kind: str, first: Any, last: Any
) -> None:
    rows = [{"_id": str(i), "text": "", "n": 1} for i in range(10_000)] + [{"_id": "z", "text": "", "n": late}]
    column = read(write(tmp_path, corpus=rows)).corpus.column("meta.n")
    assert str(column.type) == kind
    assert (column[0].as_py(), column[10_000].as_py()) == (first, last)


def test_rows_know_their_lines(tmp_path: Path) -> None:
    corpus = '\n{"_id": "a", "text": ""}\n   \r\n{"_id": "b", "text": ""}\n'
    table = read(write(tmp_path, corpus=corpus)).corpus
    assert table.column("line").to_pylist() == [2, 4]
    assert table.schema.metadata[b"file"].decode() == str(tmp_path / "corpus.jsonl")


MALFORMED = {
    "not JSON": (
        '{"_id": "1", "text": "x"',
        "corpus.jsonl:2: is not valid JSON: Expecting ',' delimiter at column 25.",
    ),
    "not an object": ('["1", "x"]', "corpus.jsonl:2: expected a JSON object on each line, got a list."),
    "no id": ('{"id": "1", "text": "x"}', 'corpus.jsonl:2: has no "_id". It has: id, text.'),
    "empty id": ('{"_id": "", "text": "x"}', 'corpus.jsonl:2: "_id" is empty. Give every row an id.'),
    "null id": ('{"_id": null, "text": "x"}', 'corpus.jsonl:2: "_id" must be a string, got null.'),
    "boolean id": ('{"_id": true, "text": "x"}', 'corpus.jsonl:2: "_id" must be a string, got a boolean.'),
    "no text": ('{"_id": "1"}', 'corpus.jsonl:2: has no "text". It has: _id.'),
    "text is a number": ('{"_id": "1", "text": 5}', 'corpus.jsonl:2: "text" must be a string, got the number 5.'),
    "text is a list": ('{"_id": "1", "text": ["x"]}', 'corpus.jsonl:2: "text" must be a string, got a list.'),
    "text is null": ('{"_id": "1", "text": null}', 'corpus.jsonl:2: "text" must be a string, got null.'),
    "title is an object": (
        '{"_id": "1", "text": "x", "title": {}}',
        'corpus.jsonl:2: "title" must be a string, got an object.',
    ),
    "half a character": (
        '{"_id": "1", "text": "\\ud83d"}',
        'corpus.jsonl:2: "text" holds half of a surrogate pair, which is no Unicode text.',
    ),
    "half a character in a name": (
        '{"_id": "1", "text": "x", "k\\ud83d": 1}',
        "corpus.jsonl:2: a field's name, 'k\\ud83d', holds half of a surrogate pair, which is no Unicode text.",
    ),
    "half a character in an id": (
        '{"_id": "1\\uDC00", "text": "x"}',
        'corpus.jsonl:2: "_id" holds half of a surrogate pair, which is no Unicode text.',
    ),
    "half a character in a name below": (
        '{"_id": "1", "text": "x", "metadata": {"k\\ud83d": 1}}',
        'corpus.jsonl:2: "metadata" holds half of a surrogate pair, which is no Unicode text.',
    ),
    "half a character deep down": (
        '{"_id": "1", "text": "x", "a": [{"b": {"k\\udfff": 1}}]}',
        'corpus.jsonl:2: "a" holds half of a surrogate pair, which is no Unicode text.',
    ),
    "two sources": (
        '{"_id": "1", "text": "x", "year": 1, "metadata": {"year": 2}}',
        'corpus.jsonl:2: "year" stands in the row and in its "metadata". Rename one of them.',
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_line_is_named(tmp_path: Path, case: str) -> None:
    line, message = MALFORMED[case]
    assert fault(write(tmp_path, corpus=f'{{"_id": "0", "text": ""}}\n{line}\n')) == f"{tmp_path}/{message}"


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    rows = '{"_id": "1", "text": "\\ud83d\\ude00", "\\ud83d\\ude00": "\\\\ud83d"}\n'
    table = read(write(tmp_path, corpus=rows)).corpus
    assert table.column("text").to_pylist() == ["😀"]
    assert table.column("meta.😀").to_pylist() == ["\\ud83d"]


def test_half_a_character_in_a_query_or_a_judgement_is_named(tmp_path: Path) -> None:
    write(tmp_path, queries='{"_id": "q1", "text": "x", "\\ud83d": 1}\n')
    assert fault(tmp_path).startswith(f"{tmp_path}/queries.jsonl:1: a field's name, '\\ud83d', holds half")
    write(tmp_path)
    (tmp_path / "qrels" / "test.tsv").unlink()
    (tmp_path / "qrels" / "test.jsonl").write_text('{"query-id": "q1", "corpus-id": "d\\udfff", "score": 1}\n')
    assert fault(tmp_path) == (
        f'{tmp_path}/qrels/test.jsonl:1: "corpus-id" holds half of a surrogate pair, which is no Unicode text.'
    )


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "queries.jsonl").write_bytes('{"_id": "q1", "text": "café"}'.encode("latin-1"))
    assert fault(tmp_path) == (
        f"{tmp_path}/queries.jsonl:1: is not UTF-8 (byte 27 of the line). Save the file as UTF-8."
    )


BAD_GRADES = {
    "q1\td1\thigh": "the grade must be a whole number, got the string 'high'.",
    "q1\td1\tnan": "the grade must be a whole number, got the string 'nan'.",
    "q1\td1\t0.5": "the grade must be a whole number, got the fraction 0.5. Round it yourself.",
    "q1\td1\t99999999999": "the grade 99999999999 does not fit 32 bits.",
    "q1\td1\t1_0": "the grade must be a whole number, got the string '1_0'.",
    "q1\td1\t\u0661": "the grade must be a whole number, got the string '\u0661'.",
    "q1\td1": "has 2 cells between tabs, expected query id, document id, grade.",
    "q1 d1 1": "has 1 cell between tabs, expected query id, document id, grade.",
    "q1\t0\td1\t1": "has 4 cells between tabs, expected query id, document id, grade.",
    "q1\tQ0\td1\t1\t9.5\tbm25": "has 6 cells, as a run file has. Judgements are query id, document id, grade.",
    "\td1\t1": "an id is empty.",
}


@pytest.mark.parametrize("line", BAD_GRADES)
def test_a_malformed_judgement_is_named(tmp_path: Path, line: str) -> None:
    where = f"{tmp_path}/qrels/test.tsv"
    assert fault(write(tmp_path, qrels=f"{TEST}{line}\n")) == f"{where}:3: {BAD_GRADES[line]}"


def test_an_unknown_heading_is_not_taken_for_one(tmp_path: Path) -> None:
    assert "test.tsv:1: the grade must be a whole number" in fault(write(tmp_path, qrels="q1\td1\tyes\n"))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    assert fault(tmp_path / "nowhere") == (
        f"{tmp_path}/nowhere: there is no such folder. Set `path` to a folder with corpus.jsonl."
    )
    assert fault(tmp_path).startswith(f"{tmp_path}/corpus.jsonl: there is no such file.")
    write(tmp_path)
    (tmp_path / "qrels" / "test.tsv").unlink()
    assert fault(tmp_path) == (
        f"{tmp_path}/qrels/test.tsv: there are no judgements. Add the file, or set `qrels: none` and measure ANN@k."
    )


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8).filter(str.strip)
ENDS = st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \r\n"])


@settings(max_examples=60, deadline=None)
@given(
    corpus=st.dictionaries(IDS, st.tuples(TEXT, st.none() | TEXT), min_size=1, max_size=6),
    queries=st.dictionaries(IDS, TEXT, min_size=1, max_size=6),
    grades=st.lists(st.integers(-2, 3), min_size=1, max_size=6),
    end=ENDS,
    ascii=st.booleans(),
    mark=st.booleans(),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    corpus: dict[str, tuple[str, str | None]],
    queries: dict[str, str],
    grades: list[int],
    end: str,
    ascii: bool,
    mark: bool,
) -> None:
    def lines(rows: list[dict[str, Any]]) -> str:
        return ("\ufeff" if mark else "") + "".join(json.dumps(row, ensure_ascii=ascii) + end for row in rows)

    judged = list(zip(queries, corpus, grades, strict=False))
    folder = write(
        tmp_path_factory.mktemp("beir"),
        lines([{"_id": name, "text": text, "title": title} for name, (text, title) in corpus.items()]),
        lines([{"_id": name, "text": text} for name, text in queries.items()]),
        "query-id\tcorpus-id\tscore" + end + "".join(f"{q}\t{d}\t{g}{end}" for q, d, g in judged),
    )
    tables = read(folder)
    assert tables.corpus.select(["id", "text", "title"]).to_pylist() == [
        {"id": name, "text": text, "title": title} for name, (text, title) in corpus.items()
    ]
    assert dict(zip(*(tables.queries.column(c).to_pylist() for c in ("id", "text")), strict=True)) == queries
    assert tables.qrels is not None
    assert [tuple(row.values()) for row in tables.qrels.drop_columns(["line"]).to_pylist()] == judged


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "qrels"])
def test_a_table_that_is_a_link_out_of_the_folder_is_read_only_where_the_file_says_so(
    tmp_path: Path, name: str
) -> None:
    small.collection(tmp_path / "data")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / name).rename(tmp_path / "elsewhere" / "it")
    (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere" / "it")
    assert "is a link that leads out of" in fault(tmp_path / "data")
    assert read(tmp_path / "data", follow_links=True).corpus.num_rows == 60


def test_a_data_set_in_the_hubs_cache_is_read_through_its_links(tmp_path: Path) -> None:
    snapshot = small.collection(tmp_path / "datasets--a--b" / "snapshots" / "0123")
    (tmp_path / "datasets--a--b" / "blobs").mkdir()
    for name in ("corpus.jsonl", "queries.jsonl"):
        (snapshot / name).rename(snapshot.parent.parent / "blobs" / name)
        (snapshot / name).symlink_to(Path("../../blobs") / name)
    assert read(snapshot).corpus.num_rows == 60


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["train.tsv", "test.tsv"], ("test", "train")),
        (["qrels.dev.txt.gz", "test.qrels"], ("dev", "test")),
        (["train.jsonl", "README.md", ".hidden.tsv"], ("train",)),
        (["train.v2.tsv"], ("train.v2",)),
        ([], ()),
    ],
)
def test_the_splits_are_the_files_of_judgements_and_each_can_be_loaded(
    tmp_path: Path, files: list[str], splits: tuple[str, ...]
) -> None:
    write(tmp_path)
    (tmp_path / "qrels" / "test.tsv").unlink()
    for name in files:
        path = tmp_path / "qrels" / name
        text = json.dumps({"query-id": "q1", "corpus-id": "d1", "score": 1}) if ".jsonl" in name else TEST
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    source = BeirFolder(BeirFolder.Options(path=tmp_path), Context())
    assert source.splits() == splits
    for split in splits:
        other = source.of_split(split)
        assert (other.judged_split, other.load().qrels.num_rows) == (split, 1)


def test_a_folder_without_judgements_or_with_a_single_file_of_them_has_no_splits(tmp_path: Path) -> None:
    write(tmp_path)
    assert BeirFolder(BeirFolder.Options(path=tmp_path, qrels="none"), Context()).splits() == ()
    (tmp_path / "qrels" / "test.tsv").rename(tmp_path / "qrels.tsv")
    (tmp_path / "qrels").rmdir()
    assert BeirFolder(BeirFolder.Options(path=tmp_path), Context()).splits() == ()
