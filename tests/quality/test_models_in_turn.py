"""Local models take turns in memory: while one embeds or scores, those that are done hold none."""

from __future__ import annotations

import gc
from pathlib import Path

from sentence_transformers import CrossEncoder, SentenceTransformer

from bench.experiment.reader import load_experiment
from bench.run.folder import Places
from bench.run.runner import run
from tests import small
from tests.models import tiny_bert, tiny_cross_encoder


def in_memory() -> int:
    return sum(type(each) in (SentenceTransformer, CrossEncoder) for each in gc.get_objects())


def test_encoders_and_rerankers_that_are_done_give_their_memory_back(tmp_path: Path) -> None:
    small.collection(tmp_path / "data", documents=30, queries=6)
    names = ("one", "two", "three")
    folders = {name: tiny_bert(tmp_path / name) for name in names}
    cross = {name: tiny_cross_encoder(tmp_path / f"ce-{name}", train=False) for name in names}
    local = {"adapter": "sentence_transformers", "device": "cpu"}
    experiment = small.spec(
        [{"encoder": list(names)}, {"encoder": "one", "reranker": list(names), "depth": 10}],
        encoders={name: {**local, "model": str(folder)} for name, folder in folders.items()},
        rerankers={
            name: {"adapter": "cross_encoder", "model": str(folder), "device": "cpu"} for name, folder in cross.items()
        },
        latency=False,
    )
    before, held = in_memory(), list[int]()

    def look(event: object) -> None:
        held.append(in_memory())

    _, result = run(
        load_experiment(small.write(tmp_path, experiment)),
        Places(tmp_path / "results", tmp_path / "cache"),
        listeners=[look],
    )
    assert result.status == "success" and len(result.systems) == 6
    assert max(held) - before == 1, held
