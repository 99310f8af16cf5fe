"""Checks the fields of a collection's rows: ids, texts and grades."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from adapters.base import DatasetInvalid, listed
from adapters.base.records import kind_of, number_of, required_text

_INT32 = (-(2**31), 2**31 - 1)


def identifier(row: Mapping[str, Any], key: str, where: str) -> str:
    """The id under `key`; whole numbers are taken as their digits. `where` is file:line."""
    value = row.get(key)
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if key not in row:
        raise DatasetInvalid(where, f'has no "{key}". It has: {listed(row, [key])}.')
    if value == "":
        raise DatasetInvalid(where, f'"{key}" is empty. Give every row an id.')
    raise DatasetInvalid(where, f'"{key}" must be a string, got {kind_of(value)}.')


def optional_text(row: Mapping[str, Any], key: str, where: str) -> str | None:
    """The string under `key`, None where it is absent or null."""
    return None if row.get(key) is None else required_text(row, key, where)


def whole_grade(value: Any, where: str) -> int:
    """A relevance grade from a cell's text or a JSON value: 1, "1", "-1", "2.0"; fractions are faults."""
    number = number_of(value)
    if not math.isfinite(number):
        raise DatasetInvalid(where, f"the grade must be a whole number, got {kind_of(value)}.")
    if number != int(number):
        raise DatasetInvalid(where, f"the grade must be a whole number, got the fraction {number}. Round it yourself.")
    if not _INT32[0] <= number <= _INT32[1]:
        raise DatasetInvalid(where, f"the grade {int(number)} does not fit 32 bits.")
    return int(number)


def is_whole(cell: str) -> bool:
    """Whether a cell holds a whole number."""
    number = number_of(cell)
    return math.isfinite(number) and number == int(number)
