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
from adapters.datasets._by_id import DocumentsTable, documents_of, naming
from adapters.datasets._layout import LayoutOptions
from adapters.datasets._records import PairColumns, empty_notes, lines_told, pair_tables

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
        self.refuse_idle("number_by", "queries without query_id", heeded=self.query_id is None)
        return self


class Pairs(DatasetSource):
    """Equal queries are one query with several relevant documents, equal passages one document.

    With a table of documents these are the corpus, asked about or not, and rows that name none of them are left out.

    A label is a document too: its id is the label, its text the label with spaces for underscores. Columns that are
    not named become meta.<name> of the query. Rows without a query, or without what answers it, are left out and told.
    """

    name: ClassVar[str] = "pairs"
    Options = PairsOptions

    def check(self) -> None:
        super().check()
        self.sources()

    def sources(self) -> tuple[Path, ...]:
        """The file, and that of the documents. Raises DatasetInvalid for what is not there."""
        path, documents = self.context.path(self.options.path), self.options.documents
        if not path.is_file():
            raise DatasetInvalid(str(path), "there is no such file. Set `path` to a file of pairs.")
        if documents is None:
            return (path,)
        if not (beside := self.context.path(documents.path)).is_file():
            raise DatasetInvalid(str(beside), "there is no such file. Set `documents.path` to the table of documents.")
        return (path, beside)

    def load(self) -> Tables:
        path, *beside = self.sources()
        blank: list[int] = []
        rows = table_rows(path, self.options.layout, blank=blank)
        first = next(rows, None)
        if first is None:
            raise DatasetInvalid(str(path), "holds no row.")
        columns = self._columns(path, list(first.cells))
        empty: list[int] = []
        numbers: dict[int, int] = {}
        by_row = self.options.number_by == "row"
        filled = _filled(chain([first], rows), columns, empty, numbers if by_row else None)
        if self.options.documents is not None:
            tables = self._by_id(filled, columns, path, beside[0], numbers if by_row else None)
        else:
            tables = pair_tables(filled, columns, path, numbers if by_row else None)
        return replace(tables, notes=(*tables.notes, *empty_notes(empty, blank)))

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
            who = "1 row names" if len(unknown) == 1 else f"{len(unknown):,} rows name"
            lacking = f"a document that {beside.name} lacks, which counts for nothing ({lines_told(unknown)})"
            notes = (*notes, f"{who} {lacking}.")
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
        for name in filter(None, (options.query, *named)):
            if name not in there:
                raise DatasetInvalid(str(path), f'has no column "{name}". It has: {listed(there, [name])}.')
        return PairColumns(options.query, *named)


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
