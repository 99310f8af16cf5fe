"""A whole approximate store of a third party, written by the README alone: its suite is this one class."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, ClassVar

from adapters.base import Store
from adapters.testing import StoreConformance

FILE = Path(__file__).resolve().parent.parent / "third_party" / "usearch_store.py"
_specification = importlib.util.spec_from_file_location("usearch_store", FILE)
assert _specification is not None and _specification.loader is not None
usearch_store = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(usearch_store)


class TestUsearch(StoreConformance):
    exact: ClassVar[bool] = False
    changes: ClassVar[dict[str, tuple[Any, Any]]] = {"expansion_search": (1, 400)}

    def store(self) -> Store:
        made: Store = usearch_store.UsearchStore(
            usearch_store.UsearchIndex(connectivity=8), usearch_store.UsearchStore.Connection()
        )
        return made

    def query(self, store: Store) -> Any:
        return store.Query(expansion_search=400)
