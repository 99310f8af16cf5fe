"""Prepares `meta.*` columns for an engine that filters by itself: they get one of a few types, texts that are dates are
also stored as numbers, and a filter becomes comparisons over these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa

from adapters.base import (
    Comparison,
    Filter,
    InvalidOptions,
    NotComparable,
    Shape,
    all_times,
    column_of,
    comparable,
    shape_of,
    times_of,
)


def text_column(batch: pa.RecordBatch) -> str | None:
    """The column of a batch whose texts an engine keeps: those that it searches in are those that it returns."""
    return next((name for name in ("text", "payload") if name in batch.schema.names), None)


class Held(NamedTuple):
    """One field's values of a batch, of the type that its shape says. times: of a text that is a date; else None."""

    field: str
    values: pa.ChunkedArray
    times: pa.ChunkedArray | None


class Asked(NamedTuple):
    """One comparison of a filter. With `as_time` it compares the field's times."""

    field: str
    shape: Shape
    comparison: Comparison


class MetaFields:
    """The columns that an index holds. schema: their schema in the corpus. dated: fields of texts in which every value
    so far was a date; those that were dated in the first batch have times."""

    def __init__(self, schema: pa.Schema, dated: Mapping[str, bool]) -> None:
        self.schema = schema
        self.dated = dict(dated)

    @staticmethod
    def of(first: pa.RecordBatch | None) -> MetaFields:
        """The columns of the first batch that a filter can ask for."""
        if first is None:
            return MetaFields(pa.schema([]), {})
        kept = [f for f in first.schema if f.name.startswith("meta.") and shape_of(f.type) is not None]
        texts = [f.name for f in kept if shape_of(f.type) == Shape("text")]
        dated = {name.removeprefix("meta."): True for name in texts if all_times(first.column(name).to_pylist())}
        return MetaFields(pa.schema([pa.field(f.name, f.type) for f in kept]), dated)

    @staticmethod
    def load(text: str | None) -> MetaFields:
        """Reads what `dump` wrote. There are no columns where nothing was written, as in an index of an earlier
        version."""
        if text is None:
            return MetaFields.of(None)
        schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(text)))
        dated = {key.decode(): value == b"1" for key, value in (schema.metadata or {}).items()}
        return MetaFields(schema.remove_metadata(), dated)

    def dump(self) -> str:
        """The columns with their types, for JSON."""
        marks = {field: str(int(dated)) for field, dated in self.dated.items()}
        return bytes(self.schema.with_metadata(marks).serialize()).hex()

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of each field, in the corpus's order."""
        found = {column.name.removeprefix("meta."): shape_of(column.type) for column in self.schema}
        return {field: shape for field, shape in found.items() if shape is not None}

    def held(self, batch: pa.RecordBatch) -> Iterator[Held]:
        """The batch's values, and times where the field has them. A text that is no date makes its field undated.

        Raises InvalidOptions for a value that no filter compares.
        """
        for field in self.shapes:
            try:
                values = comparable(batch.column(f"meta.{field}"))
            except NotComparable as error:
                raise InvalidOptions(f"meta.{field} {error}.", key=f"filter.{field}") from error
            times = None
            if field in self.dated:
                self.dated[field] = self.dated[field] and all_times(values.to_pylist())
                times = times_of(values) if self.dated[field] else pa.chunked_array([pa.nulls(len(values), pa.int64())])
            yield Held(field, values, times)

    def asked(self, filter: Filter) -> list[Asked]:
        """The filter's comparisons. Raises InvalidOptions as `Filter.mask` does."""
        found = []
        for condition in filter.conditions:
            column = self.schema.field(column_of(condition, self.schema.names))
            comparison = condition.over(column.type)
            if comparison.as_time and not self.dated.get(condition.field):
                raise condition.refused("holds texts that are no dates. Write the date in quotes to compare texts")
            found.append(Asked(condition.field, self.shapes[condition.field], comparison))
        return found
