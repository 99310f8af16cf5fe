"""The code that the third party's encoder exports."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapters.code.contract import QueryEncoder

WIDTH = 32


class WordVectors(QueryEncoder):
    """Sums a pseudo-random direction per word."""

    def __init__(self, *, salt: int) -> None:
        self._salt = salt

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors."""
        return np.stack([self._vector(text) for text in texts]).astype(np.float32)

    def _vector(self, text: str) -> npt.NDArray[np.float64]:
        words = text.lower().split()
        seeds = [zlib.crc32(f"{self._salt} {word}".encode()) for word in words] or [0]
        directions = [np.random.default_rng(seed).standard_normal(WIDTH) for seed in seeds]
        return np.asarray(np.sum(directions, axis=0), np.float64)
