"""A store of one page: compares with every vector, a block at a time."""

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
    Options,
    Place,
    Queries,
    Session,
    Similarity,
    Store,
    vectors_of,
)


class ToyIndex(Options):
    block: int = Field(1000, ge=1, description="rows compared at once")


class ToyStore(Store):
    name = "toy"
    requires = ("numpy",)
    Index = ToyIndex

    @property
    def identity(self) -> Identity:
        return Identity("toy", "toy", settings={"toy": "1.0"})

    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        writer = None
        for batch in batches:
            writer = writer or pa.ipc.new_file(str(place.folder / "rows.arrow"), batch.schema)
            writer.write_batch(batch)
        if writer:
            writer.close()
        return {"block": self.index.block}

    def open(self, ref: IndexRef) -> "ToySession":
        return ToySession(ref, read(ref) if ref.rows else None)

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        table = read(ref)
        return EffectiveIndex("TOY", table.num_rows, table.num_rows, flat=True, bytes=table.nbytes)


class ToySession(Session):
    def __init__(self, ref: IndexRef, table: pa.Table | None) -> None:
        super().__init__(ref)
        self.table = table
        self.vectors = None if table is None else vectors_of(table).astype(np.float64)

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        hits = Hits.empty(len(queries), limit)
        allowed = np.ones(self.ref.rows, bool) if filter is None else filter.mask(self.table)
        rows = self.table.column("row").to_numpy()
        for i, query in enumerate(queries.vectors.astype(np.float64)):
            size = self.ref.details["block"]
            blocks = [self.vectors[start : start + size] for start in range(0, self.ref.rows, size)]
            scores = np.concatenate([compare(query, block, self.ref.similarity) for block in blocks])
            best = [row for row in np.argsort(-scores, kind="stable") if allowed[row]][:limit]
            hits.rows[i, : len(best)] = rows[best]
            hits.scores[i, : len(best)] = scores[best]
        return hits


def compare(query: np.ndarray, vectors: np.ndarray, similarity: Similarity) -> np.ndarray:
    if similarity is Similarity.L2:
        return -((vectors - query) ** 2).sum(axis=1)
    scores = vectors @ query
    if similarity is Similarity.COSINE:
        scores /= np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return scores


def read(ref: IndexRef) -> pa.Table:
    try:
        with pa.memory_map(str(Path(ref.folder) / "rows.arrow")) as source:
            return pa.ipc.open_file(source).read_all()
    except FileNotFoundError as error:
        raise IndexMissing(f"{ref.folder} holds no toy index: it has to be built again.") from error
