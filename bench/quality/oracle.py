"""The oracle of a run: exact search over the very vectors that an index was built from, and recall against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapters.base import Hits, Rows, ann_recall, exact_top_k
from bench.cache.artifacts import content_key
from bench.experiment.parts import System
from bench.quality.pipeline import QUERIES_PER_CHUNK, ROLES, Pipeline, Ranking
from bench.quality.stages import Stage

PerQuery = npt.NDArray[np.float64]


class Oracle:
    """What dense systems are measured against: under their filter, and without a query's own document."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def hits(self, system: System, depth: int) -> Hits:
        """The `depth` nearest documents of every judged query."""
        pipeline = self._pipeline
        assert system.document_encoder is not None and system.query_encoder is not None
        documents = pipeline.vectors(system.document_encoder, "document")
        queries = pipeline.vectors(system.query_encoder, "query")
        condition = system.filter.as_dict() if system.filter else None
        corpus = pipeline.corpus_fingerprint(texts=False, fields=system.filter.fields) if system.filter else None
        asked = pipeline.asked(depth)
        parts = ["oracle", documents.key, queries.key, str(documents.similarity), asked, condition, corpus]
        if any(len(pipeline.undirected(system, role)) for role in ROLES):
            parts.append("directed")  # what was found before such vectors were told apart is another thing
        key = content_key(parts)

        def search() -> Hits:
            arrays = pipeline.cache.read("candidates", key)
            if arrays is not None:
                return pipeline.without_own(Hits(arrays["rows"], arrays["scores"]), depth)
            hits = Hits.empty(len(queries.array), asked)
            eligible = pipeline.eligible(system.filter)
            label = f"exact search, {system.document_encoder}"
            with Stage(pipeline.emit, "search", label, len(hits.rows), "queries") as advance:
                for start in range(0, len(hits.rows), QUERIES_PER_CHUNK):
                    part = slice(start, min(start + QUERIES_PER_CHUNK, len(hits.rows)))
                    found = exact_top_k(queries.array[part], documents.array, asked, documents.similarity, eligible)
                    hits.rows[part], hits.scores[part] = found.rows, found.scores
                    advance(len(found.rows))
            pipeline.cache.write("candidates", key, {"rows": hits.rows, "scores": hits.scores})
            return pipeline.without_own(hits, depth)

        return pipeline.once(("oracle", key), search)  # type: ignore[no-any-return]

    def ranking(self, system: System, depth: int) -> Ranking:
        """Those documents in canonical order."""
        return self._pipeline.ordered(self.hits(system, depth), depth)

    def recall(self, system: System, found: Rows, cutoffs: Sequence[int], depth: int) -> dict[int, PerQuery]:
        """Recall of what a search found, rows (n, at least the largest cut-off), at each cut-off: float64 (n,). depth:
        how far the oracle is asked, at least the largest cut-off."""
        assert system.document_encoder is not None and system.query_encoder is not None
        documents = self._pipeline.vectors(system.document_encoder, "document")
        queries = self._pipeline.vectors(system.query_encoder, "query").array
        passing = self._pipeline.eligible(system.filter)
        count = self._pipeline.dataset.documents if passing is None else int(passing.sum())
        best = self.hits(system, depth).scores
        return {k: ann_recall(found, queries, documents.array, best, k, documents.similarity, count) for k in cutoffs}
