"""Rows of (query, positive passage), or of (query, label) for query to category retrieval."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from adapters import base
from adapters.base import DatasetInvalid, DatasetSource, FilePath, Tables, listed
from adapters.base.records import records
from adapters.datasets._records import PairColumns, pair_tables

_PASSAGES = ("passage", "positive", "document", "text")
_LABELS = ("label", "category")


class PairsOptions(base.Options):
    path: FilePath = Field(description="File of pairs: .csv, .tsv, .jsonl or .parquet.")
    query: str = Field("query", description="Column that holds the queries.")
    passage: str | None = Field(None, description="Column that holds the relevant passages.")
    label: str | None = Field(None, description="Column that holds categories, instead of passages.")
    title: str | None = Field(None, description="Column that holds the passages' titles; left out, none.")
    grade: str | None = Field(None, description="Column that holds whole grades; left out, every pair has grade 1.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.passage and self.label:
            raise ValueError("set `passage` or `label`, not both")
        if self.label and self.title:
            raise ValueError("`title` belongs to passages; a label has none")
        return self


class Pairs(DatasetSource):
    """Equal queries are one query with several relevant documents, equal passages one document.

    A label is a document too: its id is the label, its text the label with spaces for underscores. Columns that are
    not named become meta.<name> of the query.
    """

    name: ClassVar[str] = "pairs"
    Options = PairsOptions

    def check(self) -> None:
        super().check()
        self.sources()

    def sources(self) -> tuple[Path, ...]:
        """The file. Raises DatasetInvalid when it is not there."""
        path = self.context.path(self.options.path)
        if not path.is_file():
            raise DatasetInvalid(str(path), "there is no such file. Set `path` to a file of pairs.")
        return (path,)

    def load(self) -> Tables:
        (path,) = self.sources()
        rows = records(path)
        first = next(rows, None)
        if first is None:
            raise DatasetInvalid(str(path), "holds no row.")
        columns = self._columns(path, list(first[1]))
        return pair_tables(chain([first], rows), columns, path)

    def _columns(self, path: Path, there: list[str]) -> PairColumns:
        options = self.options
        passage, label = options.passage, options.label
        if passage is None and label is None:
            passage = next((name for name in _PASSAGES if name in there and name != options.query), None)
            label = None if passage else next((name for name in _LABELS if name in there), None)
            if passage is None and label is None:
                raise DatasetInvalid(
                    str(path),
                    f"has no column of passages or labels. Set `passage` or `label` to one of: {listed(there)}.",
                )
        for name in filter(None, (options.query, passage, label, options.title, options.grade)):
            if name not in there:
                raise DatasetInvalid(str(path), f'has no column "{name}". It has: {listed(there, [name])}.')
        return PairColumns(options.query, passage, label, options.title, options.grade)
