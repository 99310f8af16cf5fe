"""Scores of candidates by BM25 over the whole corpus."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.code.bm25_engine import load_engine, match
from adapters.code.bm25_terms import Terms
from adapters.code.contract import CandidateScorer, RetrieverError


class Bm25Scorer(CandidateScorer):
    """folder: the library's own files, of an index whose rows are those of the corpus; it holds none where no document
    has a term. terms: turns a query into terms as it did the documents."""

    def __init__(self, *, folder: Path, terms: Terms) -> None:
        self._folder = folder
        self._terms = terms
        self._lock = threading.Lock()
        self._opened: tuple[Any] | None = None

    def score(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        """A score for each candidate; that of a document without a term of the query is 0 (bm25l, bm25+: what every
        such document scores). Raises RetrieverError where the index is gone."""
        found = match(self._engine(), self._terms, query)
        return [0.0] * len(rows) if found is None else [float(found.scores[row]) for row in rows]

    def close(self) -> None:
        """Let go of the index."""
        self._opened = None

    def _engine(self) -> Any:
        with self._lock:
            if self._opened is None:
                self._opened = (self._loaded(),)
            return self._opened[0]

    def _loaded(self) -> Any:
        try:
            return load_engine(self._folder) if any(self._folder.iterdir()) else None
        except (OSError, ValueError, KeyError) as error:
            raise RetrieverError(
                f"There is no whole BM25 index in {self._folder}: run the experiment again, and write the retriever "
                "again."
            ) from error
