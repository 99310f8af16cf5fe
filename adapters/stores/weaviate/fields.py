"""The `meta.*` columns as properties of a collection, and filters over them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import Comparison, Filter, InvalidOptions, NotComparable, comparable, shape_of
from adapters.stores._fields import Asked, MetaFields

_OPERATORS = {"gt": "greater_than", "gte": "greater_or_equal", "lt": "less_than", "lte": "less_or_equal"}
_TYPES = {"text": "text", "nothing": "text", "bool": "boolean", "int": "int", "time": "int", "number": "number"}
_GUARD = "\x01"  # no white space, and before every printable character: wrapped strings keep their order
_EXACT = 1 << 53  # numbers travel as 64-bit floats
_LONGEST_NAME = 230  # characters after the first; source: Weaviate's schema.PropertyNameRegex
_TIMES, _HELD = "_time", "_held"


def property_name(field: str, escaped: str = r"[^0-9A-Za-z]") -> str:
    """The property that holds `meta.<field>`; different fields, with an ending or not, never meet in one."""
    return "meta_" + re.sub(escaped, lambda found: f"_{ord(found[0]):x}_", field)


def property_names(fields: Iterable[str]) -> dict[str, str]:
    """The property of each field of a collection. The server takes `Row` for `row`, so that capitals are escaped where
    two fields differ in them alone."""
    plain = {field: property_name(field) for field in fields}
    times = Counter(name.lower() for name in plain.values())
    return {
        field: name if times[name.lower()] == 1 else property_name(field, r"[^0-9a-z]") for field, name in plain.items()
    }


def properties_of(fields: MetaFields, *, range_filters: bool) -> list[dict[str, Any]]:
    """Their part of the class: each field's values, its times where it has them, and whether it has a value at all,
    which the server's own `not equal` does not ask."""
    found = []
    names = property_names(fields.shapes)
    for field, shape in fields.shapes.items():
        name = names[field]
        found.append(_property(name, _TYPES[shape.kind], shape.many, range_filters=range_filters))
        if field in fields.dated:
            found.append(_property(name + _TIMES, "int", False, range_filters=range_filters))
        found.append(_property(name + _HELD, "boolean", False, range_filters=False))
    return found


def _property(name: str, kind: str, many: bool, *, range_filters: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "dataType": [kind + "[]" * many], "indexFilterable": True}
    if kind == "text":
        # `field` keeps the value whole and in its case; any other tokenization matches parts of it.
        entry |= {"tokenization": "field", "indexSearchable": False}
    elif kind in ("int", "number") and not many:
        entry["indexRangeFilters"] = range_filters
    return entry


def values_of(fields: MetaFields, batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """One dict of properties for each row; a null is left out, so that no filter passes it."""
    columns: dict[str, list[Any]] = {}
    names = property_names(fields.shapes)
    for field, values, times in fields.held(batch):
        name = names[field]
        told = values.to_pylist()
        columns[name] = [_sent_or_none(value, field) for value in told]
        columns[name + _HELD] = [None if value is None else True for value in told]
        if times is not None:
            columns[name + _TIMES] = [_sent_or_none(value, field) for value in times.to_pylist()]
    for i in range(batch.num_rows):
        yield {name: column[i] for name, column in columns.items() if column[i] is not None}


def conditions(filter: Filter, fields: MetaFields) -> list[tuple[str, str, Any]]:
    """The filter as conditions that must all hold: property, method of the client's filter, value. Raises
    InvalidOptions for an unknown column or a value of another type."""
    names = property_names(fields.shapes)
    return [condition for asked in fields.asked(filter) for condition in _conditions(names[asked.field], asked)]


def native_filter(filter: Filter, fields: MetaFields) -> Any:
    """The client's filter. Raises as `conditions` does."""
    from weaviate.classes.query import Filter as Native

    return Native.all_of(
        [getattr(Native.by_property(name), method)(value) for name, method, value in conditions(filter, fields)]
    )


def _conditions(name: str, asked: Asked) -> list[tuple[str, str, Any]]:
    field, comparison = asked.field, _finite(asked.comparison)
    of, held = name + _TIMES if comparison.as_time else name, (name + _HELD, "equal", True)
    values = [_sent(value, field) for value in comparison.values]
    match comparison.operator:
        case "in" if values:
            return [(of, "equal", values[0]) if len(values) == 1 else (of, "contains_any", values)]
        case "not_in" | "held":
            return [held, *((of, "not_equal", value) for value in values)]
        case "in" | "never":
            return [held, (name + _HELD, "equal", False)]
        case _:
            return [(of, _OPERATORS[comparison.operator], values[0])]


def _finite(comparison: Comparison) -> Comparison:
    """The comparison with no infinity in it: no value on the server is one."""
    infinite = [value for value in comparison.values if isinstance(value, float) and math.isinf(value)]
    if not infinite:
        return comparison
    if comparison.operator in ("in", "not_in"):
        return comparison._replace(values=tuple(value for value in comparison.values if value not in infinite))
    above = comparison.operator in ("gt", "gte")
    return Comparison("held" if above == (infinite[0] < 0) else "never")


def check_columns(columns: pa.Table) -> None:
    """Raise InvalidOptions for a column that the server cannot hold, with the cure."""
    for name in columns.column_names:
        field, column = name.removeprefix("meta."), columns.column(name)
        shape = shape_of(column.type)
        if shape is None:
            raise InvalidOptions(f"{name} holds {column.type}, which no filter compares.", key=f"filter.{field}")
        if len(property_name(field)) + len(_TIMES) > _LONGEST_NAME:
            raise InvalidOptions(f"the name {field} is too long for Weaviate. Rename it.", key=f"filter.{field}")
        try:
            values = comparable(column)
        except NotComparable as error:
            raise InvalidOptions(f"{name} {error}.", key=f"filter.{field}") from error
        if shape.kind in ("int", "time", "number"):
            for value in pc.unique(pc.list_flatten(values) if shape.many else values).to_pylist():
                _sent_or_none(value, field)
                if isinstance(value, float) and math.isinf(value):
                    raise InvalidOptions(
                        f"{name} holds infinity, which Weaviate refuses. Leave the value out (null).",
                        key=f"filter.{field}",
                    )


def _sent_or_none(value: Any, field: str) -> Any:
    """A value as it goes to the server, None for what is left out: a null, and a list without values."""
    if isinstance(value, list):
        return [_sent(item, field) for item in value] or None
    return None if value is None else _sent(value, field)


def _sent(value: Any, field: str) -> Any:
    if isinstance(value, str):
        # The server trims white space at both ends, of stored values and of filters alike.
        return f"{_GUARD}{value}{_GUARD}"
    if isinstance(value, int) and abs(value) > _EXACT:
        raise InvalidOptions(
            f"meta.{field} holds {value}, but numbers travel to Weaviate as 64-bit floats, exact up to 2^53. Make it a "
            "string column.",
            key=f"filter.{field}",
        )
    return value
