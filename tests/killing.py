"""Runs that are killed at moments drawn from a seed, continued by the same command, and held to an undisturbed run."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.cache.drafts import is_draft
from bench.results.model import Result, read_result
from tests import small

ROOT = Path(__file__).resolve().parent.parent
MARK = "KILLED_RUN"  # in the environment of a run and of the processes that it starts
GLANCE = 0.0003  # seconds between two looks at what a run writes; without a pause the looks take a core from the run
ENDS_WITHIN = 20.0  # seconds; processes that generate load end by themselves when their parent is gone

# Imports once and forks for every run: the command itself, without seconds of imports before each. Nothing but imports
# has happened when it forks, so no thread and no lock is lost. LanceDB starts a thread when it is imported: not here.
LAUNCHER = """
import importlib, os, sys, traceback
for module in sys.argv[1:]:
    importlib.import_module(module)
from bench.cli import app
for folder in sys.stdin:
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(folder.strip())
        os.environ["KILLED_RUN"] = folder.strip()
        code = 1
        try:
            with open("stderr", "w") as sys.stderr, open("stdout", "w") as sys.stdout:
                places = ["--output", "results", "--cache", "cache"]
                app(["run", *places, "--quiet", "--json", "--trust"], prog_name="bench")
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            with open("stderr", "a") as last:
                traceback.print_exc(file=last)
        finally:
            os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
EVERY_RUN = (
    "adapters.datasets.beir",
    "adapters.rerankers.bm25",
    "adapters.stores.bm25",
    "adapters.stores.exact",
    "bench.latency.turns",
    "bench.progress",
    "bench.run.runner",
    "pandas",
)


class Launcher:
    """A process that starts the command in a folder; one run at a time."""

    def __init__(self, site: Path, *modules: str) -> None:
        """site: where a third party's adapters are. modules: imported once, before every run."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *EVERY_RUN, *modules],
            env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def start(self, folder: Path) -> int:
        """Start a run; its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder}\n".encode())
        return self._line()

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit status of the run, None where it has not ended after so many seconds."""
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._line() if ready else None

    def _line(self) -> int:
        assert self._process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            byte = self._process.stdout.read(1)
            assert byte, "the launcher ended"
            line += byte
        return int(line)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@contextmanager
def launcher(folder: Path, *modules: str) -> Iterator[Launcher]:
    """A launcher whose runs find the third party's adapters of `small`, while the context lasts."""
    site = folder / "site"
    site.mkdir()
    started = Launcher(small.third_party(site), *modules)
    try:
        yield started
    finally:
        started.close()


@dataclass(frozen=True)
class Place:
    """A folder with an experiment named small, its cache, its results and the log of what was embedded."""

    folder: Path

    def batches(self) -> list[tuple[int, str, tuple[str, ...]]]:
        """Process, role and texts of every batch of the quality pass; live queries come one at a time."""
        log = self.folder / "batches.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [(line["process"], line["role"], tuple(line["texts"])) for line in lines if len(line["texts"]) > 1]

    def results(self) -> list[Path]:
        return sorted((self.folder / "results" / "small").glob("*"))

    def events(self) -> int:
        """How many events all runs here have written."""
        logs = self.folder.glob("results/small/*/events.jsonl")  # a folder is made before its log
        return sum(log.read_bytes().count(b"\n") for log in logs)

    def being_written(self) -> set[str]:
        """Names of files of a result that are just being written."""
        return {
            path.name
            for folder in self.results()
            for path in (*folder.glob(".writing-*"), *folder.glob("runs/.writing-*"))
        }


Moment = Callable[[Place, Callable[[], bool]], bool]
"""Waits for a moment of a run; false where the run ended before (the second argument tells) and there was none."""


def after_events(count: int, seconds: float) -> Moment:
    """So many events after the start of the run, and then so many seconds."""

    def wait(here: Place, over: Callable[[], bool]) -> bool:
        until = here.events() + count
        while here.events() < until:
            if over():
                return False
            time.sleep(0.001)
        time.sleep(seconds)
        return not over()

    return wait


def while_starting(seconds: float) -> Moment:
    """So many seconds after the start."""

    def wait(here: Place, over: Callable[[], bool]) -> bool:
        time.sleep(seconds)
        return not over()

    return wait


def in_writing(number: int) -> Moment:
    """While the file with this number, from 1, is written to the result folder."""

    def wait(here: Place, over: Callable[[], bool]) -> bool:
        seen: set[str] = here.being_written()  # left by a run that was killed
        before = len(seen)
        while len(seen) < before + number:
            seen |= here.being_written()
            if len(seen) < before + number:
                if over():
                    return False
                time.sleep(GLANCE)
        return True

    return wait


@dataclass
class Killer:
    """Kills runs in places and counts them. events, writes: of an undisturbed run, from its beginning to its end."""

    launcher: Launcher
    rng: np.random.Generator
    events: int
    writes: int
    kills: int = 0
    in_writing: int = 0
    statuses: list[str] = field(default_factory=list)

    def moment(self) -> Moment:
        """One in ten while results are written, one in ten before the first event, the others anywhere in the work."""
        if self.in_writing <= self.kills // 10:
            return in_writing(int(self.rng.integers(1, self.writes + 1)))
        if self.rng.random() < 0.1:
            return while_starting(self.rng.uniform(0.0, 0.4))
        return after_events(int(self.rng.integers(1, self.events)), self.rng.uniform(0.0, 0.08))

    def kill(self, here: Place) -> int | None:
        """Start a run and kill it at a moment; its exit status if it ended before, None if it was killed."""
        before = here.being_written()
        process = self.launcher.start(here.folder)
        status: list[int] = []

        def over() -> bool:
            if not status and (ended := self.launcher.wait(0)) is not None:
                status.append(ended)
            return bool(status)

        moment = self.moment()
        if not moment(here, over):
            return status[0]
        # Alone, as the kernel kills what takes too much memory, or with all that it started.
        (os.kill if self.rng.random() < 0.5 else os.killpg)(process, signal.SIGKILL)
        ended = status[0] if status else self.launcher.wait()
        if ended != -signal.SIGKILL:
            return ended
        self.kills += 1
        self.in_writing += bool(here.being_written() - before)
        check_that_none_survives(here)
        return None


def check_that_none_survives(here: Place) -> None:
    """Nothing that a killed run started works on."""
    until = time.monotonic() + ENDS_WITHIN
    while left := list(processes_of(here)):
        assert time.monotonic() < until, f"{left} survive the run that started them"
        time.sleep(0.01)


def processes_of(here: Place) -> Iterator[tuple[int, str]]:
    """Processes that a run in a place started, itself among them: id and command."""
    mark = f"{MARK}={here.folder}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")


# -- figures -----------------------------------------------------------------------------------------------------------

TIMES = frozenset(
    {"started_at", "finished_at", "built_at", "build_seconds", "memory", "latency", "loads", "encoding", "work", "cost"}
    | {
        "latency_samples",
        "latency_notes",
        "latency_against_baseline",
        "resumed",
        "index_bytes",
        "fronts",
        "commit",
        "dirty",
        "timings.parquet",
        "digest",
    }
)
"""Keys of result.json that hold times or digests of them, what they cost, or how much of the work an earlier run had
done. LanceDB's files hold times too, so that two builds differ by a byte or two; and somebody may work on this
repository meanwhile."""


def without_times(value: Any) -> Any:
    """A result's content but for TIMES."""
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if key not in TIMES}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two contents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [d for key in one.keys() | other for d in differences(one.get(key), other.get(key), f"{where}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{where}[{i}]")]
    return [] if one == other else [f"{where}: {one!r} / {other!r}"]


def written(folder: Path) -> dict[str, Any]:
    """A result as it stands on disk, without times."""
    shown: dict[str, Any] = without_times(json.loads((folder / "result.json").read_text()))
    return shown


def runs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "runs").glob("*.trec"))}


def check_same(here: Place, undisturbed: Place, ignored: Callable[[str], bool] = lambda difference: False) -> Result:
    """Hold the last result of a place to that of an undisturbed run, field by field but for times, and its run files
    byte by byte. ignored: differences that are no fault. Returns the result."""
    # A killed run's folder is gone on with; a new one is opened only after a run that had said its last word.
    assert [read_result(folder).status for folder in here.results()] == ["success"] * len(here.results())
    last, wanted = here.results()[-1], undisturbed.results()[0]
    found = [d for d in differences(written(last), written(wanted)) if not ignored(d)]
    assert not found, found[:10]
    assert runs(last).keys() == runs(wanted).keys()
    changed = [name for name, text in runs(last).items() if text != runs(wanted)[name]]
    assert not [name for name in changed if not ignored(f"runs/{name}")], changed
    places = (last, here.folder / "cache")
    left = [path for folder in places for path in folder.rglob(".*-*") if is_draft(path.name) or path.is_dir()]
    assert not left, left
    return read_result(last)


def undisturbed_run(here: Place, started: Launcher) -> tuple[int, int]:
    """Run to the end; how many events it wrote and how many files of its result."""
    started.start(here.folder)
    seen: set[str] = set()
    while (status := started.wait(GLANCE)) is None:
        seen |= here.being_written()
    assert status == 0, (here.folder / "stderr").read_text()
    assert read_result(here.results()[0]).status == "success"
    return here.events(), len(seen)


def kill_and_continue(
    launcher: Launcher,
    folder: Path,
    make: Callable[[Path], Place],
    *,
    kills: int,
    in_writing: int,
    seed: int,
    each: int = 6,
    check: Callable[[Place, Place], object] = check_same,
) -> None:
    """Kill so many runs, at most `each` in one place, and check every place against an undisturbed one when it is done.

    make: a place in the folder it is given, always the same, since results hold paths; one that is done is moved away.
    check: is given a place that is done and the undisturbed one.
    """
    here = make(folder / "here")
    events, writes = undisturbed_run(here, launcher)
    wanted = Place(here.folder.rename(folder / "undisturbed"))
    killer = Killer(launcher, np.random.default_rng(seed), events, writes)
    number = 0
    while killer.kills < kills or killer.in_writing < in_writing:
        number += 1
        assert number <= 2 * kills, "moments that hit nothing"
        here, before, status = make(folder / "here"), killer.kills, None
        while status is None and killer.kills - before < each:
            status = killer.kill(here)
            if killer.kills >= kills and killer.in_writing >= in_writing:
                break
        if status is None:
            launcher.start(here.folder)
            status = launcher.wait()
        assert status == 0, (status, (here.folder / "stderr").read_text(), (here.folder / "stdout").read_text()[-2000:])
        check(here, wanted)
        here.folder.rename(folder / f"disturbed{number}")


def lost_work(batches: Sequence[tuple[int, str, tuple[str, ...]]]) -> dict[int, int]:
    """By process: how many of the texts it embedded another had begun to embed before it."""
    seen: set[tuple[str, str]] = set()
    again: dict[int, int] = {}
    by_process: dict[int, set[tuple[str, str]]] = {}
    for process, role, texts in batches:
        by_process.setdefault(process, set()).update((role, text) for text in texts)
    for process, texts in by_process.items():
        again[process] = len(texts & seen)
        seen |= texts
    return again
