"""Documents in a table of their own, which the rows of a table of questions name by id."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from adapters.base import DatasetInvalid, FilePath, listed
from adapters.base.document_names import ids_named
from adapters.base.records import required_text
from adapters.base.sheets import table_rows
from adapters.datasets._layout import LayoutOptions
from adapters.datasets._reading import identifier, optional_text
from adapters.datasets._records import Numbering, check_same_text, lines_told
from adapters.datasets._tables import TextTable


class DocumentsTable(LayoutOptions):
    path: FilePath = Field(description="File of the documents: .csv, .tsv, .jsonl, .parquet or .xlsx.")
    id: str = Field("id", description="Column that holds the documents' ids.")
    text: str = Field("text", description="Column that holds their texts.")
    title: str | None = Field(None, description="Column that holds their titles; left out, none.")


def documents_of(path: Path, options: DocumentsTable) -> tuple[pa.Table, tuple[str, ...]]:
    """The corpus that a table of documents holds, and notes. Columns that are not named become meta.<name>; rows
    without an id or a text are left out and told. Raises DatasetInvalid."""
    corpus, ids, texts = TextTable(path, titled=True), Numbering(), Numbering()
    named = [options.id, options.text, *filter(None, [options.title])]
    empty: list[int] = []
    for line, _, row in table_rows(path, options.layout):
        where = f"{path}:{line}"
        for name in named[:2]:
            if name not in row:
                raise DatasetInvalid(where, f'has no column "{name}". It has: {listed(row, [name])}.')
        if any(row[name] is None or row[name] == "" for name in named[:2]):
            empty.append(line)
            continue
        given, text = identifier(row, options.id, where), required_text(row, options.text, where)
        title = optional_text(row, options.title, where) if options.title else None
        new = ids(given)[1]
        check_same_text(new, texts(given, title or "", text)[1], "document", given, where)
        if new:
            further = {key: value for key, value in row.items() if key not in named}
            corpus.add(given, text, title=title, meta=further, line=line)
    if not empty:
        return corpus.finish(), ()
    rows = "1 row lacks id or text and is" if len(empty) == 1 else f"{len(empty):,} rows lack id or text and are"
    return corpus.finish(), (f"{path.name}: {rows} left out ({lines_told(empty)}).",)


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
