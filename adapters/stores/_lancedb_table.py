"""What a LanceDB table holds: the columns written, batch by batch, and filters in its SQL."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from adapters.base import Condition, Filter

_OPERATORS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass
class TableBatches:
    """Batches on their way into a table: row, vector where there is one, text where asked for, and m0, m1, … for
    the columns `meta.<name>`, whose own names SQL might not take.

    meta: name to column. failure: what the batches raised, if they did.
    """

    batches: Iterator[pa.RecordBatch]
    schema: pa.Schema
    sources: tuple[str, ...]
    meta: dict[str, str] = field(default_factory=dict)
    failure: BaseException | None = None

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.schema, self._converted())

    def _converted(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.batches:
                columns = [
                    batch.column(name)
                    if batch.column(name).type == wanted.type
                    else batch.column(name).cast(wanted.type)
                    for name, wanted in zip(self.sources, self.schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
        except BaseException as error:
            self.failure = error
            raise


def batches_for(batches: Iterator[pa.RecordBatch], dimension: int | None, *, text: bool) -> TableBatches:
    """Make the corpus's batches ready to be written; the first one decides the columns."""
    first = next(batches, None)
    fields = [("row", pa.field("row", pa.int32()))]
    if dimension is not None:
        # An explicit type: LanceDB would guess from the column's name whether a list is a vector.
        fields.append(("vector", pa.field("vector", pa.list_(pa.float32(), dimension))))
    if text:
        fields.append(("text", pa.field("text", pa.string())))
    meta: dict[str, str] = {}
    for column in () if first is None else first.schema:
        if column.name.startswith("meta."):
            name = f"m{len(meta)}"
            meta[column.name.removeprefix("meta.")] = name
            kind = pa.string() if pa.types.is_null(column.type) else column.type
            fields.append((column.name, pa.field(name, kind)))
    rest = () if first is None else itertools.chain((first,), batches)
    return TableBatches(iter(rest), pa.schema([f for _, f in fields]), tuple(n for n, _ in fields), meta)


def rows_for(batch: pa.RecordBatch, schema: pa.Schema, meta: Mapping[str, str]) -> pa.RecordBatch:
    """A batch as a table of this schema holds it. meta: as TableBatches gave it when the table was made."""
    sources = {column: f"meta.{name}" for name, column in meta.items()}
    columns = [batch.column(sources.get(field.name, field.name)).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def where_clause(filter: Filter, schema: pa.Schema, meta: Mapping[str, str]) -> str:
    """The filter as a condition of LanceDB's SQL. A null passes none of its comparisons.

    Raises InvalidOptions for an unknown column or a value that does not compare with its type, exactly where
    Filter.mask does.
    """
    empty = {f"meta.{name}": pa.array([], schema.field(column).type) for name, column in meta.items()}
    filter.mask(pa.table(empty))
    return " AND ".join(_comparison(c, meta[c.field], schema.field(meta[c.field]).type) for c in filter.conditions)


def _comparison(condition: Condition, column: str, kind: pa.DataType) -> str:
    if isinstance(condition.value, tuple):
        return f"{column} IN ({', '.join(_literal(value, kind) for value in condition.value)})"
    sql = f"{column} {_OPERATORS[condition.operator]} {_literal(condition.value, kind)}"
    # DataFusion orders NaN above every number; Arrow and IEEE 754 compare it with none.
    return f"({sql} AND NOT isnan({column}))" if pa.types.is_floating(kind) else sql


def _literal(value: Any, kind: pa.DataType) -> str:
    value = pa.scalar(value, type=kind).as_py()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float) and not math.isfinite(value):
        return f"CAST('{value}' AS DOUBLE)"
    return str(value)
