"""Checks a collection as a whole: repeated ids, judgements of what does not exist, nothing to evaluate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import Floats, Tables

Dangling: TypeAlias = Literal["error", "keep"]
_BLOCK_NUMBERS = 1 << 22  # of a matrix that are checked at once
_SHOWN = 5  # faults of one kind that are spelled out before "and n more"


class DatasetFaults(Exception):
    """A collection that cannot be measured: all faults of the collection as a whole, one sentence each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = list(faults)


def full_texts(corpus: pa.Table) -> pa.ChunkedArray:
    """A document's text: title, a space, text, without white space at either end."""
    title, text = (pc.fill_null(corpus.column(name), "") for name in ("title", "text"))
    return pc.utf8_trim_whitespace(pc.binary_join_element_wise(title, text, " "))


class Check:
    """The checks of a collection as a whole."""

    def __init__(self, tables: Tables, split: str | None, dangling: Dangling) -> None:
        self.corpus, self.queries, self.qrels = tables.corpus, tables.queries, tables.qrels
        self.split, self.dangling = split, dangling
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def texts(self) -> None:
        """Empty corpus, empty documents and queries."""
        if not self.corpus.num_rows:
            self.faults.append(f"{_file(self.corpus, 'The corpus')} is empty: there is no document to search.")
        if not self.queries.num_rows:
            self.faults.append(f"{_file(self.queries, 'The queries table')} is empty: there is no query to evaluate.")
        if has_text(self.corpus):
            empty = _count(pc.equal(pc.binary_length(full_texts(self.corpus)), 0))
            if empty:
                self.warnings.append(f"{_number(empty, 'document')} without any text; kept.")
        if has_text(self.queries):
            text = pc.utf8_trim_whitespace(pc.fill_null(self.queries.column("text"), ""))
            if empty := _count(pc.equal(pc.binary_length(text), 0)):
                self.warnings.append(f"{_number(empty, 'query')} without any text; kept.")

    def vectors(self) -> None:
        """Documents and queries whose vectors differ in dimension; numbers that cannot be compared."""
        tables = [(t, kind) for t, kind in ((self.corpus, "document"), (self.queries, "query")) if _has_vectors(t)]
        dimensions = [table.schema.field("vector").type.list_size for table, _ in tables]
        if len(set(dimensions)) > 1:
            self.faults.append(f"Document vectors have dimension {dimensions[0]}, query vectors {dimensions[1]}.")
        for table, kind in tables:
            if len(bad := not_finite(vector_matrix(table))):
                first, of_all = int(bad[0]), _number(table.num_rows, f"{kind} vector")
                self.faults.append(
                    f"{_at_vector(table, kind, first)}: the vector of {kind} {table.column('id')[first].as_py()!r} "
                    f"holds NaN, infinity or a number beyond float32; {len(bad):,} of {of_all} "
                    f"{'does' if len(bad) == 1 else 'do'}. Make them again, or leave these rows out."
                )

    def identifiers(self) -> None:
        """Ids that stand twice."""
        for table, kind in ((self.corpus, "document"), (self.queries, "query")):
            ids = table.column("id")
            if pc.count_distinct(ids).as_py() == len(ids):
                continue
            first, later = _repeats(_codes(ids)[0])
            self._tell(
                table,
                later,
                [
                    f"{kind} id {ids[row].as_py()!r} stands twice, first at {_at(table, first[row])}. "
                    "Ids must be unique: rename or remove one."
                    for row in later[:_SHOWN].tolist()
                ],
            )

    def judgements(self) -> pa.Table | None:
        """The qrels without repeated lines and without queries that are not there."""
        qrels = self.qrels
        if qrels is None:
            return None
        known = np.ones(qrels.num_rows, np.bool_)
        for column, table, kind in (
            ("query_id", self.queries, "query"),
            ("document_id", self.corpus, "document"),
        ):
            ids = qrels.column(column)
            there = pc.is_in(ids, value_set=table.column("id")).to_numpy()
            if there.all():
                continue
            if kind == "query":
                known = there
            absent = np.flatnonzero(~there)
            if self.dangling == "keep":
                fate = "such a query is left out" if kind == "query" else "such a document counts as never found"
                self.warnings.append(
                    f"{_number(len(absent), 'judgement')} for a {kind} that is not there; {fate} (dangling: keep)."
                )
            else:
                cure = "Correct the id, or set `dangling: keep`."
                names = [repr(ids[row].as_py()) for row in absent[:_SHOWN].tolist()]
                self._tell(qrels, absent, [f"judges the {kind} {name}, which is not there. {cure}" for name in names])
        return qrels.filter(pa.array(self._once(qrels) & known))

    def _once(self, qrels: pa.Table) -> npt.NDArray[np.bool_]:
        """Which judgements are the first for their query and document."""
        queries, _ = _codes(qrels.column("query_id"))
        documents, count = _codes(qrels.column("document_id"))
        first, later = _repeats(queries.astype(np.int64) * max(count, 1) + documents)
        grades = qrels.column("grade").to_numpy()
        conflict = grades[later] != grades[first[later]]
        self._tell(
            qrels,
            later[conflict],
            [
                f"grades query {qrels.column('query_id')[row].as_py()!r} and document "
                f"{qrels.column('document_id')[row].as_py()!r} with {grades[row]}, but {_at(qrels, first[row])} "
                f"with {grades[first[row]]}. Keep one of them."
                for row in later[conflict][:_SHOWN].tolist()
            ],
        )
        if repeated := int(np.count_nonzero(~conflict)):
            self.warnings.append(f"{_number(repeated, 'judgement')} stood twice with the same grade; counted once.")
        once = np.ones(qrels.num_rows, np.bool_)
        once[later] = False
        return once

    def evaluated(self, qrels: pa.Table | None, needs_judgements: bool) -> pa.Table:
        """The queries that stand in the qrels, in their own order; all without qrels."""
        split = f" in split {self.split}" if self.split else ""
        if qrels is None:
            if needs_judgements:
                self.faults.append(
                    "The data set has no judgements, though a measure needs them. Add qrels, or measure ANN@k alone."
                )
            return self.queries
        stands = pc.is_in(self.queries.column("id"), value_set=pc.unique(qrels.column("query_id")))
        queries = self.queries.filter(stands)
        total = self.queries.num_rows
        if total and not queries.num_rows:
            self.faults.append(
                f"{_file(self.qrels, 'The qrels')}: no query is judged{split}. Compare the ids of queries and qrels, "
                "or choose another split."
            )
        elif queries.num_rows < total:
            self.notes.append(
                f"{total - queries.num_rows:,} of {_number(total, 'query')} have no judgement{split} and are left out."
            )
        return queries

    def _tell(self, table: pa.Table, rows: npt.NDArray[np.int64], sentences: Sequence[str]) -> None:
        """Note faults of one kind: a sentence each for the first rows, a count for the others."""
        self.faults += [f"{_at(table, row)}: {sentence}" for row, sentence in zip(rows, sentences, strict=False)]
        if len(rows) > len(sentences):
            self.faults.append(f"{_at(table, rows[_SHOWN])}: and {len(rows) - _SHOWN:,} more of that kind.")


def _codes(ids: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], int]:
    """Each id's number among the distinct ones, and how many there are."""
    distinct = pc.unique(ids)
    return pc.index_in(ids, value_set=distinct).to_numpy().astype(np.int32), len(distinct)


def _repeats(keys: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each row the first row with its key, and the rows that are not the first."""
    _, index, inverse = np.unique(keys, return_index=True, return_inverse=True)
    first = index[inverse].astype(np.int64)
    return first, np.flatnonzero(first != np.arange(len(keys)))


def _at(table: pa.Table, row: int) -> str:
    """Where a row stands: file:line where the source says so, else its number in the table, from 1."""
    file = (table.schema.metadata or {}).get(b"file")
    if file is None or "line" not in table.column_names:
        return f"row {int(row) + 1}"
    return f"{os.fsdecode(file)}:{table.column('line')[int(row)].as_py()}"


def _at_vector(table: pa.Table, kind: str, row: int) -> str:
    """Where a vector stands: the row of its own file, from 1, where the source names one."""
    file = (table.schema.metadata or {}).get(b"vectors")
    return f"{kind} vectors, row {row + 1}" if file is None else f"{os.fsdecode(file)}, row {row + 1}"


def _file(table: pa.Table, otherwise: str) -> str:
    file = (table.schema.metadata or {}).get(b"file")
    return otherwise if file is None else os.fsdecode(file)


def vector_matrix(table: pa.Table) -> Floats:
    """The column of vectors as float32 (rows, dimension); not copied where it is in one piece."""
    column = table.column("vector")
    width = column.type.list_size
    parts: list[Floats] = [chunk.flatten().to_numpy().reshape(-1, width) for chunk in column.chunks]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty((0, width), np.float32)


def not_finite(vectors: Floats) -> npt.NDArray[np.int64]:
    """Rows of (n, dimension) that hold NaN or infinity."""
    rows = max(1, _BLOCK_NUMBERS // max(1, vectors.shape[1]))
    blocks = (
        start + np.flatnonzero(~np.isfinite(vectors[start : start + rows]).all(axis=1))
        for start in range(0, len(vectors), rows)
    )
    return np.concatenate([np.empty(0, np.int64), *blocks])


def _has_vectors(table: pa.Table) -> bool:
    return "vector" in table.column_names


def has_text(table: pa.Table) -> bool:
    return bool(table.column("text").null_count < table.num_rows)


def _count(flags: pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)


def _number(count: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count:,} {noun if count == 1 else plural}"
