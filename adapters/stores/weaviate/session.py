"""Searching a collection: by vector, by text or by both."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from adapters._scripts import advice
from adapters.base import (
    EMPTY_ROW,
    AdapterRejected,
    Filter,
    Hits,
    IndexRef,
    InvalidOptions,
    Queries,
    Session,
    Similarity,
    Unmatched,
)
from adapters.fan import Fan
from adapters.stores._fields import MetaFields
from adapters.stores.weaviate.collection import Collection
from adapters.stores.weaviate.fields import native_filter
from adapters.stores.weaviate.options import TOKENIZATIONS, WeaviateQuery
from adapters.stores.weaviate.schema import ROW, TEXT, query_settings, reconfigured, vector_config

_Found: TypeAlias = tuple[list[int], list[float], list[str | None] | None]
_FUSION = {"relative_score": "RELATIVE_SCORE", "ranked": "RANKED"}


class WeaviateSession(Session):
    """Sessions of one store share its connection; one session, once configured, serves many threads."""

    def __init__(self, ref: IndexRef, collection: Collection) -> None:
        super().__init__(ref)
        self.options = WeaviateQuery()
        self._at = collection
        self._link = collection.link
        self._fields = MetaFields.load(ref.details["fields"])
        self._handle = collection.handle
        self._ask = self._asker()
        self._translated: tuple[Filter, Any] | None = None
        self._suspect = False
        self._fan = Fan(self._link.connection.search_threads, "weaviate-search")

    def configure(self, options: Any) -> None:
        """Set in the collection what Weaviate keeps there; options left out go back to what they were at its creation.
        Systems that share the collection therefore run one after another."""
        from weaviate.classes.config import ConsistencyLevel

        options.check(self._at.index)
        wanted = {**(self.ref.details["settings"] or {}), **options.kept_in_collection()}
        if changes := self._changes(wanted):
            until = time.monotonic() + 5
            self._change(changes, until)
            while changes := self._changes(wanted):  # the nodes of a cluster learn of the change one after another
                if time.monotonic() > until:
                    raise AdapterRejected(f"Weaviate did not take the search options {changes}.")
                time.sleep(0.05)
        self.options = options
        self._handle = self._at.handle
        if options.consistency is not None:
            self._handle = self._handle.with_consistency_level(ConsistencyLevel(options.consistency))
        self._ask = self._asker()

    def _change(self, changes: Mapping[str, Any], until: float) -> None:
        while True:
            try:
                with self._link.errors():
                    self._at.whole.config.update(vector_config=reconfigured(self._at.index, changes))
                return
            except AdapterRejected as error:
                # Another session's change is under way. Until it ends the shards are read-only and refuse a further
                # change.
                if "read-only due to: UpdateVectorIndexConfigs" not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(0.02)

    def _changes(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        # Ask the node that searches will ask, because the leader may be the node that died.
        have = query_settings(self._at.index, vector_config(self._at.schema(nearest=True)))
        return {key: value for key, value in wanted.items() if have.get(key) != value}

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        mode = self.options.mode
        if mode != "text" and queries.vectors is None:
            raise InvalidOptions(f"Mode {mode} searches by vector and was given none.", key="query.mode")
        if mode != "vector" and queries.texts is None:
            raise InvalidOptions(f"Mode {mode} searches by text and was given none.", key="query.mode")
        native = None if filter is None else self._native(filter)
        vectors, texts = queries.vectors, queries.texts

        def one(i: int) -> _Found:
            return self._ask(
                None if vectors is None else vectors[i], None if texts is None else texts[i], limit, native
            )

        if self._suspect and not self._link.alive():
            raise self._link.gone()
        try:
            found = self._fan.each(one, len(queries))
        except Exception as error:
            self._suspect = True  # the next search first checks that the server is there
            if (mapped := self._link.mapped(error)) is None:
                raise
            raise mapped from error
        self._suspect = False
        # Padded as lists, so that one query makes two arrays and not four, as a user's own loop does.
        return Hits(
            np.array([rows + [EMPTY_ROW] * (limit - len(rows)) for rows, _, _ in found], np.int32),
            np.array([scores + [-math.inf] * (limit - len(scores)) for _, scores, _ in found], np.float32),
            [texts or [] for _, _, texts in found] if self.payload else None,
        )

    def _native(self, filter: Filter) -> Any:
        last = self._translated
        if last is None or last[0] != filter:
            last = self._translated = (filter, native_filter(filter, self._fields))
        return last[1]

    def _asker(self) -> Callable[[Any, str | None, int, Any], _Found]:
        """The request of these options, with what does not change from query to query made once."""
        from weaviate.classes.query import BM25Operator, HybridFusion, MetadataQuery

        options, query = self.options, self._handle.query
        wanted = [ROW, TEXT] if self.payload else [ROW]
        told = _texts if self.payload else _no_texts
        if options.mode == "vector":
            near, distance = query.near_vector, MetadataQuery(distance=True)
            shift: float = search_arguments(options, self.ref.similarity)["added"]

            def by_vector(vector: Any, text: str | None, limit: int, native: Any) -> _Found:
                found = near(vector, limit=limit, filters=native, return_properties=wanted, return_metadata=distance)
                rows = [int(o.properties[ROW]) for o in found.objects]
                return rows, [shift - o.metadata.distance for o in found.objects], told(found.objects)

            return by_vector
        common: dict[str, Any] = {"return_properties": wanted, "return_metadata": MetadataQuery(score=True)}
        arguments, operator = search_arguments(options, self.ref.similarity), None
        if arguments["operator"] == "and":
            operator = BM25Operator.and_()
        elif arguments["operator"] == "or":
            operator = BM25Operator.or_(minimum_match=arguments["minimum_match"])
        hybrid = dict(arguments["hybrid"])
        if "fusion_type" in hybrid:
            hybrid["fusion_type"] = HybridFusion[hybrid["fusion_type"]]

        def by_text(vector: Any, text: str | None, limit: int, native: Any) -> _Found:
            if options.mode == "text":
                if not (text or "").strip():
                    return [], [], None
                found = query.bm25(
                    text, query_properties=[TEXT], limit=limit, filters=native, operator=operator, **common
                )
            else:
                found = query.hybrid(
                    text or "", vector=vector, query_properties=[TEXT], limit=limit, filters=native,
                    bm25_operator=operator, **hybrid, **common,
                )  # fmt: skip
            rows = [int(o.properties[ROW]) for o in found.objects]
            return rows, [o.metadata.score for o in found.objects], told(found.objects)

        return by_text

    def unmatched(self, texts: Sequence[str]) -> Unmatched | None:
        """The server tokenizes on its own: a query holds no term of the index if it finds nothing by text alone."""
        if not self._at.index.full_text:
            return None
        query, flags = self._handle.query, np.ones(len(texts), np.bool_)
        common: dict[str, Any] = {"query_properties": [TEXT], "limit": 1, "return_properties": [ROW]}
        with self._link.errors():
            for i, text in enumerate(texts):
                flags[i] = not (text.strip() and query.bm25(text, **common).objects)
        lost = [text for text, flag in zip(texts, flags, strict=True) if flag]
        return Unmatched(flags, advice(lost, TOKENIZATIONS, option="index.tokenization"))

    def close(self) -> None:
        self._fan.close()


def search_arguments(options: WeaviateQuery, similarity: Similarity) -> dict[str, Any]:
    """What decides a search, as `WeaviateSearch` of adapters/code takes it. Cosine distance is 1 - cosine, dot distance
    minus the product, l2 the squared distance: `added` less the distance is the score."""
    hybrid = {
        "alpha": options.alpha,
        "fusion_type": None if options.fusion is None else _FUSION[options.fusion],
        "max_vector_distance": options.max_vector_distance,
    }
    some = options.bm25_operator == "or" or options.minimum_match is not None
    return {
        "mode": options.mode,
        "added": 1.0 if similarity is Similarity.COSINE else 0.0,
        "hybrid": {key: value for key, value in hybrid.items() if value is not None},
        "operator": "and" if options.bm25_operator == "and" else "or" if some else None,
        "minimum_match": options.minimum_match or 1,
        "consistency": options.consistency,
    }


def _texts(objects: Sequence[Any]) -> list[str | None]:
    return [held.properties.get(TEXT) for held in objects]


def _no_texts(objects: Sequence[Any]) -> None:
    return None
