"""Vectors under cosine that need care: those without a direction, and those whose squares float32 cannot hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from adapters.base.arrays import check_vectors, vectors_of
from adapters.base.errors import InvalidVectors
from adapters.code.directions import all_ordinary, of_ordinary_length, without_direction

__all__ = ["Counted", "all_ordinary", "of_ordinary_length", "without_direction"]


class Counted(Iterator[pa.RecordBatch]):
    """Passes batches on. It counts their rows, and refuses bad vectors before an engine takes them.

    by_direction: vectors are compared by cosine. rows: how many were passed on. withheld, undirected: rows without a
    direction, as `IndexRef` has them.
    """

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        dimension: int | None,
        where: str,
        by_direction: bool,
        *,
        withholding: bool,
    ) -> None:
        self._batches = iter(batches)
        self._dimension = dimension
        self._where = where
        self._by_direction = by_direction and dimension is not None
        self._withholding = withholding
        self.rows = 0
        self.withheld: list[int] = []
        self.undirected: list[int] = []

    def __next__(self) -> pa.RecordBatch:
        while True:
            given = self._checked(next(self._batches))
            batch = self._pointing(given) if self._by_direction else given
            if batch.num_rows or not given.num_rows:  # nothing is left of a batch in which no vector has a direction
                self.rows += batch.num_rows
                return batch

    def _pointing(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch as an engine that compares directions can take it."""
        vectors = vectors_of(batch)
        ordinary = of_ordinary_length(vectors)
        if ordinary is not vectors:
            column = pa.FixedSizeListArray.from_arrays(pa.array(ordinary.ravel()), ordinary.shape[1])
            batch = batch.set_column(batch.schema.get_field_index("vector"), "vector", column)
        nowhere = without_direction(ordinary)
        if nowhere.any():
            rows = batch.column("row").to_numpy()[nowhere].tolist()
            if self._withholding:
                self.withheld += rows
                return batch.filter(pa.array(~nowhere))
            self.undirected += rows
        return batch

    def _checked(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self._dimension is not None:
            first, column = self.rows + len(self.withheld), batch.column("vector")
            if column.null_count or column.type.list_size != self._dimension:
                raise InvalidVectors(
                    f"{self._where}: vectors are {column.type} with {column.null_count} nulls, expected dimension "
                    f"{self._dimension}."
                )
            check_vectors(vectors_of(batch), dimension=self._dimension, where=f"{self._where}, row {first} on")
        return batch
