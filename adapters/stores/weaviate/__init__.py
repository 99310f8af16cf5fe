"""Weaviate as a store: options, connection, schema, collection, session and filters, each a file."""

from .store import WeaviateStore

__all__ = ["WeaviateStore"]
