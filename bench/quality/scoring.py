"""Scores of (query, document) pairs: each distinct pair of texts is scored once per reranker, whoever asks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from adapters.base import Flags, Floats, Rows, Scored, Usage, Warned
from bench.cache.artifacts import Arrays, Segments
from bench.cache.digests import Digests, pair_digests
from bench.cache.machine_lock import at_work, pause
from bench.quality.embedding import damaged
from bench.quality.stages import Count, Emit, Stage, usage_from, waiting

PAIRS_PER_CHUNK = 1024

Positions = npt.NDArray[np.intp]


class Scorer(Protocol):
    """A reranker at work on the queries of a run, which are named by position."""

    def lots(self, rows: Rows) -> Iterable[Positions]:
        """Which queries with candidates, rows (n, depth), are given to it together."""

    def score_each(self, positions: Positions, rows: Rows) -> Iterator[tuple[Sequence[int], Scored]]:
        """The parts that it scores for these queries and their candidate rows, as they come."""

    def units(self, query: int, rows: Rows) -> int:
        """The search units of one request, for a query and its candidates, rows (depth,)."""


class PairScores:
    """The scoring stage of one reranker. digests: of the queries' and of the documents' texts."""

    def __init__(
        self,
        *,
        label: str,
        segments: Segments,
        digests: tuple[Digests, Digests],
        scorer: Scorer,
        count: Count,
        emit: Emit,
    ) -> None:
        self._label = label
        self._segments = segments
        self._query_digests, self._document_digests = digests
        self._scorer = scorer
        self._count = count
        self._emit = emit
        self._refused: dict[bytes, str] = {}
        self._counted: Digests = np.empty(0, self._query_digests.dtype)

    def scores(self, rows: Rows) -> Floats:
        """Scores of candidates: rows (n, depth), -1 for empty. Returns float32 (n, depth), -inf there and where the
        model's service refuses the pair."""
        present = rows >= 0
        scores = np.full(rows.shape, -np.inf, np.float32)
        if not present.any():
            return scores
        digests = self._pairs(rows)
        wanted = self._wanted(digests, present)
        found = 0
        if wanted.any():
            if self._segments.damaged:
                told = damaged(self._segments.damaged, "scores")
                self._emit(Warned(self._label, f"{told}; what they held is scored again."))
                self._segments.damaged = 0
            found = self._compute(np.where(wanted, rows, -1), digests)
        self._tally(digests[present], int(wanted.sum()) - found)
        present &= ~self._is_refused(digests)
        if present.any():
            scores[present] = self._segments.gather(digests[present], ["scores"])[0]
        return scores

    def refusals(self, rows: Rows, queries: Sequence[int]) -> list[tuple[int, int, str]]:
        """Which of these candidates have no score although it was asked for: query, row and cause. queries: the queries
        that they belong to."""
        if not self._refused:
            return []
        digests, filled = self._pairs(rows, np.asarray(queries)), np.argwhere(rows >= 0).tolist()
        found = [(queries[i], int(rows[i, j]), self._refused.get(bytes(digests[i, j]))) for i, j in filled]
        return [(query, row, cause) for query, row, cause in found if cause is not None]

    def truncated(self, rows: Rows) -> int | None:
        """How many pairs of these candidates, all scored or refused, were cut at the model's length; None where that
        is not known."""
        digests, present = self._pairs(rows), rows >= 0
        return self._segments.flagged(digests[present & ~self._is_refused(digests)], "truncated")

    def _is_refused(self, digests: Digests) -> Flags:
        if not self._refused:
            return np.zeros(digests.shape, np.bool_)
        return np.isin(digests, np.array(list(self._refused), digests.dtype))

    def pending(self, rows: Rows) -> int:
        """How many distinct pairs of these candidates have no score yet."""
        return int(self._wanted(self._pairs(rows), rows >= 0).sum())

    def usage(self, rows: Rows) -> Usage:
        """What it costs to score these candidates alone, when nothing is shared with another system.

        Tokens belong to pairs, whichever system asked for them first. A search unit belongs to a request: the reported
        number is taken where one request scored exactly the candidates of a query, and the number is estimated from the
        texts where systems share pairs.
        """
        digests, present = self._pairs(rows), rows >= 0
        totals = self._segments.total(digests[present], "usage.")
        totals.pop("seconds", None)  # the times of batches; the time of a query is measured live
        usage = usage_from(totals)
        if totals.get("search_units"):
            alone = [self._request_units(i, rows[i], digests[i]) for i in np.flatnonzero(present.any(axis=1)).tolist()]
            usage = replace(usage, search_units=sum(alone))
        return usage

    def _request_units(self, query: int, rows: Rows, digests: Digests) -> int:
        own = digests[rows >= 0]
        segment = self._segments.whole(own)
        return self._scorer.units(query, rows) if segment is None else int(segment["usage.search_units"])

    def _pairs(self, rows: Rows, queries: npt.NDArray[np.int64] | None = None) -> Digests:
        """Digests of candidates, in their shape. queries: the queries that they belong to; None for all queries in
        order."""
        present = rows >= 0
        query_of = np.broadcast_to((np.arange(len(rows)) if queries is None else queries)[:, None], rows.shape)
        digests = np.zeros(rows.shape, dtype=self._query_digests.dtype)
        digests[present] = pair_digests(self._query_digests[query_of[present]], self._document_digests[rows[present]])
        return digests

    def _wanted(self, digests: Digests, present: Flags) -> Flags:
        """The pairs to score; pairs of equal texts are taken once. The next run asks again for what was refused."""
        missing = np.asarray(present & ~self._is_refused(digests), np.bool_)
        missing[missing] = self._segments.missing(digests[missing])
        places = np.flatnonzero(missing.ravel())
        _, first = np.unique(digests.ravel()[places], return_index=True)
        wanted = np.zeros(missing.shape, dtype=np.bool_)
        wanted.ravel()[places[first]] = True
        return wanted

    def _tally(self, digests: Digests, computed: int) -> None:
        distinct = np.unique(digests)
        new = np.setdiff1d(distinct, self._counted)
        self._counted = np.union1d(self._counted, distinct)
        self._count.computed += computed
        self._count.reused += len(new) - computed

    def _compute(self, rows: Rows, digests: Digests) -> int:
        """Score candidates, and wait for what another run scores. Returns how many of them that one scored."""
        found = 0
        with Stage(self._emit, "rerank", self._label, int((rows >= 0).sum()), "pairs") as advance:
            while (rows >= 0).any():
                others = np.full(rows.shape, -1, rows.dtype)
                for queries in self._scorer.lots(rows):
                    part, pairs = rows[queries], digests[queries]
                    with self._segments.claimed(pairs[part >= 0]) as ours:
                        mine = np.full(part.shape, False)
                        mine[part >= 0] = ours
                        others[queries] = np.where(mine, -1, part)
                        asking = mine.any(axis=1)
                        for scored in self._scored(queries[asking], np.where(mine, part, -1)[asking], pairs[asking]):
                            advance(scored)
                left = others >= 0
                if left.any():
                    left[left] = self._segments.await_others(digests[left], waiting(self._emit))
                    made = int((others >= 0).sum() - left.sum())
                    found += made
                    advance(made)
                rows = np.where(left, others, -1)
        return found

    def _scored(self, queries: Positions, rows: Rows, digests: Digests) -> Iterator[int]:
        """Score the candidates of some queries, rows (n, depth), and keep the scores as they come. Yields how many
        came."""
        if not len(queries):
            return
        with at_work(waiting(self._emit)):
            began = time.perf_counter()
            for positions, scored in self._scorer.score_each(queries, rows):
                now, chosen = time.perf_counter(), scored.scores > -np.inf
                usage = {**scored.usage.as_dict(), "seconds": now - began}
                columns: dict[str, npt.NDArray[Any]] = {
                    f"usage.{key}": np.asarray(value, np.float64) for key, value in usage.items()
                }
                if scored.truncated is not None:
                    columns["truncated"] = scored.truncated[chosen]
                pairs = digests[np.asarray(positions)]
                if chosen.any():
                    self._segments.append(pairs[chosen], {"scores": scored.scores[chosen], **columns})
                self._refused |= {bytes(pairs[place]): cause for place, cause in scored.failures.items()}
                yield int(chosen.sum())
                pause(waiting(self._emit))
                began = time.perf_counter()


def scores_fit(arrays: Arrays) -> bool:
    """Whether the arrays of a segment hold scores that a reranker could have given."""
    return arrays["scores"].dtype == np.float32 and not np.isnan(arrays["scores"]).any()


def unscored_last(rows: Rows, scores: Floats) -> Floats:
    """Scores (n, depth) in which candidates without one, -inf, stand behind those of their query that have one, as they
    were retrieved. rows: -1 for empty places, which stay -inf."""
    scored = scores > -np.inf
    behind = (rows >= 0) & ~scored & scored.any(axis=1, keepdims=True)
    if not behind.any():
        return scores
    lowest = np.where(scored, scores, np.float32(np.inf)).min(axis=1, keepdims=True)
    lowest = np.where(np.isfinite(lowest), lowest, np.float32(0.0))
    below = lowest - np.maximum(1.0, np.abs(lowest)) * np.float32(1e-3) * np.arange(1, rows.shape[1] + 1)
    return np.where(behind, below, scores).astype(np.float32)
