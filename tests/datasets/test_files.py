"""A folder of text files with a questions file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Context, DatasetInvalid, Tables
from adapters.datasets.files import TextFiles
from bench.data.dataset import DatasetFaults, load_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "metals").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "notes.txt").write_text("hidden")
    (tmp_path / "metals" / "tin.md").write_text("# Tin\n\nMelts at 232 °C.\n", encoding="utf-8")
    (tmp_path / "neon.TXT").write_text("A noble gas.")
    (tmp_path / "data.bin").write_bytes(b"\xff")
    (tmp_path / "iron.html").write_text(
        "<html><head><title>Iron &amp;\n steel</title><style>p {}</style></head><body><script>x = '<p>';</script>"
        "<h1>Iron</h1><p>A <b>met</b>al that\nrusts.</p>Melts at 1538 °C.<br>Fe</body></html>",
        encoding="utf-8",
    )
    return tmp_path


def source(folder: Path, questions: str, name: str = "q.csv") -> TextFiles:
    (folder / name).write_text(questions, encoding="utf-8")
    return TextFiles(TextFiles.Options(path=".", questions=name), Context(base=folder))


def judgements(tables: Tables) -> list[tuple[Any, ...]]:
    assert tables.qrels is not None
    return [tuple(row.values())[:3] for row in tables.qrels.to_pylist()]


def test_the_id_of_a_document_is_its_path(folder: Path) -> None:
    tables = source(folder, "query,document\nwhat melts first?,metals/tin.md\n").load()
    assert tables.corpus.to_pylist() == [
        {"id": "iron.html", "title": "Iron & steel", "text": "Iron\nA metal that rusts.\nMelts at 1538 °C.\nFe"},
        {"id": "metals/tin.md", "title": None, "text": "# Tin\n\nMelts at 232 °C.\n"},
        {"id": "neon.TXT", "title": None, "text": "A noble gas."},
    ]
    assert judgements(tables) == [("q1", "metals/tin.md", 1)]
    assert tables.notes == ()


def test_a_question_may_have_graded_documents(folder: Path) -> None:
    lines = (
        '{"query": "metal", "document": "iron.html", "grade": 2, "page": 3}\n'
        '{"query": "metal", "document": "neon.TXT", "grade": 0}\n'
    )
    tables = source(folder, lines, "q.jsonl").load()
    assert judgements(tables) == [("q1", "iron.html", 2), ("q1", "neon.TXT", 0)]
    assert tables.queries.column("meta.page").to_pylist() == [3]


def test_every_document_that_contains_the_answer_is_relevant(folder: Path) -> None:
    rows = "query,answer\nwhat melts?,MELTS  AT\nwhat rusts?,that rusts\nwhat melts?,melts at 232\nwhat is it?,helium\n"
    tables = source(folder, rows).load()
    assert judgements(tables) == [("q1", "iron.html", 1), ("q1", "metals/tin.md", 1), ("q2", "iron.html", 1)]
    assert tables.notes == (
        "Relevant is every document that contains the answer, whatever its case and white space.",
        "1 of 4 answers stand in no document.",
        "1 query stands in several rows (again in line 4); it is one query with the documents of "
        "all its rows, and with the further columns of the first.",
    )


def test_a_document_that_is_not_there_is_named_with_its_line(folder: Path) -> None:
    with pytest.raises(DatasetFaults) as raised:
        load_dataset(source(folder, "query,document\na,lead.md\n"), name="files", split=None, needs_judgements=True)
    assert raised.value.faults[0] == (
        f"{folder}/q.csv:2: judges the document 'lead.md', which is not there. Correct the id, or set `dangling: keep`."
    )


def test_a_new_document_is_a_new_source(folder: Path) -> None:
    files = source(folder, "query,document\na,neon.TXT\n")
    before = files.sources()
    (folder / "zinc.txt").write_text("Zn")
    assert set(files.sources()) - set(before) == {folder / "zinc.txt"}


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ("query,docs\na,b\n", ':2: has neither "document" nor "answer". It has: query, docs.'),
        ("question,document\na,b\n", ':2: has no "query". It has: question, document.'),
        ("query,answer\na,  \n", ':2: "answer" is empty: every document would contain it.'),
        ("query,document,grade\na,neon.TXT,good\n", ":2: the grade must be a whole number, got the string 'good'."),
    ],
)
def test_malformed_questions_are_named(folder: Path, questions: str, message: str) -> None:
    with pytest.raises(DatasetInvalid) as raised:
        source(folder, questions).load()
    assert str(raised.value) == f"{folder}/q.csv{message}"


def test_documents_that_are_not_utf8_are_named(folder: Path) -> None:
    (folder / "bad.txt").write_bytes(b"one\ncaf\xe9")
    with pytest.raises(DatasetInvalid, match=r"bad\.txt:2: is not UTF-8"):
        source(folder, "query,document\na,neon.TXT\n").load()


def test_what_is_not_there_is_named(folder: Path) -> None:
    questions = source(folder, "query,document\na,neon.TXT\n")
    (folder / "empty").mkdir()
    with pytest.raises(DatasetInvalid, match=r"holds no document: no file ends in \.md, \.txt, \.html, \.htm\."):
        TextFiles(TextFiles.Options(path="empty", questions="q.csv"), questions.context).check()
    with pytest.raises(DatasetInvalid, match="there is no such folder"):
        TextFiles(TextFiles.Options(path="nowhere", questions="q.csv"), questions.context).check()
    with pytest.raises(DatasetInvalid, match="Set `questions` to"):
        TextFiles(TextFiles.Options(path=".", questions="nowhere.csv"), questions.context).check()


def test_what_is_left_out_is_counted_by_ending_and_cause(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far.md").write_text("far")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "near.md").symlink_to(elsewhere / "far.md")
    (folder / "gone.md").symlink_to(elsewhere / "nowhere.md")
    for name in ("a.PDF", "b.pdf", "metals/c.docx", "README"):
        (folder / name).write_text("x")
    made = source(folder, "query,document\na,neon.TXT\n")
    # Left out are data.bin of the fixture, what stands above, the link to a folder, the link to nothing, and .git.
    assert made.remarks() == (
        f"Left out of {folder.name}, no documents: 2 .pdf, 1 without ending, 1 .bin, 1 .docx, 1 hidden file or folder, "
        "1 linked folder, 1 broken link, 1 link that leads out of it (follow_links: true reads it).",
    )
    ids = made.load().corpus.column("id").to_pylist()
    assert ids == ["iron.html", "metals/tin.md", "neon.TXT"]


def test_what_is_left_out_is_told_of_kept_tables_as_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("a")
    (tmp_path / "q.csv").write_text("query,document\na,a.md\n")
    made = TextFiles(TextFiles.Options(path="docs", questions="q.csv"), Context(base=tmp_path))

    def notes() -> tuple[str, ...]:
        kept = tmp_path / "kept"
        return load_dataset(made, name="f", split=None, needs_judgements=True, kept_in=kept).notes

    assert notes() == ()
    (tmp_path / "docs" / "b.rst").write_text("b")
    assert notes() == ("Left out of docs, no documents: 1 .rst.",)


def test_many_endings_are_summed(folder: Path) -> None:
    for i in range(8):
        (folder / f"x.e{i}").write_text("x")
    # With .bin nine endings: five are named, the other four files counted.
    [remark] = source(folder, "query,document\na,neon.TXT\n").remarks()
    assert ", 4 with other endings, " in remark


def test_a_file_name_that_is_no_text_is_named(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    with pytest.raises(DatasetInvalid, match=r"caf\\udce9\.txt': the name of the file is not UTF-8"):
        source(folder, "query,document\na,neon.TXT\n").load()


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder whose documents lie in it, but for one that is a link within, one out of it, and a folder out of it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret.md").write_text("secret")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("a")
    (docs / "again.md").symlink_to("a.md")
    (docs / "out.md").symlink_to(tmp_path / "home" / "secret.md")
    (docs / "up.md").symlink_to("../home/secret.md")
    (docs / "home").symlink_to(tmp_path / "home")
    (docs / "circle").symlink_to(docs)
    (tmp_path / "q.csv").write_text("query,document\na,a.md\n")
    return tmp_path


def test_a_document_that_lies_elsewhere_is_left_out_with_a_count(linked: Path) -> None:
    made = TextFiles(TextFiles.Options(path="docs", questions="q.csv"), Context(base=linked))
    assert made.load().corpus.column("id").to_pylist() == ["a.md", "again.md"]
    assert made.remarks() == (
        "Left out of docs, no documents: 2 linked folders, 2 links that lead out of it (follow_links: true reads "
        "them).",
    )


def test_links_are_followed_where_the_file_says_so(linked: Path) -> None:
    options = TextFiles.Options(path="docs", questions="q.csv", follow_links=True)
    made = TextFiles(options, Context(base=linked))
    ids = made.load().corpus.column("id").to_pylist()
    assert ids == ["a.md", "again.md", "home/secret.md", "out.md", "up.md"]
    assert made.remarks() == ()


def test_a_folder_of_documents_may_be_a_link_itself(linked: Path) -> None:
    (linked / "here").symlink_to("docs")
    made = TextFiles(TextFiles.Options(path="here", questions="q.csv"), Context(base=linked))
    assert made.load().corpus.column("id").to_pylist() == ["a.md", "again.md"]
