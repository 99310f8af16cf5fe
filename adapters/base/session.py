"""The contract of a session: one worker's open index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adapters.base.arrays import (
    Hits,
    IndexRef,
    Queries,
    Similarity,
    UnknownIds,
    Unmatched,
    check_hits,
    check_vectors,
    returned,
)
from adapters.base.closeable import Closeable
from adapters.base.directions import all_ordinary, of_ordinary_length
from adapters.base.filters import Filter

_MOST_BESIDE = 1000  # additional hits, because documents without a direction may take up places


class Session(Closeable, ABC):
    """One worker's open index.

    payload: whether its hits carry the documents' texts (`Hits.texts`), fetched by the very search. `Store.session`
    sets it before `configure`; `_search` obeys it.
    """

    payload: bool = False

    def __init__(self, ref: IndexRef) -> None:
        self.ref = ref

    def configure(self, options: Any) -> None:
        """Set the query options (an instance of the store's Query model) for the searches that follow. Untimed;
        what an engine keeps in the collection is read back. The default keeps them in `self.options`."""
        self.options = options

    def search(self, queries: Queries, limit: int, filter: Filter | None = None) -> Hits:
        """The best `limit` documents of each query, best first, larger scores better.

        Under cosine a zero vector has no direction: such a query finds nothing, and such a document is never among the
        neighbours. An author sees neither: the former are not given to `_search`, the latter are left out of its hits.
        Raises InvalidVectors for NaN or a wrong dimension, AdapterTimeout, AdapterUnavailable.
        """
        vectors = queries.vectors
        if vectors is not None:
            checked = check_vectors(vectors, dimension=self.ref.dimension, where=f"Query for {self.ref.name}")
            if checked is not vectors:
                queries = Queries(checked, queries.texts)
        if not len(queries) or not self.ref.rows:
            return self._nothing(len(queries), limit)
        if queries.vectors is None or self.ref.similarity is not Similarity.COSINE:
            return self._found(queries, limit, filter)
        if not all_ordinary(queries.vectors):
            return self._by_direction(queries, limit, filter)
        return self._pointing(queries, limit, filter)

    def _by_direction(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        """Search by cosine with vectors of any length, zero among them."""
        assert queries.vectors is not None
        asked = np.flatnonzero(queries.vectors.any(axis=1))
        if not len(asked):
            return self._nothing(len(queries), limit)
        some = queries.at(asked)
        assert some.vectors is not None
        hits = self._pointing(Queries(of_ordinary_length(some.vectors), some.texts), limit, filter)
        return hits if len(asked) == len(queries) else hits.spread(asked, len(queries))

    def _pointing(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        """Search by cosine with vectors that have a direction."""
        undirected = self.ref.undirected
        if not undirected or queries.texts is not None:
            return self._found(queries, limit, filter)
        hits = self._found(queries, limit + min(len(undirected), _MOST_BESIDE), filter, undirected)
        return hits.without(np.isin(hits.rows, undirected), limit)

    def _found(self, queries: Queries, limit: int, filter: Filter | None, undirected: Sequence[int] = ()) -> Hits:
        """The hits of the author's search, checked."""
        where = f"{type(self).__module__}.{type(self).__qualname__}: _search"
        hits = returned(self._search(queries, limit, filter), Hits, where)
        return check_hits(hits, len(queries), limit, where, undirected, texts=self.payload)

    def _nothing(self, queries: int, limit: int) -> Hits:
        """The hits of queries that find nothing."""
        return replace(Hits.empty(queries, limit), texts=[[] for _ in range(queries)] if self.payload else None)

    @abstractmethod
    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        """The engine's own work, for at least one query over at least one row."""

    def unknown_ids(self) -> UnknownIds:
        """How many of the documents that its searches found so far are not in the corpus. Hits leave them out. Only a
        service that holds documents of its own can find such."""
        return UnknownIds()

    def unmatched(self, texts: Sequence[str]) -> Unmatched | None:
        """Which queries hold no term that stands in the index; None where there are no terms, or the engine does not
        tell. Untimed; asked of sessions that search by text, alone or beside vectors."""
        return None

    def close(self) -> None:
        """Release the session's handle."""
        return


class NoRows(Session):
    """An index without rows: `search` finds nothing."""

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        return Hits.empty(len(queries), limit)
