"""What the parts of a stand-alone retriever have in common."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class RetrieverError(Exception):
    """The retriever cannot do its work. The message says where, what and what to do."""


class Hit(NamedTuple):
    """A document that a search found. document: its row in the corpus, or its id where the engine knows no rows. score:
    larger is better. text: as the engine returned it; None where it was not asked for."""

    document: int | str
    score: float
    text: str | None = None


class Part:
    """A part of the retriever: made cheaply, opened at its first use, used from several threads."""

    def close(self) -> None:
        """Give back what it holds. It is not used afterwards."""
        return

    async def aclose(self) -> None:
        """As `close`, for what an event loop holds."""
        self.close()


class QueryEncoder(Part, ABC):
    """Turns queries into vectors."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of n texts, float32 (n, dimension)."""

    async def aencode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """As `encode`, without holding up the event loop."""
        return await asyncio.to_thread(self.encode, texts)


class SearchEngine(Part, ABC):
    """Searches an index that is there."""

    @abstractmethod
    def search(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        """The best `limit` documents, or as many as there are, best first. vector: (dimension,); None where the search
        uses the text alone."""

    async def asearch(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        """As `search`, without holding up the event loop."""
        return await asyncio.to_thread(self.search, text, vector, limit)


class CandidateScorer(Part, ABC):
    """Scores the candidates of a query anew."""

    @abstractmethod
    def score(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        """A score for each candidate, larger is better; minus infinity for one that the model's service refuses. rows:
        the candidates' rows in the corpus; texts: their texts, alike."""

    async def ascore(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        """As `score`, without holding up the event loop."""
        return await asyncio.to_thread(self.score, query, rows, texts)
