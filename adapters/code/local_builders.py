"""Builds the indexes that lie in files of this machine: exact, BM25, faiss, and the files of rerankers."""

from __future__ import annotations

import importlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.code.bm25_engine import load_engine
from adapters.code.bm25_terms import Terms
from adapters.code.building import IndexBuilder
from adapters.code.contract import RetrieverError
from adapters.code.index_rows import ROWS_FILE, TEXT_COLUMN


def write_index_rows(documents: pa.Table, folder: Path, fields: Sequence[str], *, text: bool) -> None:
    """Write what an index keeps of documents beside itself. fields: metadata that filters ask for."""
    kept = documents.select(["row", "id", *(f"meta.{field}" for field in fields)])
    if text:
        kept = kept.append_column(TEXT_COLUMN, documents.column("text"))
    with pa.ipc.new_file(str(folder / ROWS_FILE), kept.schema) as writer:
        writer.write_table(kept)


class ExactBuilder(IndexBuilder):
    """The vectors in a file. fields: metadata that filters ask for; text: whether texts are kept."""

    def __init__(self, *, fields: Sequence[str] = (), text: bool = False) -> None:
        self._fields = fields
        self._text = text

    def build(self, documents: pa.Table, vectors: npt.NDArray[np.float32] | None, folder: Path) -> None:
        assert vectors is not None
        np.save(folder / "vectors.npy", vectors)
        write_index_rows(documents, folder, self._fields, text=self._text)
        if np.load(folder / "vectors.npy", mmap_mode="r").shape != vectors.shape:
            raise RetrieverError(f"{folder}: the vectors were not written whole.")


class VectorsBuilder(IndexBuilder):
    """The vectors of all documents in a file, for a reranker."""

    def build(self, documents: pa.Table, vectors: npt.NDArray[np.float32] | None, folder: Path) -> None:
        assert vectors is not None
        np.save(folder / "vectors.npy", vectors)


class IdsBuilder(IndexBuilder):
    """Which id stands for which row, of a service that holds the documents itself."""

    def build(self, documents: pa.Table, vectors: npt.NDArray[np.float32] | None, folder: Path) -> None:
        kept = documents.select(["row", "id"])
        with pa.ipc.new_file(str(folder / "ids.arrow"), kept.schema) as writer:
            writer.write_table(kept)


class Bm25Builder(IndexBuilder):
    """An index of the library bm25s. inside: the folder of its own files; None where there is nothing beside them."""

    def __init__(
        self,
        *,
        terms: Terms,
        method: str,
        k1: float,
        b: float,
        delta: float,
        inside: str | None = "bm25s",
        fields: Sequence[str] = (),
        text: bool = False,
    ) -> None:
        self._terms = terms
        self._formula = {"method": method, "k1": k1, "b": b, "delta": delta}
        self._inside = inside
        self._fields = fields
        self._text = text

    def build(self, documents: pa.Table, vectors: npt.NDArray[np.float32] | None, folder: Path) -> None:
        numbers: dict[str, int] = {}
        texts = documents.column("text").to_pylist()
        terms = [array("i", [numbers.setdefault(term, len(numbers)) for term in self._terms(text)]) for text in texts]
        if self._inside is not None:
            write_index_rows(documents, folder, self._fields, text=self._text)
        if not numbers:
            return
        library: Any = importlib.import_module("bm25s")
        engine = library.BM25(**self._formula)
        engine.index((terms, numbers), create_empty_token=False, show_progress=False)
        place = folder if self._inside is None else folder / self._inside
        engine.save(place, show_progress=False)
        if (held := int(load_engine(place).scores["num_docs"])) != len(texts):
            raise RetrieverError(f"{folder}: BM25 holds {held} of {len(texts)} documents.")
