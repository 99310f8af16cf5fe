"""How much of what the allowed concurrency makes possible reaches a service that takes 50 ms a call.

Run: python -P -m tests.perf.managed. The service is a process of its own on loopback that has every answer ready before
the clock starts, so that it takes the 50 ms and no more.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapters.base import Corpus, Queries, Reranker, Rows, Scored, TextRows
from adapters.encoders._managed import ManagedEncoder
from adapters.encoders.cohere import CohereEncoder, CohereOptions
from adapters.encoders.openai import OpenAIEncoder, OpenAIOptions
from adapters.rerankers.cohere import CohereReranker, CohereRerankOptions
from bench.cache.artifacts import Segments
from bench.cache.digests import text_digests
from bench.quality.scoring import PairScores
from bench.quality.stages import Count

LATENCY_SECONDS = 0.05
CONCURRENCY = 8
CALLS = 320


@contextmanager
def service() -> Iterator[None]:
    """Stand-in services whose addresses are in the environment."""
    command = [sys.executable, "-m", "tests.standin", "--remember", "--latency-ms", str(LATENCY_SECONDS * 1000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(7):
            name, _, value = process.stdout.readline().removeprefix("export ").strip().partition("=")
            os.environ[name] = value
        try:
            yield
        finally:
            process.kill()


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three runs, after one that makes the service know everything."""
    work()
    found = math.inf
    for _ in range(3):
        began = time.perf_counter()
        work()
        found = min(found, time.perf_counter() - began)
    return found


def report(label: str, seconds: float) -> None:
    """One line with the ratio."""
    ideal = math.ceil(CALLS / CONCURRENCY) * LATENCY_SECONDS
    print(f"{label:32} {CALLS} calls in {seconds:.2f} s, possible {ideal:.2f} s: {ideal / seconds:.2f}", flush=True)


def embedded(encoder: ManagedEncoder, texts: list[str]) -> None:
    """Keep every part on disk as it comes, as a run does."""
    digests = text_digests(texts)
    with tempfile.TemporaryDirectory() as folder:
        segments = Segments(Path(folder))
        for positions, encoded in encoder.encode_each(TextRows(texts), "document"):
            segments.append(digests[np.asarray(positions)], {"vectors": encoded.vectors})


class AllAtOnce:
    """A reranker that is given all queries together."""

    def __init__(self, reranker: Reranker, queries: Queries) -> None:
        self.reranker = reranker
        self.queries = queries

    def lots(self, rows: Rows) -> list[npt.NDArray[np.intp]]:
        return [np.arange(len(rows))]

    def score_each(self, positions: npt.NDArray[np.intp], rows: Rows) -> Iterator[tuple[Sequence[int], Scored]]:
        return self.reranker.score_each(self.queries.at(positions), rows)

    def units(self, query: int, rows: Rows) -> int:
        return 1


def scored(reranker: Reranker, queries: Queries, documents: list[str], candidates: Rows) -> None:
    """The scoring stage of a run, from an empty cache."""
    assert queries.texts is not None
    with tempfile.TemporaryDirectory() as folder:
        PairScores(
            label=reranker.name,
            segments=Segments(Path(folder)),
            digests=(text_digests(queries.texts), text_digests(documents)),
            scorer=AllAtOnce(reranker, queries),
            count=Count(),
            emit=lambda event: None,
        ).scores(candidates)


def encoders() -> None:
    """Encoders, in full calls."""
    for size in (16, 96):
        texts = [f"text {i} of many, about {['water', 'iron', 'bread'][i % 3]}" for i in range(CALLS * size)]
        shared = {"concurrency": CONCURRENCY, "batch_size": size}
        for encoder in (
            CohereEncoder(CohereOptions(model="embed-v5.0-fast", output_dimension=1024, **shared)),
            OpenAIEncoder(OpenAIOptions(model="text-embedding-3-small", dimensions=1024, **shared)),
        ):
            with encoder:
                seconds = best(lambda encoder=encoder, texts=texts: embedded(encoder, texts))
                report(f"{encoder.name} encoder, {size} texts a call", seconds)


def reranker() -> None:
    """A reranker, a query with ten documents a call."""
    documents = [f"document {i} about {['water', 'iron', 'bread'][i % 3]}" for i in range(200)]
    queries = Queries(None, [f"query {i} about iron" for i in range(CALLS)])
    candidates = np.random.default_rng(0).integers(0, 200, (CALLS, 10)).astype(np.int32)
    options = CohereRerankOptions(model="rerank-v5.0-fast", concurrency=CONCURRENCY)
    with CohereReranker(options) as scorer:
        scorer.prepare(Corpus(documents))
        report("cohere reranker, 10 documents", best(lambda: scored(scorer, queries, documents, candidates)))


def main() -> None:
    """Print a ratio per adapter."""
    with service():
        encoders()
        reranker()


if __name__ == "__main__":
    main()
