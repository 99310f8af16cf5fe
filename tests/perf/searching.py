"""What the two stores' perf scripts share: clustered vectors, a system as the latency pass runs it, rounds in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from adapters.base import Floats
from bench.cache.locks import locked
from bench.experiment.file import LoadPoint
from bench.experiment.parts import System
from bench.experiment.reader import load_experiment
from bench.latency.disturbance import Observed, Sighting
from bench.latency.figures import LoadFigures
from bench.latency.steps import LiveSystem, PartsOfRun
from bench.latency.turns import WARM_UP_AGAIN, Subject, measure
from bench.machine.memory import Reading
from bench.quality.pipeline import Pipeline
from bench.run.preflight import prepare

DIMENSION, CENTRES, NOISE, QUERIES = 384, 200, 0.6, 200
ROUNDS = 40
AT_MOST = 1.05  # of the bare client's p50


def clustered(rows: int) -> tuple[Floats, Floats]:
    """Vectors (rows, 384) around 200 centres, and 200 queries from the same places; unit length."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CENTRES, DIMENSION), dtype=np.float32)

    def drawn(count: int) -> Floats:
        vectors = centres[rng.integers(0, CENTRES, count)]
        vectors = vectors + NOISE * rng.standard_normal((count, DIMENSION), dtype=np.float32)
        unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    return drawn(rows), drawn(QUERIES)


@contextmanager
def system_on(folder: Path, rows: int, store: Mapping[str, Any]) -> Iterator[tuple[Pipeline, System, Floats]]:
    """A pipeline with one system on that store over clustered vectors, its index built, and the queries."""
    corpus, queries = clustered(rows)
    np.save(folder / "corpus.npy", corpus)
    np.save(folder / "queries.npy", queries)
    experiment = {
        "experiment": "perf",
        "dataset": {"adapter": "vectors", "corpus": "corpus.npy", "queries": "queries.npy"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": {"it": dict(store)},
        "systems": [{"name": "it", "encoder": "given", "store": "it"}],
        "measures": ["ANN@10"],
    }
    (folder / "bench.yaml").write_text(yaml.safe_dump(experiment), encoding="utf-8")
    cache = folder / "cache"
    with locked(cache, "The cache"):
        pipeline, _ = prepare(load_experiment(folder / "bench.yaml"), cache, lambda event: None)
        try:
            system = pipeline.systems["it"]
            pipeline.indexes.built(system.source)
            yield pipeline, system, queries
        finally:
            pipeline.close()


class _Unwatched:
    """The two are compared turn by turn: nothing is to be taken again for what disturbs one of them."""

    @contextmanager
    def turn(self, others: Sequence[int] | None) -> Iterator[Sighting]:
        yield Sighting()

    def reasons(self, observed: Observed) -> list[str]:
        return []

    def close(self) -> None:
        """Nothing to do."""


def search_ratio(title: str, pipeline: Pipeline, system: System, bare: Callable[[int], object]) -> float:
    """p50 of a query in the latency pass over that of a bare client loop, in many turns, so that what else the machine
    does meets both; prints both. A turn of the client comes right before each of the harness, both warmed up.

    bare: searches with the query of a number, as little as the client lets one do for rows and scores.
    """
    expected = pipeline.ranking(system.top).rows
    order = np.random.default_rng(0).permutation(len(expected)).tolist()
    client: list[float] = []  # p50 by turn

    def turn_of_the_client() -> Reading:
        for query in order[:WARM_UP_AGAIN]:
            bare(query)
        spent: list[float] = []
        for query in order:
            began = time.perf_counter()
            bare(query)
            spent.append(time.perf_counter() - began)
        client.append(statistics.median(spent))
        return lambda: None

    load = LoadPoint(samples=ROUNDS * QUERIES, seconds=600.0, rounds=ROUNDS, turn_seconds=1e-3)
    subject = Subject(
        "it",
        lambda: LiveSystem(PartsOfRun(pipeline), system),
        expected,
        ROUNDS * QUERIES,
        memory=turn_of_the_client,  # it is asked for as a turn begins
    )
    taken = measure(load, [subject], seed=0, emit=lambda event: None, watch=_Unwatched)
    assert not taken["it"].failed.any()
    harness = LoadFigures(load, taken, seed=0).rounds()["it"].own_p50.tolist()
    ratio: float = statistics.median(ours / theirs for ours, theirs in zip(harness, client, strict=True))
    print(f"{title}, p50 of {QUERIES} queries in each of {ROUNDS} rounds taken in turns:")
    for name, values in (("harness", harness), ("bare", client)):
        low, middle, high = (1000 * v for v in (min(values), statistics.median(values), max(values)))
        print(f"  {name:8} {middle:6.3f} ms  [{low:.3f}, {high:.3f}]")
    print(f"  harness / bare client, median of the rounds: {ratio:.3f} (at most {AT_MOST:.2f})", flush=True)
    return ratio
