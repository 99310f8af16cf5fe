"""How long an index would take to build, from a build over a sample: told before anything long starts."""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np

from adapters.base import AdapterError, Floats, IndexRef, Place, Similarity, Store
from bench.expansion import System
from bench.pipeline import Pipeline

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
            self._build(store, system, vectors, similarity, _FIRST_ROWS)
            self._warm.add(system.store.adapter)
        return self._build(store, system, vectors, similarity, rows), given

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

    def _build(self, store: Store, system: System, vectors: Floats | None, similarity: Similarity, rows: int) -> float:
        dimension = None if vectors is None else vectors.shape[1]
        folder = Path(tempfile.mkdtemp(prefix=".estimate-", dir=self._pipeline.cache.folder))
        # A name of its own: an engine that keeps what it has would find the index of an earlier estimate built.
        place = Place(f"bench_estimate_{uuid.uuid4().hex}", folder)
        batches = self._pipeline.batches(store, vectors, rows=rows)
        try:
            began = time.perf_counter()
            store.build(batches, place=place, similarity=similarity, dimension=dimension)
            return time.perf_counter() - began
        finally:
            with suppress(AdapterError):  # of a build that failed nothing may be there to drop
                store.drop(IndexRef(place.name, str(folder), rows, dimension, similarity))
            shutil.rmtree(folder, ignore_errors=True)
