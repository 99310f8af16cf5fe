"""The retriever without LangChain."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.code.contract import Part, RetrieverError
from adapters.code.pipeline import Call, Candidate, Pipeline


@dataclass(frozen=True)
class FoundDocument:
    """A document that answers a query. score: larger is better. rank: from 1. stage: what decided its place: search,
    fusion or reranking. metadata: as the corpus has it."""

    id: str
    text: str
    score: float
    rank: int
    stage: str
    metadata: dict[str, Any]


class PlainRetriever(ABC):
    """A retriever that does what a measured system did. It opens its index at the first query.

    k: how many documents a call returns that does not say it.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self._lock = threading.Lock()
        self._opened: Pipeline | None = None

    @abstractmethod
    def _make(self) -> Pipeline:
        """The measured system, made of its parts."""

    def find(self, query: str, k: int | None = None, exclude: Sequence[str] = ()) -> list[FoundDocument]:
        """The best k documents, best first. exclude: ids of documents that are left out. Raises RetrieverError."""
        pipeline = self._pipeline()
        return _found_documents(pipeline, pipeline.find(Call(query, frozenset(exclude)), self._asked(k)))

    async def afind(self, query: str, k: int | None = None, exclude: Sequence[str] = ()) -> list[FoundDocument]:
        """As `find`, without holding up the event loop."""
        pipeline = self._pipeline()
        return _found_documents(pipeline, await pipeline.afind(Call(query, frozenset(exclude)), self._asked(k)))

    def parts(self) -> list[Part]:
        """Its encoders, engines and scorers, each once, as they are used until it is closed."""
        return self._pipeline().parts()

    def close(self) -> None:
        """Close indexes and connections. The next query opens them again."""
        for part in self._taken():
            part.close()

    async def aclose(self) -> None:
        """As `close`, for what was opened in an event loop."""
        for part in self._taken():
            await part.aclose()

    def _pipeline(self) -> Pipeline:
        with self._lock:
            if self._opened is None:
                self._opened = self._make()
            return self._opened

    def _taken(self) -> list[Any]:
        with self._lock:
            opened, self._opened = self._opened, None
        return [] if opened is None else list(opened.parts())

    def _asked(self, k: int | None) -> int:
        asked = self.k if k is None else k
        if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
            raise RetrieverError(f"k is {asked!r}. Give a whole number of documents, at least 1.")
        return asked


def _found_documents(pipeline: Pipeline, candidates: Sequence[Candidate]) -> list[FoundDocument]:
    documents, stage = pipeline.documents, pipeline.top.name
    return [
        FoundDocument(
            id=each.id,
            text=documents.text(each.row) if each.text is None else each.text,
            score=each.score,
            rank=rank,
            stage=stage,
            metadata=documents.metadata(each.row),
        )
        for rank, each in enumerate(candidates, start=1)
    ]
