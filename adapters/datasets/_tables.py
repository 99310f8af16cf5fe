"""A collection's tables built row by row, in batches.

Rows stand in Python for one batch only, so a collection's size is bounded by Arrow's memory, not by Python's.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from adapters.base import DatasetInvalid
from adapters.base.records import BATCH_ROWS, broken_name, is_text

MetaKind: TypeAlias = str  # "bool", "int", "float" or "str"; of lists "list bool" and so on

_INT64 = (-(2**63), 2**63 - 1)
_ARROW: Mapping[MetaKind, pa.DataType] = {
    "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string(),
}  # fmt: skip
_EMPTY = "list"  # of lists without values, which go with every kind of list
_LISTS = {f"list {kind}": pa.list_(of) for kind, of in _ARROW.items()} | {_EMPTY: pa.list_(pa.string())}
_TYPES: Mapping[MetaKind, pa.DataType] = {**_ARROW, **_LISTS}


class TextTable:
    """Builds a corpus or queries table. `path` is the file whose lines the rows come from, if there is one."""

    def __init__(self, path: Path | None = None, *, titled: bool) -> None:
        self._path = path
        self._titled = titled
        self._ids: list[str] = []
        self._titles: list[str | None] = []
        self._texts: list[str | None] = []
        self._metas: list[Mapping[str, Any]] = []
        self._lines = array("i")
        self._batches: list[tuple[dict[str, pa.Array], dict[str, tuple[MetaKind, pa.Array]]]] = []

    def add(
        self,
        id: str,
        text: str | None,
        *,
        title: str | None = None,
        meta: Mapping[str, Any] | None = None,
        line: int = 0,
    ) -> None:
        """Append one row. meta: any JSON values; see `meta_column` for what becomes of them."""
        self._ids.append(id)
        self._texts.append(text)
        self._titles.append(title)
        self._metas.append(meta or {})
        self._lines.append(line)
        if len(self._ids) >= BATCH_ROWS:
            self._flush()

    def finish(self) -> pa.Table:
        """The table: id, title (corpus only), text, meta.<name>…, and line where rows come from a file's lines."""
        if self._ids or not self._batches:
            self._flush()
        names = {name: None for _, metas in self._batches for name in metas}
        columns: dict[str, Any] = {}
        for key in self._batches[0][0]:
            columns[key] = pa.chunked_array([fixed[key] for fixed, _ in self._batches])
        line = columns.pop("line", None)
        for name in names:
            parts = [(metas.get(name), len(fixed["id"])) for fixed, metas in self._batches]
            columns[f"meta.{name}"] = _joined(parts)
        if line is not None:
            columns["line"] = line
        table = pa.table(columns)
        return table if self._path is None else from_file(table, self._path)

    def _flush(self) -> None:
        fixed = {"id": self._strings(self._ids, "id")}
        if self._titled:
            fixed["title"] = self._strings(self._titles, "title")
        fixed["text"] = self._strings(self._texts, "text")
        if self._path is not None:
            fixed["line"] = pa.array(np.array(self._lines, np.int32))
        names = {name: None for meta in self._metas for name in meta}
        metas: dict[str, tuple[MetaKind, pa.Array]] = {}
        for name in names:
            if not is_text(name):
                row = next(i for i, meta in enumerate(self._metas) if name in meta)
                raise broken_name(self._where(row), name)
            kind, values = meta_column([meta.get(name) for meta in self._metas])
            metas[name] = (kind, self._strings(values, name, _TYPES[kind]))
        self._batches.append((fixed, metas))
        self._ids, self._titles, self._texts, self._metas, self._lines = [], [], [], [], array("i")

    def _strings(self, values: list[Any], name: str, kind: pa.DataType = pa.string()) -> pa.Array:
        try:
            return pa.array(values, kind)
        except UnicodeEncodeError as error:
            row = next(i for i, value in enumerate(values) if _broken(value))
            raise DatasetInvalid(
                self._where(row), f'"{name}" holds half of a surrogate pair, which is no Unicode text.'
            ) from error

    def _where(self, row: int) -> str:
        return f"{self._path}:{self._lines[row]}" if self._path else f"document {self._ids[row]!r}"


class QrelsTable:
    """Builds a qrels table."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._queries: list[str] = []
        self._documents: list[str] = []
        self._grades = array("i")
        self._lines = array("i")
        self._batches: list[pa.RecordBatch] = []

    def add(self, query: str, document: str, grade: int, line: int = 0) -> None:
        """Append one judgement."""
        self._queries.append(query)
        self._documents.append(document)
        self._grades.append(grade)
        self._lines.append(line)
        if len(self._queries) >= BATCH_ROWS:
            self._flush()

    def finish(self) -> pa.Table:
        """The table: query_id, document_id, grade, and line where rows come from a file's lines."""
        if self._queries or not self._batches:
            self._flush()
        table = pa.Table.from_batches(self._batches)
        return table if self._path is None else from_file(table, self._path)

    def _flush(self) -> None:
        columns = {
            "query_id": pa.array(self._queries, pa.string()),
            "document_id": pa.array(self._documents, pa.string()),
            "grade": pa.array(np.array(self._grades, np.int32)),
        }
        if self._path is not None:
            columns["line"] = pa.array(np.array(self._lines, np.int32))
        self._batches.append(pa.RecordBatch.from_pydict(columns))
        self._queries, self._documents, self._grades, self._lines = [], [], array("i"), array("i")


def from_file(table: pa.Table, path: Path) -> pa.Table:
    """The table with the file that its `line` column counts in."""
    return _with_place(table, b"file", path)


def with_vectors_of(table: pa.Table, path: Path) -> pa.Table:
    """The table with the file whose rows, in the table's order, are its vectors."""
    return _with_place(table, b"vectors", path)


def _with_place(table: pa.Table, key: bytes, path: Path) -> pa.Table:
    return table.replace_schema_metadata({**(table.schema.metadata or {}), key: os.fsencode(path)})


def meta_column(values: list[Any]) -> tuple[MetaKind, list[Any]]:
    """One further field's values, made one type.

    Booleans, whole numbers, numbers, strings and lists of one of these keep their type, whole numbers among fractions
    become fractions. A field that mixes other types, holds objects, or numbers beyond 64 bits becomes strings: strings
    stay, anything else is its JSON text. Null stays null.
    """
    kinds = {_kind(value) for value in values if value is not None}
    kind = _united(kinds)
    if kind == "str" and kinds != {"str"}:
        return kind, [_rendered(value) for value in values]
    if kind == "float":
        return kind, [None if value is None else float(value) for value in values]
    if kind == "list float":
        return kind, [value and [item if item is None else float(item) for item in value] for value in values]
    return kind, values


def _broken(value: Any) -> bool:
    """Whether a value of a column of texts, or of lists of them, holds a string that is no text."""
    if isinstance(value, list):
        return any(map(_broken, value))
    return isinstance(value, str) and not is_text(value)


def _kind(value: Any) -> MetaKind:
    if isinstance(value, list):
        return _list_of({_kind(item) for item in value if item is not None})
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if _INT64[0] <= value <= _INT64[1] else "json"
    if isinstance(value, float):
        return "float"
    return "str" if isinstance(value, str) else "json"


def _list_of(kinds: set[MetaKind]) -> MetaKind:
    """The kind of a list whose values are of these kinds; JSON where they do not go together."""
    if not kinds:
        return _EMPTY
    kind = _united(kinds)
    return f"list {kind}" if kind in _ARROW and (kind != "str" or kinds == {"str"}) else "json"


def _united(kinds: set[MetaKind]) -> MetaKind:
    if kinds and all(kind in _LISTS for kind in kinds):
        found = _list_of({kind.removeprefix("list ") for kind in kinds if kind != _EMPTY})
        return "str" if found == "json" else found
    if len(kinds) == 1 and "json" not in kinds:
        return next(iter(kinds))
    return "float" if kinds == {"int", "float"} else "str"


def _rendered(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _joined(parts: list[tuple[tuple[MetaKind, pa.Array] | None, int]]) -> pa.ChunkedArray:
    """One meta column from its batches, each (kind and values, or None where no row has the field; rows)."""
    # A batch whose values are all null says nothing about the type.
    kinds = {part[0] for part, rows in parts if part is not None and part[1].null_count < rows}
    kind = _united(kinds)
    chunks = []
    for part, rows in parts:
        if part is None or part[1].null_count == rows:
            chunks.append(pa.nulls(rows, _TYPES[kind]))
        elif part[0] == kind:
            chunks.append(part[1])
        elif kind == "float":
            chunks.append(part[1].cast(pa.float64(), safe=False))
        elif kind in _LISTS:
            chunks.append(part[1].cast(_TYPES[kind], safe=False))
        else:
            chunks.append(pa.array([_rendered(value) for value in part[1].to_pylist()], pa.string()))
    return pa.chunked_array(chunks)


def no_queries() -> pa.Table:
    """A table of queries with no row, of a collection that is read for its documents alone."""
    return pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
