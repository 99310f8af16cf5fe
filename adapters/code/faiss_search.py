"""Search in an index of faiss, in this process."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.code.contract import Hit, RetrieverError, SearchEngine
from adapters.code.index_rows import IndexRows, read_index_table


def faiss_library() -> Any:
    """The package as an untyped object, because its type hints lack half of its contents."""
    return importlib.import_module("faiss")


def of_unit_length(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """C-contiguous float32 (n, d) of length 1; zero vectors stay."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.ascontiguousarray(np.divide(vectors, norms, out=np.zeros(vectors.shape), where=norms > 0), np.float32)


def faiss_selector(mask: npt.NDArray[np.bool_]) -> Any:
    """What faiss takes to search among these positions alone, bool (count,)."""
    return faiss_library().IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def faiss_parameters(kind: str, options: Mapping[str, int], selector: Any) -> Any:
    """The parameters of a search in an index of that kind. options: nprobe of IVF, efSearch of HNSW."""
    given: dict[str, Any] = {} if selector is None else {"sel": selector}
    if kind.startswith("IVF"):
        return faiss_library().SearchParametersIVF(**options, **given)
    if kind == "HNSW":
        return faiss_library().SearchParametersHNSW(**options, **given)
    return faiss_library().SearchParameters(**given) if given else None


class _FaissIndex(NamedTuple):
    """selector: which documents pass the filter; None for all."""

    index: Any
    rows: IndexRows
    selector: Any


class FaissSearch(SearchEngine):
    """Searches by vector.

    folder: index.faiss and rows.arrow. kind: FLAT, IVF_FLAT, IVF_PQ or HNSW. options: nprobe of IVF, efSearch of HNSW.
    similarity: cosine, which is the inner product of vectors of length 1, dot or l2. allowed: tells which documents
    pass a filter; None for all. payload: whether hits carry texts.
    """

    def __init__(
        self,
        *,
        folder: Path,
        kind: str,
        similarity: str,
        options: Mapping[str, int],
        allowed: Callable[[pa.Table], npt.NDArray[np.bool_]] | None = None,
        payload: bool = False,
    ) -> None:
        self._folder = folder
        self._kind = kind
        self._similarity = similarity
        self._options = options
        self._allowed = allowed
        self._payload = payload
        self._lock = threading.Lock()
        self._opened: _FaissIndex | None = None

    def search(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        """The best `limit` documents. Raises RetrieverError where the index is gone."""
        if vector is None:
            raise RetrieverError("faiss compares vectors: give the search an encoder.")
        opened = self._index()
        asked = np.ascontiguousarray(vector[None], np.float32)
        if self._similarity == "cosine":
            asked = of_unit_length(asked)
        parameters = faiss_parameters(self._kind, self._options, opened.selector)
        scores, found = opened.index.search(asked, min(limit, opened.index.ntotal), params=parameters)
        places = found[0][found[0] >= 0]
        values = scores[0][found[0] >= 0]
        if self._similarity == "l2":
            values = -values
        texts = opened.rows.texts_at(places) if self._payload else [None] * len(places)
        rows = opened.rows.rows(places).tolist()
        return [Hit(*each) for each in zip(rows, values.tolist(), texts, strict=True)]

    def _index(self) -> _FaissIndex:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> _FaissIndex:
        try:
            index = faiss_library().read_index(str(self._folder / "index.faiss"))
            rows = IndexRows(read_index_table(self._folder))
        except (OSError, RuntimeError, pa.ArrowInvalid) as error:
            raise RetrieverError(
                f"There is no whole index in {self._folder}: run the experiment again, and write the retriever again."
            ) from error
        selector = None if self._allowed is None else faiss_selector(self._allowed(rows.table))
        return _FaissIndex(index, rows, selector)

    def close(self) -> None:
        """Let go of the index."""
        self._opened = None
