"""Load from processes of their own: the same queries at the same times, whoever sends them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.latency.loops import Assignment
from bench.latency.processes import SHARE_FOR_ONE, Children, wanted_processes
from bench.results.model import Result
from tests.conftest import REPOSITORY
from tests.killing import MARK, Place, check_that_none_survives, processes_of
from tests.search_service import Service
from tests.small import by_name, collection, measure, spec, write

QUERIES = 12


def first_documents(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
    """Finds d0, d1, … whatever is asked."""
    return 200, json.dumps({"ids": [f"d{i}" for i in range(body["k"])]}), {}


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service(first_documents)
    yield running
    running.stop()


def loaded(folder: Path, service: Service, load: dict[str, Any]) -> tuple[Path, Result]:
    """A run of a search service and of an engine in this process under one load point."""
    collection(folder / "data", queries=QUERIES)
    asked = {"url": service.url, "body": {"q": "{query}", "k": "{k}"}, "ids": "ids.*"}
    stores = {"service": {"adapter": "http", "index": asked}, "bm25": {"adapter": "bm25"}}
    systems = [{"name": "service", "store": "service"}, {"name": "bm25", "store": "bm25"}]
    return measure(folder, spec(systems, stores=stores, latency=[{"seconds": 20, **load}]))


def measured(folder: Path, system: str) -> dict[str, list[Any]]:
    """Columns of the raw samples of a system."""
    table = pq.read_table(folder / "timings.parquet").to_pydict()
    chosen = [i for i, name in enumerate(table["system"]) if name == system and table["phase"][i] == "measured"]
    return {name: [values[i] for i in chosen] for name, values in table.items()}


def test_two_processes_send_every_query_of_a_shuffle_once(tmp_path: Path, service: Service) -> None:
    folder, result = loaded(tmp_path, service, {"workers": 4, "processes": 2, "samples": 3 * QUERIES})
    latency = by_name(result)["service"].latency
    assert latency is not None and latency.processes == 2
    assert latency.total is not None and (latency.total.samples, latency.failed) == (3 * QUERIES, 0)
    assert latency.agreement == 1.0
    rows = measured(folder, "service")
    for turn in (1, 2, 3):
        asked = [query for query, number in zip(rows["query_id"], rows["round"], strict=True) if number == turn]
        assert sorted(asked) == sorted(f"q{i}" for i in range(QUERIES))


def test_a_schedule_is_the_same_however_many_processes_keep_it(tmp_path: Path, service: Service) -> None:
    load = {"mode": "open", "rate": 60, "samples": 36}
    starts = []
    for processes in (1, 2):
        folder, _ = loaded(tmp_path / str(processes), service, {**load, "processes": processes})
        rows = measured(folder, "service")  # a round that something disturbed is taken again
        planned = zip(rows["started_seconds"], rows["repeated"], strict=True)
        starts.append(sorted(seconds for seconds, repeated in planned if not repeated))
    assert np.allclose(starts[0], starts[1], atol=1e-9)


def test_an_engine_of_this_process_is_asked_from_this_process(tmp_path: Path, service: Service) -> None:
    _, result = loaded(tmp_path, service, {"workers": 4, "processes": 2, "samples": 12})
    latency = by_name(result)["bm25"].latency
    assert latency is not None and latency.processes == 1
    assert any("the queries came from 1 process, not 2" in note for note in by_name(result)["bm25"].notes)


def test_one_worker_needs_one_process(tmp_path: Path, service: Service) -> None:
    _, result = loaded(tmp_path, service, {"workers": 1, "samples": 12, "turn_seconds": 0.001})
    latency = by_name(result)["service"].latency
    assert latency is not None and latency.processes == 1


def test_processes_end_in_the_middle_of_a_turn_when_the_run_that_started_them_is_killed(
    tmp_path: Path, service: Service
) -> None:
    collection(tmp_path / "data", queries=QUERIES)
    asked = {"url": service.url, "body": {"q": "{query}", "k": "{k}"}, "ids": "ids.*"}
    load = {"workers": 2, "processes": 2, "samples": 10**6, "seconds": 600}
    stores = {"service": {"adapter": "http", "index": asked}}
    write(tmp_path, spec([{"name": "service", "store": "service"}], stores=stores, latency=load))
    here = Place(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "bench", "run", "--quiet"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY), MARK: str(tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as run:  # fmt: skip
        while len(service.asked) < 100 * QUERIES:  # no other pass asks as much
            assert run.poll() is None, run.stderr and run.stderr.read()
            time.sleep(0.02)
        assert len(list(processes_of(here))) == 3
        run.kill()
    check_that_none_survives(here)


def test_all_systems_share_the_same_processes_and_one_that_ended_is_replaced() -> None:
    children = Children()
    try:
        two = children.first(2)
        assert children.first(1) == two[:1]
        three = children.first(3)
        assert three[:2] == two
        three[0].close()
        assert children.first(2) == three[1:]
    finally:
        children.close()
    assert not any(child.alive() for child in three)


@given(st.floats(0, 100), st.integers(1, 64))
def test_no_process_is_asked_for_more_than_its_share_while_there_are_processors(share: float, workers: int) -> None:
    count = wanted_processes(share, workers)
    assert 1 <= count <= max(1, min(workers, os.cpu_count() or 1))
    assert share / count <= SHARE_FOR_ONE or count == min(workers, os.cpu_count() or 1)


@given(st.integers(0, 40), st.integers(1, 8))
def test_dealing_out_loses_no_query_and_keeps_its_start(count: int, processes: int) -> None:
    planned = np.arange(count) * 0.1
    shares = Assignment(0, list(range(count)), planned, 1.0).shares(processes)
    dealt = [pair for share in shares for pair in zip(share.queries, share.planned.tolist(), strict=True)]  # type: ignore[union-attr]
    assert sorted(dealt) == list(zip(range(count), planned.tolist(), strict=True))
