"""Exact search over vectors in a memory-mapped file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.code.contract import Hit, RetrieverError, SearchEngine
from adapters.code.exact import ExactCorpus
from adapters.code.index_rows import IndexRows, read_index_table


class _ExactIndex(NamedTuple):
    """rows: of all vectors. corpus: those that pass the filter, and positions where they stand."""

    rows: IndexRows
    corpus: ExactCorpus
    positions: npt.NDArray[np.intp]


class ExactSearch(SearchEngine):
    """Compares a query with every document.

    folder: vectors.npy and rows.arrow. similarity: cosine, dot or l2. allowed: tells which documents pass a filter;
    None for all. payload: whether hits carry texts.
    """

    def __init__(
        self,
        *,
        folder: Path,
        similarity: str,
        allowed: Callable[[pa.Table], npt.NDArray[np.bool_]] | None = None,
        payload: bool = False,
    ) -> None:
        self._folder = folder
        self._similarity = similarity
        self._allowed = allowed
        self._payload = payload
        self._lock = threading.Lock()
        self._opened: _ExactIndex | None = None

    def search(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        """The best `limit` documents. Raises RetrieverError where the index is gone."""
        if vector is None:
            raise RetrieverError("Exact search compares vectors: give the search an encoder.")
        index = self._index()
        if not len(index.positions):
            return []
        found, scores = index.corpus.top_k(vector[None], limit)
        places = index.positions[found[0]]
        texts = index.rows.texts_at(places) if self._payload else [None] * len(places)
        rows = index.rows.rows(places).tolist()
        return [Hit(*each) for each in zip(rows, scores[0].tolist(), texts, strict=True)]

    def _index(self) -> _ExactIndex:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> _ExactIndex:
        try:
            vectors = np.asarray(np.load(self._folder / "vectors.npy", mmap_mode="r"))
            rows = IndexRows(read_index_table(self._folder))
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise RetrieverError(
                f"There is no whole index in {self._folder}: run the experiment again, and write the retriever again."
            ) from error
        positions = np.arange(len(vectors), dtype=np.intp)
        if self._allowed is not None:
            positions = np.flatnonzero(self._allowed(rows.table))
            vectors = vectors[positions]
        return _ExactIndex(rows, ExactCorpus(vectors, self._similarity), positions)

    def close(self) -> None:
        """Let go of the vectors."""
        self._opened = None
