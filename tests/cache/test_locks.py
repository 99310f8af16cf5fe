"""Runs that use one cache, side by side."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.cache.artifacts import Cache
from bench.cache.digests import text_digests
from bench.cache.locks import CacheBusy, Kind, entry_locked, in_order, no_locks
from bench.cache.machine_lock import at_work, engine_locked, measuring, pause
from bench.cache.mark import cache_in_use, cache_to_oneself
from tests.conftest import REPOSITORY

HOLDER = """
import sys, pathlib
from bench.cache import locks, machine_lock, mark, artifacts, digests
cache = pathlib.Path(sys.argv[1])
with {what}:
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(cache: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds something until it is told to go on, or killed."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDER.format(what=what), str(cache)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


class Told:
    """Lets the other process go on once it is told that it is waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        self.said.append(what)
        self.process.send_signal(signal.SIGKILL)
        yield


def test_two_runs_use_a_cache_side_by_side_and_nobody_deletes_from_it_meanwhile(tmp_path: Path) -> None:
    with another(tmp_path, "mark.cache_in_use(cache)") as other, cache_in_use(tmp_path) as unmarked:
        assert unmarked is None
        with pytest.raises(CacheBusy, match=f"in use by another run .*process {other.pid}"), cache_to_oneself(tmp_path):
            pass
    with cache_to_oneself(tmp_path):
        assert list((tmp_path / ".locks").iterdir()) == []  # nothing is left of those who have ended


def test_drafts_that_another_run_writes_stay(tmp_path: Path) -> None:
    with another(tmp_path, "mark.cache_in_use(cache)"):
        (tmp_path / "vectors").mkdir()
        (draft := tmp_path / "vectors" / f".writing-{'a' * 16}").touch()
        with cache_in_use(tmp_path):
            assert draft.exists()
    with cache_in_use(tmp_path):
        assert not draft.exists()


def test_an_entry_is_made_by_one_run_at_a_time_and_another_entry_meanwhile(tmp_path: Path) -> None:
    with another(tmp_path, "locks.entry_locked(cache, 'indexes-a')") as other:
        with entry_locked(tmp_path, "indexes-b"):
            pass
        told = Told(other)
        with entry_locked(tmp_path, "indexes-a", told):  # a killed process holds nothing
            assert told.said == [f"another run (process {other.pid}) makes the same indexes"]


def test_a_value_is_computed_by_one_run_and_the_others_wait_for_it_alone(tmp_path: Path) -> None:
    texts = text_digests(["a", "b", "c"])
    made = Cache(tmp_path).segments("vectors", "k")
    what = "artifacts.Cache(cache).segments('vectors', 'k').claimed(digests.text_digests(['b', 'z']))"
    with another(tmp_path, what) as other:
        with made.claimed(texts) as ours:
            assert ours.tolist() == [True, False, True]
            made.append(texts[ours], {"vectors": np.ones((2, 3), np.float32)})
        told = Told(other)
        left = made.await_others(texts[~ours], told)
        assert told.said == [f"another run (process {other.pid}) makes the same vectors"]
    assert left.tolist() == [True]  # it was killed, so that ours computes it
    with made.claimed(texts[1:2]) as ours:
        assert ours.all()
    assert list((tmp_path / ".locks" / "vectors-k.claims").iterdir()) == []


def test_what_another_run_has_made_since_is_not_computed_again(tmp_path: Path) -> None:
    texts = text_digests(["a", "b"])
    one, other = (Cache(tmp_path).segments("vectors", "k") for _ in range(2))
    with other.claimed(texts[:1]):
        other.append(texts[:1], {"vectors": np.zeros((1, 3), np.float32)})
    with one.claimed(texts) as ours:
        assert ours.tolist() == [False, True]
    assert one.await_others(texts[:1], Told).tolist() == [False]


def test_other_runs_pause_while_one_measures(tmp_path: Path) -> None:
    with another(tmp_path, "machine_lock.measuring()") as other:
        told = Told(other)
        with at_work(told):
            assert told.said == [f"another run (process {other.pid}) measures latencies"]
    with another(tmp_path, "machine_lock.at_work()") as other:
        with at_work(), at_work():  # both work at once, and a piece of work may have others in it
            pause()
        told = Told(other)
        with measuring(told), at_work():
            assert told.said == ["other runs end their pieces of work"]


def test_a_run_that_wants_to_measure_is_let_in_where_a_long_piece_of_work_can_stand_still(tmp_path: Path) -> None:
    with at_work():
        command = [sys.executable, "-P", "-c", HOLDER.format(what="machine_lock.measuring()"), str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment
        ) as other:
            while other.poll() is None:
                pause()  # as a training does between its steps
            assert other.stdout is not None and other.stdout.read() == "held\n"


def test_an_index_with_settings_in_its_engine_is_searched_by_one_run_at_a_time(tmp_path: Path) -> None:
    with another(tmp_path, "machine_lock.engine_locked('bench_x')") as other:
        told = Told(other)
        with engine_locked("bench_y"):
            pass
        with engine_locked("bench_x", told):
            assert told.said == [f"another run (process {other.pid}) searches the same index"]


@pytest.mark.parametrize(("first", "second"), [(a, b) for a in Kind for b in Kind if b <= a])
def test_no_two_runs_can_wait_for_each_other(first: Kind, second: Kind, tmp_path: Path) -> None:
    """Whoever holds a lock asks for locks of later kinds alone, so that there is no circle of runs that wait. Who has
    the machine waits for nothing."""
    with in_order(first):
        if first is Kind.MACHINE and second is not Kind.MACHINE:
            with in_order(second) as may_wait:
                assert not may_wait
        else:
            with pytest.raises(RuntimeError, match="is asked for by who holds"), in_order(second):
                pass


def test_nothing_is_waited_for_by_who_has_the_machine(tmp_path: Path) -> None:
    what = "locks.entry_locked(cache, 'indexes-a')"
    with another(tmp_path, what) as other, measuring():
        with pytest.raises(CacheBusy, match=f"process {other.pid}"), entry_locked(tmp_path, "indexes-a"):
            pass
        with entry_locked(tmp_path, "indexes-b"):
            pass
    with at_work(), pytest.raises(RuntimeError, match="between its pieces of work"), measuring():
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_that_locks_nothing_is_named_with_the_cure(number: int, tmp_path: Path) -> None:
    refusal = no_locks(OSError(number, os.strerror(number)), tmp_path / ".lock")
    assert f"{tmp_path}: its file system locks no files ({os.strerror(number)})" in str(refusal)
    assert "--cache DIR" in str(refusal)
    assert no_locks(OSError(errno.EIO, "broken"), tmp_path / ".lock") is None


def test_a_folder_of_links_in_the_locks_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".locks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"), cache_in_use(tmp_path / "cache"):
        pass
