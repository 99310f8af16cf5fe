"""A cross-encoder looks at what was found, and throws out what may be relevant after all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from adapters.base import Corpus, Floats, Queries, Reranker, Rows, Scored
from bench.cache.artifacts import Cache
from bench.cache.digests import content_key, text_digests
from bench.data.tables import table_digest
from bench.experiment.negatives import Negatives
from bench.money.budget import Budget
from bench.money.cost import ABOUT, AT_MOST, Tokens, Usages, reranking_usage
from bench.quality.scoring import PAIRS_PER_CHUNK, PairScores, scores_fit
from bench.quality.stages import Count, Emit
from bench.train.mining.asked import Asked

Positions = npt.NDArray[np.intp]


class Judging:
    """Scores of a reranker for the pairs' queries, each distinct pair of texts once and kept."""

    def __init__(self, spec: Negatives, asked: Asked, judge: Reranker, *, cache: Cache, emit: Emit, budget: Budget):
        texts = asked.document_texts
        depends: list[str] = []
        if judge.depends_on_corpus:
            depends.append(table_digest(asked.dataset.corpus.select(["id", "title", "text"])))
            depends += [content_key(asked.written)] if asked.written else []
        self._spec = spec
        self._positive_rows = asked.positive_rows
        self._pairs = PairScores(
            label=f"negatives ({spec.filter or judge.name})",
            segments=cache.segments("scores", content_key([judge.identity.as_dict(), *depends]), scores_fit),
            digests=(text_digests(asked.texts)[asked.query_of], text_digests(texts)),
            scorer=Scoring([asked.texts[i] for i in asked.query_of.tolist()], texts, judge, budget),
            count=Count(),
            emit=emit,
        )

    def scores(self, rows: Rows) -> Floats:
        """Scores of documents, rows (pairs, width) with -1 for none: float32, -inf where there is none."""
        return self._pairs.scores(rows)

    def rule(self, pair: int, score: float) -> str | None:
        """Why a document with this score is no negative of a pair; None where it may be one."""
        bound = float(self._bounds[pair])
        if -np.inf in (score, bound):
            return "not_judged"
        return "filter" if score > bound else None

    @cached_property
    def _bounds(self) -> Floats:
        """The score up to which a document may be a negative of each pair, (pairs,)."""
        if self._spec.filter_max_score is not None:
            return np.full(len(self._positive_rows), self._spec.filter_max_score, np.float32)
        return self.scores(self._positive_rows[:, None])[:, 0]


class Scoring:
    """A reranker at work on texts, within the budget. queries: by position; several may be equal."""

    def __init__(self, queries: Sequence[str], documents: Sequence[str], judge: Reranker, budget: Budget) -> None:
        self._queries = queries
        self._documents = documents
        self._judge = judge
        self._budget = budget
        self._prepared = False

    def lots(self, rows: Rows) -> Iterator[Positions]:
        chosen = np.flatnonzero((rows >= 0).any(axis=1))
        if not self._judge.bills:
            step = max(1, PAIRS_PER_CHUNK // rows.shape[1])
            yield from (chosen[first : first + step] for first in range(0, len(chosen), step))
            return
        most = self._usage(chosen, rows[chosen], AT_MOST)
        while len(chosen):
            count = self._budget.affordable(self._judge, most)
            yield chosen[:count]
            chosen, most = chosen[count:], most.after(count)

    def score_each(self, positions: Positions, rows: Rows) -> Iterator[tuple[Sequence[int], Scored]]:
        if not self._prepared:
            self._judge.prepare(Corpus(self._documents))
            self._prepared = True
        texts = [self._queries[i] for i in positions.tolist()]
        for places, scored in self._judge.score_each(Queries(texts=texts), rows):
            yield places, scored
            if self._judge.bills:
                there = np.asarray(places)
                told = np.where(scored.scores > -np.inf, rows[there], -1)
                self._budget.after(self._judge, scored.usage, self._usage(positions[there], told, AT_MOST).total())

    def units(self, query: int, rows: Rows) -> int:
        return self._usage(np.array([query]), rows[None], ABOUT).total().search_units

    def _usage(self, positions: Positions, rows: Rows, tokens: Tokens) -> Usages:
        present = rows >= 0
        sizes = np.full(rows.shape, -1, np.int64)
        sizes[present] = tokens.sizes(self._documents[row] for row in rows[present].tolist())
        queries = tokens.sizes(self._queries[i] for i in positions.tolist())
        return reranking_usage(queries, sizes, tokens)
