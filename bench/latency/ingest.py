"""Rows written into an index while it is searched: does the engine keep up, and is every row there afterwards?

The last part of the corpus is held back from a scratch index, so that no kept index changes. While a turn's queries
run, one thread of this process writes the turn's part of those rows, as an application's own thread would, on a
schedule fixed beforehand; what is left at the end of a turn is written untimed. When all turns are over, the index
must hold every row, and must find what the index of the quality pass found.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from adapters.base import (
    AdapterError,
    AdapterTimeout,
    AdapterUnavailable,
    Floats,
    IndexRef,
    InvalidOptions,
    Similarity,
    Store,
)
from bench.experiment.file import IngestPlan, LoadPoint
from bench.experiment.parts import Searched, System
from bench.latency.loops import overlap
from bench.latency.samples import ACHIEVED_AT_LEAST
from bench.latency.steps import PartsOfRun
from bench.messages.failures import Failure, failure_of
from bench.quality.pipeline import Pipeline
from bench.quality.scratch import scratch_index
from bench.quality.searches import opened, search_each
from bench.results.model import Ingest
from bench.statistics.order import canonical
from bench.statistics.percentiles import percentiles

QUERIES_ASKED_AGAIN = 200


class Batch(BaseModel):
    """One batch that was written while queries ran, in seconds. started: its planned start, counted from the beginning
    of the turn. lasted: the length of the call. waited: from the planned start to the call."""

    round: int
    rows: int
    started: float
    waited: float
    lasted: float
    failed: bool


class Written(BaseModel):
    """The outcome of writing. rows: how many were held back from the index at first. expected: how many it must hold at
    the end. held: how many it held, None where `error` tells that some are missing. found_after: the mean share of the
    quality pass's hits that were found again. failed: how many batches failed, untimed ones included."""

    rows: int
    expected: int
    batches: list[Batch] = []
    failed: int = 0
    held: int | None = None
    found_after: float | None = None
    error: str | None = None

    def summary(self, plan: IngestPlan) -> Ingest:
        """The figures of the raw times. As with queries, an engine that achieves under .97 of the offered rate did not
        keep up."""
        accepted = [batch for batch in self.batches if not batch.failed]
        span = 0.0
        for turn in {batch.round for batch in self.batches}:
            here = [batch for batch in self.batches if batch.round == turn]
            planned = max(batch.started + batch.rows / plan.rows_per_second for batch in here)
            span += max(planned, *(batch.started + batch.waited + batch.lasted for batch in here))
        achieved = sum(batch.rows for batch in accepted) / span if span else 0.0
        found = percentiles(np.array([batch.lasted for batch in accepted]))
        return Ingest(
            rows=self.rows,
            rows_while_searching=sum(batch.rows for batch in accepted),
            rows_per_second=plan.rows_per_second,
            achieved_per_second=achieved,
            kept_up=achieved >= ACHIEVED_AT_LEAST * plan.rows_per_second,
            batch=plan.batch,
            batches=found.samples,
            p50_ms=found.p50_ms,
            p95_ms=found.p95_ms,
            failed_batches=self.failed,
            rows_expected=self.expected,
            rows_held_after=self.held,
            found_after=self.found_after,
            error=self.error,
        )


def rows_held_back(plan: IngestPlan, documents: int, rounds: int) -> int:
    """How many rows are written during the queries: at least one in each round.

    Raises InvalidOptions when none would be left to search.
    """
    held_back = max(rounds, math.ceil(plan.share * documents))
    if held_back >= documents:
        raise InvalidOptions(
            f"{documents:,} documents are too few to hold back {held_back:,} of them. Lower ingest.share.",
            key="ingest.share",
        )
    return held_back


class Scratch(PartsOfRun):
    """A system's parts over its scratch index, and the rows that come into that."""

    def __init__(
        self, pipeline: Pipeline, system: System, searched: Searched, load: LoadPoint, store: Store, ref: IndexRef
    ) -> None:
        super().__init__(pipeline)
        assert load.ingest is not None
        self._plan, self._rounds = load.ingest, load.planned_rounds
        self._system, self._searched, self._store, self._ref = system, searched, store, ref
        documents = pipeline.dataset.documents
        held_back = rows_held_back(load.ingest, documents, load.planned_rounds)
        refused = _refused(pipeline, system)  # rows that are given to no index
        self._bounds = np.linspace(documents - held_back, documents, load.planned_rounds + 1).astype(int).tolist()
        rows = held_back - sum(row >= documents - held_back for row in refused)
        self._written = Written(rows=rows, expected=documents - len(refused))
        self.ended: Failure | None = None
        """What ended the counting, where no adapter mapped it."""

    def built(self, name: str, searched: Searched) -> tuple[Store, IndexRef]:
        """The store and the scratch index."""
        return self._store, self._ref

    @property
    def seconds(self) -> float:
        """For how many seconds the rows of a turn last. A query sent later would run while nobody writes."""
        return self._written.rows / self._rounds / self._plan.rows_per_second

    @contextmanager
    def writing(self, turn: int) -> Iterator[None]:
        """Write the turn's rows while the context lasts; what is left when it ends, untimed."""
        left = deque(self._batches(turn))
        stop, errors = threading.Event(), list[BaseException]()

        def work() -> None:
            try:
                self._write(left, turn, stop)
            except BaseException as error:  # handed to the caller below: a thread must not swallow it
                errors.append(error)

        thread = threading.Thread(target=work, name="ingest", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if errors:
            raise errors[0]
        while left:
            self._insert(left)

    def _batches(self, turn: int) -> list[pa.RecordBatch]:
        vectors, _ = _vectors(self._pipeline, self._system)
        first, last = self._bounds[turn], self._bounds[turn + 1]
        parts = self._pipeline.indexes.batches(self._searched, vectors, start=first, stop=last)
        size = self._plan.batch
        return [part.slice(at, size) for part in parts for at in range(0, part.num_rows, size)]

    def _write(self, left: deque[pa.RecordBatch], turn: int, stop: threading.Event) -> None:
        began, planned = time.perf_counter(), 0.0
        while left and not stop.wait(max(0.0, began + planned - time.perf_counter())):
            rows, start = left[0].num_rows, time.perf_counter()
            failed = not self._insert(left)
            lasted = time.perf_counter() - start
            waited = max(0.0, start - began - planned)
            self._written.batches.append(
                Batch(round=turn, rows=rows, started=planned, waited=waited, lasted=lasted, failed=failed)
            )
            planned += rows / self._plan.rows_per_second

    def _insert(self, left: deque[pa.RecordBatch]) -> bool:
        """Write the next batch, and say whether the engine took it. Where it is away, no further one is tried."""
        batch = left.popleft()
        try:
            self._store.insert(self._ref, batch)
        except AdapterError as error:
            self._written.failed += 1
            self._written.error = self._written.error or str(error)
            if isinstance(error, AdapterUnavailable | AdapterTimeout):
                self._written.failed += len(left)
                left.clear()
            return False
        return True

    def written(self) -> Written:
        """Let the engine index everything, count the rows, and search again for what the quality pass found."""
        try:
            grown = self._store.settle(self._ref, self._written.expected)
            self._written.held = grown.given
            self._written.found_after = self._found_again(grown)
        except BaseException as error:
            failure = failure_of(error)
            self.ended = failure if failure.foreign else None
            self._written.error = self._written.error or failure.cause
        return self._written

    def _found_again(self, ref: IndexRef) -> float:
        """Mean share of the hits that the quality pass's search gave, over some of its queries."""
        system, searched, pipeline = self._system, self._searched, self._pipeline
        queries, expected = pipeline.searches.queries(searched), pipeline.candidates(system, system.limit).rows
        rng = np.random.default_rng(pipeline.experiment.settings.seed)
        chosen = np.sort(rng.permutation(len(queries))[:QUERIES_ASKED_AGAIN])
        with opened(self._store, ref, pipeline.emit, payload=searched.payload) as session:
            session.configure(searched.store.query)
            asked = pipeline.materials.asked(system.limit)
            hits, _ = search_each(session.search, queries.at(chosen), asked, system.filter)
        hits = pipeline.materials.without_own(hits, system.limit, chosen)
        rows, _ = canonical(hits.rows, hits.scores, pipeline.materials.id_order, system.limit)
        return float(np.mean([overlap(found, expected[query]) for found, query in zip(rows, chosen, strict=True)]))


@contextmanager
def scratch(pipeline: Pipeline, system: System, load: LoadPoint, name: str) -> Iterator[Scratch]:
    """A scratch index of the first rows of the corpus for a system, dropped when the context ends.

    name: of the index in its engine. Raises InvalidOptions for a system whose index takes no rows, and what
    `Store.build` raises.
    """
    assert load.ingest is not None
    if (searched := system.searched) is None:
        raise InvalidOptions("rows are written into one index, and a fusion has several")
    store = pipeline.materials.store(searched.store)
    if not store.takes_rows:
        raise store.no_rows()
    documents = pipeline.dataset.documents
    rows = documents - rows_held_back(load.ingest, documents, load.planned_rounds)
    vectors, similarity = _vectors(pipeline, system)
    with scratch_index(pipeline, searched, vectors, similarity, rows=rows, name=name) as ref:
        yield Scratch(pipeline, system, searched, load, store, ref)


def _refused(pipeline: Pipeline, system: System) -> Collection[int]:
    """The rows of documents for which the encoder's service refused a vector."""
    return pipeline.materials.vectors(system.encoders.document, "document").failures if system.encoders else ()


def _vectors(pipeline: Pipeline, system: System) -> tuple[Floats | None, Similarity]:
    if system.encoders is None:
        return None, Similarity.COSINE
    vectors = pipeline.materials.vectors(system.encoders.document, "document")
    return vectors.array, vectors.similarity
