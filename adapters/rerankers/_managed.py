"""The common base of rerankers of managed services. Each query is one request; requests are sent at the same time, and
scores return to their places."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from adapters.base import Contact, Context, Floats, Queries, Reranker, Rows, Scored, Usage, reckoned_tokens
from adapters.service import CallOptions, RequestRefused, Service, shown
from adapters.transport import PROBE, Answer, Job, Transport, shortened


class _Part(NamedTuple):
    """What a request is about: a query and places among its candidates."""

    query: int
    places: list[int]


class ManagedReranker(Reranker):
    """A subclass names its service and sends one query with its documents.

    A query with more documents than a request holds is split: a document's score does not depend on the others. A
    request that the service refuses for what it holds is halved, down to the document: one that is too long is cut to
    what the service takes and counts as cut; any other that is refused has no score for that query.
    """

    bills = True
    service: Service

    def __init__(self, options: CallOptions, context: Context = Context()) -> None:
        super().__init__(options, context)
        self._transport = Transport(options, self.service.slots, seed=context.seed, probe=self._probe)

    def _probe(self) -> Job[Floats]:
        return self._job(PROBE, [PROBE], _Part(0, [0]))

    def check(self) -> None:
        """Raises AdapterRejected without a key. Calls nobody."""
        super().check()
        self.service.check_key()

    def contacts(self) -> Sequence[Contact]:
        return [self.service.contact()]

    def check_alone(self) -> None:
        """As `check`, without a key: a bill is foreseen without one."""
        super().check()

    def close(self) -> None:
        self._transport.close()

    def remarks(self) -> Sequence[str]:
        if self._transport.remark is None:
            return []
        return [f"{self._transport.remark}. Set documents_per_request to that, and nothing is refused"]

    def score_each(self, queries: Queries, candidates: Rows) -> Iterator[tuple[Sequence[int], Scored]]:
        for answer in self._transport.stream(self._requests(queries, candidates)):
            scored = self._nothing(1, candidates.shape[1])
            yield [answer.job.place.query], self._filled(scored, 0, answer)

    def _score(self, queries: Queries, candidates: Rows) -> Scored:
        scored = self._nothing(*candidates.shape)
        for answer in self._transport.gather(self._requests(queries, candidates)):
            scored = self._filled(scored, answer.job.place.query, answer)
        return scored

    def _nothing(self, queries: int, depth: int) -> Scored:
        """The state before anything is scored. No service tells which documents it cut by itself."""
        return Scored(np.full((queries, depth), -np.inf, np.float32))

    def _filled(self, scored: Scored, query: int, answer: Answer[Floats]) -> Scored:
        """The state with the answer for a query added."""
        places = answer.job.place.places
        usage, truncated = scored.usage + answer.usage, scored.truncated
        if answer.value is None:
            failures = {**scored.failures, (query, places[0]): str(answer.refusal)}
            return replace(scored, usage=usage, failures=failures)
        scored.scores[query, places] = answer.value
        if answer.job.cut:
            truncated = np.zeros(scored.scores.shape, np.bool_) if truncated is None else truncated
            truncated[query, places] = True
        return replace(scored, usage=usage, truncated=truncated)

    def _requests(self, queries: Queries, candidates: Rows) -> list[Job[Floats]]:
        """Requests, each with the query and the places among its candidates that it is about."""
        assert queries.texts is not None
        jobs: list[Job[Floats]] = []
        size = self.options.documents_per_request
        for i, rows in enumerate(candidates):
            chosen = np.flatnonzero(rows >= 0).tolist()
            for start in range(0, len(chosen), size):
                part = _Part(i, chosen[start : start + size])
                jobs.append(self._job(queries.texts[i], [self.corpus.texts[int(rows[j])] for j in part.places], part))
        return jobs

    def _job(self, query: str, documents: Sequence[str], part: _Part, *, cut: bool = False) -> Job[Floats]:
        # Services refuse empty texts; a space stands for one.
        query, documents = query or " ", [text or " " for text in documents]
        tokens = reckoned_tokens(query) * len(documents) + sum(map(reckoned_tokens, documents))

        def smaller(refusal: RequestRefused) -> list[Job[Floats]]:
            if (half := len(documents) // 2) > 0:
                halves = (documents[:half], part.places[:half]), (documents[half:], part.places[half:])
                return [self._job(query, texts, _Part(part.query, places)) for texts, places in halves]
            shorter = shortened(documents[0], refusal)
            return [] if shorter is None else [self._job(query, [shorter], part, cut=True)]

        def send() -> tuple[Floats, Usage]:
            return self._send(query, documents)

        return Job((query, *documents), send, tokens, len(documents), part, smaller, cut)

    @abstractmethod
    def _send(self, query: str, documents: Sequence[str]) -> tuple[Floats, Usage]:
        """One try of one request: a score per document, float32 (n,), and what was billed.

        Raises Retryable or an AdapterError.
        """


def scores_in_order(service: Service, found: Sequence[tuple[Any, Any]], count: int) -> Floats:
    """Scores by document from pairs (index, score) in any order.

    Raises AdapterRejected for what is no index and no number, or about other documents, and Retryable unless every
    document has exactly one finite score.
    """
    indexes = [index for index, _ in found]
    if (odd := next((index for index in indexes if type(index) is not int), None)) is not None:
        raise service.misshapen(f"the index {shown(odd)}, which is no whole number")
    strange = next((index for index in indexes if not 0 <= index < count), None)
    if strange is not None:
        raise service.misshapen(f"a score for document {shown(strange)}, and it was sent documents 0 to {count - 1}")
    if len(set(indexes)) < len(indexes):
        twice = next(index for index, times in Counter(indexes).items() if times > 1)
        raise service.misshapen(f"two scores for document {twice} of 0 to {count - 1}")
    values = [score for _, score in found]
    if (odd := next((score for score in values if type(score) not in (int, float, NoneType)), None)) is not None:
        raise service.misshapen(f"the score {shown(odd)}, which is no number")
    if len(indexes) != count:
        raise service.malformed(f"{len(indexes)} scores for {count} documents")
    scores = np.full(count, np.nan, dtype=np.float32)
    with np.errstate(over="ignore"):
        scores[indexes] = [math.nan if score is None else float(score) for score in values]
    if not np.isfinite(scores).all():
        raise service.malformed("scores that are not finite")
    return scores
