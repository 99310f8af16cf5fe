"""Reranking of the quality pass: each distinct pair of texts is scored once per reranker, within the budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.base import (
    Corpus,
    Hits,
    Queries,
    Reranker,
    Role,
    Rows,
    Scored,
    Similarity,
)
from bench.cache.digests import content_key
from bench.money.cost import ABOUT, AT_MOST, Integers, Tokens, Usages, reranking_usage
from bench.quality.materials import ROLES, Materials
from bench.quality.ranking import Ranking
from bench.quality.scoring import PAIRS_PER_CHUNK, PairScores, scores_fit, unscored_last


class Reranking:
    """Scores candidates by the rerankers of a run."""

    def __init__(self, materials: Materials) -> None:
        self._materials = materials

    def ranking(self, name: str, candidates: Ranking) -> Ranking:
        rows, failures = self.scorable(name, candidates.rows)
        pairs = self.pair_scores(name)
        scores = pairs.scores(rows)
        for query in np.flatnonzero((rows >= 0).any(axis=1) & ~(scores > -np.inf).any(axis=1)).tolist():
            cause = pairs.refusals(rows[query : query + 1], [query])[0][-1]
            failures[query] = f"query {self._materials.dataset.query_ids[query]} could not be reranked: {cause}"
        ranked = self._materials.ordered(Hits(rows, unscored_last(rows, scores)), rows.shape[1], failures)
        return replace(
            ranked, failed=candidates.failed | ranked.failed, failures=(*candidates.failures, *ranked.failures)
        )

    def scorable(self, name: str, rows: Rows) -> tuple[Rows, dict[int, str]]:
        """The candidates that a reranker can score, with -1 for the others, and by query why it can score none of them.

        A document that only a run file names has no text to score, and a document that an encoder's service refused has
        no vector. Neither keeps a place.
        """
        rows = np.where(rows < self._materials.dataset.documents, rows, -1)
        encoder = self._materials.reranker(name).encoder_name
        if encoder is None:
            return rows, {}
        documents, queries = (self._materials.vectors(encoder, role).failures for role in ROLES)
        if documents:
            rows = np.where(np.isin(rows, list(documents)), -1, rows)
        rows[list(queries)] = -1
        return rows, dict(queries)

    def prepared(self, name: str) -> Reranker:
        """The reranker of that name, prepared: it knows the corpus."""

        def prepare() -> Reranker:
            reranker = self._materials.reranker(name)
            encoder = reranker.encoder_name
            vectors = None if encoder is None else self._materials.vectors(encoder, "document")
            similarity = vectors.similarity if vectors else Similarity.COSINE
            texts = self._materials.dataset.document_texts
            reranker.prepare(Corpus(texts, vectors.array if vectors else None, similarity))
            return reranker

        return self._materials.once(("prepared", name), prepare)

    def queries(self, name: str) -> Queries:
        """The judged queries as a reranker consumes them."""
        encoder = self._materials.reranker(name).encoder_name
        vectors = None if encoder is None else self._materials.vectors(encoder, "query").array
        return Queries(vectors, self._materials.dataset.query_texts)

    def key(self, name: str) -> str:
        """The key of a reranker's scores; a pair is scored once under it."""
        reranker = self._materials.reranker(name)
        depends: list[Any] = [reranker.identity.as_dict()]
        if reranker.depends_on_corpus:
            depends.append(self._materials.corpus_fingerprint(texts=True))
        if (encoder := reranker.encoder_name) is not None:
            depends += [self._materials.vectors_key(encoder, role) for role in ROLES]
        return content_key(depends)

    def pair_scores(self, name: str) -> PairScores:
        """The scores of a named reranker, shared by all systems that use it."""

        def make() -> PairScores:
            return PairScores(
                label=name,
                segments=self._materials.cache.segments("scores", self.key(name), scores_fit),
                digests=(self._materials.query_digests, self._materials.document_digests),
                scorer=_Scoring(self, self._materials, name),
                count=self._materials.work.pairs_scored,
                emit=self._materials.emit,
            )

        return self._materials.once(("pairs", name), make)

    def usage(self, positions: npt.NDArray[np.intp], rows: Rows, tokens: Tokens) -> Usages:
        """The usage of a reranker that bills for these candidates, by query, estimated from the texts."""
        queries, documents = self._text_sizes("query", tokens), self._text_sizes("document", tokens)
        return reranking_usage(queries[positions], np.where(rows >= 0, documents[rows], -1), tokens)

    def _text_sizes(self, role: Role, tokens: Tokens) -> Integers:
        texts = self._materials.dataset.document_texts if role == "document" else self._materials.dataset.query_texts
        return self._materials.once(("text sizes", role, tokens), lambda: tokens.sizes(texts))


class _Scoring:
    """A named reranker at work on the judged queries, within the budget."""

    def __init__(self, reranking: Reranking, materials: Materials, name: str) -> None:
        self._reranking = reranking
        self._materials = materials
        self._budget = materials.budget
        self._reranker = materials.reranker(name)
        self._name = name

    def lots(self, rows: Rows) -> Iterator[npt.NDArray[np.intp]]:
        """Lots of queries whose candidates are scored together. A reranker that bills gets all at once, so that it
        keeps its service busy, or as many as the budget surely allows. Any other gets no more than may be lost to a
        kill."""
        reranker, chosen = self._reranker, np.flatnonzero((rows >= 0).any(axis=1))
        if not reranker.bills:
            step = max(1, PAIRS_PER_CHUNK // rows.shape[1])
            for start in range(0, len(rows), step):
                if len(part := chosen[(chosen >= start) & (chosen < start + step)]):
                    yield part
            return
        most = self._reranking.usage(chosen, rows[chosen], AT_MOST)
        while len(chosen):
            count = self._budget.affordable(reranker, most)
            yield chosen[:count]
            chosen, most = chosen[count:], most.after(count)

    def score_each(self, positions: npt.NDArray[np.intp], rows: Rows) -> Iterator[tuple[Sequence[int], Scored]]:
        reranker, queries = self._reranking.prepared(self._name), self._reranking.queries(self._name).at(positions)
        self._materials.turn(reranker)
        for places, scored in reranker.score_each(queries, rows):
            yield places, scored
            if reranker.bills:
                there = np.asarray(places)
                told = np.where(scored.scores > -np.inf, rows[there], -1)
                most = self._reranking.usage(positions[there], told, AT_MOST).total()
                self._budget.after(reranker, scored.usage, most)

    def units(self, query: int, rows: Rows) -> int:
        return self._reranking.usage(np.array([query]), rows[None], ABOUT).total().search_units
