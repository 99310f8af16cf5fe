"""A filter means the same in every engine and in the oracle, whatever the column holds."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adapters.base import Filter, InvalidOptions, Place, Queries, Similarity
from adapters.registry import load
from tests.filtering import batches, columns, conditions, expected
from tests.stores.arrays import make

COUNT = 90  # more than any two of the cycles need to meet
VECTORS = np.random.default_rng(3).standard_normal((COUNT, 8)).astype(np.float32)


def test_the_oracle_passes_what_plain_python_passes() -> None:
    table = columns(COUNT)
    for spec in conditions():
        found = np.flatnonzero(Filter.parse(spec).mask(pa.table(table))).tolist()
        assert found == expected(spec, table), spec


@pytest.mark.parametrize(("name", "index"), [("exact", {}), ("faiss", {}), ("bm25", {}), ("lancedb", {}),
                                             ("lancedb", {"full_text": True})])  # fmt: skip
def test_every_engine_passes_what_the_oracle_passes(tmp_path: Path, name: str, index: dict[str, Any]) -> None:
    kind = load("stores", name)
    if reason := kind.missing():
        pytest.skip(str(reason))
    store = make(kind, **index)
    place = Place("law", tmp_path / "index")
    place.folder.mkdir()
    by_text = name == "bm25" or bool(index)
    dimension = None if name == "bm25" else 8
    given = batches(COUNT, VECTORS)
    if not store.uses_text:
        given = (batch.drop_columns(["text"]) for batch in given)
    ref = store.build(given, place=place, similarity=Similarity.COSINE, dimension=dimension)
    table = columns(COUNT)
    queries = Queries(None, ["apple"]) if by_text else Queries(VECTORS[:1])
    with store.open(ref) as session:
        session.configure(store.Query(**({"mode": "text"} if index else {})))
        for spec in list(conditions())[:: 5 if index else 1]:
            found = session.search(queries, COUNT, Filter.parse(spec)).rows[0]
            assert sorted(found[found >= 0].tolist()) == expected(spec, table), spec


@pytest.mark.parametrize("name", ["exact", "faiss", "lancedb"])
def test_every_engine_refuses_what_the_oracle_refuses(tmp_path: Path, name: str) -> None:
    store = make(load("stores", name))
    place = Place("law", tmp_path / "index")
    place.folder.mkdir()
    given = (batch.drop_columns(["text"]) for batch in batches(COUNT, VECTORS))
    ref = store.build(given, place=place, similarity=Similarity.COSINE, dimension=8)
    table = pa.table(columns(COUNT))
    with store.open(ref) as session:
        for spec in REFUSED:
            condition = Filter.parse(spec)
            with pytest.raises(InvalidOptions) as oracle:
                condition.mask(table)
            with pytest.raises(InvalidOptions) as engine:
                session.search(Queries(VECTORS[:1]), 3, condition)
            assert oracle.value.key == engine.value.key == f"filter.{next(iter(spec))}"


REFUSED: list[dict[str, Any]] = [
    {"text": 5}, {"text": False}, {"text": date(2024, 1, 1)}, {"int": "5"}, {"int": True}, {"good": 1}, {"good": "yes"},
    {"number": "0.1"}, {"price": "19.99"}, {"day": "soon"}, {"day": 20241101}, {"moment": True}, {"tags": {"gt": "a"}},
    {"tags": date(2024, 1, 1)}, {"years": "1999"}, {"text": {"in": ["en", 5]}},
    {"iso": {"in": [date(2024, 1, 1), "x"]}}, {"nowhere": 1},
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"lang": None}, "a null passes no condition"),
        ({"x": float("nan")}, "NaN"),
        ({"x": []}, "at least one value"),
        ({"x": {"not_in": 3}}, "`not_in` takes a list"),
        ({"x": {"in": ["a", None]}}, "a null passes no condition"),
        ({"x": {"gte": [1]}}, "`gte` takes one value"),
        ({True: 1}, "The name True is no text"),
        ({"x": "\ud800"}, "half of a character"),
        ({"x": {"date": "soon"}}, "'soon' is no date"),
        ({}, "empty"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(spec: dict[Any, Any], message: str) -> None:
    with pytest.raises(InvalidOptions, match=message):
        Filter.parse(spec)


def test_a_filter_read_back_from_its_dump_is_equal() -> None:
    for spec in conditions():
        parsed = Filter.parse(spec)
        assert Filter.parse(parsed.as_dict()) == parsed
    dated, quoted = Filter.parse({"date": date(2024, 11, 1)}), Filter.parse({"date": "2024-11-01"})
    assert dated.as_dict() != quoted.as_dict()


def test_a_text_that_is_no_date_is_named() -> None:
    table = pa.table({"meta.date": ["2024-11-01", None, "soon"]})
    with pytest.raises(InvalidOptions, match=r"meta\.date holds 'soon', which is no date") as refused:
        Filter.parse({"date": {"gte": date(2024, 1, 1)}}).mask(table)
    assert refused.value.key == "filter.date"


def test_texts_compare_as_texts_where_the_date_is_quoted() -> None:
    table = pa.table({"meta.date": ["2024-11-01T12:00", "2024-11-01", "november"]})
    assert Filter.parse({"date": {"gt": "2024-11-01"}}).mask(table).tolist() == [True, False, True]
