"""Laws: a result folder of a later release, whose tables have further columns and whose events further keys and kinds,
is read as without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.results.model import check_unchanged, read_result
from bench.results.per_query import read_figures
from bench.results.seal import digests_of, sealed
from bench.run.tracking import replay
from tests import small

TABLES = ("per_query.parquet", "timings.parquet")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    small.collection(folder / "data")
    systems = [{"name": "bm25", "store": "bm25"}, {"name": "other", "store": "other"}]
    stores = {"bm25": {"adapter": "bm25"}, "other": {"adapter": "bm25", "index": {"k1": 0.3}}}
    latency = {"samples": 6, "turn_seconds": 0.001}
    return small.measure(folder, small.spec(systems, stores=stores, baseline="bm25", latency=latency))[0]


@pytest.fixture
def grown(plain: Path, tmp_path: Path) -> Path:
    """The same result as a later release might write it, under the same name."""
    folder = tmp_path / plain.name
    shutil.copytree(plain, folder)
    for name in TABLES:
        table = pq.read_table(folder / name)
        count = len(table)
        table = table.add_column(0, "added_first", pa.array([[i] for i in range(count)]))
        table = table.append_column("nDCG@10.added", pa.array([{"a": "x"}] * count))
        pq.write_table(table.append_column("added_last", pa.nulls(count)), folder / name)
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events: list[dict[str, Any]] = [{**json.loads(line), "added_later": [{"event": "RunStarted"}]} for line in lines]
    for event in events:
        if "entry" in event:
            event["entry"]["added_later"] = 1
    unknown = [{"event": "AddedLater", "system": 3}, {"at": "2027-01-01T00:00:00Z"}]
    small.write_jsonl(folder / "events.jsonl", [each for event in events for each in (*unknown, event)])
    values = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    values["systems"][0]["added_later"] = values["added_later"] = {"a": 1}
    values["files"] = digests_of(folder, [folder / file for file in values["files"]])
    (folder / "result.json").write_text(json.dumps(sealed(values)), encoding="utf-8")
    return folder


def test_a_grown_result_is_read_as_without_and_nothing_in_it_counts_as_changed(plain: Path, grown: Path) -> None:
    check_unchanged(grown)
    sealed_otherwise = {"files", "digest"}
    assert read_result(grown).model_dump(exclude=sealed_otherwise) == read_result(plain).model_dump(
        exclude=sealed_otherwise
    )


def test_figures_of_queries_are_found_by_their_columns_names(plain: Path, grown: Path) -> None:
    now, before = (read_figures(folder, read_result(folder)) for folder in (grown, plain))
    assert (now.query_ids, now.measures, list(now.systems)) == (before.query_ids, before.measures, list(before.systems))
    for name, figures in before.systems.items():
        for measure, values in figures.values.items():
            assert values is not None
            np.testing.assert_array_equal(now.systems[name].values[measure], values)


@pytest.mark.parametrize("name", TABLES)
def test_every_column_of_a_table_stands_where_others_were_added(plain: Path, grown: Path, name: str) -> None:
    before = pq.read_table(plain / name)
    assert pq.read_table(grown / name, columns=before.column_names).equals(before)


def test_trackers_are_told_the_same_of_grown_events_but_what_a_system_holds_more(plain: Path, grown: Path) -> None:
    now, before = ([vars_of(event) for event in replay(folder)] for folder in (grown, plain))
    for event in now:
        assert event.get("entry", {}).pop("added_later", 1) == 1
    assert len(before) == 1 + 2 + 24 + 1  # a start, two systems, twelve queries of each, an end
    assert [{**event, "folder": None} for event in now] == [{**event, "folder": None} for event in before]


def vars_of(event: Any) -> dict[str, Any]:
    return {"event": type(event).__name__, **{name: getattr(event, name) for name in event.__slots__}}
