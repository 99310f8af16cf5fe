"""A corpus with every type of column that filters ask, conditions over it, and what passes, told by plain Python."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.base import Floats

TEXTS = ["en", "it's", None, "日本", 'a "b"', "back\\slash", "", "%", " pad ", "NULL", "en'; --", "😀"]
DATES = ["2024-11-01", "2024-10-31T23:30:00Z", "2024-11-01T00:30:00+02:00", None, "1960-02-29", "2024-11-01 12:00:00.5"]
BIG = 2**53
INTS = [0, -1, BIG + 1, BIG - 1, None, 2**63 - 1, -(2**63), 7, BIG]
NUMBERS = [0.0, -0.0, 0.1, None, float("nan"), float(BIG), -1e300, 5e-324, math.inf, 2.5]
MOMENTS = [datetime(2024, 11, 1), datetime(2024, 11, 1, 0, 0, 0, 1), None, datetime(1960, 1, 1), datetime(2250, 1, 1)]
LISTS: list[list[str | None] | None] = [["a"], [], None, ["b", "it's"], ["a", "b"], ["日本", None], ["A"], ["\\", "'"]]


def cycled(values: list[Any], count: int, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array(list(itertools.islice(itertools.cycle(values), count)), kind)


def columns(count: int, *, exact_numbers: bool = True) -> dict[str, pa.Array]:
    """meta.<name> of each type. exact_numbers: also whole numbers that no 64-bit float holds, and infinity."""
    ints = INTS if exact_numbers else [v for v in INTS if v is None or abs(v) <= BIG]
    numbers = NUMBERS if exact_numbers else [v for v in NUMBERS if v is None or not math.isinf(v)]
    return {
        "meta.text": cycled(TEXTS, count, pa.string()),
        "meta.iso": cycled(DATES, count, pa.string()),
        "meta.int": cycled(ints, count, pa.int64()),
        "meta.number": cycled(numbers, count, pa.float64()),
        "meta.price": cycled([Decimal("19.99"), None, Decimal("0.10"), Decimal("-3.00")], count, pa.decimal128(9, 2)),
        "meta.good": cycled([True, False, None], count, pa.bool_()),
        "meta.day": cycled([date(2024, 11, 1), date(1999, 12, 31), None], count, pa.date32()),
        "meta.moment": cycled(MOMENTS, count, pa.timestamp("us")),
        "meta.zoned": cycled(MOMENTS, count, pa.timestamp("us", "UTC")),
        "meta.tags": cycled(LISTS, count, pa.list_(pa.string())),
        "meta.years": cycled([[1999, 2024], [], None, [7], [2024]], count, pa.list_(pa.int64())),
        "meta.ratings": cycled([[0.5, -0.0], [], None, [0.1]], count, pa.list_(pa.float64())),
        "meta.flags": cycled([[True], [False, True], None, [], [False]], count, pa.list_(pa.bool_())),
        "meta.none": pa.nulls(count),
        # A name that differs from another in capitals alone, and names that engines have columns of.
        "meta.Good": cycled([False, True], count, pa.bool_()),
        "meta.row": cycled([3, 1, 2], count, pa.int64()),
        "meta.id": cycled(["x", "y"], count, pa.string()),
        "meta.vector": cycled(["v", "w", None], count, pa.string()),
        "meta._additional": cycled([1, 2], count, pa.int64()),
    }


PLUS_TWO = timezone(timedelta(hours=2))
ASKED: dict[str, list[Any]] = {
    "text": [*(text for text in TEXTS if text is not None), "nowhere"],
    "iso": [date(2024, 11, 1), datetime(2024, 11, 1, 1, 30, tzinfo=PLUS_TWO), date(1960, 2, 29)],
    "int": [0, 7, BIG, BIG + 1, 2**63 - 1, -(2**63), 2**70, -(2**70), 6.5, 7.0, math.inf, -math.inf, float(BIG)],
    "number": [0, 0.0, -0.0, 0.1, BIG + 1, 2.5, 5e-324, math.inf, -math.inf, 10**400, -(10**400)],
    "price": [19.99, 0.1, -3, 20],
    "good": [True, False],
    "day": [date(2024, 11, 1), "2024-11-01", datetime(2024, 11, 1, 0, 1), date(1999, 12, 31)],
    "moment": [date(2024, 11, 1), datetime(2024, 11, 1, 2, tzinfo=PLUS_TWO), "2024-11-01T00:00:00.000001"],
    "zoned": [date(2024, 11, 1), datetime(2024, 11, 1, 2, tzinfo=PLUS_TWO), date(2250, 1, 1)],
    "tags": ["a", "b", "it's", "日本", "A", "\\", "'", "nowhere"],
    "years": [1999, 2024, 7, 7.5, 2024.0],
    "ratings": [0.5, 0, 0.1],
    "flags": [True, False],
    "none": ["a", 1],
    "Good": [True, False],
    "row": [2],
    "id": ["y"],
    "vector": ["w"],
    "_additional": [2],
}
LISTED = ("tags", "years", "ratings", "flags")


def conditions(*, exact_numbers: bool = True) -> Iterator[dict[str, Any]]:
    """Filters of one field over each operator, and some of two fields. exact_numbers: as in `columns`."""
    for field, values in ASKED.items():
        if field == "int" and not exact_numbers:
            values = [value for value in values if abs(value) <= BIG or math.isinf(value)]
        for value in values:
            yield {field: {"eq": value}}
            yield {field: {"ne": value}}
            if field not in LISTED:
                yield from ({field: {name: value}} for name in ("gt", "gte", "lt", "lte"))
        yield {field: {"in": values[:3]}}
        yield {field: {"not_in": values[1:4] or values}}
    yield {"text": {"ne": "en"}, "tags": "a"}
    yield {"iso": {"gte": date(2024, 11, 1), "lt": date(2025, 1, 1)}, "good": {"ne": False}}


def expected(spec: dict[str, Any], table: dict[str, pa.Array]) -> list[int]:
    """Rows that pass."""
    count = len(next(iter(table.values())))
    return [row for row in range(count) if all(_passes(table[f"meta.{f}"][row].as_py(), f, c) for f, c in spec.items())]


def _passes(held: Any, field: str, asked: Any) -> bool:
    asked = asked if isinstance(asked, dict) else {"eq": asked}
    return all(_one(held, field, name, value) for name, value in asked.items())


def _one(held: Any, field: str, name: str, value: Any) -> bool:
    if held is None or (isinstance(held, float) and math.isnan(held)):
        return False
    values = [_plain(item, field) for item in (value if isinstance(value, list) else [value])]
    mine = [_plain(item, field) for item in (held if isinstance(held, list) else [held]) if item is not None]
    if name in ("eq", "in"):
        return any(item in values for item in mine)
    if name in ("ne", "not_in"):
        return not any(item in values for item in mine)
    left, right = mine[0], values[0]
    return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[name]


def _plain(value: Any, field: str) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if field in ("iso", "day", "moment", "zoned"):
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return value.encode() if isinstance(value, str) else value


def batches(count: int, vectors: Floats, size: int = 17, **options: Any) -> Iterator[pa.RecordBatch]:
    """The corpus as a store gets it."""
    table = {
        "row": pa.array(np.arange(count, dtype=np.int32)),
        "id": pa.array([f"d{i}" for i in range(count)]),
        "text": pa.array(["apple"] * count),
        **columns(count, **options),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
    }
    yield from pa.table(table).to_batches(max_chunksize=size)
