"""LanceDB as a store: options, the table's columns, building and searching, each a file."""

from adapters.stores.lancedb.session import LanceDbSession
from adapters.stores.lancedb.store import LanceDbStore

__all__ = ["LanceDbSession", "LanceDbStore"]
