"""The dev split: what decides while a model learns, and what is measured before and after.

While a model learns, its nDCG@10 is taken over a pool: the relevant documents of all dev queries and the first ones
that the base finds for each, fixed once. At the end it is taken over the whole corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from adapters.base import (
    EMPTY_ROW,
    EncodesTexts,
    Floats,
    Hits,
    Rows,
    ScoresPairs,
    Similarity,
    exact_scores,
    exact_top_k,
    id_order,
)
from bench.data.dataset import Dataset
from bench.data.own_documents import left_out
from bench.statistics.measures import Judgements, Measure, evaluate
from bench.statistics.order import canonical

DECIDING = Measure("nDCG", 10)
MEASURES = (DECIDING, Measure("Recall", 10), Measure("MRR", 10))
FIRST = 100  # documents of the base that stand in the pool for each query
RERANKED = 30  # of them that a reranker scores: most systems rescore no more


@dataclass(frozen=True, slots=True)
class Measured:
    """Measures on held-out data, by the names they are shown by. counts: how many queries, triplets or pairs each is
    of."""

    values: Mapping[str, float | None]
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DevSet:
    """Dev queries with the candidates that the base found: rows (n, ≤ 100) of the corpus, best first, -1 for none.

    similarity: how an encoder's vectors are compared.
    """

    dataset: Dataset
    candidates: Rows
    seed: int
    similarity: Similarity = Similarity.COSINE

    # -- while a model learns ------------------------------------------------------------------------------------

    def evaluate(self, model: EncodesTexts | ScoresPairs) -> float:
        """nDCG@10 of an encoder over the pool, or of a reranker over the first candidates of each query."""
        if isinstance(model, ScoresPairs):
            return _mean(self._values(self.reranked(model), [DECIDING])[DECIDING])
        documents = model.encode([self.dataset.document_texts[int(row)] for row in self.pool], "document")
        queries = model.encode(list(self.dataset.query_texts), "query")
        return self.over_pool(queries, documents)

    def over_pool(self, queries: Floats, documents: Floats) -> float:
        """nDCG@10 over the pool by vectors: of the queries, (n, dimension), and of the pool, in the order of its
        rows."""
        pool = self.pool
        found = exact_top_k(queries, documents, DECIDING.cutoff + 1, self.similarity)
        rows = np.where(found.rows >= 0, pool[np.maximum(found.rows, 0)], -1).astype(np.int32)
        return _mean(self._values(self._ordered(Hits(rows, found.scores)), [DECIDING])[DECIDING])

    def reranked(self, model: ScoresPairs) -> Rows:
        """The first candidates of each query in a reranker's order, (n, ≤ 30)."""
        rows = self.candidates[:, :RERANKED]
        query, place = np.nonzero(rows >= 0)
        texts = self.dataset.document_texts
        pairs = [
            (self.dataset.query_texts[int(q)], texts[int(row)])
            for q, row in zip(query, rows[query, place], strict=True)
        ]
        scores = np.full(rows.shape, -np.inf, np.float32)
        scores[query, place] = model.score(pairs)
        return self._ordered(Hits(rows, scores))

    @cached_property
    def pool(self) -> npt.NDArray[np.int64]:
        """Rows of the corpus, ascending: the relevant documents of all queries and their candidates."""
        relevant = self.relevant[1]
        return np.unique(np.concatenate([relevant, self.candidates[self.candidates >= 0]])).astype(np.int64)

    @cached_property
    def relevant(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Query and document of each relevant pair, by row. Documents that the corpus does not hold are left out."""
        coded = self.dataset.qrels_coded()
        keep = (coded.grades >= 1) & (coded.document_rows < self.dataset.documents)
        return coded.query_rows[keep].astype(np.int64), coded.document_rows[keep].astype(np.int64)

    @cached_property
    def _judgements(self) -> Judgements:
        return Judgements.from_pairs(*self.dataset.qrels_coded(), query_count=self.dataset.judged)

    @cached_property
    def _id_order(self) -> Rows:
        ids = list(self.dataset.document_ids)
        return id_order(ids)

    def _ordered(self, hits: Hits) -> Rows:
        own = self.dataset.own_rows
        hits = hits if own is None else left_out(hits, own, hits.rows.shape[1])
        rows, _ = canonical(hits.rows, hits.scores, self._id_order, hits.rows.shape[1])
        found: Rows = rows.astype(np.int32, copy=False)
        return found

    def _values(self, rows: Rows, measures: Sequence[Measure]) -> dict[Measure, npt.NDArray[np.float64]]:
        widest = max(measure.cutoff for measure in measures)
        if rows.shape[1] < widest:
            rows = np.pad(rows, ((0, 0), (0, widest - rows.shape[1])), constant_values=EMPTY_ROW)
        found = evaluate(measures, rows, self._judgements)
        return {measure: values for measure, values in found.items() if values is not None}

    # -- before and after ----------------------------------------------------------------------------------------

    def of_ranking(self, rows: Rows) -> Measured:
        """The measures of a ranking of the whole corpus, rows (n, ≥ 10)."""
        values = {str(measure): _mean(each) for measure, each in self._values(rows, MEASURES).items()}
        return Measured(dict(values), dict.fromkeys(values, self.dataset.judged))

    def of_vectors(self, queries: Floats, documents: Floats) -> Measured:
        """The measures of an encoder: of its ranking of the whole corpus, and of how it tells pairs apart.

        queries: (n, dimension). documents: of the whole corpus, (m, dimension).
        """
        found = exact_top_k(queries, documents, FIRST + 1, self.similarity)
        scores = exact_scores(queries, documents, self.contrasts, self.similarity)
        return _joined(self.of_ranking(self._ordered(found)), self._told_apart(scores))

    def of_reranker(self, model: ScoresPairs) -> Measured:
        """The measures of a reranker: of the candidates in its order, and of how it tells pairs apart."""
        query, place = np.nonzero(self.contrasts >= 0)
        texts, asked = self.dataset.document_texts, self.dataset.query_texts
        pairs = [(asked[int(q)], texts[int(self.contrasts[q, p])]) for q, p in zip(query, place, strict=True)]
        scores = np.full(self.contrasts.shape, -np.inf, np.float32)
        scores[query, place] = model.score(pairs)
        return _joined(self.of_ranking(self.reranked(model)), self._told_apart(scores))

    def unranked(self) -> Measured:
        """The measures of the candidates as the base ranks them, as far down as a reranker would look."""
        return self.of_ranking(self._ordered_as_they_are())

    def _ordered_as_they_are(self) -> Rows:
        rows = self.candidates[:, :RERANKED]
        falling = np.broadcast_to(-np.arange(rows.shape[1], dtype=np.float32), rows.shape)
        return self._ordered(Hits(rows, np.where(rows >= 0, falling, -np.inf).astype(np.float32)))

    @cached_property
    def contrasts(self) -> Rows:
        """For each query a relevant document and one of its candidates that is not judged relevant, drawn by seed:
        int32 (n, 2), -1 where there is none."""
        rng = np.random.default_rng([self.seed, 77])
        queries, documents = self.relevant
        found = np.full((self.dataset.judged, 2), -1, np.int32)
        for query in range(self.dataset.judged):
            relevant = documents[queries == query]
            others = self.candidates[query]
            others = others[(others >= 0) & ~np.isin(others, relevant)]
            if len(relevant) and len(others):
                found[query] = rng.choice(relevant), rng.choice(others)
        return found

    def _told_apart(self, scores: Floats) -> Measured:
        """Triplet accuracy and the correlation with relevance, from scores (n, 2) of the contrasts."""
        there = (self.contrasts >= 0).all(axis=1) & np.isfinite(scores).all(axis=1)
        relevant, other = scores[there, 0].astype(np.float64), scores[there, 1].astype(np.float64)
        accuracy = float((relevant > other).mean()) if len(relevant) else None
        labels = np.concatenate([np.ones(len(relevant)), np.zeros(len(other))])
        spearman, pearson = correlations(np.concatenate([relevant, other]), labels)
        values = {"triplet accuracy": accuracy, "Spearman": spearman, "Pearson": pearson}
        pairs = 2 * len(relevant)
        return Measured(values, {"triplet accuracy": len(relevant), "Spearman": pairs, "Pearson": pairs})


def correlations(scores: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Spearman's and Pearson's correlation; None where one of the two does not vary, or has fewer than two values."""
    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(labels) == 0:
        return None, None
    from scipy import stats

    return float(stats.spearmanr(scores, labels).statistic), float(stats.pearsonr(scores, labels).statistic)


def _joined(one: Measured, other: Measured) -> Measured:
    return Measured({**one.values, **other.values}, {**one.counts, **other.counts})


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean())
