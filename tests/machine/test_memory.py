"""What a build and searches take in memory: of this process as a peak, of a server as it tells."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import AdapterUnavailable, Context
from adapters.stores.bm25 import Bm25Store
from bench.machine.memory import Window, of_build, of_search
from bench.results.model import Memory, Result
from tests import small

MIB = 2**20
BM25 = {"name": "bm25", "store": "bm25"}
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process forget its peak")


def take(mebibytes: int) -> None:
    """Touch so much memory and give it back."""
    np.ones(mebibytes * MIB, np.uint8)


class FarStore(Bm25Store):
    """A store of which each reading of its server gives the next figure; None stands for no answer."""

    embedded = False

    def __init__(self, *figures: int | None) -> None:
        super().__init__(self.Index(), self.Connection(), Context())
        self._figures = list(figures)
        self.asked = 0

    def wait_until_asked(self, times: int) -> None:
        while self.asked < times:
            time.sleep(0.01)

    def server_memory(self) -> int | None:
        self.asked += 1
        now = self._figures.pop(0) if len(self._figures) > 1 else self._figures[0]
        if now is None:
            raise AdapterUnavailable("it does not answer")
        return now


def near() -> Bm25Store:
    return Bm25Store(Bm25Store.Index(), Bm25Store.Connection(), Context())


def nobody() -> int | None:
    raise AssertionError("an embedded store has no server to ask")


# -- this process --------------------------------------------------------------------------------------------------


def in_a_fresh_process(measured: Callable[[], int]) -> int:
    """What it returns there: nothing is reclaimed of a process that holds little."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measured).result()


def of_a_window() -> int:
    window = Window()
    take(100)
    assert window.before_bytes is not None
    return (window.peak_bytes() or 0) - window.before_bytes


def of_a_later_window() -> int:
    take(100)
    window = Window()
    assert window.before_bytes is not None
    return (window.peak_bytes() or 0) - window.before_bytes


def of_a_build_here() -> int:
    with of_build(near(), nobody) as build:
        take(100)
    assert build.before_bytes and build.peak_bytes
    return build.peak_bytes - build.before_bytes


def of_a_search_here() -> int:
    begin = of_search(near(), nobody)
    before = Window().before_bytes or 0
    told = begin()
    take(100)
    return (told() or 0) - before


@linux
@pytest.mark.parametrize("measured", [of_a_window, of_a_build_here, of_a_search_here])
def test_a_peak_counts_what_was_freed_before_its_end(measured: Callable[[], int]) -> None:
    assert 95 * MIB < in_a_fresh_process(measured) < 130 * MIB


@linux
def test_a_window_does_not_know_what_was_freed_before_it() -> None:
    assert in_a_fresh_process(of_a_later_window) < 30 * MIB


# -- a server ------------------------------------------------------------------------------------------------------


def test_the_highest_reading_of_a_server_is_its_peak() -> None:
    store = FarStore(300, 900, 400)
    with of_build(store, store.server_memory) as build:
        store.wait_until_asked(2)
    assert (build.before_bytes, build.peak_bytes) == (300, 900)


def test_a_reading_that_fails_ends_no_build() -> None:
    store = FarStore(300, None, 400)
    with of_build(store, store.server_memory) as build:
        store.wait_until_asked(2)
    assert (build.before_bytes, build.peak_bytes) == (300, 400)


def test_a_server_that_tells_nothing_has_no_memory_and_is_not_asked_again() -> None:
    asked: list[float] = []

    def silent() -> int | None:
        asked.append(time.monotonic())
        return None

    with of_build(FarStore(1), silent) as build:
        pass
    assert (build.before_bytes, build.peak_bytes, len(asked)) == (None, None, 1)


def test_a_server_is_read_when_the_searches_are_over() -> None:
    store = FarStore(300, 500)
    told = of_search(store, store.server_memory)()
    assert (told(), told()) == (300, 500)


# -- whole runs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.collection(tmp_path / "data")
    return tmp_path


def experiment() -> dict[str, Any]:
    return small.spec(
        [BM25, {"name": "again", "store": "other"}, {"name": "both", "fuse": ["bm25", "again"]}],
        stores={"bm25": {"adapter": "bm25"}, "other": {"adapter": "bm25", "index": {"k1": 2.0}}},
        latency={"samples": 6, "seconds": 5, "turn_seconds": 0.001},
    )


def memory(result: Result) -> dict[str, Memory | None]:
    return {system.name: system.memory for system in result.systems}


@linux
def test_every_index_of_its_own_tells_its_memory_and_a_fusion_has_none(folder: Path) -> None:
    told = memory(small.measure(folder, experiment())[1])
    assert told["both"] is None
    for one in (told["bm25"], told["again"]):
        assert one is not None and one.where == "this process"
        assert one.build_before_bytes and one.build_peak_bytes and one.search_peak_bytes
        assert 10 * MIB < one.build_before_bytes <= one.build_peak_bytes


def test_a_reused_index_tells_what_its_build_took(folder: Path) -> None:
    first, second = (small.measure(folder, experiment())[1] for _ in range(2))
    assert second.work.indexes_built.computed == 0 and second.latency_samples == 0
    assert memory(first) == memory(second)


def test_an_index_kept_without_its_memory_is_used_and_tells_none(folder: Path) -> None:
    small.measure(folder, experiment())
    for path in (folder / "cache" / "indexes").glob("*/ref.json"):
        small.older_record(path, "build_memory")
    _, result = small.measure(folder, experiment())
    assert result.work.indexes_built.computed == 0
    found = memory(result)["bm25"]
    assert found is not None and (found.build_before_bytes, found.build_peak_bytes) == (None, None)
