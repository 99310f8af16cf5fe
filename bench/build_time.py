"""How long an index would take to build, from a build over a sample: told before anything long starts."""

from __future__ import annotations

import time
import uuid

import numpy as np

from adapters.base import AdapterError, Floats, Similarity, Store
from bench.expansion import System
from bench.pipeline import Pipeline
from bench.scratch import scratch_index

SAMPLE_ROWS = 2000
_FIRST_ROWS = 300  # enough for PQ, which wants 256


class BuildTimes:
    """Estimates over the indexes of one experiment. What it builds is dropped again."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._warm: set[str] = set()

    def sentence(self, system: System) -> str:
        """`about 12 s (scaled from a sample of 2,000 rows)`, or why nothing can be said."""
        assert system.store is not None
        rows = min(SAMPLE_ROWS, self._pipeline.dataset.documents)
        try:
            seconds, given = self._seconds(system, rows)
        except AdapterError as error:
            return f"time not estimated, a sample of {rows:,} rows cannot be built: {error}"
        whole = seconds * self._pipeline.dataset.documents / rows
        shown = f"{whole:,.0f}" if whole >= 10 else f"{whole:.1f}"
        return f"about {shown} s (scaled from a sample of {rows:,} {'rows' if given else 'random vectors'})"

    def _seconds(self, system: System, rows: int) -> tuple[float, bool]:
        """Seconds for the sample, and whether it held the corpus's own vectors."""
        assert system.store is not None
        store = self._pipeline.store(system.store)
        vectors, similarity, given = self._sample(system, rows)
        if system.store.adapter not in self._warm:
            # The first build of an engine also loads it; a run pays that once, not per row.
            self._build(store, vectors, similarity, _FIRST_ROWS)
            self._warm.add(system.store.adapter)
        return self._build(store, vectors, similarity, rows), given

    def _sample(self, system: System, rows: int) -> tuple[Floats | None, Similarity, bool]:
        """The corpus's vectors where they are at hand; else random ones on the unit sphere, of that dimension."""
        name = system.document_encoder
        if name is None:
            return None, Similarity.COSINE, True
        encoder = self._pipeline.encoder(name)
        if not self._pipeline.embedding.pending(encoder, "document")[0]:
            return self._pipeline.vectors(name, "document").array[:rows], encoder.similarity, True
        rng = np.random.default_rng(self._pipeline.experiment.settings.seed)
        random = rng.standard_normal((rows, encoder.dimension), dtype=np.float32)
        return random / np.linalg.norm(random, axis=1, keepdims=True), encoder.similarity, False

    def _build(self, store: Store, vectors: Floats | None, similarity: Similarity, rows: int) -> float:
        # A name of its own: an engine that keeps what it has would find the index of an earlier estimate built.
        name = f"bench_estimate_{uuid.uuid4().hex}"
        began = time.perf_counter()
        with scratch_index(self._pipeline, store, vectors, similarity, rows=rows, name=name):
            return time.perf_counter() - began
