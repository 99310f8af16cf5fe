"""Killed at any moment, while results are written too, a run over every embedded engine ends as if nothing happened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.cache.artifacts import Cache
from bench.results.model import read_result
from tests import small
from tests.killing import Launcher, Place, check_same, kill_and_continue, launcher
from tests.models import tiny_cross_encoder
from tests.thorough import enough

DOCUMENTS, QUERIES = 400, 30
ALL = 8  # partitions; where all are probed, an index finds the same whatever centres its build drew
STORES: dict[str, dict[str, Any]] = {
    "bm25": {"adapter": "bm25"},
    "faiss-flat": {"adapter": "faiss", "index": {"type": "FLAT"}},
    "faiss-ivf": {"adapter": "faiss", "index": {"type": "IVF_FLAT", "nlist": ALL, "seed": 1}, "query": {"nprobe": 2}},
    "faiss-pq": {"adapter": "faiss", "index": {"type": "IVF_PQ", "nlist": 4, "pq_m": 8, "pq_nbits": 4, "seed": 1}},
    "faiss-hnsw": {"adapter": "faiss", "index": {"type": "HNSW", "seed": 1}},
    "lance-flat": {"adapter": "lancedb"},
    "lance-ivf": {
        "adapter": "lancedb",
        "index": {"type": "IVF_FLAT", "num_partitions": ALL},
        "query": {"nprobes": ALL},
    },
    "lance-text": {"adapter": "lancedb", "index": {"full_text": True}, "query": {"mode": "text"}},
    "lance-hybrid": {"adapter": "lancedb", "index": {"full_text": True}, "query": {"mode": "hybrid"}},
}
UNSEEDED: dict[str, dict[str, Any]] = {
    "lance-pq": {
        "adapter": "lancedb",
        "index": {"type": "IVF_PQ", "num_partitions": 4, "num_sub_vectors": 4},
        "query": {"nprobes": 1},
    },
    "lance-hnsw": {"adapter": "lancedb", "index": {"type": "IVF_HNSW_SQ", "num_partitions": 2}},
}
TEXT_ALONE = ("bm25", "lance-text")
# One worker takes ten rounds at least, which lasts where there are many systems.
TWO = [{"name": "two", "workers": 2, "samples": 5, "seconds": 5}]
ALONE = [{"name": "alone", "samples": 20, "turn_seconds": 0.001}]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Launcher]:
    with launcher(tmp_path, "faiss", "torch", "sentence_transformers", "adapters.rerankers.cross_encoder") as runs:
        yield runs


def place(folder: Path, stores: dict[str, dict[str, Any]], further: list[dict[str, Any]], **keys: Any) -> Place:
    folder.mkdir()
    small.collection(folder / "data", documents=DOCUMENTS, queries=QUERIES)
    systems = [{"name": s, "store": s, **({} if s in TEXT_ALONE else {"encoder": "words"})} for s in stores]
    experiment = small.spec(
        [{"name": "exact", "encoder": "words"}, *systems, *further],
        encoders={"words": {"adapter": "words", "seconds_per_text": 0.0005}},
        stores=stores,
        baseline="exact",
        measures=["nDCG@10", "ANN@10"],
        **keys,
    )
    small.write(folder, experiment)
    return Place(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_random_moments_every_embedded_engine_ends_with_the_same_figures(
    tmp_path: Path, started: Launcher
) -> None:
    model = tiny_cross_encoder(tmp_path / "model", train=False)
    further = [
        {"name": "hybrid", "fuse": ["bm25", "exact"]},
        {"name": "by-vectors", "store": "bm25", "reranker": "vectors", "depth": 10},
        {"name": "by-pairs", "store": "bm25", "reranker": "pairs", "depth": 10},
    ]
    rerankers = {
        "vectors": {"adapter": "bi_encoder", "encoder": "words"},
        "pairs": {"adapter": "cross_encoder", "model": str(model)},
    }
    kill_and_continue(
        started,
        tmp_path,
        lambda folder: place(folder, STORES, further, rerankers=rerankers, latency=TWO),
        kills=enough(3, 20),
        in_writing=enough(1, 2),
        seed=50,
        check=lambda here, undisturbed: check_same(here, undisturbed, ignored=sizes_of_partitions),
    )


def sizes_of_partitions(difference: str) -> bool:
    """LanceDB draws its centres anew for every build."""
    return ".index.parameters." in difference and "est_partition: " in difference


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_random_moments_an_engine_without_a_seed_is_whole_and_answers_for_itself(
    tmp_path: Path, started: Launcher
) -> None:
    """Two builds differ, so that one run cannot be held to another: what a run reports is what the index it kept finds,
    and that holds every row, however often its build was interrupted."""

    def check(here: Place, undisturbed: Place) -> None:
        first = read_result(here.results()[-1])
        assert first.status == "success"
        for system in small.by_name(first).values():
            assert system.index is not None and system.index.rows == system.index.rows_indexed == DOCUMENTS
        shutil.rmtree(here.folder / "cache" / "candidates")
        started.start(here.folder)
        assert started.wait() == 0, (here.folder / "stderr").read_text()
        again = read_result(here.results()[-1])
        assert (again.work.indexes_built.computed, again.work.queries_searched.reused) == (0, 0)
        assert again.work.queries_searched.computed == QUERIES * (1 + len(UNSEEDED))
        check_same(here, Place(here.folder))  # the last result against the first
        assert [*Cache(here.folder / "cache").begun_indexes()] == []

    kill_and_continue(
        started,
        tmp_path,
        lambda folder: place(folder, UNSEEDED, [], latency=ALONE),
        kills=enough(3, 15),
        in_writing=enough(1, 2),
        seed=51,
        each=5,
        check=check,
    )
