"""Two runs at once on one index, whose engine keeps the settings of searches: each keeps its own."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.results.model import read_result
from tests import small
from tests.killing import Launcher, Place, launcher

ROWS, QUERIES = 3000, 600  # more than are searched at once


def place(folder: Path, cache: Path, connection: dict[str, Any], ef: list[int]) -> Place:
    folder.mkdir()
    cache.mkdir(exist_ok=True)
    (folder / "cache").symlink_to(cache)
    small.vectors(folder / "data", documents=ROWS, queries=QUERIES, dimension=64)
    graph = {"adapter": "weaviate", "index": {"type": "hnsw", "max_connections": 8}, "query": {"ef": ef}, **connection}
    experiment = small.spec(
        [{"encoder": "given", "store": "graph"}],
        dataset={"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        encoders={"given": {"adapter": "precomputed"}},
        stores={"graph": graph},
        measures=["ANN@10"],
        latency={"samples": 5, "seconds": 2, "turn_seconds": 0.001},
    )
    small.write(folder, experiment)
    return Place(folder)


def found(here: Place) -> list[Any]:
    systems = read_result(here.results()[-1]).systems
    for system in systems:  # live, with settings of its own too
        assert system.latency is not None and system.latency.agreement is not None and system.latency.agreement >= 0.99
    return [(system.name, system.status, system.measures["ANN@10"].mean) for system in systems]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_runs_on_one_index_keep_their_own_settings(synchronous: dict[str, Any], tmp_path: Path) -> None:
    cache = tmp_path / "shared"
    few, many = (place(tmp_path / name, cache, synchronous, ef) for name, ef in
                 (("few", [10, 12, 14]), ("many", [400, 300, 200])))  # fmt: skip
    with ExitStack() as stack:
        runs: list[Launcher] = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            runs.append(stack.enter_context(launcher(tmp_path / name, "weaviate")))
        for each, here in zip(runs, (few, many), strict=True):
            each.start(here.folder)
        for each, here in zip(runs, (few, many), strict=True):
            assert each.wait() == 0, (here.folder / "stderr").read_text()
        at_once = [found(here) for here in (few, many)]
        assert max(mean for _, _, mean in at_once[0]) < min(mean for _, _, mean in at_once[1])
        for part in ("candidates", "timings"):
            shutil.rmtree(cache / part)
        for here, before in zip((few, many), at_once, strict=True):
            runs[0].start(here.folder)
            assert runs[0].wait() == 0, (here.folder / "stderr").read_text()
            assert len(here.results()) == 2
            assert found(here) == before  # one after another they find the same
    cleaned = small.bench("clean", "--yes", "--trust", "--cache", cache)
    assert cleaned.exit_code == 0, cleaned.output
