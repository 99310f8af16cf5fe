"""An approximate store of a third party: rows in buckets around some of them, of which a search goes through a few."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import Field

from adapters.base import EffectiveIndex, Hits, Identity, IndexMissing, Options, Session, Similarity, Store, vectors_of


class BucketIndex(Options):
    buckets: int = Field(20, ge=1)


class BucketQuery(Options):
    probes: int = Field(20, ge=1, description="buckets searched")


class BucketStore(Store):
    name = "buckets"
    returns_text = True
    Index = BucketIndex
    Query = BucketQuery

    @property
    def identity(self):
        return Identity("buckets", "buckets", settings={"layout": 1})

    def _build(self, batches, place, similarity, dimension):
        writer = None
        for batch in batches:
            writer = writer or pa.ipc.new_file(str(self.file(place)), batch.schema)
            writer.write_batch(batch)
        if writer:
            writer.close()
        return {"buckets": self.index.buckets}

    def file(self, place):
        return Path(place.folder) / "rows.arrow"

    def held(self, ref):
        try:
            with pa.memory_map(str(self.file(ref))) as source:
                return pa.ipc.open_file(source).read_all()
        except FileNotFoundError as error:
            raise IndexMissing(f"{ref.folder} holds no buckets: they have to be built again.") from error

    def open(self, ref):
        return BucketSession(ref, self.held(ref))

    def describe(self, ref):
        rows = self.held(ref).num_rows
        return EffectiveIndex("BUCKETS", rows, rows, flat=False)


class BucketSession(Session):
    def __init__(self, ref, table):
        super().__init__(ref)
        self.table = table
        self.vectors = vectors_of(table).astype(np.float64)
        self.numbers = table.column("row").to_numpy()
        self.centres = self.vectors[np.linspace(0, len(self.vectors) - 1, ref.details["buckets"]).astype(int)]
        self.bucket = np.array([self.compare(v, self.centres, Similarity.L2).argmax() for v in self.vectors])
        self.configure(BucketQuery())

    def compare(self, query, vectors, similarity):
        if similarity is Similarity.L2:
            return -((vectors - query) ** 2).sum(axis=1)
        dots = vectors @ query
        if similarity is Similarity.DOT:
            return dots
        return dots / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)

    def best(self, query, limit, allowed):
        """Positions and scores of the best among what is allowed, in the buckets probed."""
        scores = self.compare(query, self.vectors, self.ref.similarity)
        near = np.argsort(-self.compare(query, self.centres, Similarity.L2))[: self.options.probes]
        found = np.flatnonzero(allowed & np.isin(self.bucket, near))
        found = found[np.argsort(-scores[found], kind="stable")][:limit]
        return found, scores[found]

    def _search(self, queries, limit, filter):
        hits, texts = Hits.empty(len(queries), limit), []
        allowed = np.ones(len(self.vectors), bool) if filter is None else filter.mask(self.table)
        for i, query in enumerate(queries.vectors.astype(np.float64)):
            found, scores = self.best(query, limit, allowed)
            hits.rows[i, : len(found)] = self.numbers[found]
            hits.scores[i, : len(found)] = scores
            texts.append(self.texts(found) if self.payload else [])
        return replace(hits, texts=texts) if self.payload else hits

    def texts(self, found):
        """The texts at these positions."""
        return self.table.column("payload").take(found).to_pylist()
