"""Builds a table of LanceDB with the indexes that were measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.code.building import IndexBuilder
from adapters.code.comparing import NotComparable, comparable, shape_of, times_of
from adapters.code.contract import RetrieverError


class LanceDbBuilder(IndexBuilder):
    """index: class of `lancedb.index`, with its options; None for no index of the vectors. full_text: options of the
    index of the texts, None for none. fields: metadata that filters ask for, in their order; dated: those that hold
    dates as texts. text: whether texts are kept to be returned."""

    def __init__(
        self,
        *,
        table: str,
        similarity: str,
        index: str | None,
        options: Mapping[str, Any],
        full_text: Mapping[str, Any] | None = None,
        fields: Sequence[str] = (),
        dated: Sequence[str] = (),
        text: bool = False,
    ) -> None:
        self._table = table
        self._similarity = similarity
        self._index = index
        self._options = dict(options)
        self._full_text = full_text
        self._fields = fields
        self._dated = dated
        self._text = text or full_text is not None

    def build(self, documents: pa.Table, vectors: npt.NDArray[np.float32] | None, folder: Path) -> None:
        os.environ.setdefault("LANCEDB_LOG", "error")
        import lancedb
        import lancedb.index as kinds

        known: Any = kinds
        table: Any = lancedb.connect(folder).create_table(self._table, self._contents(documents, vectors))
        try:
            if self._index is not None and vectors is not None:
                config = getattr(known, self._index)(distance_type=self._similarity, **self._options)
                table.create_index("vector", config=config, name="vector_idx")
                self._check(table, "vector_idx")
            if self._full_text is not None:
                table.create_index("text", config=known.FTS(**self._full_text), name="text_idx")
                self._check(table, "text_idx")
        except (RuntimeError, ValueError, OSError) as error:
            raise RetrieverError(f"LanceDB could not build {self._index or 'the full-text index'}: {error}") from error

    def _contents(self, documents: pa.Table, vectors: npt.NDArray[np.float32] | None) -> pa.Table:
        """The table's columns, named as searches name them."""
        columns: dict[str, Any] = {"row": documents.column("row")}
        if vectors is not None:
            flat = pa.array(vectors.ravel())
            columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        if self._text:
            columns["text"] = documents.column("text")
        for number, field in enumerate(self._fields):
            column = documents.column(f"meta.{field}")
            shape = shape_of(column.type)
            if shape is None:
                raise RetrieverError(f"The field {field} holds {column.type}, which no filter compares.")
            try:
                values = comparable(column)
                columns[f"m{number}"] = values.cast(shape.held_as)
                if field in self._dated:
                    columns[f"t{number}"] = times_of(values)
            except (NotComparable, ValueError) as error:
                raise RetrieverError(f"The field {field} is not what the filter needs: {error}") from error
        return pa.table(columns)

    def _check(self, table: Any, name: str) -> None:
        """Raise RetrieverError unless the index covers every row: of too few rows LanceDB silently builds none."""
        rows, found = table.count_rows(), table.index_stats(name)
        if found is None or found.num_indexed_rows < rows or found.num_unindexed_rows:
            covered = 0 if found is None else found.num_indexed_rows
            raise RetrieverError(
                f"LanceDB indexed {covered} of {rows} rows with {self._index or 'full text'}. Types with PQ need 256 "
                "rows at least: take more documents, or measure a system without PQ."
            )
