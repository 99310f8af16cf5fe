"""The file that an index keeps beside itself: the row of each position, what filters ask for, and texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROWS_FILE = "rows.arrow"
TEXT_COLUMN = "payload"


class IndexRows:
    """What an index's positions 0..count-1 stand for. table: columns row and id, `meta.*`, and payload where searches
    return texts."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        rows = table.column("row").to_numpy().astype(np.int32)
        self._rows = None if np.array_equal(rows, np.arange(len(rows), dtype=np.int32)) else rows
        self._texts: list[pa.Array] = []
        if TEXT_COLUMN in table.column_names:
            self._texts = table.column(TEXT_COLUMN).chunks
        self._starts = np.cumsum([0, *map(len, self._texts)])

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def rows(self, positions: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """The rows at these positions; -1 stays -1."""
        if self._rows is None:
            return positions.astype(np.int32, copy=False)
        return np.where(positions >= 0, self._rows[np.maximum(positions, 0)], np.int32(-1))

    def texts_at(self, positions: npt.NDArray[np.integer]) -> list[str | None]:
        """The texts at these positions (n,), as far as they are not -1. Each is read where it lies in the mapped file:
        taking from a column of several chunks would copy all of it."""
        held = positions[positions >= 0]
        chunks = np.searchsorted(self._starts, held, side="right") - 1
        places = zip(chunks.tolist(), (held - self._starts[chunks]).tolist(), strict=True)
        return [self._texts[chunk][place].as_py() for chunk, place in places]


def read_index_table(folder: Path) -> pa.Table:
    """The table of an index's folder, memory-mapped. Raises FileNotFoundError, and ArrowInvalid for half a file."""
    with pa.memory_map(str(folder / ROWS_FILE)) as source:
        return pa.ipc.open_file(source).read_all()


def id_places(names: Sequence[str]) -> npt.NDArray[np.int32]:
    """The place of each of m distinct ids in the ascending order of their UTF-8 bytes: int32 (m,), from 0."""
    places = np.empty(len(names), np.int32)
    places[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names), dtype=np.int32)
    return places
