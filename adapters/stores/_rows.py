"""The file that embedded stores keep beside their index: the row of each position, the columns that filters ask for,
and the texts that searches return."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base import EMPTY_ROW, Filter, Flags, IndexMissing, Rows, id_order

_NAME = "rows.arrow"
_TEXT = "payload"


class RowsWriter:
    """Writes `row`, `id`, `meta.*` and `payload` of the batches as they come; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._writer: Any = None
        self._columns: list[str] = ["row", "id"]

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one batch. All batches have the columns of the first."""
        if self._writer is None:
            more = (name for name in batch.schema.names if name.startswith("meta.") or name == _TEXT)
            self._columns = ["row", "id", *more]
            self._writer = pa.ipc.new_file(str(self._path), batch.select(self._columns).schema)
        self._writer.write_batch(batch.select(self._columns))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None and kind is None:
            self._writer = pa.ipc.new_file(str(self._path), pa.schema([("row", pa.int32()), ("id", pa.string())]))
        if self._writer is not None:
            self._writer.close()


class RowsFile:
    """The written columns, memory-mapped: positions 0..count-1 of the index and the rows they stand for."""

    def __init__(self, folder: Path, table: pa.Table | None = None) -> None:
        self._folder = folder
        self._table: pa.Table = _read(folder) if table is None else table
        rows = self._table.column("row").to_numpy().astype(np.int32)
        self._rows = None if np.array_equal(rows, np.arange(len(rows), dtype=np.int32)) else rows
        self._last: tuple[Filter, Flags] | None = None
        self._texts: list[pa.Array] = []
        if _TEXT in self._table.column_names:
            self._texts = self._table.column(_TEXT).chunks
        self._starts = np.cumsum([0, *map(len, self._texts)])

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def mask(self, filter: Filter) -> Flags:
        """Which positions pass: bool (count,). The last filter's answer is kept: systems search under one filter."""
        last = self._last
        if last is None or last[0] != filter:
            last = self._last = (filter, filter.mask(self._table))
        return last[1]

    def with_rows(self, batch: pa.RecordBatch) -> Self:
        """These rows and those of the batch, in memory alone until `save`."""
        more = pa.table(batch.select(self._table.column_names)).cast(self._table.schema)
        return type(self)(self._folder, pa.concat_tables([self._table, more]))

    def save(self) -> None:
        """Replace the file whole: another reader may have mapped it."""
        path = self._folder / _NAME
        writing = path.with_suffix(".writing")
        with pa.ipc.new_file(str(writing), self._table.schema) as writer:
            writer.write_table(self._table)
        writing.replace(path)

    def id_order(self) -> Rows:
        """The place of each position's document id in ascending order: int32 (count,)."""
        return id_order(self._table.column("id"))

    def rows(self, positions: npt.NDArray[Any]) -> Rows:
        """The rows at these positions; -1 stays -1."""
        if self._rows is None:
            return positions.astype(np.int32, copy=False)
        return np.where(positions >= 0, self._rows[np.maximum(positions, 0)], np.int32(EMPTY_ROW))

    def texts(self, positions: npt.NDArray[Any]) -> list[list[str | None]]:
        """The texts at these positions, (n, limit), as far as they are not -1. Each is read where it lies in the mapped
        file: taking from a column of several chunks would copy all of it."""
        return [self._texts_at(line) for line in positions]

    def _texts_at(self, positions: npt.NDArray[Any]) -> list[str | None]:
        held = positions[positions >= 0]
        chunks = np.searchsorted(self._starts, held, side="right") - 1
        places = zip(chunks.tolist(), (held - self._starts[chunks]).tolist(), strict=True)
        return [self._texts[chunk][place].as_py() for chunk, place in places]


def _read(folder: Path) -> pa.Table:
    try:
        with pa.memory_map(str(folder / _NAME)) as source:
            return pa.ipc.open_file(source).read_all()
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise IndexMissing(f"No complete index in {folder}: it has to be built again.") from error


def folder_bytes(folder: Path) -> int:
    """Size on disk of everything below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
