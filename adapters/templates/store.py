"""An exact store: it keeps the rows in one file, and compares a query with every vector."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from adapters.base import (
    EffectiveIndex,
    Filter,
    Hits,
    Identity,
    IndexMissing,
    IndexRef,
    InvalidVectors,
    Options,
    Place,
    Queries,
    Session,
    Similarity,
    Store,
    exact_top_k,
    vectors_of,
)


class MineIndex(Options):
    """What decides the built bytes. Take `compression` away, and name your engine's options."""

    compression: bool = Field(False, description="Whether the file is compressed.")


class MineStore(Store):
    """Replace `_build`, `describe` and the session's `_search`. The test says `exact = False` where you approximate."""

    name = "mine"
    requires = ("numpy", "pyarrow")
    reproducible = True
    Index = MineIndex

    @property
    def identity(self) -> Identity:
        return Identity("mine", "mine", settings={"version": 1})

    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        kept = list(batches)
        if kept:
            options = pa.ipc.IpcWriteOptions(compression="zstd" if self.index.compression else None)
            with pa.ipc.new_file(str(_file(place.folder)), kept[0].schema, options=options) as file:
                for batch in kept:
                    file.write_batch(batch)
        return {}

    def open(self, ref: IndexRef) -> "MineSession":
        return MineSession(ref, _rows(ref))

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        count = _rows(ref).num_rows
        size = _file(Path(ref.folder)).stat().st_size
        return EffectiveIndex("exact", rows=count, rows_indexed=count, flat=True, bytes=size)


class MineSession(Session):
    def __init__(self, ref: IndexRef, table: pa.Table) -> None:
        super().__init__(ref)
        self.table = table
        self.rows = table.column("row").to_numpy()
        self.vectors = vectors_of(table)

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        if queries.vectors is None:
            raise InvalidVectors("The store searches by vector and was given none.")
        passing = None if filter is None else filter.mask(self.table)
        found = exact_top_k(queries.vectors, self.vectors, limit, self.ref.similarity, passing)
        rows = np.where(found.rows >= 0, self.rows[found.rows], np.int32(-1))
        return Hits(rows, found.scores)


def _file(folder: Path) -> Path:
    return folder / "rows.arrow"


def _rows(ref: IndexRef) -> pa.Table:
    try:
        with pa.ipc.open_file(str(_file(Path(ref.folder)))) as file:
            return file.read_all()
    except FileNotFoundError as error:
        raise IndexMissing(f"{ref.folder} holds no index: it has to be built again.") from error
