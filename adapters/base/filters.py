"""Filters over `meta.*` columns: the one type that every store translates and the oracle applies itself."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .errors import InvalidOptions

Operator: TypeAlias = Literal["eq", "in", "gt", "gte", "lt", "lte"]
Scalar: TypeAlias = str | int | float | bool

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": pc.equal, "gt": pc.greater, "gte": pc.greater_equal, "lt": pc.less, "lte": pc.less_equal,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of the column `meta.<field>`; value is a tuple for `in`. A null never passes."""

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """An implicit *and* of conditions, as `filter: {lang: en, year: {gte: 2020}}` writes it."""

    conditions: tuple[Condition, ...]

    @staticmethod
    def parse(spec: Mapping[str, Any]) -> Filter:
        """Read the config's form: a value is equality, a list is `in`, a mapping names operators."""
        conditions: list[Condition] = []
        for field, value in spec.items():
            if isinstance(value, Mapping):
                for name, operand in value.items():
                    conditions.append(_condition(field, name, operand))
            else:
                conditions.append(_condition(field, "in" if isinstance(value, list | tuple) else "eq", value))
        if not conditions:
            raise InvalidOptions("The filter is empty. Leave the key out to search everything.", key="filter")
        return Filter(tuple(sorted(conditions, key=operator.attrgetter("field", "operator"))))

    def as_dict(self) -> dict[str, Any]:
        """The form `parse` reads, normalised."""
        spec: dict[str, dict[str, Any]] = {}
        for c in self.conditions:
            spec.setdefault(c.field, {})[c.operator] = list(c.value) if isinstance(c.value, tuple) else c.value
        return spec

    def mask(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Which rows of a corpus table pass: bool (rows,). Raises InvalidOptions for an unknown column."""
        passed = np.ones(table.num_rows, dtype=np.bool_)
        for c in self.conditions:
            name = f"meta.{c.field}"
            if name not in table.column_names:
                have = ", ".join(n.removeprefix("meta.") for n in table.column_names if n.startswith("meta."))
                raise InvalidOptions(
                    f"The corpus has no column {name}. It has: {have or 'no meta columns'}.",
                    key=f"filter.{c.field}",
                )
            column = table.column(name)
            if pa.types.is_integer(column.type) and _has_fraction(c.value):
                column = column.cast(pa.float64())  # 2000.5 as an integer would pass 2000
            try:
                if c.operator == "in":
                    result = pc.is_in(column, value_set=pa.array(c.value, type=column.type))
                else:
                    result = _COMPARE[c.operator](column, pa.scalar(c.value, type=column.type))
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
                raise InvalidOptions(
                    f"{name} holds {column.type}, which does not compare with {c.value!r}.",
                    key=f"filter.{c.field}",
                ) from error
            passed &= pc.fill_null(result, False).to_numpy(zero_copy_only=False).astype(np.bool_)
        return passed


def _has_fraction(value: Scalar | tuple[Scalar, ...]) -> bool:
    return any(isinstance(item, float) for item in (value if isinstance(value, tuple) else (value,)))


def _condition(field: str, name: str, value: Any) -> Condition:
    if name not in get_args(Operator):
        raise InvalidOptions(
            f"Unknown filter operator {name!r}. Known: {', '.join(get_args(Operator))}.",
            key=f"filter.{field}",
        )
    if name == "in":
        if not isinstance(value, list | tuple) or not value:
            raise InvalidOptions("`in` takes a list with at least one value.", key=f"filter.{field}")
        value = tuple(value)
    elif not isinstance(value, str | int | float | bool):
        raise InvalidOptions(f"`{name}` takes one value, not {value!r}.", key=f"filter.{field}")
    return Condition(field, name, value)  # type: ignore[arg-type]
