"""Scores of candidates by the exact similarity of an encoder's vectors."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapters.code.contract import CandidateScorer, QueryEncoder, RetrieverError


class BiEncoderScorer(CandidateScorer):
    """encoder: gives the vector of a query. vectors: .npy file with the documents' vectors by row, float32 (n,
    dimension), NaN for a document that has none. similarity: cosine, dot or l2."""

    def __init__(self, *, encoder: QueryEncoder, vectors: Path | str, similarity: str) -> None:
        self._encoder = encoder
        self._file = vectors
        self._similarity = similarity
        self._opening = threading.Lock()
        self._vectors: npt.NDArray[np.float32] | None = None

    def score(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        return self._scores(self._encoder.encode([query])[0], rows)

    async def ascore(self, query: str, rows: Sequence[int], texts: Sequence[str]) -> list[float]:
        return self._scores((await self._encoder.aencode([query]))[0], rows)

    def close(self) -> None:
        self._encoder.close()
        self._vectors = None

    async def aclose(self) -> None:
        await self._encoder.aclose()
        self._vectors = None

    def _scores(self, vector: npt.NDArray[np.float32], rows: Sequence[int]) -> list[float]:
        documents = self._opened()[np.array(rows, np.int64)].astype(np.float64)
        query = vector.astype(np.float64)
        if self._similarity == "l2":
            difference = documents - query
            scores = -np.einsum("kd,kd->k", difference, difference)
        else:
            scores = np.einsum("kd,d->k", documents, query)
            if self._similarity == "cosine":
                lengths = np.linalg.norm(documents, axis=1) * np.linalg.norm(query)
                scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
        found: list[float] = np.where(np.isnan(documents).any(axis=1), -np.inf, scores).astype(np.float32).tolist()
        return found

    def _opened(self) -> npt.NDArray[np.float32]:
        with self._opening:
            if self._vectors is None:
                try:
                    self._vectors = np.load(self._file, mmap_mode="r")
                except (OSError, ValueError) as error:
                    raise RetrieverError(
                        f"The documents' vectors cannot be read from {self._file}: {error}. Put the file back, or have "
                        "this file written again."
                    ) from error
            vectors: npt.NDArray[np.float32] = self._vectors
            return vectors
