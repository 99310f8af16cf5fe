"""Scores of candidates by a rerank server: with the interface of Cohere and Jina, or of text-embeddings-inference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from adapters.code.contract import CandidateScorer, RetrieverError
from adapters.code.exchange import Exchange, Pause, acarried_out, carried_out, key_from
from adapters.code.http_client import HttpPart
from adapters.code.managed import ServiceRefusal, one_line, refusal_of, score_exchange, scores_by_document

_RERANK_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_RERANK_WANTS_TEXTS = re.compile(r"missing field\W+texts\b|\btexts\b.*required")


class RerankApiScorer(HttpPart, CandidateScorer):
    """Posts a query with its documents, and reads their scores.

    interface: cohere or tei; None takes whichever the server speaks. key: environment variable of the key, None for a
        server that wants none.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        interface: str | None = None,
        truncate: bool = True,
        raw_scores: bool = False,
        documents_per_request: int = 1000,
        key: str | None = None,
        timeout_seconds: float = 60,
        max_retries: int = 2,
    ) -> None:
        super().__init__(timeout_seconds)
        self._url = url
        self._model = model
        self._known = interface is not None
        self._interface = interface or "cohere"
        self._tei = {"truncate": truncate, "raw_scores": raw_scores}
        self._per_request = documents_per_request
        self._key = key
        self._retries = max_retries

    def score(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        client = self._opened()

        def ask(step: tuple[str, list[str]]) -> list[float]:
            return carried_out(
                self._posted(*step), lambda body: client.post(self._url, json=body), (httpx.TransportError,)
            )

        return carried_out(score_exchange(query, texts, per_request=self._per_request), ask, (ServiceRefusal,))

    async def ascore(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        client = await self._each_loop.client()

        async def post(body: Mapping[str, Any]) -> httpx.Response:
            return await client.post(self._url, json=body)

        async def ask(step: tuple[str, list[str]]) -> list[float]:
            return await acarried_out(self._posted(*step), post, (httpx.TransportError,))

        return await acarried_out(score_exchange(query, texts, per_request=self._per_request), ask, (ServiceRefusal,))

    def _sent_headers(self) -> dict[str, str]:
        key = key_from(self._key, f"The rerank server at {self._url}")
        return {} if key is None else {"Authorization": f"Bearer {key}"}

    @property
    def _at(self) -> str:
        return f"The rerank server at {self._url}"

    def _posted(self, query: str, documents: list[str]) -> Exchange[list[float]]:
        """One request, sent again after a failure that passes."""
        attempt = 0
        while True:
            pause, last = 0.5 * 2**attempt, attempt == self._retries
            try:
                answer = yield self._body(query, documents)
            except httpx.TransportError as error:
                if last:
                    late = isinstance(error, httpx.TimeoutException)
                    cause = f"gave no answer within {self._seconds:g} s" if late else "cannot be reached"
                    raise RetrieverError(f"{self._at} {cause}: {one_line(error)}") from error
            else:
                if self._speaks_the_other(answer):
                    self._interface, self._known = "tei", True
                    continue
                told = self._refusal(answer)
                if told is None:
                    return self._scores(answer, len(documents))
                if last or isinstance(told, ServiceRefusal) or answer.status_code not in _RERANK_PASSING:
                    raise told
                wanted = answer.headers.get("retry-after", "")
                pause = float(wanted) if re.fullmatch(r"\d+(\.\d+)?", wanted) else pause
            attempt += 1
            yield Pause(min(pause, 30.0))

    def _body(self, query: str, documents: list[str]) -> dict[str, Any]:
        if self._interface == "tei":
            return {"query": query, "texts": documents, **self._tei}
        # Some servers give the best few unless they are asked for more.
        return {"model": self._model, "query": query, "documents": documents, "top_n": len(documents)}

    def _speaks_the_other(self, answer: httpx.Response) -> bool:
        refused = not self._known and answer.status_code in (400, 422)
        return refused and _RERANK_WANTS_TEXTS.search(answer.text[:2000]) is not None

    def _refusal(self, answer: httpx.Response) -> RetrieverError | ServiceRefusal | None:
        if answer.status_code < 300:
            return None
        return refusal_of(self._at, answer.status_code, answer.text, self._key)

    def _scores(self, answer: httpx.Response, count: int) -> list[float]:
        try:
            content = answer.json()
            items = content if isinstance(content, list) else content["results"]
            found = [(item["index"], item.get("relevance_score", item.get("score"))) for item in items]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise RetrieverError(f"{self._at} answered in another form than it should: {one_line(error)}") from error
        return scores_by_document(self._at, found, count)
