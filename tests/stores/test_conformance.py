"""The stores that come with the harness, under the laws of every store."""

from __future__ import annotations

from typing import Any, ClassVar

from adapters.base import Similarity, Store
from adapters.stores.bm25 import Bm25Store
from adapters.stores.exact import ExactStore
from adapters.stores.lancedb import LanceDbStore
from adapters.testing import StoreConformance

from .arrays import make


class TestExact(StoreConformance):
    def store(self) -> Store:
        return make(ExactStore)


class TestBm25(StoreConformance):
    similarities: ClassVar[tuple[Similarity, ...]] = (Similarity.COSINE,)

    def store(self) -> Store:
        return make(Bm25Store)


class TestLanceDbFlat(StoreConformance):
    def store(self) -> Store:
        return make(LanceDbStore)


class TestLanceDbIvfFlatExhaustive(StoreConformance):
    def store(self) -> Store:
        return make(LanceDbStore, type="IVF_FLAT", num_partitions=4)

    def query(self, store: Store) -> Any:
        return store.Query(nprobes=4)


class TestLanceDbIvfSq(StoreConformance):
    exact: ClassVar[bool] = False

    def store(self) -> Store:
        return make(LanceDbStore, type="IVF_SQ")


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
