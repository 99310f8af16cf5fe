"""The contents of a LanceDB table: its columns, written batch by batch, and filters in its SQL."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from adapters.base import Comparison, Filter, Shape
from adapters.stores._fields import MetaFields, text_column

_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LEAST = -(2**63)


@dataclass
class TableBatches:
    """Batches on their way into a table of this schema. failure: what the batches raised, if they did."""

    batches: Iterator[pa.RecordBatch]
    schema: pa.Schema
    fields: MetaFields
    failure: BaseException | None = None

    def reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.schema, self._converted())

    def _converted(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.batches:
                yield rows_for(batch, self.schema, self.fields)
        except BaseException as error:
            self.failure = error
            raise


def batches_for(batches: Iterator[pa.RecordBatch], dimension: int | None) -> TableBatches:
    """Make the corpus's batches ready to be written; the first one decides the columns: row, vector where there is
    one, text where they hold it to search in or to return, and those of `meta.<name>`, under names that SQL takes."""
    first = next(batches, None)
    columns = [pa.field("row", pa.int32())]
    if dimension is not None:
        # An explicit type: LanceDB would guess from the column's name whether a list is a vector.
        columns.append(pa.field("vector", pa.list_(pa.float32(), dimension)))
    if first is not None and text_column(first) is not None:
        columns.append(pa.field("text", pa.string()))
    fields = MetaFields.of(first)
    for number, (field, shape) in enumerate(fields.shapes.items()):
        columns.append(pa.field(_values(number), shape.held_as))
        if field in fields.dated:
            columns.append(pa.field(_times(number), pa.int64()))
    rest = () if first is None else itertools.chain((first,), batches)
    return TableBatches(iter(rest), pa.schema(columns), fields)


def rows_for(batch: pa.RecordBatch, schema: pa.Schema, fields: MetaFields) -> pa.RecordBatch:
    """A batch as a table of this schema holds it. fields: as TableBatches had them when the table was made."""
    columns: dict[str, Any] = {}
    for number, held in enumerate(fields.held(batch)):
        columns[_values(number)] = held.values.combine_chunks()
        if held.times is not None:
            columns[_times(number)] = held.times.combine_chunks()
    if (text := text_column(batch)) is not None:
        columns["text"] = batch.column(text)
    arrays = [columns[f.name] if f.name in columns else batch.column(f.name).cast(f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def where_clause(filter: Filter, fields: MetaFields) -> str:
    """The filter as a condition of LanceDB's SQL. A null passes none of its comparisons.

    Raises InvalidOptions for an unknown column or a value that does not compare with its type, exactly where
    Filter.mask does.
    """
    numbers = {field: number for number, field in enumerate(fields.shapes)}
    parts = []
    for field, shape, asked in fields.asked(filter):
        column = _times(numbers[field]) if asked.as_time else _values(numbers[field])
        parts.append(_comparison(column, shape, asked))
    return " AND ".join(parts)


def _values(number: int) -> str:
    return f"m{number}"


def _times(number: int) -> str:
    return f"t{number}"


def _comparison(column: str, shape: Shape, asked: Comparison) -> str:
    values = list(map(_literal, asked.values))
    negated = "NOT " if asked.operator == "not_in" else ""
    if asked.operator == "held" or (asked.operator == "not_in" and not values):
        return f"{column} IS NOT NULL"
    if asked.operator == "never" or not values:
        return "FALSE"
    if asked.operator not in ("in", "not_in"):
        return f"{column} {_OPERATORS[asked.operator]} {values[0]}"
    if shape.many:
        return f"{negated}({' OR '.join(f'array_has({column}, {value})' for value in values)})"
    if len(values) == 1:
        return f"{column} {'<>' if negated else '='} {values[0]}"
    return f"{column} {negated}IN ({', '.join(values)})"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float):
        # Written as a text, which is read to the last bit; a literal with many digits might be taken for a decimal.
        return f"CAST('{value if math.isfinite(value) else ('inf' if value > 0 else '-inf')}' AS DOUBLE)"
    return f"CAST('{value}' AS BIGINT)" if value == _LEAST else str(value)
