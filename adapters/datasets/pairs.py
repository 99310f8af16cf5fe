"""Rows of (query, positive passage), or of (query, label) for query to category retrieval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from adapters.base import DatasetInvalid, DatasetSource, FilePath, Tables, listed
from adapters.base.sheets import Row, table_rows
from adapters.datasets._by_id import DocumentsTable, Questions, QuestionsTable, documents_of, naming, unknown_note
from adapters.datasets._layout import LayoutOptions
from adapters.datasets._records import PairColumns, empty_notes, pair_tables

_PASSAGES = ("passage", "positive", "document", "text")
_LABELS = ("label", "category")


class PairsOptions(LayoutOptions):
    path: FilePath = Field(description="File of pairs: .csv, .tsv, .jsonl, .parquet or .xlsx.")
    query: str = Field("query", description="Column that holds the queries.")
    passage: str | None = Field(None, description="Column that holds the relevant passages.")
    label: str | None = Field(None, description="Column that holds categories, instead of passages.")
    title: str | None = Field(None, description="Column that holds the passages' titles; left out, none.")
    grade: str | None = Field(None, description="Column that holds whole grades; left out, every pair has grade 1.")

    query_id: str | None = Field(
        None, description="Column that holds the queries' ids; left out, they are numbered, equal ones alike."
    )
    document_id: str | None = Field(
        None,
        description="Column that holds the passages' ids; left out, they are numbered, equal ones alike. With "
        "`documents`, the column by which a question names its documents: one id, or several.",
    )
    documents: DocumentsTable | None = Field(
        None, description="Table of the documents, where the questions name them by id in `document_id`."
    )
    questions: QuestionsTable | None = Field(
        None, description="Table of the questions, where the rows of `path` name them by id in `query_id`."
    )
    number_by: Literal["query", "row"] = Field(
        "query",
        description="How queries without ids are called: query, q1, q2 and so on; row, by the row in which a "
        "spreadsheet shows them first.",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.passage and self.label:
            raise ValueError("set `passage` or `label`, not both")
        if self.label and self.title:
            raise ValueError("`title` belongs to passages; a label has none")
        if self.label and self.document_id:
            raise ValueError("`document_id` belongs to passages; a label is its own id")
        if self.documents is not None and self.document_id is None:
            raise ValueError("`documents` needs `document_id`, the column by which a question names its documents")
        if self.documents is not None and (self.passage or self.label or self.title):
            raise ValueError("`passage`, `label` and `title` have no effect with `documents`, which holds the texts")
        if self.questions is not None and self.query_id is None:
            raise ValueError("`questions` needs `query_id`, the column by which a row names its query")
        self.refuse_idle("query", "questions in the same table", heeded=self.questions is None)
        self.refuse_idle("number_by", "queries without query_id", heeded=self.query_id is None)
        return self


class Pairs(DatasetSource):
    """Equal queries are one query with several relevant documents, equal passages one document.

    With a table of documents these are the corpus, asked about or not, and rows that name none of them are left out.
    With a table of questions the rows name those too, and those that no row names are left out.

    A label is a document too: its id is the label, its text the label with spaces for underscores. Columns that are
    not named become meta.<name> of the query. Rows without a query, or without what answers it, are left out and told.
    """

    name: ClassVar[str] = "pairs"
    Options = PairsOptions

    def check(self) -> None:
        super().check()
        self.sources()

    def sources(self) -> tuple[Path, ...]:
        """The file, and those of the documents and queries. Raises DatasetInvalid for what is not there."""
        found = [(self.options.path, "path", "a file of pairs")]
        if self.options.documents is not None:
            found.append((self.options.documents.path, "documents.path", "the table of documents"))
        if self.options.questions is not None:
            found.append((self.options.questions.path, "questions.path", "the table of questions"))
        paths = []
        for named, option, what in found:
            paths.append(path := self.context.path(named))
            if not path.is_file():
                raise DatasetInvalid(str(path), f"there is no such file. Set `{option}` to {what}.")
        return tuple(paths)

    def load(self) -> Tables:
        options, path = self.options, self.sources()[0]
        blank: list[int] = []
        rows = table_rows(path, options.layout, blank=blank)
        first = next(rows, None)
        if first is None:
            raise DatasetInvalid(str(path), "holds no row.")
        columns = self._columns(path, list(first.cells))
        rows, asked = chain([first], rows), None
        if options.questions is not None:
            asked = Questions(self.context.path(options.questions.path), options.questions)
            rows = asked.named_by(rows, path, columns)
        empty: list[int] = []
        numbers: dict[int, int] = {}
        by_row = options.number_by == "row"
        filled = _filled(rows, columns, empty, numbers if by_row else None)
        if options.documents is not None:
            beside = self.context.path(options.documents.path)
            tables = self._by_id(filled, columns, path, beside, numbers if by_row else None)
        else:
            tables = pair_tables(filled, columns, path, numbers if by_row else None)
        notes = (*tables.notes, *empty_notes(empty, blank))
        if asked is not None:
            notes = (*notes, *asked.notes(path))
        return replace(tables, notes=notes)

    def _by_id(
        self,
        rows: Iterable[tuple[int, Mapping[str, Any]]],
        columns: PairColumns,
        path: Path,
        beside: Path,
        numbers: Mapping[int, int] | None,
    ) -> Tables:
        """The tables, with the documents of a table of their own."""
        documents, column = self.options.documents, columns.label
        assert documents is not None and column is not None
        corpus, notes = documents_of(beside, documents)
        ids = set(corpus.column("id").to_pylist())
        unknown: list[int] = []
        tables = pair_tables(naming(rows, column, ids, unknown), columns, path, numbers)
        if not tables.queries.num_rows:
            raise DatasetInvalid(
                str(path),
                f'no "{column}" is an "{documents.id}" of {beside}. Set `document_id` or `documents.id`.',
            )
        if unknown:
            notes = (*notes, unknown_note("document", beside, unknown))
        return replace(tables, corpus=corpus, notes=(*tables.notes, *notes))

    def _columns(self, path: Path, there: list[str]) -> PairColumns:
        options = self.options
        passage, label = options.passage, options.label
        if options.documents is not None:
            label = options.document_id  # the value is the document's id, and its text stands elsewhere
        elif passage is None and label is None:
            passage = next((name for name in _PASSAGES if name in there and name != options.query), None)
            label = None if passage else next((name for name in _LABELS if name in there), None)
            if passage is None and label is None:
                raise DatasetInvalid(
                    str(path),
                    f"has no column of passages or labels. Set `passage` or `label` to one of: {listed(there)}.",
                )
        own_id = options.document_id if options.documents is None else None
        named = (passage, label, options.title, options.grade, options.query_id, own_id)
        for name in filter(None, (options.query if options.questions is None else None, *named)):
            if name not in there:
                raise DatasetInvalid(str(path), f'has no column "{name}". It has: {listed(there, [name])}.')
        query = options.query
        while options.questions is not None and query in there:
            query += "_"  # the text of a query that stands elsewhere takes no column's place
        return PairColumns(query, *named)


def _filled(
    rows: Iterable[Row], columns: PairColumns, empty: list[int], numbers: dict[int, int] | None
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows with a query and what answers it. empty: takes the lines of the others; numbers: takes the row of each
    line."""
    needed = [name for name in (columns.query, columns.passage, columns.label) if name is not None]
    for line, number, cells in rows:
        if all(name not in cells or _is_filled(cells[name]) for name in needed):  # one that is absent is a fault
            if numbers is not None:
                numbers[line] = number
            yield from ((line, each) for each in _one_by_one(cells, columns.passage or columns.label))
        else:
            empty.append(line)


def _one_by_one(cells: Mapping[str, Any], answers: str | None) -> Iterator[Mapping[str, Any]]:
    """A row for each thing that answers its query: a cell may hold a list of them."""
    several = cells.get(str(answers))
    if not isinstance(several, list):
        yield cells
        return
    yield from ({**cells, str(answers): each} for each in several if _is_filled(each))


def _is_filled(cell: Any) -> bool:
    if isinstance(cell, list):
        return any(map(_is_filled, cell))
    return cell is not None and not (isinstance(cell, str) and not cell.strip())
