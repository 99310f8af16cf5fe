"""Searching a table: by vector, by text or by both."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adapters._scripts import advice
from adapters.base import Filter, Floats, Hits, IndexRef, InvalidOptions, Queries, Session, Similarity, Unmatched
from adapters.stores._fields import MetaFields
from adapters.stores.lancedb.errors import told
from adapters.stores.lancedb.options import DEFAULT_NPROBES, TOKENIZERS, LanceDbIndex, LanceDbQuery
from adapters.stores.lancedb.table import where_clause

_BATCH = 256  # queries in one request of a search with many


class LanceDbSession(Session):
    """Searches are safe from many threads once configured.

    effective: the query options in effect on this index: mode, nprobes, partitions, and whether a search goes through
    all partitions.
    """

    def __init__(self, ref: IndexRef, table: Any, index: LanceDbIndex) -> None:
        super().__init__(ref)
        self._table = table
        self._index = index
        self._where: tuple[Filter, str] | None = None
        self.configure(LanceDbQuery())

    def configure(self, options: Any) -> None:
        """Raises InvalidOptions for query options that this index has no use for."""
        options.check(self._index)
        super().configure(options)
        self._settings = settings(options, self.ref)
        self.effective: dict[str, Any] = {"mode": options.mode}
        if (partitions := _probed_partitions(options, self.ref)) is not None:
            least, most = _probes(options)
            self.effective |= {"nprobes": most, "partitions": partitions, "exhaustive": least >= partitions}
        self.effective |= {name: value for name, value in self._settings if name in ("refine_factor", "ef")}
        self._cosine_scale = np.float32(0.5 if scored_by_codes(options, self._index) else 1.0)

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        mode, ef = self.options.mode, self.options.ef
        if ef is not None and ef < limit * (self.options.refine_factor or 1):
            raise InvalidOptions(
                f"ef {ef} is smaller than the {limit * (self.options.refine_factor or 1)} candidates that a search for "
                f"{limit} asks the graph for. Raise ef or lower k, depth or refine_factor.",
                key="query.ef",
            )
        where = None if filter is None else self._condition(filter)
        try:
            if mode == "vector":
                return self._by_vector(queries, limit, where)
            return self._by_text(queries, limit, where)
        except (RuntimeError, ValueError, OSError, MemoryError) as error:
            raise told(error, f"LanceDB refused the search of {self.ref.name}") from error

    def _by_vector(self, queries: Queries, limit: int, where: str | None) -> Hits:
        vectors = queries.vectors
        if vectors is None:
            raise InvalidOptions("A search by vector was given no vectors.", key="query.mode")
        if len(vectors) == 1:
            found = self._vector_query(vectors[0], limit, where).to_arrow()
            count = found.num_rows
            texts = [found.column("text").to_pylist()] if self.payload else None
            if count == limit:  # taken as they are, as in a user's own loop: there is nothing to fill up
                scores = self._scores(found.column("_distance").to_numpy())
                return Hits(found.column("row").to_numpy().reshape(1, limit), scores.reshape(1, limit), texts)
            hits = Hits.empty(1, limit)
            hits.rows[0, :count] = found.column("row").to_numpy()
            hits.scores[0, :count] = self._scores(found.column("_distance").to_numpy())
            return Hits(hits.rows, hits.scores, texts)
        hits = Hits.empty(len(vectors), limit)
        told: list[list[str | None]] = []
        for start in range(0, len(vectors), _BATCH):
            found = self._vector_query(vectors[start : start + _BATCH], limit, where).to_arrow()
            query = found.column("query_index").to_numpy()
            order = np.argsort(query, kind="stable")
            query = query[order]
            place = np.arange(len(query)) - np.searchsorted(query, query)
            hits.rows[start + query, place] = found.column("row").to_numpy()[order]
            hits.scores[start + query, place] = self._scores(found.column("_distance").to_numpy()[order])
            if self.payload:
                texts = found.column("text").take(order).to_pylist()
                bounds = np.searchsorted(query, np.arange(len(vectors[start : start + _BATCH]) + 1))
                told += [texts[first:last] for first, last in itertools.pairwise(bounds.tolist())]
        return replace(hits, texts=told) if self.payload else hits

    def _vector_query(self, vectors: Floats, limit: int, where: str | None) -> Any:
        query = vector_query(self._table, vectors, self.ref.similarity, limit)
        return self._refined(query.select(["row", "_distance", "text"]) if self.payload else query, where)

    def _refined(self, query: Any, where: str | None) -> Any:
        for name, value in self._settings:
            getattr(query, name)(value)
        if self.options.bypass_vector_index:
            query.bypass_vector_index()
        return query if where is None else query.where(where)

    def _by_text(self, queries: Queries, limit: int, where: str | None) -> Hits:
        from lancedb.query import MatchQuery

        if queries.texts is None:
            raise InvalidOptions("A search by text was given no texts.", key="query.mode")
        hits = Hits.empty(len(queries), limit)
        wanted = ["row", "text"] if self.payload else ["row"]
        texts: list[list[str | None]] = []
        for i, text in enumerate(queries.texts):
            match = MatchQuery(text, "text")
            if self.options.mode == "text":
                query = self._table.search(match, query_type="fts", fts_columns="text").select([*wanted, "_score"])
                query = query.limit(limit) if where is None else query.limit(limit).where(where)
                found, name = query.to_arrow(), "_score"
            else:
                query = self._hybrid(match, queries, i, limit, where, wanted)
                found, name = query.to_arrow(), "_relevance_score"
            rows, scores = found.column("row").to_numpy(), found.column(name).to_numpy()
            order = np.lexsort((rows, -scores))  # the engine leaves equal scores in any order
            hits.rows[i, : len(rows)] = rows[order]
            hits.scores[i, : len(rows)] = scores[order]
            if self.payload:
                texts.append(found.column("text").take(order).to_pylist())
        return replace(hits, texts=texts) if self.payload else hits

    def unmatched(self, texts: Sequence[str]) -> Unmatched | None:
        """The engine tokenizes on its own: a query holds no term of the index if it finds nothing by text alone."""
        from lancedb.query import MatchQuery

        if self._index.text_options is None:
            return None
        flags = np.zeros(len(texts), np.bool_)
        for i, text in enumerate(texts):
            search = self._table.search(MatchQuery(text, "text"), query_type="fts", fts_columns="text")
            flags[i] = not search.select(["row"]).limit(1).to_arrow().num_rows
        lost = [text for text, flag in zip(texts, flags, strict=True) if flag]
        return Unmatched(flags, advice(lost, TOKENIZERS, option="index.full_text.base_tokenizer"))

    def _hybrid(self, match: Any, queries: Queries, i: int, limit: int, where: str | None, wanted: list[str]) -> Any:
        from lancedb.rerankers import LinearCombinationReranker, RRFReranker

        if queries.vectors is None:
            raise InvalidOptions("A hybrid search was given no vectors.", key="query.mode")
        options = self.options
        fuse = RRFReranker(options.rrf_k) if options.fuse == "rrf" else LinearCombinationReranker(options.weight)
        query = self._table.search(query_type="hybrid", vector_column_name="vector", fts_columns="text")
        query = query.vector(queries.vectors[i]).text(match).distance_type(str(self.ref.similarity)).limit(limit)
        return self._refined(query.select(wanted), where).rerank(fuse)

    def _scores(self, distances: Floats) -> Floats:
        """Larger is better: LanceDB gives 1 - cosine, 1 - dot, or the squared Euclidean distance."""
        if self.ref.similarity is Similarity.L2:
            return -distances
        if self.ref.similarity is Similarity.DOT:
            return 1 - distances
        return 1 - self._cosine_scale * distances

    def _condition(self, filter: Filter) -> str:
        """The filter in SQL; the last one is kept, because systems search under one filter."""
        if self._where is None or self._where[0] != filter:
            self._where = (filter, where_clause(filter, MetaFields.load(self.ref.details.get("fields"))))
        return self._where[1]


def settings(options: LanceDbQuery, ref: IndexRef) -> list[tuple[str, int]]:
    """How the index is searched, by the names of the client's methods."""
    found: list[tuple[str, int]] = []
    if _probed_partitions(options, ref) is not None:
        least, most = _probes(options)
        if (least, most) != (DEFAULT_NPROBES, DEFAULT_NPROBES):
            bounds = [("minimum_nprobes", least), ("maximum_nprobes", most)]
            found += [("nprobes", most)] if least == most else bounds  # saves a call in every search
    return found + [(name, value) for name in ("refine_factor", "ef") if (value := getattr(options, name)) is not None]


def scored_by_codes(options: LanceDbQuery, index: LanceDbIndex) -> bool:
    """Whether distances are those of codes. Codes of SQ and PQ are compared by the squared distance of unit vectors,
    2·(1 - cosine); rescoring with the vectors themselves gives 1 - cosine again."""
    codes = index.quantised and index.type != "IVF_RQ"
    return codes and options.refine_factor is None and not options.bypass_vector_index


def _probed_partitions(options: LanceDbQuery, ref: IndexRef) -> int | None:
    """How many partitions there are, where a search looks into some of them."""
    partitions: int | None = ref.details.get("partitions")
    return None if options.mode == "text" or options.bypass_vector_index else partitions


def _probes(options: LanceDbQuery) -> tuple[int, int]:
    if options.nprobes is not None:
        return options.nprobes, options.nprobes
    least = options.minimum_nprobes or min(DEFAULT_NPROBES, options.maximum_nprobes or DEFAULT_NPROBES)
    return least, options.maximum_nprobes or max(DEFAULT_NPROBES, least)


def vector_query(table: Any, vectors: Floats, similarity: Similarity, limit: int) -> Any:
    # Without a metric LanceDB takes the index's, or l2 where it uses no index. With a metric other than the index's it
    # silently scans.
    query = table.search(vectors, vector_column_name="vector", query_type="vector")
    return query.distance_type(str(similarity)).limit(limit).select(["row", "_distance"])
