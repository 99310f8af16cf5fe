"""Small corpora for the tests of stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base import Context, Floats, IndexRef, Place, Similarity, Store, index_name


def batches(
    texts: Sequence[str | None] | None = None,
    vectors: Floats | None = None,
    *,
    meta: dict[str, Sequence[object]] | None = None,
    size: int = 1000,
) -> Iterator[pa.RecordBatch]:
    """A corpus as stores get it: columns row, id, text, meta.<name>, vector."""
    count = len(texts) if texts is not None else len(vectors if vectors is not None else ())
    columns: dict[str, pa.Array] = {
        "row": pa.array(np.arange(count, dtype=np.int32)),
        "id": pa.array([f"d{i}" for i in range(count)]),
        "text": pa.array(texts if texts is not None else [None] * count, pa.string()),
    }
    for name, values in (meta or {}).items():
        columns[f"meta.{name}"] = pa.array(values)
    if vectors is not None:
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    yield from pa.table(columns).to_batches(max_chunksize=size)


def make(store: type[Store], **index: object) -> Store:
    """A store with these Index options and no connection settings."""
    return store(store.Index(**index), store.Connection(), Context())


def build(
    store: Store,
    folder: Path,
    texts: Sequence[str | None] | None = None,
    vectors: Floats | None = None,
    *,
    similarity: Similarity = Similarity.COSINE,
    meta: dict[str, Sequence[object]] | None = None,
) -> IndexRef:
    """The index of a small corpus in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return store.build(
        batches(texts, vectors, meta=meta),
        place=Place(index_name("0" * 32), folder),
        similarity=similarity,
        dimension=None if vectors is None else vectors.shape[1],
    )


def clustered(count: int, dimension: int, *, clusters: int, noise: float, seed: int) -> npt.NDArray[np.float32]:
    """Unit vectors around cluster centres: what an index of partitions is made for."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((clusters, dimension))
    points = centres[generator.integers(clusters, size=count)]
    points = points + noise * generator.standard_normal(points.shape)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
