"""The stores that come with the harness, under the laws of every store."""

from __future__ import annotations

from typing import Any, ClassVar

from adapters._store_laws import NearnessLaws, StoreSuite
from adapters.base import Store
from adapters.stores.bm25 import Bm25Store
from adapters.stores.exact import ExactStore
from adapters.stores.lancedb import LanceDbStore
from adapters.testing import StoreConformance
from tests.stores.arrays import make


class TestExact(StoreConformance):
    def store(self) -> Store:
        return make(ExactStore)


class TestBm25(StoreConformance):
    def store(self) -> Store:
        return make(Bm25Store)


class TestLanceDbFlat(StoreConformance):
    def store(self) -> Store:
        return make(LanceDbStore)


class TestLanceDbIvfFlatExhaustive(StoreConformance):
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"nprobes": (1, 4)}

    def store(self) -> Store:
        return make(LanceDbStore, type="IVF_FLAT", num_partitions=4)

    def query(self, store: Store) -> Any:
        return store.Query(nprobes=4)


# The laws of nearness depend on the index's type, the others on its quantizer and graph at most: two have them all.


class ApproximateLanceDb(StoreSuite):
    exact: ClassVar[bool] = False
    index: ClassVar[dict[str, Any]]
    options: ClassVar[dict[str, Any]] = {}
    # Training on the law's 10,000 rows takes up to half a minute, and TestLanceDbIvfFlatExhaustive stands under it.
    test_a_batch_of_ten_thousand_rows_is_taken_whole = None

    def store(self) -> Store:
        return make(LanceDbStore, **self.index)

    def query(self, store: Store) -> Any:
        return store.Query(**self.options)


class TestLanceDbIvfFlat(ApproximateLanceDb, NearnessLaws):
    index: ClassVar[dict[str, Any]] = {"type": "IVF_FLAT", "num_partitions": 20}
    scores_exact: ClassVar[bool] = True
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"nprobes": (1, 20), "maximum_nprobes": (1, 20)}


class TestLanceDbIvfSq(ApproximateLanceDb, NearnessLaws):
    index: ClassVar[dict[str, Any]] = {"type": "IVF_SQ", "num_partitions": 4}
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"nprobes": (1, 4)}


class TestLanceDbIvfPq(ApproximateLanceDb, StoreConformance):
    index: ClassVar[dict[str, Any]] = {"type": "IVF_PQ", "num_partitions": 2, "num_sub_vectors": 4}
    options: ClassVar[dict[str, Any]] = {"refine_factor": 20}
    scores_exact: ClassVar[bool] = True
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"refine_factor": (1, 20)}


class TestLanceDbIvfRq(ApproximateLanceDb, NearnessLaws):
    index: ClassVar[dict[str, Any]] = {"type": "IVF_RQ", "num_partitions": 2}
    options: ClassVar[dict[str, Any]] = {"refine_factor": 20}
    scores_exact: ClassVar[bool] = True
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"refine_factor": (1, 40)}  # 40 × 10 of 400 rows: all


class TestLanceDbHnswFlat(ApproximateLanceDb, NearnessLaws):
    index: ClassVar[dict[str, Any]] = {"type": "IVF_HNSW_FLAT", "num_partitions": 4}
    options: ClassVar[dict[str, Any]] = {"ef": 700}
    scores_exact: ClassVar[bool] = True
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"nprobes": (1, 4)}


class TestLanceDbHnswSq(ApproximateLanceDb, StoreConformance):
    index: ClassVar[dict[str, Any]] = {"type": "IVF_HNSW_SQ", "num_partitions": 4}
    options: ClassVar[dict[str, Any]] = {"ef": 700}
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"nprobes": (1, 4)}


class TestLanceDbHnswPq(ApproximateLanceDb, NearnessLaws):
    index: ClassVar[dict[str, Any]] = {"type": "IVF_HNSW_PQ", "num_partitions": 1, "num_sub_vectors": 4}
    options: ClassVar[dict[str, Any]] = {"ef": 6000, "refine_factor": 10}
    scores_exact: ClassVar[bool] = True
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"refine_factor": (None, 10)}


class TestLanceDbText(StoreConformance):
    def store(self) -> Store:
        return make(LanceDbStore, full_text=True)

    def query(self, store: Store) -> Any:
        return store.Query(mode="text")


class TestLanceDbHybrid(StoreConformance):
    def store(self) -> Store:
        return make(LanceDbStore, full_text=True)

    def query(self, store: Store) -> Any:
        return store.Query(mode="hybrid")
