"""Defines how values of a `meta.*` column compare, the same for every engine. Each type becomes one of a few, and a
condition becomes a comparison with values of that type that no rounding can change."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Kind: TypeAlias = Literal["bool", "int", "number", "text", "time", "nothing"]
Scalar: TypeAlias = str | int | float | bool | date
Operator: TypeAlias = Literal["eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte"]
Ordering: TypeAlias = Literal["gt", "gte", "lt", "lte"]
ComparisonOperator: TypeAlias = Literal["in", "not_in", "gt", "gte", "lt", "lte", "held", "never"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d.*)?", re.DOTALL)
_INT64 = (-(2**63), 2**63 - 1)
_HELD_AS: dict[Kind, pa.DataType] = {
    "bool": pa.bool_(), "int": pa.int64(), "number": pa.float64(), "text": pa.string(), "time": pa.int64(),
    "nothing": pa.string(),
}  # fmt: skip


class NotComparable(Exception):
    """A column's values do not compare with what is asked; says why."""


class Shape(NamedTuple):
    """The kind of value that a column holds for filters. many: each row has a list of such values."""

    kind: Kind
    many: bool = False

    @property
    def held_as(self) -> pa.DataType:
        """The type of `comparable` columns of this shape. A time is its microseconds since 1970, in UTC."""
        kind = _HELD_AS[self.kind]
        return pa.list_(kind) if self.many else kind


class Comparison(NamedTuple):
    """A condition over a comparable column. values: of that column's type. as_time: a column of texts is read as dates.

    in, not_in: one of several values; for lists, whether they hold any of them. held: every value passes. A null passes
    nothing.
    """

    operator: ComparisonOperator
    values: tuple[Any, ...] = ()
    as_time: bool = False


def shape_of(kind: pa.DataType) -> Shape | None:
    """The shape of a column of this Arrow type; None for types that no filter compares."""
    if pa.types.is_dictionary(kind):
        return shape_of(kind.value_type)
    if _is_list(kind):
        inner = shape_of(kind.value_type)
        return None if inner is None or inner.many else Shape(inner.kind, True)
    if pa.types.is_null(kind):
        return Shape("nothing")
    if pa.types.is_boolean(kind):
        return Shape("bool")
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0 and kind.precision <= 18):
        return Shape("int")
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Shape("number")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return Shape("text")
    return Shape("time") if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else None


def comparable(column: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in the form that filters compare and engines hold: of the type that belongs to its shape.

    NaN becomes null, -0.0 becomes 0.0, and the nulls within a list are left out: engines disagree about these. A time
    without a zone is taken as UTC, a date as its first moment. Raises NotComparable.
    """
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    shape = shape_of(column.type)
    if shape is None:
        raise NotComparable(f"holds {column.type}, which no filter compares")
    chunks = [_list_chunk(chunk, shape) if shape.many else _chunk(chunk, shape.kind) for chunk in column.chunks]
    return pa.chunked_array(chunks, shape.held_as)


def all_times(values: Iterable[str | None]) -> bool:
    """Whether every text is a date, nulls aside."""
    try:
        return all(value is None or _time_in_column(value) is not None for value in values)
    except NotComparable:
        return False


def times_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of texts as times, int64. Raises NotComparable for a text that is no ISO date, or date and time."""
    chunks = [pa.array(map(_time_in_column, chunk.to_pylist()), pa.int64()) for chunk in column.chunks]
    return pa.chunked_array(chunks, pa.int64())


def comparison_for(operator: Operator, value: Any, kind: pa.DataType) -> Comparison:
    """The comparison for a condition over a column of this Arrow type. value: a tuple for in and not_in. Raises
    NotComparable."""
    values: tuple[Scalar, ...] = value if isinstance(value, tuple) else (value,)
    shape = shape_of(kind)
    if shape is None:
        raise NotComparable(f"holds {kind}, which no filter compares")
    if shape.kind == "nothing":
        return Comparison("never")
    if shape.many and operator in _ORDERED:
        raise NotComparable(f"holds lists, which have no order: use eq, ne, in or not_in, not {operator}")
    as_time = shape.kind == "text" and all(isinstance(item, date) for item in values)
    if as_time and shape.many:
        raise NotComparable("holds lists of texts. Write the date in quotes to find that text among them")
    for item in values:
        if not _compares(item, "time" if as_time else shape.kind):
            raise NotComparable(f"holds {kind}, which does not compare with {shown(item)}. {_CURES[shape.kind]}")
    if as_time or shape.kind == "time":
        values = tuple(microseconds(item) for item in values if isinstance(item, str | date))
    if operator == "in" or operator == "eq" or operator == "not_in" or operator == "ne":
        exact = [found for item in values if (found := _exactly(item, shape.kind)) is not None]
        return Comparison("in" if operator in ("in", "eq") else "not_in", tuple(exact), as_time)
    if shape.kind == "bool":  # a list of values, because not every engine can order booleans
        return Comparison("in", tuple(each for each in (False, True) if _ORDERED[operator](each, values[0])))
    if shape.kind in ("int", "number"):
        return _bounded(operator, values[0], shape.kind)
    return Comparison(operator, values, as_time)


def passed(asked: Comparison, column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Which rows of a comparable column pass: bool (rows,). Raises NotComparable for texts that are no dates."""
    if asked.as_time:
        column = times_of(column)
    held = _flags(pc.is_valid(column))
    if asked.operator == "never":
        return np.zeros(len(column), np.bool_)
    if asked.operator == "held":
        return held
    many = pa.types.is_list(column.type)
    kind = column.type.value_type if many else column.type
    if asked.operator in ("in", "not_in"):
        among = pa.array(asked.values, kind)
        found = _any_of(column, among) if many else _flags(pc.is_in(column, value_set=among))
        return found & held if asked.operator == "in" else held & ~found
    return _flags(pc.fill_null(_COLUMNS_ORDERED[asked.operator](column, pa.scalar(asked.values[0], kind)), False))


def date_in(text: str) -> date:
    """The date, or date and time, that an ISO text says. Raises ValueError."""
    if not (found := _ISO.fullmatch(text)):
        raise ValueError(f"{text!r} is no ISO date")
    return datetime.fromisoformat(text) if found[1] else date.fromisoformat(text)


def microseconds(value: str | date) -> int:
    """A date, date and time, or their ISO text, as microseconds since 1970 in UTC. Raises ValueError."""
    if isinstance(value, str):
        value = date_in(value)
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    return (moment - _EPOCH) // _MICROSECOND


def shown(value: Any) -> str:
    """A value as messages quote it."""
    return f"the date {value.isoformat()}" if isinstance(value, date) else repr(value)


_CURES: dict[Kind, str] = {
    "bool": "Write true or false", "int": "Write a number, without quotes", "number": "Write a number, without quotes",
    "text": "Write it in quotes to compare it as text", "time": "Write a date, such as 2024-11-01",
}  # fmt: skip
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b, "gte": lambda a, b: a >= b, "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b,
}  # fmt: skip
_COLUMNS_ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "gt": pc.greater, "gte": pc.greater_equal, "lt": pc.less, "lte": pc.less_equal,
}  # fmt: skip


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _compares(value: Scalar, kind: Kind) -> bool:
    if kind == "time":
        if not isinstance(value, str | date):
            return False
        try:
            microseconds(value)
        except ValueError:  # another text
            return False
        return True
    if kind == "bool" or isinstance(value, bool):
        return kind == "bool" and isinstance(value, bool)
    return isinstance(value, str) if kind == "text" else isinstance(value, int | float)


def _exactly(value: Any, kind: Kind) -> Any:
    """The value as one of the column's type; None where no such value equals it."""
    if kind == "int":
        return int(value) if math.isfinite(value) and value == int(value) and _INT64[0] <= value <= _INT64[1] else None
    if kind != "number":
        return value
    return _float(value) + 0.0 if _float(value) == value else None


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _bounded(operator: Ordering, value: Any, kind: Literal["int", "number"]) -> Comparison:
    """A comparison with a number. It is exact even where the column's type cannot hold that number."""
    up = operator in ("gt", "gte")
    if (own := _exactly(value, kind)) is not None:
        return Comparison(operator, (own,))
    if kind == "int":
        if value in (math.inf, -math.inf) or not _INT64[0] <= value <= _INT64[1]:
            return Comparison("held" if (value < 0) == up else "never")
        return Comparison("gt", (math.floor(value),)) if up else Comparison("lt", (math.ceil(value),))
    # No float lies between a whole number and the float nearest to it.
    near = _float(value)
    if near > value:
        return Comparison("gte" if up else "lt", (near,))
    return Comparison("gt" if up else "lte", (near,))


def _chunk(chunk: pa.Array, kind: Kind) -> pa.Array:
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    if kind == "number":
        if pa.types.is_decimal(chunk.type):
            chunk = chunk.cast(pa.string())  # read as text it is the nearest float; Arrow's own cast may miss that
        numbers = chunk.cast(pa.float64())
        return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), pc.add(numbers, 0.0))
    if kind == "time":
        unit = pa.timestamp("us", chunk.type.tz if pa.types.is_timestamp(chunk.type) else None)
        try:
            return chunk.cast(unit, safe=False).cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise NotComparable("holds times that lie too far away to compare") from error
    try:
        return chunk.cast(_HELD_AS[kind])
    except pa.ArrowInvalid as error:
        raise NotComparable(f"holds {chunk.type} beyond 64 bits. Make it a string column") from error


def _list_chunk(chunk: pa.Array, shape: Shape) -> pa.Array:
    values, parents = _chunk(pc.list_flatten(chunk), shape.kind), pc.list_parent_indices(chunk)
    kept = pc.is_valid(values)
    lengths = np.bincount(parents.filter(kept).to_numpy(zero_copy_only=False), minlength=len(chunk))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, values.filter(kept), mask=pc.is_null(chunk))


def _any_of(column: pa.ChunkedArray, among: pa.Array) -> npt.NDArray[np.bool_]:
    parts = []
    for chunk in column.chunks:
        found = np.zeros(len(chunk), np.bool_)
        hits = pc.is_in(pc.list_flatten(chunk), value_set=among)
        found[pc.list_parent_indices(chunk).filter(hits).to_numpy(zero_copy_only=False)] = True
        parts.append(found)
    return np.concatenate(parts) if parts else np.zeros(0, np.bool_)


def _flags(column: Any) -> npt.NDArray[np.bool_]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)  # of no rows Arrow makes floats


def _time_in_column(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return microseconds(value)
    except ValueError:
        raise NotComparable(f"holds {value!r}, which is no date; write the date in quotes to compare texts") from None
