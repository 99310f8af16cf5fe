"""Arrow columns of any origin brought to the types that a collection's tables have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import DatasetInvalid, listed, shape_of


def column_of(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    """A column by name. Raises DatasetInvalid that lists what is there."""
    if name not in table.column_names:
        raise DatasetInvalid(where, f'has no column "{name}". It has: {listed(table.column_names, [name])}.')
    return table.column(name)


def as_text(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Strings; an all-null column is one of strings."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_text(column.cast(kind.value_type), where)
    if kind == pa.string():
        return column
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    raise DatasetInvalid(where, f"must hold strings, got {kind}.")


def as_ids(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Strings without nulls; whole numbers are taken as their digits."""
    ids = column.cast(pa.string()) if pa.types.is_integer(column.type) else as_text(column, where)
    bad = pc.fill_null(pc.equal(ids, ""), True)
    if first := pc.index(bad, True).as_py() + 1:
        raise DatasetInvalid(f"{where}, row {first}", "the id is empty. Give every row an id.")
    return ids


def as_vectors(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Fixed-size lists of float32, in one piece."""
    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    number = lists and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))
    if not number:
        raise DatasetInvalid(where, f"must hold lists of numbers, got {kind}.")
    if column.null_count:
        raise DatasetInvalid(f"{where}, row {pc.index(pc.is_null(column), True).as_py() + 1}", "has no vector.")
    lengths = pc.list_value_length(column).to_numpy()
    if not len(lengths):
        raise DatasetInvalid(where, "there are no vectors.")
    width = int(lengths[0])
    if width == 0 or (lengths != width).any():
        row = int(np.flatnonzero(lengths != width)[0]) + 1 if width else 1
        raise DatasetInvalid(f"{where}, row {row}", f"has {lengths[row - 1]} numbers, the first row has {width}.")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is a fault of the whole
        parts = [np.asarray(chunk.flatten().to_numpy(zero_copy_only=False), np.float32) for chunk in column.chunks]
    return pa.chunked_array([matrix_column(np.concatenate(parts) if len(parts) > 1 else parts[0], width)])


def matrix_column(values: np.ndarray[Any, Any], width: int) -> pa.FixedSizeListArray:
    """A column of vectors over the memory of a float32 array."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)


def as_meta(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One type per field: numbers, booleans, strings, dates and lists keep theirs, all else becomes its text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_meta(column.cast(kind.value_type))
    if pa.types.is_boolean(kind) or kind == pa.string():
        return column
    if pa.types.is_integer(kind):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:  # beyond what an engine's whole numbers hold
            return column.cast(pa.string())
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    if pa.types.is_decimal(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return column
    if (shape := shape_of(kind)) is not None and shape.many and shape.kind in ("bool", "int", "number", "text"):
        with suppress(pa.ArrowInvalid):  # whole numbers beyond 64 bits become text below
            return column.cast(shape.held_as)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.chunked_array([_texts(chunk) for chunk in column.chunks], pa.string())
    return column.cast(pa.string())


def meta_columns(table: pa.Table, without: Iterable[str], where: str) -> dict[str, pa.ChunkedArray]:
    """Every other column as meta.<name>. Raises DatasetInvalid for values that cannot be read."""
    known = set(without)
    columns = {}
    for name in table.column_names:
        if name not in known:
            try:
                columns[f"meta.{name}"] = as_meta(table.column(name))
            # Dates that Python's calendar does not have, bytes that are no text.
            except (pa.ArrowException, OverflowError, ValueError) as error:
                raise DatasetInvalid(
                    f"{where}, column {name}", f"holds values that cannot be read: {error}."
                ) from error
    return columns


def named(table: pa.Table, candidates: Sequence[str], where: str) -> str:
    """The first of these column names that the table has."""
    for name in candidates:
        if name in table.column_names:
            return name
    raise DatasetInvalid(
        where, f"has no column named {' or '.join(candidates)}. It has: {listed(table.column_names, candidates)}."
    )


def _texts(chunk: pa.Array) -> pa.Array:
    return pa.array(
        [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in chunk.to_pylist()],
        pa.string(),
    )
