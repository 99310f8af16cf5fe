"""usearch: an HNSW graph in this process."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
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

METRIC = {Similarity.COSINE: "cos", Similarity.DOT: "ip", Similarity.L2: "l2sq"}


class UsearchIndex(Options):
    connectivity: int = Field(16, ge=2)
    expansion_add: int = Field(128, ge=1)


class UsearchQuery(Options):
    expansion_search: int = Field(64, ge=1, description="candidates in the graph")


class UsearchStore(Store):
    name = "usearch"
    requires = ("usearch",)
    Index = UsearchIndex
    Query = UsearchQuery

    @property
    def identity(self) -> Identity:
        return Identity("usearch", "usearch", settings={"usearch": version("usearch")})

    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        from usearch.index import Index

        index = Index(ndim=dimension, metric=METRIC[similarity], dtype="f32", **self.index.model_dump())
        kept = []
        for batch in batches:
            index.add(batch.column("row").to_numpy().astype(np.uint64), vectors_of(batch))
            kept.append(batch.drop_columns(["vector"]))
        if kept:
            pa.feather.write_feather(pa.Table.from_batches(kept), str(place.folder / "rows.feather"))
        index.save(str(place.folder / "graph.usearch"))
        return {}

    def open(self, ref: IndexRef) -> "UsearchSession":
        return UsearchSession(ref, restore(ref))

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        index = restore(ref)
        return EffectiveIndex(
            "HNSW",
            len(index),
            len(index),
            flat=False,
            bytes=index.serialized_length,
            parameters={"connectivity": index.connectivity, "expansion_add": index.expansion_add},
        )


class UsearchSession(Session):
    def __init__(self, ref: IndexRef, index: Any) -> None:
        super().__init__(ref)
        self.index = index

    def configure(self, options: UsearchQuery) -> None:
        self.index.expansion_search = options.expansion_search

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        hits = Hits.empty(len(queries), limit)
        if filter is not None:
            return self.filtered(queries, limit, filter, hits)
        for i, query in enumerate(queries.vectors):
            found = self.index.search(query, min(limit, self.ref.rows))
            self.fill(hits, i, found.keys, found.distances)
        return hits

    def filtered(self, queries, limit, filter, hits):
        from usearch.index import search

        table = pa.feather.read_table(str(Path(self.ref.folder) / "rows.feather"))
        rows = table.column("row").to_numpy()[filter.mask(table)]
        if len(rows):
            vectors = np.vstack(self.index.get(rows.astype(np.uint64)))
            for i, query in enumerate(queries.vectors):
                found = search(vectors, query, min(limit, len(rows)), METRIC[self.ref.similarity], exact=True)
                self.fill(hits, i, rows[found.keys], found.distances)
        return hits

    def fill(self, hits, i, keys, distances):
        hits.rows[i, : len(keys)] = keys
        hits.scores[i, : len(keys)] = -distances if self.ref.similarity is Similarity.L2 else 1 - distances


def restore(ref: IndexRef) -> Any:
    from usearch.index import Index

    path = Path(ref.folder) / "graph.usearch"
    if not path.is_file():
        raise IndexMissing(f"{ref.folder} holds no usearch graph: it has to be built again.")
    return Index.restore(str(path))
