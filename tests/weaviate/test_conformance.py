"""The conformance suite on a real server: by vector, by text, by both."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from adapters._store_laws import NearnessLaws, StoreSuite
from adapters.base import Similarity, Store
from adapters.testing import StoreConformance
from tests.weaviate.conftest import store_at


class OnServer(StoreSuite):
    inserts_at_once: ClassVar[bool] = False  # vectors wait in a queue
    connection: dict[str, Any]
    index: ClassVar[dict[str, Any]] = {}
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def _available(self, asynchronous: dict[str, Any]) -> None:
        self.connection = asynchronous

    def store(self) -> Store:
        store: Store = store_at(self.connection, **self.index)
        return store

    def query(self, store: Store) -> Any:
        return store.Query(**self.options)


class OnSynchronousServer(OnServer):
    inserts_at_once: ClassVar[bool] = True

    @pytest.fixture(autouse=True)
    def _available(self, synchronous: dict[str, Any]) -> None:
        self.connection = synchronous


class TestFlat(OnServer, StoreConformance):
    index: ClassVar[dict[str, Any]] = {"type": "flat"}


class TestText(OnSynchronousServer, StoreConformance):
    index: ClassVar[dict[str, Any]] = {"full_text": True}
    options: ClassVar[dict[str, Any]] = {"mode": "text"}


class TestHybrid(OnSynchronousServer, StoreConformance):
    index: ClassVar[dict[str, Any]] = {"type": "flat", "full_text": True}
    options: ClassVar[dict[str, Any]] = {"mode": "hybrid"}


# The other laws do not depend on the index's type: these stand under those that do.


class OfGraph(OnSynchronousServer):
    exact: ClassVar[bool] = False
    options: ClassVar[dict[str, Any]] = {"ef": 400}
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"ef": (1, 400)}


class TestHnsw(OfGraph, NearnessLaws):
    index: ClassVar[dict[str, Any]] = {"type": "hnsw", "max_connections": 4}


class TestHnswPq(OfGraph, NearnessLaws):
    index: ClassVar[dict[str, Any]] = {
        "type": "hnsw", "max_connections": 4, "quantizer": "pq", "segments": 8, "training_limit": 300,
    }  # fmt: skip


class TestHnswRq(OfGraph, NearnessLaws):
    index: ClassVar[dict[str, Any]] = {"type": "hnsw", "max_connections": 4, "quantizer": "rq"}


class TestHnswBq(OfGraph, NearnessLaws):
    index: ClassVar[dict[str, Any]] = {"type": "hnsw", "max_connections": 4, "quantizer": "bq"}


class TestFlatBq(OnSynchronousServer, NearnessLaws):
    exact: ClassVar[bool] = False
    index: ClassVar[dict[str, Any]] = {"type": "flat", "quantizer": "bq"}
    options: ClassVar[dict[str, Any]] = {"rescore_limit": 400}
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"rescore_limit": (1, 400)}


class TestHfresh(OnServer, NearnessLaws):
    exact: ClassVar[bool] = False
    similarities: ClassVar[tuple[Similarity, ...] | None] = (Similarity.COSINE, Similarity.L2)
    index: ClassVar[dict[str, Any]] = {"type": "hfresh"}
    options: ClassVar[dict[str, Any]] = {"search_probe": 256, "rescore_limit": 400}
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"rescore_limit": (1, 400)}
