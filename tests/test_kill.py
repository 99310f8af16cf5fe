"""Killed at any moment, the same command finishes the job: same figures, and only what was in flight is done again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.results import Result, read_result
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


@dataclass(frozen=True)
class Place:
    """A folder with an experiment, its cache, its results and the log of what was embedded."""

    folder: Path
    site: Path

    def command(self) -> list[str]:
        places = ["--output", "results", "--cache", "cache", "--quiet", "--json"]
        return [sys.executable, "-m", "bench", "run", "bench.yaml", *places]

    def start(self) -> subprocess.Popen[str]:
        root = Path(__file__).resolve().parent.parent
        paths = os.pathsep.join([str(self.site), str(root)])
        return subprocess.Popen(
            self.command(),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def batches(self) -> list[tuple[int, str, tuple[str, ...]]]:
        """Process, role and texts of every batch of the quality pass; live queries come one at a time."""
        log = self.folder / "batches.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [(line["process"], line["role"], tuple(line["texts"])) for line in lines if len(line["texts"]) > 1]

    def results(self) -> list[Path]:
        return sorted((self.folder / "results" / "small").glob("*"))


def place(folder: Path, site: Path) -> Place:
    folder.mkdir()
    small.collection(folder / "data", documents=DOCUMENTS, queries=QUERIES)
    slow = {"index": {"build_seconds": 0.15}, "query": {"search_seconds": 0.1}}
    experiment = small.spec(
        SYSTEMS,
        encoders={"words": {"adapter": "words", "log": "batches.jsonl", "seconds_per_text": 0.0005}},
        stores={
            "bm25": {"adapter": "bm25"},
            "slow": {"adapter": "slow", **slow},
        },
        rerankers={"again": {"adapter": "bm25"}},
        baseline="bm25",
        latency={"samples": 3, "seconds": 5},
    )
    small.write(folder, experiment)
    return Place(folder, site)


def finish(process: subprocess.Popen[str]) -> Result:
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return read_result(Path(json.loads(stdout)["result"]))


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


@pytest.mark.timeout(900)
def test_killed_at_random_moments_a_run_ends_with_the_same_figures(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    small.third_party(site)
    undisturbed = place(tmp_path / "undisturbed", site)
    began = time.perf_counter()
    process = undisturbed.start()
    while not (undisturbed.folder / "batches.jsonl").exists() and process.poll() is None:
        time.sleep(0.005)
    until_work = time.perf_counter() - began
    wanted = finish(process)
    whole = time.perf_counter() - began
    assert wanted.status == "success"
    assert sum(len(texts) for _, _, texts in undisturbed.batches()) == DOCUMENTS + QUERIES

    rng = np.random.default_rng(20)
    kills = 0
    number = 0
    while kills < KILLS:
        number += 1
        here = place(tmp_path / f"disturbed{number}", site)
        wounds = 0
        for share in rng.uniform(0.0, 1.0, 5):
            # The first tenth before the work begins: a kill may come while the data are read, too.
            moment = 0.9 * until_work + share * (whole - 0.9 * until_work)
            process = here.start()
            try:
                process.wait(timeout=moment)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                wounds += 1
            process.communicate()
            if process.returncode == 0 or kills + wounds == KILLS:
                break
        kills += wounds
        result = finish(here.start()) if process.returncode else read_result(here.results()[-1])
        assert figures(result) == figures(wanted)
        # A killed run's folder is gone on with; a new one is opened only after a run that had said its last word.
        assert [read_result(folder).status for folder in here.results()] == ["success"] * len(here.results())
        for name in ("bm25", "dense", "slow", "hybrid", "reranked"):
            file = Path("runs") / f"{name}.trec"
            assert (here.results()[-1] / file).read_bytes() == (undisturbed.results()[0] / file).read_bytes()
        assert all(count <= BATCH for count in repeated(here.batches()).values())
        computed = sum(len(texts) for _, _, texts in here.batches())
        assert DOCUMENTS + QUERIES <= computed <= DOCUMENTS + QUERIES + wounds * BATCH
