"""Filters over `meta.*` columns: the one type that every store translates and the oracle applies itself."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base.code import Value
from adapters.base.errors import InvalidOptions
from adapters.base.wording import listed
from adapters.code.comparing import (
    Comparison,
    NotComparable,
    Operator,
    Scalar,
    comparable,
    comparison_for,
    date_in,
    passed,
    shown,
)

_SEVERAL = ("in", "not_in")
_DATE = "date"  # the key under which `as_dict` writes a date, so that it is not read back as a text


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of the column `meta.<field>`; value is a tuple for `in` and `not_in`.

    A null passes none, not even `ne`; nor does NaN. A list equals what it contains: `eq` and `in` pass a row whose list
    holds the value or one of them, `ne` and `not_in` one whose list holds none. A date without a time stands for its
    first moment, a time without a zone is UTC.
    """

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]

    def over(self, kind: pa.DataType) -> Comparison:
        """The comparison for a column of this Arrow type, once the column is `comparable`. Raises InvalidOptions."""
        try:
            return comparison_for(self.operator, self.value, kind)
        except NotComparable as error:
            raise self.refused(error) from error

    def mask(self, column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Which values of the column pass: bool (rows,). Raises InvalidOptions."""
        try:
            return passed(comparison_for(self.operator, self.value, column.type), comparable(column))
        except NotComparable as error:
            raise self.refused(error) from error

    def refused(self, cause: Exception | str) -> InvalidOptions:
        """The error for a column that does not compare with the value."""
        return InvalidOptions(f"meta.{self.field} {cause}.", key=f"filter.{self.field}")


@dataclass(frozen=True, slots=True)
class Filter:
    """An implicit *and* of conditions, as `filter: {lang: en, year: {gte: 2020}}` writes it."""

    conditions: tuple[Condition, ...]

    @staticmethod
    def parse(spec: Mapping[Any, Any]) -> Filter:
        """Read the config's form: a value is equality, a list is `in`, a mapping names operators."""
        conditions: list[Condition] = []
        for field, value in spec.items():
            if not isinstance(field, str | int) or isinstance(field, bool):
                raise InvalidOptions(f"The name {field!r} is no text. Write it in quotes.", key="filter")
            if isinstance(value, Mapping) and set(value) != {_DATE}:
                for name, operand in value.items():
                    conditions.append(_condition(str(field), name, operand))
            else:
                several = isinstance(value, list | tuple)
                conditions.append(_condition(str(field), "in" if several else "eq", value))
        if not conditions:
            raise InvalidOptions("The filter is empty. Leave the key out to search everything.", key="filter")
        return Filter(tuple(sorted(conditions, key=operator.attrgetter("field", "operator"))))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it asks for, each once, sorted."""
        return tuple(sorted({condition.field for condition in self.conditions}))

    def as_dict(self) -> dict[str, Any]:
        """The form `parse` reads, normalised, of JSON's types."""
        spec: dict[str, dict[str, Any]] = {}
        for c in self.conditions:
            plain = [_plain(value) for value in c.value] if isinstance(c.value, tuple) else _plain(c.value)
            spec.setdefault(c.field, {})[c.operator] = plain
        return spec

    def mask(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Which rows of a corpus table pass: bool (rows,). Raises InvalidOptions for an unknown column, and for one
        whose values do not compare with what is asked."""
        result = np.ones(table.num_rows, dtype=np.bool_)
        for condition in self.conditions:
            result &= condition.mask(table.column(column_of(condition, table.column_names)))
        return result

    def compiled(self, table: pa.Table) -> list[dict[str, Value]]:
        """The conditions as `adapters.code.filtering` takes them for a table of these columns. Raises
        InvalidOptions as `mask` does."""
        found: list[dict[str, Value]] = []
        for condition in self.conditions:
            name = column_of(condition, table.column_names)
            asked = condition.over(table.column(name).type)
            values: list[Value] = list(asked.values)
            found.append({"column": name, "operator": asked.operator, "values": values, "as_time": asked.as_time})
        return found


def column_of(condition: Condition, names: list[str]) -> str:
    """The column that a condition is about. Raises InvalidOptions where it is not among the names."""
    name = f"meta.{condition.field}"
    if name not in names:
        have = [n.removeprefix("meta.") for n in names if n.startswith("meta.")]
        plain = condition.field.removeprefix("meta.")
        near = next((n for n in have if n == plain), None) or next(
            (n for n in have if n.lower() == plain.lower()), None
        )
        cure = f"Did you mean {near}?" if near else f"It has: {listed(have, [plain]) if have else 'no meta columns'}."
        raise InvalidOptions(f"The corpus has no column {name}. {cure}", key=f"filter.{condition.field}")
    return name


def _plain(value: Scalar) -> Any:
    return {_DATE: value.isoformat()} if isinstance(value, date) else value


def _condition(field: str, name: Any, value: Any) -> Condition:
    key = f"filter.{field}"
    if name not in get_args(Operator):
        raise InvalidOptions(f"Unknown filter operator {name!r}. Known: {', '.join(get_args(Operator))}.", key=key)
    if name in _SEVERAL:
        if not isinstance(value, list | tuple) or not value:
            raise InvalidOptions(f"`{name}` takes a list with at least one value.", key=key)
        return Condition(field, name, tuple(_scalar(item, name, key) for item in value))
    return Condition(field, name, _scalar(value, name, key))


def _scalar(value: Any, name: str, key: str) -> Scalar:
    if isinstance(value, Mapping) and set(value) == {_DATE}:
        try:
            return date_in(str(value[_DATE]))
        except ValueError:
            raise InvalidOptions(f"{value[_DATE]!r} is no date. Write 2024-11-01.", key=key) from None
    if value is None:
        raise InvalidOptions(f"`{name}` takes a value: a null passes no condition.", key=key)
    if not isinstance(value, str | int | float | bool | date):
        one = "values" if name in _SEVERAL else "one value"
        raise InvalidOptions(f"`{name}` takes {one}, not {shown(value)}.", key=key)
    if isinstance(value, float) and math.isnan(value):
        raise InvalidOptions(f"`{name}` takes a number, and NaN is none: nothing compares with it.", key=key)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidOptions(f"{value!r} holds half of a character.", key=key) from None
    return value
