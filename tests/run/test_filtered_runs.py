"""Filters in whole runs: the types that files bring, what an engine is sent, and what a change of metadata rebuilds."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.experiment.faults import ConfigFaults
from bench.results.model import Result
from tests import small

DOCUMENTS, QUERIES = 24, 6
ENCODERS = {"words": {"adapter": "words"}}
STORES = {
    "bm25": {"adapter": "bm25"},
    "faiss": {"adapter": "faiss"},
    "lance": {"adapter": "lancedb"},
}
FIRST = date(2024, 10, 25)


pytestmark = pytest.mark.usefixtures("third_party")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Document i is of the day FIRST + i, tagged with its remainders by 2 and 3, its id beyond 2^53."""
    small.collection(tmp_path / "data", documents=DOCUMENTS, queries=QUERIES)
    changed(tmp_path, lambda i: {"date": str(FIRST + timedelta(i)), "tags": [f"two{i % 2}", f"three{i % 3}"]})
    changed(tmp_path, lambda i: {"tweet_id": 1234567890123456789 + i, "who": {"name": ["x"]}})
    return tmp_path


def changed(folder: Path, fields: Any) -> None:
    path = folder / "data" / "corpus.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    small.write_jsonl(path, [{**row, **fields(i)} for i, row in enumerate(rows)])


def systems(condition: Any) -> list[dict[str, Any]]:
    kept = {} if condition is None else {"filter": condition}
    dense = [{"name": name, "encoder": "words", "store": name, **kept} for name in ("exact", "faiss", "lance")]
    return [{"name": "bm25", "store": "bm25", **kept}, *dense]


def measured(folder: Path, condition: Any) -> tuple[Path, Result]:
    experiment = small.spec(systems(condition), stores=STORES, encoders=ENCODERS, measures=["Recall@24", "ANN@5"])
    return small.measure(folder, experiment)


def found(made: Path, name: str) -> set[str]:
    return {line.split()[2] for line in (made / "runs" / f"{name}.trec").read_text().splitlines()}


def built(result: Result) -> tuple[int, int]:
    return result.work.indexes_built.computed, result.work.indexes_built.reused


@pytest.mark.parametrize(
    ("condition", "passing"),
    [
        ("{date: {gte: 2024-11-01}}", range(7, DOCUMENTS)),  # 25 October + 7 days; without quotes YAML makes it a date
        ("{date: {gt: 2024-11-01T00:00:00Z, lte: '2024-11-05'}}", range(8, 12)),
        ("{date: 2024-10-27}", [2]),
        ("{tags: two1}", range(1, DOCUMENTS, 2)),
        ("{tags: {ne: two1}, date: {lt: 2024-10-28}}", [0, 2]),
        ("{tags: [two1, three0], date: {lte: 2024-10-29}}", [0, 1, 3]),
        ("{tags: {not_in: [three0, three1]}}", range(2, DOCUMENTS, 3)),
        ("{lang: {ne: en}}", range(1, DOCUMENTS, 2)),
        ("{tweet_id: {gt: 1234567890123456800}}", range(12, DOCUMENTS)),
    ],
)
def test_a_filter_as_yaml_writes_it_passes_the_same_in_every_engine(folder: Path, condition: str, passing: Any) -> None:
    import yaml

    made, result = measured(folder, yaml.safe_load(condition))
    expected = {f"d{i}" for i in passing}
    assert result.status == "success"
    for name in ("exact", "faiss", "lance"):
        assert found(made, name) == expected, name
    assert found(made, "bm25") <= expected
    assert {s.ann_recall["5"] for s in result.systems if s.name != "bm25"} == {1.0}


def test_metadata_that_no_filter_asks_for_changes_no_index(folder: Path) -> None:
    _, first = measured(folder, None)
    assert built(first) == (4, 0)
    changed(folder, lambda i: {"date": f"no day {i}", "tweet_id": {"nested": i}, "new": i})
    _, second = measured(folder, None)
    assert built(second) == (0, 4)
    assert second.work.queries_searched.computed == 0


def test_an_index_depends_on_the_fields_that_filters_ask_for(folder: Path) -> None:
    _, first = measured(folder, {"lang": "en"})
    assert built(first) == (4, 0)
    changed(folder, lambda i: {"tweet_id": i})
    _, second = measured(folder, {"lang": "en"})
    assert second.work.queries_searched.computed == 0
    changed(folder, lambda i: {"lang": ("de", "en")[i % 2]})
    made, third = measured(folder, {"lang": "en"})
    assert built(third) == (4, 0)
    assert found(made, "lance") == {f"d{i}" for i in range(1, DOCUMENTS, 2)}


def test_systems_with_and_without_a_filter_share_an_index(folder: Path) -> None:
    lance = {"encoder": "words", "store": "lance"}
    three = [{"name": "all", **lance}, {"name": "en", **lance, "filter": {"lang": "en"}}]
    three.append({"name": "tagged", **lance, "filter": {"tags": "two0"}})
    made, result = small.measure(folder, small.spec(three, stores=STORES, encoders=ENCODERS, measures=["Recall@24"]))
    assert result.work.indexes_built.computed == 1
    assert found(made, "en") == found(made, "tagged") == {f"d{i}" for i in range(0, DOCUMENTS, 2)}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"date": {"after": 1}}, "filter.date"),
        ({"tweet_id": date(2024, 1, 1)}, "meta.tweet_id holds int64, which does not compare with the date 2024-01-01"),
        ({"text_length": date(2024, 1, 1)}, "The corpus has no column meta.text_length"),
        ({"lang": date(2024, 1, 1)}, "meta.lang holds 'en', which is no date"),
        ({"tags": {"gt": "a"}}, "meta.tags holds lists, which have no order"),
        ({"lang": False}, "Write it in quotes"),
        ({"tweet_id": "7"}, "Write a number, without quotes"),
        ({"meta.lang": "en"}, "The corpus has no column meta.meta.lang. Did you mean lang?"),
        ({"Lang": "en"}, "The corpus has no column meta.Lang. Did you mean lang?"),
    ],
)
def test_a_fault_of_a_filter_is_told_once_and_names_its_field(folder: Path, condition: Any, message: str) -> None:
    entry = {"encoder": "words", "store": ["exact", "faiss", "lance"], "filter": condition}
    with pytest.raises(ConfigFaults) as refused:
        small.measure(folder, small.spec([entry], stores=STORES, encoders=ENCODERS))
    (fault,) = refused.value.faults
    assert message in fault and f"filter.{next(iter(condition))}" in fault
