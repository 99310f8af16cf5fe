"""The oracle of a run: exact search over the very vectors that an index was built from, and recall against it."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Filter, Hits, Rows, ann_recall, exact_top_k
from bench.cache.digests import content_key
from bench.experiment.parts import EncoderPair
from bench.quality.materials import ROLES
from bench.quality.pipeline import Pipeline
from bench.quality.ranking import Ranking
from bench.quality.searches import QUERIES_PER_CHUNK
from bench.quality.stages import Stage
from bench.statistics.per_query import PerQuery


class Oracle:
    """Exact search that dense systems are measured against: under their filter, and without a query's own document."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def hits(self, encoders: EncoderPair, condition: Filter | None, depth: int) -> Hits:
        """The `depth` nearest documents of every judged query."""
        pipeline = self._pipeline
        documents = pipeline.materials.vectors(encoders.document, "document")
        queries = pipeline.materials.vectors(encoders.query, "query")
        passing = condition.as_dict() if condition else None
        corpus = pipeline.materials.corpus_fingerprint(texts=False, fields=condition.fields) if condition else None
        asked = pipeline.materials.asked(depth)
        parts = ["oracle", documents.key, queries.key, str(documents.similarity), asked, passing, corpus]
        if any(len(pipeline.materials.undirected(encoders, role)) for role in ROLES):
            parts.append("directed")  # kept rankings of versions that did not tell such vectors apart do not hold
        key = content_key(parts)

        def search() -> Hits:
            arrays = pipeline.cache.read_ranking(key, len(queries.array), pipeline.dataset.documents)
            if arrays is not None:
                return pipeline.materials.without_own(Hits(arrays["rows"], arrays["scores"]), depth)
            hits = Hits.empty(len(queries.array), asked)
            eligible = pipeline.materials.eligible(condition)
            label = f"exact search, {encoders.document}"
            with Stage(pipeline.emit, "search", label, len(hits.rows), "queries") as advance:
                for start in range(0, len(hits.rows), QUERIES_PER_CHUNK):
                    part = slice(start, min(start + QUERIES_PER_CHUNK, len(hits.rows)))
                    found = exact_top_k(queries.array[part], documents.array, asked, documents.similarity, eligible)
                    hits.rows[part], hits.scores[part] = found.rows, found.scores
                    advance(len(found.rows))
            pipeline.cache.write("candidates", key, {"rows": hits.rows, "scores": hits.scores})
            return pipeline.materials.without_own(hits, depth)

        return pipeline.materials.once(("oracle", key), search)

    def ranking(self, encoders: EncoderPair, condition: Filter | None, depth: int) -> Ranking:
        """The nearest documents in canonical order."""
        return self._pipeline.materials.ordered(self.hits(encoders, condition, depth), depth)

    def recall(
        self, encoders: EncoderPair, condition: Filter | None, found: Rows, cutoffs: Sequence[int], depth: int
    ) -> dict[int, PerQuery]:
        """Recall of what a search found, rows (n, at least the largest cut-off), at each cut-off: float64 (n,). depth:
        how far the oracle is asked, at least the largest cut-off."""
        documents = self._pipeline.materials.vectors(encoders.document, "document")
        queries = self._pipeline.materials.vectors(encoders.query, "query").array
        passing = self._pipeline.materials.eligible(condition)
        count = self._pipeline.dataset.documents if passing is None else int(passing.sum())
        best = self.hits(encoders, condition, depth).scores
        return {k: ann_recall(found, queries, documents.array, best, k, documents.similarity, count) for k in cutoffs}
