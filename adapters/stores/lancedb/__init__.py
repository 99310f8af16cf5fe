"""LanceDB as a store: options, the table's columns, building and searching, each a file."""

from .session import LanceDbSession
from .store import LanceDbStore

__all__ = ["LanceDbSession", "LanceDbStore"]
