"""A folder of text files and a file of questions."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn, Self

import pyarrow as pa
from pydantic import Field

from adapters.base import DatasetInvalid, DatasetSource, FilePath, InvalidOptions, Tables, listed, read_text
from adapters.base.document_names import DocumentNames
from adapters.base.records import is_text, required_text
from adapters.base.sheets import table_rows
from adapters.datasets._layout import LayoutOptions
from adapters.datasets._links import leads_out
from adapters.datasets._reading import optional_text, whole_grade
from adapters.datasets._records import Numbering, empty_notes, merged_note
from adapters.datasets._tables import QrelsTable, TextTable, no_queries

_HTML = (".html", ".htm")
_SUFFIXES = (".md", ".txt", *_HTML)
_LEADS_OUT = (
    "link that leads out of it (follow_links: true reads it)",
    "links that lead out of it (follow_links: true reads them)",
)
_SHOWN = 5  # endings that a remark names
_SILENT = {"script", "style", "template"}
# Elements that flow with the text around them; any other ends a word.
_INLINE = {"a", "abbr", "b", "code", "em", "i", "mark", "q", "s", "small", "span", "strong", "sub", "sup", "u", "wbr"}


class TextFilesOptions(LayoutOptions):
    path: FilePath = Field(description="Folder whose .md, .txt and .html files, in it and below, are the documents.")
    follow_links: bool = Field(
        False, description="Whether links that lead out of the folder, and those to folders, are read too."
    )
    questions: FilePath | None = Field(
        None,
        description="File of questions, .csv, .tsv, .jsonl, .parquet or .xlsx, with query, document and perhaps grade, "
        "or with query and answer; left out only where the queries are synthetic.",
    )
    query: str = Field("query", description="Column of the questions file that holds the queries.")
    document: str = Field("document", description="Column that holds names of files below the folder.")
    answer: str = Field("answer", description="Column that holds answers, where there are no names of files.")


class TextFiles(DatasetSource):
    """A document's id is its path below the folder. Hidden files and folders are no documents.

    The questions file judges by document id, or by answer: then every document that contains the answer is relevant,
    whatever its case and white space. Rows with the same query are one query; further columns become meta.<name>.
    """

    name: ClassVar[str] = "files"
    Options = TextFilesOptions
    _needs_queries = True

    def documents_alone(self) -> Self:
        other = type(self)(self.options, self.context)
        other._needs_queries = False
        return other

    def check(self) -> None:
        super().check()
        self.sources()

    def sources(self) -> tuple[Path, ...]:
        """The documents in order of their ids, then the questions. Raises DatasetInvalid for what is not there."""
        folder, questions = self._folder(), self._questions()
        if not folder.is_dir():
            raise DatasetInvalid(str(folder), "there is no such folder. Set `path` to a folder of text files.")
        if questions is None and self._needs_queries:
            raise InvalidOptions(
                "is missing: name a file of questions, .csv or .jsonl. Where there are none, they can be written: "
                "queries: synthetic",
                key="questions",
            )
        if questions is not None and not questions.is_file() and self._needs_queries:
            raise DatasetInvalid(str(questions), "there is no such file. Set `questions` to a .csv or .jsonl file.")
        below = _below(folder, self.options.follow_links)
        documents = [
            file
            for file in sorted(below.files, key=lambda file: file.relative_to(folder).as_posix())
            if file.suffix.lower() in _SUFFIXES and not _same(file, questions)
        ]
        if not documents:
            raise DatasetInvalid(str(folder), f"holds no document: no file ends in {', '.join(_SUFFIXES)}.")
        return (*documents, questions) if self._needs_queries and questions is not None else tuple(documents)

    def load(self) -> Tables:
        documents, questions = list(self.sources()), None
        if self._needs_queries:
            questions = documents.pop()
        table = TextTable(titled=True)
        for file in documents:
            name = file.relative_to(self._folder()).as_posix()
            if not is_text(name):
                raise DatasetInvalid(
                    repr(str(file)), "the name of the file is not UTF-8. Rename it: it is the document's id."
                )
            title, text = _read(file)
            table.add(name, text, title=title)
        corpus = table.finish()
        if questions is None:
            return Tables(corpus, no_queries(), None)
        queries, qrels, notes = _judged(questions, corpus, self.options)
        return Tables(corpus, queries, qrels, notes=notes)

    def remarks(self) -> tuple[str, ...]:
        """The files in the folder that are no documents, by ending or cause."""
        below = _below(self._folder(), self.options.follow_links)
        questions = self._questions()
        endings = Counter(
            file.suffix.lower() or "without ending"
            for file in below.files
            if file.suffix.lower() not in _SUFFIXES and not _same(file, questions)
        )
        parts = [f"{count:,} {name}" for name, count in endings.most_common(_SHOWN)]
        if further := sum(count for _, count in endings.most_common()[_SHOWN:]):
            parts.append(f"{further:,} with other endings")
        parts += [
            f"{count:,} {cause[0] if count == 1 else cause[1]}" for cause, count in below.left_out.items() if count
        ]
        if not parts:
            return ()
        return (f"Left out of {self._folder().name or self._folder()}, no documents: {', '.join(parts)}.",)

    def _folder(self) -> Path:
        return self.context.path(self.options.path)

    def _questions(self) -> Path | None:
        return None if self.options.questions is None else self.context.path(self.options.questions)


def _same(file: Path, questions: Path | None) -> bool:
    return questions is not None and questions.exists() and file.samefile(questions)


class _Below(NamedTuple):
    """What lies below a folder: its files, and how many other entries of each cause (singular, plural)."""

    files: list[Path]
    left_out: Counter[tuple[str, str]]


def _below(folder: Path, follow_links: bool) -> _Below:
    """All below a folder that is not hidden. Links to folders, and those that lead out of it, are followed where they
    may be; no folder is entered twice. Raises DatasetInvalid."""

    def refused(error: OSError) -> NoReturn:
        raise DatasetInvalid(str(error.filename or folder), f"cannot be read: {error.strerror or error}.") from error

    below = _Below([], Counter())
    entered: set[Path] = set()
    for place, folders, names in os.walk(folder, onerror=refused, followlinks=follow_links):
        here = Path(place)
        if follow_links and here.resolve() in entered:
            folders.clear()
            continue
        entered.add(here.resolve())
        hidden = [name for name in (*folders, *names) if name.startswith(".")]
        below.left_out["hidden file or folder", "hidden files or folders"] += len(hidden)
        linked = [
            name for name in folders if not follow_links and not name.startswith(".") and (here / name).is_symlink()
        ]
        below.left_out["linked folder", "linked folders"] += len(linked)
        folders[:] = sorted({*folders} - {*hidden, *linked})
        for name in sorted({*names} - {*hidden}):
            file = here / name
            if file.is_symlink() and file.exists() and not follow_links and leads_out(file, folder):
                below.left_out[_LEADS_OUT] += 1
            elif file.is_file():
                below.files.append(file)
            else:
                cause = ("broken link", "broken links") if file.is_symlink() else ("special file", "special files")
                below.left_out[cause] += 1
    return below


def _read(file: Path) -> tuple[str | None, str]:
    """Title (HTML's alone) and text of a document."""
    try:
        text = read_text(file)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DatasetInvalid(f"{file}:{line}", "is not UTF-8. Save the file as UTF-8.") from error
    if file.suffix.lower() not in _HTML:
        return None, text
    page = _Page()
    try:
        page.feed(text)
        page.close()
    except AssertionError as error:  # what the parser raises for a declaration such as <![x
        raise DatasetInvalid(str(file), f"is no readable HTML: {error}.") from error
    return page.title or None, page.text


class _Page(HTMLParser):
    """The words of an HTML page that a reader sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self._words: list[str] = []
        self._title: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT or tag == "title":
            self._open.append(tag)
        elif tag not in _INLINE:
            self._words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[self._open.index(tag) :]
        elif tag not in _INLINE:
            self._words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._open:
            self._words.append(re.sub(r"\s+", " ", data))
        elif self._open == ["title"]:
            self._title.append(data)

    @property
    def title(self) -> str:
        return " ".join("".join(self._title).split())

    @property
    def text(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self._words).split("\n"))
        return "\n".join(line for line in lines if line)


def _judged(path: Path, corpus: pa.Table, options: TextFilesOptions) -> tuple[pa.Table, pa.Table, tuple[str, ...]]:
    """Queries, qrels and notes of a questions file."""
    queries, qrels, numbering = TextTable(path, titled=False), QrelsTable(path), Numbering()
    contents: list[tuple[str, str]] | None = None
    names, others = DocumentNames(corpus.column("id").to_pylist()), 0
    unanswered = by_answer = 0
    again: dict[int, list[int]] = {}
    empty, blank = list[int](), list[int]()
    for line, _, row in table_rows(path, options.layout, blank=blank):
        where = f"{path}:{line}"
        query = required_text(row, options.query, where)
        if not query.strip():
            empty.append(line)
            continue
        number, new = numbering(query)
        if not new:
            again.setdefault(number, []).append(line)
        else:
            queries.add(f"q{number}", query, meta=_further(row, options), line=line)
        if options.document in row:
            grade = row.get("grade")
            document = required_text(row, options.document, where)
            meant = names(document) or document  # what is none is told with all others
            others += meant != document
            qrels.add(f"q{number}", meant, 1 if grade in (None, "") else whole_grade(grade, where), line)
            continue
        if options.answer not in row:
            raise DatasetInvalid(
                where, f'has neither "{options.document}" nor "{options.answer}". It has: {listed(row)}.'
            )
        answer = _plain(optional_text(row, options.answer, where) or "")
        if not answer:
            raise DatasetInvalid(where, f'"{options.answer}" is empty: every document would contain it.')
        if contents is None:
            contents = list(_contents(corpus))
        found = [name for name, content in contents if answer in content]
        by_answer += 1
        unanswered += not found
        for name in found:
            qrels.add(f"q{number}", name, 1, line)
    return (
        queries.finish(),
        _once(qrels.finish(), by_answer),
        (
            *_notes(by_answer, unanswered, others),
            *merged_note(again),
            *empty_notes(empty, blank),
        ),
    )


def _further(row: Mapping[str, Any], options: TextFilesOptions) -> dict[str, Any]:
    used = (options.query, options.document, "grade", options.answer)
    return {key: value for key, value in row.items() if key not in used}


def _contents(corpus: pa.Table) -> Iterator[tuple[str, str]]:
    """Ids and searchable contents of the documents."""
    columns = (corpus.column(name).to_pylist() for name in ("id", "title", "text"))
    for name, title, text in zip(*columns, strict=True):
        yield name, _plain(f"{title or ''} {text}")


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().casefold()


def _once(qrels: pa.Table, by_answer: int) -> pa.Table:
    """Two answers of one query may be in one document; that is no repeated judgement."""
    if not by_answer:
        return qrels
    first = qrels.group_by(["query_id", "document_id", "grade"], use_threads=False).aggregate([("line", "min")])
    first = first.rename_columns(["query_id", "document_id", "grade", "line"])
    return first.replace_schema_metadata(qrels.schema.metadata)


def _notes(by_answer: int, unanswered: int, others: int) -> tuple[str, ...]:
    notes = []
    if others:
        rows = "1 row names its document" if others == 1 else f"{others:,} rows name their documents"
        notes.append(f"{rows} without the folder or the ending; there is one of that name.")
    if by_answer:
        notes.append("Relevant is every document that contains the answer, whatever its case and white space.")
    if unanswered:
        notes.append(f"{unanswered} of {by_answer} answers stand in no document.")
    return tuple(notes)
