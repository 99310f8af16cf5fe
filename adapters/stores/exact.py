"""Exact search over vectors in a memory-mapped file: the default store, and the reference of every index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from adapters.base import (
    EffectiveIndex,
    ExactCorpus,
    Filter,
    Floats,
    Hits,
    Identity,
    IndexMissing,
    IndexRef,
    InvalidVectors,
    Place,
    Queries,
    Session,
    Similarity,
    Store,
    vectors_of,
)

from ._rows import RowsFile, RowsWriter, folder_bytes

_VECTORS = "vectors.npy"
_BLOCK_BYTES = 1 << 26  # of the scores that a batch of queries holds at once, in float64


class ExactStore(Store):
    """Compares the query with every document. No options."""

    name = "exact"
    reproducible = True

    @property
    def identity(self) -> Identity:
        # The scores are float64 sums given as float32: no library version shows in them.
        return Identity("exact", "exact", settings={"layout": 2})

    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        if dimension is None:
            raise InvalidVectors("Store exact needs vectors: give the system an encoder.")
        count = 0
        with (place.folder / _VECTORS).open("wb") as file, RowsWriter(place.folder) as rows:
            _write_header(file, 0, dimension)
            for batch in batches:
                file.write(np.ascontiguousarray(vectors_of(batch), dtype="<f4").data)
                rows.write(batch)
                count += batch.num_rows
            file.seek(0)
            _write_header(file, count, dimension)
        return {}

    def open(self, ref: IndexRef) -> ExactSession:
        return ExactSession(ref)

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        count = len(_vectors(Path(ref.folder)))
        return EffectiveIndex(
            type="exact", rows=count, rows_indexed=count, flat=True, bytes=folder_bytes(Path(ref.folder))
        )


class ExactSession(Session):
    """Searches are safe from many threads."""

    def __init__(self, ref: IndexRef) -> None:
        super().__init__(ref)
        self._vectors = _vectors(Path(ref.folder))
        self._rows = RowsFile(Path(ref.folder))
        self._corpus = ExactCorpus(self._vectors, ref.similarity)
        self._filtered: tuple[Filter, Any, ExactCorpus] | None = None

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        if queries.vectors is None:
            raise InvalidVectors("Store exact searches by vector and was given none.")
        corpus, positions = self._corpus, None
        if filter is not None:
            corpus, positions = self._under(filter)
        count = len(self._vectors) if positions is None else len(positions)
        hits = Hits.empty(len(queries), limit)
        if not count:
            return hits
        block = max(1, _BLOCK_BYTES // (count * 8))
        for start in range(0, len(queries), block):
            found, scores = corpus.top_k(queries.vectors[start : start + block], limit)
            places = found if positions is None else positions[found]
            hits.rows[start : start + block, : found.shape[1]] = self._rows.rows(places)
            hits.scores[start : start + block, : found.shape[1]] = scores
        return hits

    def _under(self, filter: Filter) -> tuple[ExactCorpus, Any]:
        """The documents that pass, made ready once per filter, and their positions."""
        kept = self._filtered
        if kept is None or kept[0] != filter:
            positions = np.flatnonzero(self._rows.mask(filter))
            corpus = ExactCorpus(self._vectors[positions], self.ref.similarity)
            kept = self._filtered = (filter, positions, corpus)
        return kept[2], kept[1]


def _write_header(file: BinaryIO, count: int, dimension: int) -> None:
    # numpy pads the header so that the first axis may grow to 21 digits: it is rewritten in place at the end.
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, dimension)}
    np.lib.format.write_array_header_1_0(file, header)


def _vectors(folder: Path) -> Floats:
    """The vectors (n, dimension), memory-mapped; a plain view, because slicing np.memmap is slow."""
    try:
        mapped = np.load(folder / _VECTORS, mmap_mode="r")
    except (FileNotFoundError, ValueError) as error:
        raise IndexMissing(f"No complete index in {folder}: it has to be built again.") from error
    return np.asarray(mapped)
