"""LanceDB as a store: options, the table's columns, building and searching, each a file."""

from .store import LanceDbSession, LanceDbStore

__all__ = ["LanceDbSession", "LanceDbStore"]
