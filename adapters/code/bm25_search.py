"""Lexical search by BM25 (bm25s), in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.code.bm25_engine import best_matches, load_engine, match
from adapters.code.bm25_terms import Terms
from adapters.code.contract import Hit, RetrieverError, SearchEngine
from adapters.code.index_rows import IndexRows, id_places, read_index_table


class _Bm25Index(NamedTuple):
    """engine: None where no document has a term. allowed: which documents pass the filter; None for all."""

    engine: Any
    rows: IndexRows
    id_order: npt.NDArray[np.int32]
    allowed: npt.NDArray[np.bool_] | None


class Bm25Search(SearchEngine):
    """Finds documents that hold a term of the query.

    folder: rows.arrow, and the library's own files in bm25s. terms: turns a query into terms as it did the documents.
    allowed: tells which documents pass a filter; None for all. payload: whether hits carry texts.
    """

    def __init__(
        self,
        *,
        folder: Path,
        terms: Terms,
        allowed: Callable[[pa.Table], npt.NDArray[np.bool_]] | None = None,
        payload: bool = False,
    ) -> None:
        self._folder = folder
        self._terms = terms
        self._allowed = allowed
        self._payload = payload
        self._lock = threading.Lock()
        self._opened: _Bm25Index | None = None

    def search(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        """The best `limit` documents. Raises RetrieverError where the index is gone."""
        index = self._index()
        found = match(index.engine, self._terms, text)
        if found is None:
            return []
        best = best_matches(found, limit, index.id_order, index.allowed)
        texts = index.rows.texts_at(best) if self._payload else [None] * len(best)
        rows = index.rows.rows(best).tolist()
        return [Hit(*each) for each in zip(rows, found.scores[best].tolist(), texts, strict=True)]

    def _index(self) -> _Bm25Index:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> _Bm25Index:
        files = self._folder / "bm25s"
        try:
            rows = IndexRows(read_index_table(self._folder))
            engine = load_engine(files) if files.exists() else None
        except (OSError, ValueError, KeyError, pa.ArrowInvalid) as error:
            raise RetrieverError(
                f"There is no whole index in {self._folder}: run the experiment again, and write the retriever again."
            ) from error
        allowed = None if self._allowed is None else self._allowed(rows.table)
        return _Bm25Index(engine, rows, id_places(rows.table.column("id").to_pylist()), allowed)

    def close(self) -> None:
        """Let go of the index."""
        self._opened = None
