"""Documents, and questions, in tables of their own, which the rows of another table name by id."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from adapters.base import DatasetInvalid, FilePath, listed
from adapters.base.document_names import ids_named
from adapters.base.records import required_text
from adapters.base.sheets import Row, table_rows
from adapters.datasets._layout import LayoutOptions
from adapters.datasets._reading import identifier, optional_text
from adapters.datasets._records import Numbering, PairColumns, check_same_text, lines_told
from adapters.datasets._tables import TextTable


class DocumentsTable(LayoutOptions):
    path: FilePath = Field(description="File of the documents: .csv, .tsv, .jsonl, .parquet or .xlsx.")
    id: str = Field("id", description="Column that holds the documents' ids.")
    text: str = Field("text", description="Column that holds their texts.")
    title: str | None = Field(None, description="Column that holds their titles; left out, none.")


class QuestionsTable(LayoutOptions):
    path: FilePath = Field(description="File of the questions: .csv, .tsv, .jsonl, .parquet or .xlsx.")
    id: str = Field("id", description="Column that holds the questions' ids.")
    text: str = Field("text", description="Column that holds the questions themselves.")


class Questions:
    """The queries of a table of their own. Raises DatasetInvalid."""

    def __init__(self, path: Path, options: QuestionsTable) -> None:
        self._path, self._options = path, options
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._named: set[str] = set()
        self._unknown: list[int] = []
        self._empty: list[int] = []
        for _, where, given, text, row in _known_rows(path, options, self._empty):
            known = self._rows.setdefault(given, row)[options.text]
            check_same_text(False, text != known, "query", given, where)

    def named_by(self, rows: Iterable[Row], path: Path, columns: PairColumns) -> Iterator[Row]:
        """Rows that name a query, with its text and its further columns; of their own they keep what stands in
        `columns`. path: the rows' file. Raises DatasetInvalid where none names a query."""
        column, own, used = str(columns.query_id), (self._options.id, self._options.text), columns.used()
        for line, number, cells in rows:
            asked = cells.get(column)
            if asked is None or asked == "":
                yield Row(line, number, {**cells, columns.query: None})
                continue
            given = identifier(cells, column, f"{path}:{line}")
            if (row := self._rows.get(given)) is None:
                self._unknown.append(line)
                continue
            self._named.add(given)
            further = {key: value for key, value in row.items() if key not in own}
            kept = {key: value for key, value in cells.items() if key in used}
            yield Row(line, number, {**further, **kept, columns.query: row[self._options.text]})
        if not self._named:
            ids = f'"{self._options.id}" of {self._path}'
            raise DatasetInvalid(str(path), f'no "{column}" is an {ids}. Set `query_id` or `questions.id`.')

    def notes(self, path: Path) -> tuple[str, ...]:
        """What was left out, once all rows were read."""
        name, alone = self._path.name, len(self._rows) - len(self._named)
        found = [*_lacking(self._path, self._empty)]
        if self._unknown:
            found.append(unknown_note("query", self._path, self._unknown))
        if alone:
            queries = "1 query" if alone == 1 else f"{alone:,} queries"
            found.append(f"{queries} of {name} stand{'s' if alone == 1 else ''} in no row of {path.name} and "
                         f"{'is' if alone == 1 else 'are'} left out.")  # fmt: skip
        return tuple(found)


def documents_of(path: Path, options: DocumentsTable) -> tuple[pa.Table, tuple[str, ...]]:
    """The corpus that a table of documents holds, and notes. Columns that are not named become meta.<name>; rows
    without an id or a text are left out and told. Raises DatasetInvalid."""
    corpus, ids, texts = TextTable(path, titled=True), Numbering(), Numbering()
    named = [options.id, options.text, *filter(None, [options.title])]
    empty: list[int] = []
    for line, where, given, text, row in _known_rows(path, options, empty):
        title = optional_text(row, options.title, where) if options.title else None
        new = ids(given)[1]
        check_same_text(new, texts(given, title or "", text)[1], "document", given, where)
        if new:
            further = {key: value for key, value in row.items() if key not in named}
            corpus.add(given, text, title=title, meta=further, line=line)
    return corpus.finish(), _lacking(path, empty)


def _known_rows(
    path: Path, options: DocumentsTable | QuestionsTable, empty: list[int]
) -> Iterator[tuple[int, str, str, str, Mapping[str, Any]]]:
    """Line, place, id, text and cells of each row that has an id and a text. empty: takes the lines of the others.
    Raises DatasetInvalid."""
    named = (options.id, options.text)
    for line, _, row in table_rows(path, options.layout):
        where = f"{path}:{line}"
        for name in named:
            if name not in row:
                raise DatasetInvalid(where, f'has no column "{name}". It has: {listed(row, [name])}.')
        if any(row[name] is None or row[name] == "" for name in named):
            empty.append(line)
            continue
        yield line, where, identifier(row, options.id, where), required_text(row, options.text, where), row


def unknown_note(kind: str, table: Path, lines: Sequence[int]) -> str:
    """The note on rows that name what a table does not hold. kind: document, or query."""
    who = "1 row names" if len(lines) == 1 else f"{len(lines):,} rows name"
    return f"{who} a {kind} that {table.name} lacks, which counts for nothing ({lines_told(lines)})."


def _lacking(path: Path, lines: Sequence[int]) -> tuple[str, ...]:
    """The note on rows of a table that were left out."""
    if not lines:
        return ()
    rows = "1 row lacks id or text and is" if len(lines) == 1 else f"{len(lines):,} rows lack id or text and are"
    return (f"{path.name}: {rows} left out ({lines_told(lines)}).",)


def naming(
    rows: Iterable[tuple[int, Mapping[str, Any]]], column: str, ids: Container[str], unknown: list[int]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows, one for each document that a cell names. unknown: takes the lines that name one that is not there."""
    for line, row in rows:
        if column not in row:
            yield line, row  # whoever reads it names the fault
            continue
        known, whole = ids_named(row[column], ids)
        if not whole:
            unknown.append(line)
        yield from ((line, {**row, column: name}) for name in known)
