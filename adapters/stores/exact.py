"""Exact search over vectors in a memory-mapped file: the default store, and the reference of every index."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa

from adapters.base import (
    CodePiece,
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
    Value,
    vectors_of,
)
from adapters.stores._rows import RowsFile, RowsWriter, folder_bytes

_VECTORS = "vectors.npy"
_BLOCK_BYTES = 1 << 26  # of the float64 scores that a batch of queries holds at a time


class ExactStore(Store):
    """Compares the query with every document. No options."""

    name = "exact"
    reproducible = True
    takes_rows = True
    returns_text = True

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._open: WeakValueDictionary[str, Held] = WeakValueDictionary()  # by folder, shared by its sessions
        self._unsaved: dict[str, Held] = {}
        self._lock = threading.Lock()

    @property
    def identity(self) -> Identity:
        # No versions: scores are float64 sums given as float32, so they are the same for every library version.
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
        self._open.pop(str(place.folder), None)
        return {}

    def held(self, ref: IndexRef) -> Held:
        """The corpus of an index, loaded once for all of its sessions. Raises IndexMissing."""
        with self._lock:
            held = self._open.get(ref.folder)
            if held is None:
                held = self._open[ref.folder] = Held(Path(ref.folder), ref.similarity)
            return held

    def open(self, ref: IndexRef) -> ExactSession:
        return ExactSession(ref, self.held(ref))

    def export_build(self, ref: IndexRef, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        kept: dict[str, Value] = {"fields": [] if filter is None else list(filter.fields), "text": payload}
        builder = CodePiece("adapters.code.local_builders", "ExactBuilder", kept)
        return CodePiece("adapters.code.building", "BuiltPart", {"builder": builder, "argument": "folder"})

    def export(self, ref: IndexRef, query: Any, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        return CodePiece(
            "adapters.code.exact_search",
            "ExactSearch",
            {
                "similarity": str(ref.similarity),
                "allowed": RowsFile(Path(ref.folder)).filtering(filter),
                "payload": payload,
            },
            requires=("numpy", "pyarrow"),
            files={"folder": Path(ref.folder)},
        )

    def _insert(self, ref: IndexRef, batch: pa.RecordBatch) -> None:
        held = self._unsaved[ref.folder] = self.held(ref)
        held.append(batch)

    def _settle(self, ref: IndexRef) -> None:
        self.held(ref).now.rows.save()
        self._unsaved.pop(ref.folder, None)

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        count = len(_vectors(Path(ref.folder)))
        return EffectiveIndex(
            type="exact", rows=count, rows_indexed=count, flat=True, bytes=folder_bytes(Path(ref.folder))
        )


class Snapshot(NamedTuple):
    """A corpus in the form that a search walks: vectors (n, dimension) and the rows that they stand for."""

    vectors: Floats
    rows: RowsFile
    corpus: ExactCorpus


class Held:
    """An index in memory. now: an insert replaces it as a whole, so that a running search sees one state."""

    def __init__(self, folder: Path, similarity: Similarity) -> None:
        self._folder = folder
        self._similarity = similarity
        self.now = self._snapshot(RowsFile(folder))

    def append(self, batch: pa.RecordBatch) -> None:
        """Write vectors behind those of the file and map it anew. Lengths are computed anew for the whole corpus."""
        before = self.now
        added = np.ascontiguousarray(vectors_of(batch), dtype="<f4")
        with (self._folder / _VECTORS).open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(added.data)
            file.seek(0)
            _write_header(file, len(before.vectors) + len(added), added.shape[1])
        self.now = self._snapshot(before.rows.with_rows(batch))

    def _snapshot(self, rows: RowsFile) -> Snapshot:
        vectors = _vectors(self._folder)
        return Snapshot(vectors, rows, ExactCorpus(vectors, self._similarity))


class ExactSession(Session):
    """Searches are safe from many threads."""

    def __init__(self, ref: IndexRef, held: Held) -> None:
        super().__init__(ref)
        self._held = held
        self._filtered: tuple[Filter, Snapshot, Any, ExactCorpus] | None = None

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        if queries.vectors is None:
            raise InvalidVectors("Store exact searches by vector and was given none.")
        now = self._held.now
        corpus, positions = now.corpus, None
        if filter is not None:
            corpus, positions = self._under(filter, now)
        count = len(now.vectors) if positions is None else len(positions)
        hits = self._nothing(len(queries), limit)
        if not count:
            return hits
        texts: list[list[str | None]] = []
        block = max(1, _BLOCK_BYTES // (count * 8))
        for start in range(0, len(queries), block):
            found, scores = corpus.top_k(queries.vectors[start : start + block], limit)
            places = found if positions is None else positions[found]
            hits.rows[start : start + block, : found.shape[1]] = now.rows.rows(places)
            hits.scores[start : start + block, : found.shape[1]] = scores
            if self.payload:
                texts += now.rows.texts(places)
        return replace(hits, texts=texts) if self.payload else hits

    def _under(self, filter: Filter, now: Snapshot) -> tuple[ExactCorpus, Any]:
        """The documents that pass, made ready once per filter, and their positions."""
        kept = self._filtered
        if kept is None or kept[0] != filter or kept[1] is not now:
            positions = np.flatnonzero(now.rows.mask(filter))
            corpus = ExactCorpus(now.vectors[positions], self.ref.similarity)
            kept = self._filtered = (filter, now, positions, corpus)
        return kept[3], kept[2]


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
