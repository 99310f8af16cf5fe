"""Killed at any moment, the same command finishes the job: same figures, and only what was in flight is done again."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.results.model import Result, read_result
from tests import small

KILLS = 20
DOCUMENTS, QUERIES = 640, 140
BATCH = 128  # the least number of texts that are embedded at once
SYSTEMS = [
    {"name": "bm25", "store": "bm25"},
    {"name": "dense", "encoder": "words"},
    {"name": "slow", "encoder": "words", "store": "slow"},
    {"name": "hybrid", "fuse": ["bm25", "dense"]},
    {"name": "reranked", "store": "bm25", "reranker": "again", "depth": 20},
]


# Imports once and forks for every run: the command itself, without a second of imports before each. Nothing but
# imports has happened when it forks, so no thread and no lock is lost.
LAUNCHER = """
import os, sys
import pandas, adapters.datasets.beir, bench.progress
import adapters.rerankers.bm25, adapters.stores.bm25, adapters.stores.exact, bench.latency, bench.run.runner
from bench.cli import app
for folder in sys.stdin:
    child = os.fork()
    if child == 0:
        os.chdir(folder.strip())
        code = 1
        try:
            with open("stderr", "w") as sys.stderr, open("stdout", "w") as sys.stdout:
                app(["run", "--output", "results", "--cache", "cache", "--quiet", "--json"], prog_name="bench")
        except SystemExit as end:
            code = end.code or 0
        finally:
            os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Launcher:
    """A process that starts the command in a folder; one run at a time."""

    def __init__(self, site: Path) -> None:
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER],
            env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{root}", "OMP_NUM_THREADS": "1"},
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


@dataclass(frozen=True)
class Place:
    """A folder with an experiment, its cache, its results and the log of what was embedded."""

    folder: Path

    def batches(self) -> list[tuple[int, str, tuple[str, ...]]]:
        """Process, role and texts of every batch of the quality pass; live queries come one at a time."""
        log = self.folder / "batches.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [(line["process"], line["role"], tuple(line["texts"])) for line in lines if len(line["texts"]) > 1]

    def results(self) -> list[Path]:
        return sorted((self.folder / "results" / "small").glob("*"))


def place(folder: Path) -> Place:
    folder.mkdir()
    small.collection(folder / "data", documents=DOCUMENTS, queries=QUERIES)
    slow = {"index": {"build_seconds": 0.15}, "query": {"search_seconds": 0.05}}
    experiment = small.spec(
        SYSTEMS,
        encoders={"words": {"adapter": "words", "log": str(folder / "batches.jsonl"), "seconds_per_text": 0.0003}},
        stores={
            "bm25": {"adapter": "bm25"},
            "slow": {"adapter": "slow", **slow},
        },
        rerankers={"again": {"adapter": "bm25"}},
        baseline="bm25",
        latency={"workers": 2, "samples": 3, "seconds": 5},
    )
    small.write(folder, experiment)
    return Place(folder)


def figures(result: Result) -> dict[str, object]:
    return {
        s.name: (s.status, {k: v.model_dump() for k, v in s.measures.items()}, s.ann_recall,
                 {k: v.model_dump() for k, v in s.against_baseline.items()}, [loss.model_dump() for loss in s.loss])
        for s in result.systems
    }  # fmt: skip


def repeated(batches: Sequence[tuple[int, str, tuple[str, ...]]]) -> dict[int, int]:
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


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    site = tmp_path / "site"
    site.mkdir()
    started = Launcher(small.third_party(site))
    yield started
    started.close()


@pytest.mark.timeout(600)
def test_killed_at_random_moments_a_run_ends_with_the_same_figures(tmp_path: Path, launcher: Launcher) -> None:
    undisturbed = place(tmp_path / "undisturbed")
    began = time.perf_counter()
    launcher.start(undisturbed.folder)
    assert launcher.wait() == 0, (undisturbed.folder / "stderr").read_text()
    whole = time.perf_counter() - began
    wanted = read_result(undisturbed.results()[0])
    assert wanted.status == "success"
    assert sum(len(texts) for _, _, texts in undisturbed.batches()) == DOCUMENTS + QUERIES

    rng = np.random.default_rng(20)
    kills, number = 0, 0
    while kills < KILLS:
        number += 1
        here = place(tmp_path / f"disturbed{number}")
        wounds, status = 0, None
        for share in rng.uniform(0.0, 1.0, 5):
            process = launcher.start(here.folder)
            status = launcher.wait(share * whole)
            if status is None:
                os.kill(process, signal.SIGKILL)
                status = launcher.wait()
                wounds += status == -signal.SIGKILL
            if status == 0 or kills + wounds == KILLS:
                break
        kills += wounds
        if status != 0:
            launcher.start(here.folder)
            assert launcher.wait() == 0, (here.folder / "stderr").read_text()
        check(here, undisturbed, wounds)


def check(here: Place, undisturbed: Place, wounds: int) -> None:
    """Hold a run that was killed so many times to the undisturbed one."""
    # A killed run's folder is gone on with; a new one is opened only after a run that had said its last word.
    found = [read_result(folder) for folder in here.results()]
    assert [result.status for result in found] == ["success"] * len(found)
    assert figures(found[-1]) == figures(read_result(undisturbed.results()[0]))
    for system in SYSTEMS:
        file = Path("runs") / f"{system['name']}.trec"
        assert (here.results()[-1] / file).read_bytes() == (undisturbed.results()[0] / file).read_bytes()
    assert all(count <= BATCH for count in repeated(here.batches()).values())
    computed = sum(len(texts) for _, _, texts in here.batches())
    assert DOCUMENTS + QUERIES <= computed <= DOCUMENTS + QUERIES + wounds * BATCH
