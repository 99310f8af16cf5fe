"""Searches a table of LanceDB: by vector, by text or by both."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.code.contract import Hit, RetrieverError, SearchEngine


class LanceDbSearch(SearchEngine):
    """Opens a table at its first use.

    place: folder of the table, or the address of an object storage, whose credentials come from the variables that its
        provider's tools read. mode: vector, text or hybrid. similarity: cosine, dot or l2. settings: how the index is
        searched, by the names of the client's methods. code_distances: whether scores under cosine come from codes.
        where: the filter, in LanceDB's SQL. fuse: rrf or linear, with constant: how a hybrid search makes one ranking.
        text: whether hits carry the documents' texts.
    """

    def __init__(
        self,
        *,
        place: Path | str,
        table: str,
        mode: str,
        similarity: str,
        settings: Mapping[str, int],
        bypass_vector_index: bool = False,
        code_distances: bool = False,
        where: str | None = None,
        fuse: str = "rrf",
        constant: float = 60,
        storage_options: Mapping[str, str] | None = None,
        text: bool = False,
    ) -> None:
        self._place = place
        self._name = table
        self._mode = mode
        self._similarity = similarity
        self._settings = dict(settings)
        self._bypass = bypass_vector_index
        # Codes are compared by the squared distance of unit vectors, 2·(1 - cosine).
        self._scale = np.float32(0.5 if code_distances else 1.0)
        self._where = where
        self._fuse = fuse
        self._constant = constant
        self._storage_options = dict(storage_options or {}) or None
        self._columns = ["row", "text"] if text else ["row"]
        self._opening = threading.Lock()
        self._table: Any = None
        self._async_table: Any = None

    def search(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        self._check(limit)
        if self._table is None:
            with self._opening:
                if self._table is None:
                    self._table = self._opened()
        try:
            found = self._query(text, vector, limit).to_arrow()
        except (RuntimeError, ValueError, OSError) as error:
            raise self._refused(error) from error
        return self._hits(found)

    async def asearch(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> list[Hit]:
        self._check(limit)
        if self._async_table is None:
            self._async_table = await self._aopened()
        try:
            found = await self._async_query(text, vector, limit).to_arrow()
        except (RuntimeError, ValueError, OSError) as error:
            raise self._refused(error) from error
        return self._hits(found)

    def close(self) -> None:
        self._table = self._async_table = None

    def _check(self, limit: int) -> None:
        ef, asked = self._settings.get("ef"), limit * self._settings.get("refine_factor", 1)
        if ef is not None and ef < asked:
            raise RetrieverError(
                f"ef {ef} is smaller than the {asked} candidates that a search for {limit} documents asks the graph "
                "for. Ask for fewer documents (k), or raise ef in this file, which then searches otherwise than what "
                "was measured."
            )

    def _opened(self) -> Any:
        lancedb = self._library()
        try:
            return lancedb.connect(self._place, storage_options=self._storage_options).open_table(self._name)
        except (RuntimeError, ValueError, OSError) as error:
            raise self._absent(error) from error

    async def _aopened(self) -> Any:
        lancedb = self._library()
        try:
            database = await lancedb.connect_async(self._place, storage_options=self._storage_options)
            return await database.open_table(self._name)
        except (RuntimeError, ValueError, OSError) as error:
            raise self._absent(error) from error

    def _library(self) -> Any:
        """The client. It makes a folder that is not there, which would hide that the index is gone."""
        if isinstance(self._place, Path) and not self._place.is_dir():
            raise RetrieverError(f"There is no folder {self._place}, where the index was. {self._cure}")
        # The client reads it when it is imported, and writes two warnings for each hybrid search.
        os.environ.setdefault("LANCEDB_LOG", "error")
        import lancedb

        return lancedb

    @property
    def _cure(self) -> str:
        return (
            "Put it back, or run the experiment again, which builds the index anew, and have this file written again."
        )

    def _absent(self, error: Exception) -> RetrieverError:
        if "not found" in str(error):
            return RetrieverError(f"There is no table {self._name} in {self._place}. {self._cure}")
        return RetrieverError(
            f"LanceDB cannot open the table {self._name} in {self._place}: {error}. Check the address, and the "
            "credentials in the environment."
        )

    def _refused(self, error: Exception) -> RetrieverError:
        return RetrieverError(
            f"LanceDB could not search the table {self._name} in {self._place}: {error}. Check that it is the index "
            "that was measured, and that the installed lancedb is of the version that this file names."
        )

    def _query(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> Any:
        table = self._table
        if self._mode == "vector":
            query = table.search(vector, vector_column_name="vector", query_type="vector")
            query = self._set(query.distance_type(self._similarity).select([*self._columns, "_distance"]))
        elif self._mode == "text":
            query = table.search(self._match(text), query_type="fts", fts_columns="text")
            query = query.select([*self._columns, "_score"])
        else:
            query = table.search(query_type="hybrid", vector_column_name="vector", fts_columns="text")
            query = query.vector(vector).text(self._match(text)).distance_type(self._similarity)
            query = self._set(query.select(self._columns)).rerank(self._fusion())
        return self._bounded(query, limit)

    def _async_query(self, text: str, vector: npt.NDArray[np.float32] | None, limit: int) -> Any:
        query = self._async_table.query()
        if self._mode == "vector":
            query = query.nearest_to(vector).column("vector").distance_type(self._similarity)
            query = self._set(query.select([*self._columns, "_distance"]))
        elif self._mode == "text":
            query = query.nearest_to_text(self._match(text)).select([*self._columns, "_score"])
        else:
            query = query.nearest_to(vector).column("vector").distance_type(self._similarity)
            query = query.nearest_to_text(self._match(text))
            query = self._set(query.select(self._columns)).rerank(self._fusion())
        return self._bounded(query, limit)

    @staticmethod
    def _match(text: str) -> Any:
        from lancedb.query import MatchQuery

        make: Any = MatchQuery  # a type checker takes its defaults for missing arguments
        return make(text, "text")

    def _set(self, query: Any) -> Any:
        for name, value in self._settings.items():
            getattr(query, name)(value)
        if self._bypass:
            query.bypass_vector_index()
        return query

    def _bounded(self, query: Any, limit: int) -> Any:
        query = query.limit(limit)
        return query if self._where is None else query.where(self._where)

    def _fusion(self) -> Any:
        from lancedb.rerankers import LinearCombinationReranker, RRFReranker

        return RRFReranker(int(self._constant)) if self._fuse == "rrf" else LinearCombinationReranker(self._constant)

    def _hits(self, found: Any) -> list[Hit]:
        scores = self._scores(found).tolist()
        rows = found.column("row").to_pylist()
        texts = found.column("text").to_pylist() if "text" in self._columns else [None] * len(rows)
        if self._mode == "vector":
            order = list(range(len(rows)))
        else:
            order = sorted(range(len(rows)), key=lambda i: (-scores[i], rows[i]))  # equal scores come in any order
        return [Hit(rows[i], scores[i], texts[i]) for i in order]

    def _scores(self, found: Any) -> npt.NDArray[np.float32]:
        """Larger is better: LanceDB gives 1 - cosine, 1 - dot, or the squared Euclidean distance."""
        scores: npt.NDArray[np.float32]
        if self._mode != "vector":
            scores = found.column("_score" if self._mode == "text" else "_relevance_score").to_numpy()
            return scores.astype(np.float32)
        distances = found.column("_distance").to_numpy()
        if self._similarity == "l2":
            scores = -distances
        else:
            scores = 1 - (distances if self._similarity == "dot" else self._scale * distances)
        return scores
