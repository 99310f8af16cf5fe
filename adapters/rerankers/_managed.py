"""What rerankers of managed services share: one request per query, sent at once, scores back in their places."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..base import Context, Floats, Queries, Reranker, Rows, Scored, Usage, reckoned_tokens
from ..service import CallOptions, Service
from ..transport import Job, Transport


class ManagedReranker(Reranker):
    """A subclass names its service and sends one query with its documents.

    A query with more documents than a request holds is split: a document's score does not depend on the others.
    """

    bills = True
    service: Service

    def __init__(self, options: CallOptions, context: Context = Context()) -> None:
        super().__init__(options, context)
        self._transport = Transport(options, seed=context.seed)
        self.service.leaving, self.service.answered = self._transport.leaving, self._transport.answered

    def check(self) -> None:
        """Raises AdapterRejected without a key. Calls nobody."""
        super().check()
        self.service.check_key()

    def close(self) -> None:
        self._transport.close()

    def score_each(self, queries: Queries, candidates: Rows) -> Iterator[tuple[Sequence[int], Scored]]:
        places, jobs = self._requests(queries, candidates)
        for number, (found, usage) in self._transport.stream(jobs):
            query, filled = places[number]
            scores = np.full((1, candidates.shape[1]), -np.inf, np.float32)
            scores[0, filled] = found
            yield [query], Scored(scores, usage)

    def _score(self, queries: Queries, candidates: Rows) -> Scored:
        places, jobs = self._requests(queries, candidates)
        scores = np.full(candidates.shape, -np.inf, np.float32)
        usage = Usage()
        for (query, filled), (found, cost) in zip(places, self._transport.gather(jobs), strict=True):
            scores[query, filled] = found
            usage += cost
        return Scored(scores, usage)

    def _requests(self, queries: Queries, candidates: Rows) -> tuple[list[tuple[int, list[int]]], list[Job[Floats]]]:
        """Requests, each with the query and the places among its candidates that it is about."""
        assert queries.texts is not None
        places: list[tuple[int, list[int]]] = []
        jobs: list[Job[Floats]] = []
        size = self.options.documents_per_request
        for i, rows in enumerate(candidates):
            chosen = np.flatnonzero(rows >= 0).tolist()
            for start in range(0, len(chosen), size):
                part = chosen[start : start + size]
                places.append((i, part))
                jobs.append(self._job(queries.texts[i], [self.corpus.texts[int(rows[j])] for j in part]))
        return places, jobs

    def _job(self, query: str, documents: Sequence[str]) -> Job[Floats]:
        # Services refuse empty texts; a space stands for one.
        query, documents = query or " ", [text or " " for text in documents]
        tokens = reckoned_tokens(query) * len(documents) + sum(map(reckoned_tokens, documents))
        return Job((query, *documents), lambda: self._send(query, documents), tokens, len(documents))

    @abstractmethod
    def _send(self, query: str, documents: Sequence[str]) -> tuple[Floats, Usage]:
        """One try of one request: a score per document, float32 (n,), and what was billed.

        Raises Retryable or an AdapterError.
        """


def scores_in_order(service: Service, found: Sequence[tuple[Any, Any]], count: int) -> Floats:
    """Scores by document from pairs (index, score) in any order.

    Raises Retryable unless every document has exactly one finite score.
    """
    scores = np.full(count, np.nan, dtype=np.float32)
    if sorted(int(index) for index, _ in found) != list(range(count)):
        raise service.malformed(f"{len(found)} scores for {count} documents")
    for index, score in found:
        scores[int(index)] = math.nan if score is None else float(score)
    if not np.isfinite(scores).all():
        raise service.malformed("scores that are not finite")
    return scores
