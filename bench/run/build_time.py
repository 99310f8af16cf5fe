"""Estimates how long an index takes to build, from builds over samples, before anything long starts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from adapters.base import Floats, NotIndexed, Similarity, asks_others, index_name
from bench.experiment.parts import Searched
from bench.messages.failures import failure_of
from bench.quality.pipeline import Pipeline
from bench.quality.scratch import scratch_index

SAMPLE_ROWS = (2000, 8000, 16000)  # the first two sizes that the index can be built of are used
_LONG_SECONDS = 2.0  # a sample that took longer is compared with a smaller one instead
_FIRST_ROWS = 300  # enough for PQ, which wants 256


class Sample(NamedTuple):
    rows: int
    seconds: float


def extrapolate(samples: Sequence[Sample], rows: int) -> float:
    """Seconds for that many rows, at least those of each sample. Two samples give a line, fixed + slope * rows, neither
    of them negative; one sample gives a proportion. A sample of all rows counts as measured."""
    largest = max(samples)
    if largest.rows == rows:
        return largest.seconds
    if len(samples) == 1:
        return largest.seconds * rows / largest.rows
    smallest = min(samples)
    slope = max(0.0, (largest.seconds - smallest.seconds) / (largest.rows - smallest.rows))
    fixed = max(0.0, largest.seconds - slope * largest.rows)
    return fixed + slope * rows


class BuildTimes:
    """Estimates for the indexes of one experiment. The samples that it builds are dropped again."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._warm: set[str] = set()

    def sentence(self, searched: Searched) -> str:
        """`about 12 s (estimated from two samples, of 2,000 and 8,000 rows)`, or why nothing can be said."""
        contacts = self._pipeline.materials.store(searched.store).contacts()
        if asks_others(contacts):
            return f"unless it is kept there; time not estimated, a dry run does not ask {contacts[0].host}"
        documents = self._pipeline.dataset.documents
        sizes = sorted({min(rows, documents) for rows in SAMPLE_ROWS})
        samples: list[Sample] = []
        failed, failure, given = 0, "", True
        while sizes and len(samples) < 2:
            rows = sizes.pop(0)
            try:
                seconds, given = self._seconds(searched, rows)
            except BaseException as error:
                failed, failure = rows, failure_of(error).where
                if not isinstance(error, NotIndexed):  # more rows would not help
                    break
                continue
            samples.append(Sample(rows, seconds))
            if seconds > _LONG_SECONDS and rows < documents:
                sizes = [rows // 4] if len(samples) == 1 and rows // 4 > failed else []
        if not samples:
            return f"time not estimated, a sample of {failed:,} rows cannot be built: {failure}"
        whole = extrapolate(samples, documents)
        shown = f"{whole:,.0f}" if whole >= 10 else f"{whole:.1f}"
        kind = "rows" if given else "random vectors"
        low, high = min(samples).rows, max(samples).rows
        if low == high:
            return f"about {shown} s (scaled from a sample of {low:,} {kind})"
        return f"about {shown} s (estimated from two samples, of {low:,} and {high:,} {kind})"

    def _seconds(self, searched: Searched, rows: int) -> tuple[float, bool]:
        """The seconds for a sample, and whether the sample held the corpus's own vectors."""
        vectors, similarity, given = self._sample(searched, rows)
        if searched.store.adapter not in self._warm:
            # The first build of an engine also loads it; a run pays that once, not per row.
            with suppress(NotIndexed):
                self._build(searched, vectors, similarity, min(_FIRST_ROWS, rows))
            self._warm.add(searched.store.adapter)
        return self._build(searched, vectors, similarity, rows), given

    def _sample(self, searched: Searched, rows: int) -> tuple[Floats | None, Similarity, bool]:
        """The corpus's vectors where they are at hand; else random ones on the unit sphere, of that dimension."""
        if searched.encoders is None:
            return None, Similarity.COSINE, True
        name = searched.encoders.document
        encoder = self._pipeline.materials.encoder(name)
        if not self._pipeline.materials.embedding.pending(encoder, "document")[0]:
            return self._pipeline.materials.vectors(name, "document").array[:rows], encoder.similarity, True
        rng = np.random.default_rng(self._pipeline.experiment.settings.seed)
        random = rng.standard_normal((rows, encoder.dimension), dtype=np.float32)
        return random / np.linalg.norm(random, axis=1, keepdims=True), encoder.similarity, False

    def _build(self, searched: Searched, vectors: Floats | None, similarity: Similarity, rows: int) -> float:
        # A name of its own: an engine that keeps what it has would find the index of an earlier estimate built.
        name = index_name(uuid.uuid4().hex, "estimate")
        began = time.perf_counter()
        with scratch_index(self._pipeline, searched, vectors, similarity, rows=rows, name=name):
            return time.perf_counter() - began
