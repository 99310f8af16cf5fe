"""The file that embedded stores keep beside their index: the row of each position, the columns that filters ask for,
and the texts that searches return."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy.typing as npt
import pyarrow as pa

from adapters.base import CodePiece, Filter, Flags, IndexMissing, Rows, id_order
from adapters.code.index_rows import ROWS_FILE, TEXT_COLUMN, IndexRows, read_index_table


class RowsWriter:
    """Writes `row`, `id`, `meta.*` and `payload` of the batches as they come; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ROWS_FILE
        self._writer: Any = None
        self._columns: list[str] = ["row", "id"]

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one batch. All batches have the columns of the first."""
        if self._writer is None:
            more = (name for name in batch.schema.names if name.startswith("meta.") or name == TEXT_COLUMN)
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


class RowsFile(IndexRows):
    """The written columns, memory-mapped: positions 0..count-1 of the index and the rows they stand for."""

    def __init__(self, folder: Path, table: pa.Table | None = None) -> None:
        super().__init__(_read(folder) if table is None else table)
        self._folder = folder
        self._last: tuple[Filter, Flags] | None = None

    def mask(self, filter: Filter) -> Flags:
        """Which positions pass: bool (count,). The last filter's answer is kept: systems search under one filter."""
        last = self._last
        if last is None or last[0] != filter:
            last = self._last = (filter, filter.mask(self.table))
        return last[1]

    def with_rows(self, batch: pa.RecordBatch) -> Self:
        """These rows and those of the batch, in memory alone until `save`."""
        more = pa.table(batch.select(self.table.column_names)).cast(self.table.schema)
        return type(self)(self._folder, pa.concat_tables([self.table, more]))

    def save(self) -> None:
        """Replace the file whole: another reader may have mapped it."""
        path = self._folder / ROWS_FILE
        writing = path.with_suffix(".writing")
        with pa.ipc.new_file(str(writing), self.table.schema) as writer:
            writer.write_table(self.table)
        writing.replace(path)

    def id_order(self) -> Rows:
        """The place of each position's document id in ascending order: int32 (count,)."""
        return id_order(self.table.column("id"))

    def texts(self, positions: npt.NDArray[Any]) -> list[list[str | None]]:
        """The texts at these positions, (n, limit), as far as they are not -1."""
        return [self.texts_at(line) for line in positions]

    def filtering(self, filter: Filter | None) -> CodePiece | None:
        """The code of a filter over these columns; None without one."""
        if filter is None:
            return None
        return CodePiece("adapters.code.filtering", "Conditions", {"conditions": filter.compiled(self.table)})


def _read(folder: Path) -> pa.Table:
    try:
        return read_index_table(folder)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise IndexMissing(f"No complete index in {folder}: it has to be built again.") from error


def folder_bytes(folder: Path) -> int:
    """Size on disk of everything below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
