"""Weaviate as a store: options, connection, schema, collection, session and filters, each a file."""

from adapters.stores.weaviate.store import WeaviateStore

__all__ = ["WeaviateStore"]
