"""Killed at any moment, the same command finishes the job: same figures, and only what was in flight is done again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.results.model import Result, read_result
from tests import small
from tests.killing import Launcher, Place, launcher, lost_work
from tests.thorough import enough

KILLS = enough(8, 20)
DOCUMENTS, QUERIES = 640, 140
BATCH = 128  # the least number of texts that are embedded at once
SYSTEMS = [
    {"name": "bm25", "store": "bm25"},
    {"name": "dense", "encoder": "words"},
    {"name": "slow", "encoder": "words", "store": "slow"},
    {"name": "hybrid", "fuse": ["bm25", "dense"]},
    {"name": "reranked", "store": "bm25", "reranker": "again", "depth": 20},
]


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


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Launcher]:
    with launcher(tmp_path) as runs:
        yield runs


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_killed_at_random_moments_a_run_ends_with_the_same_figures(tmp_path: Path, started: Launcher) -> None:
    undisturbed = place(tmp_path / "undisturbed")
    began = time.perf_counter()
    started.start(undisturbed.folder)
    assert started.wait() == 0, (undisturbed.folder / "stderr").read_text()
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
            process = started.start(here.folder)
            status = started.wait(share * whole)
            if status is None:
                os.kill(process, signal.SIGKILL)
                status = started.wait()
                wounds += status == -signal.SIGKILL
            if status == 0 or kills + wounds == KILLS:
                break
        kills += wounds
        if status != 0:
            started.start(here.folder)
            assert started.wait() == 0, (here.folder / "stderr").read_text()
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
    assert all(count <= BATCH for count in lost_work(here.batches()).values())
    computed = sum(len(texts) for _, _, texts in here.batches())
    assert DOCUMENTS + QUERIES <= computed <= DOCUMENTS + QUERIES + wounds * BATCH
