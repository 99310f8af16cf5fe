"""A default that fits the data badly is told with its cure, before anything is built."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.registry import load
from tests.stores.arrays import make


@pytest.mark.parametrize(
    ("name", "index", "rows", "dimension", "expected"),
    [
        # 389 is prime; 384 = 24 · 16 and 392 = 49 · 8 are what the default is made for; 45 = 3 · 15.
        ("lancedb", {"type": "IVF_PQ", "num_partitions": 2}, 20_000, 389, ["one code for all 389", "take IVF_SQ"]),
        ("lancedb", {"type": "IVF_HNSW_PQ"}, 20_000, 389, ["one code for all 389"]),
        ("lancedb", {"type": "IVF_PQ", "num_partitions": 2}, 20_000, 45, ["num_sub_vectors, for example to 3"]),
        ("lancedb", {"type": "IVF_PQ", "num_partitions": 2}, 20_000, 384, []),
        ("lancedb", {"type": "IVF_PQ", "num_partitions": 2}, 20_000, 392, []),
        ("lancedb", {"type": "IVF_PQ", "num_partitions": 2, "num_sub_vectors": 1}, 20_000, 389, []),
        ("lancedb", {"type": "IVF_PQ", "num_partitions": 32}, 1000, 384, ["32 partitions want 8,192 rows"]),
        ("lancedb", {"type": "IVF_PQ", "num_partitions": 1, "num_sub_vectors": 8}, 200, 64, ["200 rows are too few"]),
        ("lancedb", {"type": "IVF_FLAT"}, 1000, 64, ["one partition of 1,000 rows"]),
        ("lancedb", {"type": "IVF_FLAT"}, 100_000, 64, []),
        ("lancedb", {"type": "IVF_HNSW_SQ"}, 1000, 64, []),
        ("lancedb", {}, 10, 389, []),
        ("faiss", {"type": "IVF_PQ"}, 20_000, 389, ["one code for all 389", "take IVF_FLAT"]),
        ("faiss", {"type": "IVF_PQ"}, 20_000, 384, []),
        ("faiss", {"type": "IVF_PQ"}, 300, 64, ["256 codes on 300 rows"]),
        ("faiss", {"type": "IVF_FLAT", "nlist": 100}, 300, 64, ["100 lists are trained on 300 rows"]),
        ("faiss", {"type": "HNSW"}, 10, 389, []),
        ("weaviate", {"quantizer": "pq"}, 20_000, 389, ["a code for each of the 389 dimensions"]),
        ("weaviate", {"quantizer": "pq"}, 20_000, 390, []),
        ("weaviate", {"quantizer": "pq", "segments": 1}, 20_000, 389, []),
        ("exact", {}, 10, 389, []),
        ("bm25", {}, 10, None, []),
    ],
)
def test_a_default_that_fits_badly_is_told_with_its_cure(
    name: str, index: dict[str, Any], rows: int, dimension: int | None, expected: list[str]
) -> None:
    kind = load("stores", name)
    if reason := kind.missing():
        pytest.skip(str(reason))
    told = " ".join(make(kind, **index).shortcomings(rows, dimension))
    assert bool(told) == bool(expected)
    for part in expected:
        assert part in told
