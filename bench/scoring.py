"""Scores of (query, document) pairs: each distinct pair of texts is scored once per reranker, whoever asks."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from adapters.base import Flags, Floats, Rows, Scored, Usage
from bench.artifacts import Segments, pair_digests
from bench.stages import Count, Emit, Stage, usage_from

PAIRS_PER_CHUNK = 1024

Digests = npt.NDArray[np.bytes_]


class PairScores:
    """The scoring stage of one reranker.

    digests: of the queries' and of the documents' texts. score: the reranker's answer for the queries from start
    to stop and their candidate rows.
    """

    def __init__(
        self,
        *,
        label: str,
        segments: Segments,
        digests: tuple[Digests, Digests],
        score: Callable[[int, int, Rows], Scored],
        count: Count,
        emit: Emit,
    ) -> None:
        self._label = label
        self._segments = segments
        self._query_digests, self._document_digests = digests
        self._score = score
        self._count = count
        self._emit = emit
        self._counted: Digests = np.empty(0, self._query_digests.dtype)

    def scores(self, rows: Rows) -> Floats:
        """Scores of candidates: rows (n, depth), -1 for empty. Returns float32 (n, depth), -inf there."""
        present = rows >= 0
        scores = np.full(rows.shape, -np.inf, np.float32)
        if not present.any():
            return scores
        digests = self._pairs(rows)
        wanted = self._wanted(digests, present)
        self._tally(digests[present], int(wanted.sum()))
        if wanted.any():
            self._compute(np.where(wanted, rows, -1), digests)
        scores[present] = self._segments.gather(digests[present], ["scores"])[0]
        return scores

    def pending(self, rows: Rows) -> int:
        """How many distinct pairs of these candidates have no score yet."""
        return int(self._wanted(self._pairs(rows), rows >= 0).sum())

    def usage(self, rows: Rows) -> tuple[Usage, float]:
        """What scoring these candidates cost when it was done, and the seconds it took."""
        totals = self._segments.total(self._pairs(rows)[rows >= 0], "usage.")
        seconds = totals.pop("seconds", 0.0)
        return usage_from(totals), seconds

    def _pairs(self, rows: Rows) -> Digests:
        present = rows >= 0
        query_of = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
        digests = np.zeros(rows.shape, dtype=self._query_digests.dtype)
        digests[present] = pair_digests(self._query_digests[query_of[present]], self._document_digests[rows[present]])
        return digests

    def _wanted(self, digests: Digests, present: Flags) -> Flags:
        """Pairs without a score, those with equal texts taken once."""
        missing = present.copy()
        missing[present] = self._segments.missing(digests[present])
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

    def _compute(self, rows: Rows, digests: Digests) -> None:
        step = max(1, PAIRS_PER_CHUNK // rows.shape[1])
        with Stage(self._emit, "rerank", self._label, int((rows >= 0).sum()), "pairs") as advance:
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                chosen = part >= 0
                if not chosen.any():
                    continue
                began = time.perf_counter()
                scored = self._score(start, start + step, part)
                usage = {**scored.usage.as_dict(), "seconds": time.perf_counter() - began}
                columns = {f"usage.{key}": np.asarray(value, np.float64) for key, value in usage.items()}
                self._segments.append(
                    digests[start : start + step][chosen], {"scores": scored.scores[chosen], **columns}
                )
                advance(int(chosen.sum()))
