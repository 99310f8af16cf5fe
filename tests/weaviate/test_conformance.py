"""The conformance suite on a real server: by vector, by text, by both."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from adapters.base import Store
from adapters.testing import StoreConformance

from .conftest import store_at


class OnServer(StoreConformance):
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


class TestFlat(OnServer):
    index: ClassVar[dict[str, Any]] = {"type": "flat"}


class OnSynchronousServer(OnServer):
    inserts_at_once: ClassVar[bool] = True

    @pytest.fixture(autouse=True)
    def _available(self, synchronous: dict[str, Any]) -> None:
        self.connection = synchronous


class TestText(OnSynchronousServer):
    index: ClassVar[dict[str, Any]] = {"full_text": True}
    options: ClassVar[dict[str, Any]] = {"mode": "text"}


class TestHybrid(OnSynchronousServer):
    index: ClassVar[dict[str, Any]] = {"type": "flat", "full_text": True}
    options: ClassVar[dict[str, Any]] = {"mode": "hybrid"}
