"""Small corpora and what the tests do with them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.base import Floats, Hits, IndexRef, Place, Queries, Similarity, ann_recall, exact_top_k, index_name
from tests.stores.arrays import batches, clustered

DIMENSION = 32


def corpus(count: int, seed: int = 3) -> tuple[Floats, Floats]:
    """Vectors (count, 32) around 40 centres, and 20 queries near some of them."""
    vectors = clustered(count, DIMENSION, clusters=40, noise=0.5, seed=seed)
    noise = 0.05 * np.random.default_rng(seed).standard_normal((20, DIMENSION)).astype(np.float32)
    return vectors, vectors[:: max(1, count // 20)][:20] + noise


def build(store: Any, rows: Any, folder: Path, **more: Any) -> IndexRef:
    """An index of these vectors, or of batches that are given, under a name of its own."""
    ref: IndexRef = store.build(
        batches(vectors=rows, size=500) if isinstance(rows, np.ndarray) else rows,
        place=Place(more.get("name") or index_name(uuid.uuid4().hex, "law"), folder),
        similarity=more.get("similarity", Similarity.COSINE),
        dimension=more.get("dimension", DIMENSION),
    )
    return ref


def search(store: Any, ref: IndexRef, queries: Floats, limit: int = 10, **query: Any) -> Hits:
    with store.open(ref) as session:
        session.configure(store.Query(**query))
        hits: Hits = session.search(Queries(queries), limit)
        return hits


def recall(hits: Hits, vectors: Floats, queries: Floats) -> float:
    """Mean recall@10 by cosine."""
    best = exact_top_k(queries, vectors, 10, Similarity.COSINE).scores
    return float(ann_recall(hits.rows, queries, vectors, best, 10, Similarity.COSINE, len(vectors)).mean())


def with_columns(vectors: Floats, **columns: Any) -> Iterator[pa.RecordBatch]:
    """Batches with these `meta.*` columns."""
    table = pa.Table.from_batches(list(batches(vectors=vectors)))
    for name, values in columns.items():
        table = table.append_column(f"meta.{name}", pa.array(values))
    yield from table.to_batches(max_chunksize=500)
