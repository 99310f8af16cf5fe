"""The table of documents: what a row of an index stands for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.code.contract import RetrieverError

FINGERPRINT = b"corpus"


class Documents:
    """Ids, texts and metadata by row, from a Parquet file. rows: how many there must be. fingerprint: of the corpus
    that was measured, which the file must bear."""

    def __init__(self, path: Path, *, rows: int, fingerprint: str) -> None:
        self._path = path
        self._rows = rows
        self._fingerprint = fingerprint
        self._lock = threading.Lock()
        self._table: Any = None
        self._by_id: dict[str, int] | None = None

    def id(self, row: int) -> str:
        """The id of a document."""
        return str(self._column("id", row))

    def text(self, row: int) -> str:
        """Its text, empty where it has none."""
        return str(self._column("text", row) or "")

    def metadata(self, row: int) -> dict[str, Any]:
        """Its metadata by name."""
        names = [name for name in self._open().column_names if name.startswith("meta.")]
        return {name.removeprefix("meta."): self._column(name, row) for name in names}

    def row(self, document: int | str) -> int | None:
        """The row of a hit; None for an id that the corpus does not hold. Raises RetrieverError for a row beyond it."""
        if isinstance(document, int):
            if not 0 <= document < self._rows:
                raise RetrieverError(
                    f"The index found row {document}, and {self._path} has {self._rows} rows: they do not belong "
                    "together. Write the retriever again."
                )
            return document
        with self._lock:
            if self._by_id is None:
                ids = self._opened().column("id").to_pylist()
                self._by_id = {name: row for row, name in enumerate(ids)}
        return self._by_id.get(document)

    def _column(self, name: str, row: int) -> Any:
        return self._open().column(name)[row].as_py()

    def _open(self) -> Any:
        with self._lock:
            return self._opened()

    def _opened(self) -> Any:
        if self._table is None:
            self._table = self._read()
        return self._table

    def _read(self) -> Any:
        again = "Write the retriever again, or bring the file back."
        try:
            table = pq.read_table(self._path, memory_map=True)
        except FileNotFoundError:
            raise RetrieverError(f"The table of documents {self._path} is gone. {again}") from None
        except (OSError, pa.ArrowInvalid) as error:
            raise RetrieverError(f"The table of documents {self._path} cannot be read: {error}. {again}") from error
        held = (table.schema.metadata or {}).get(FINGERPRINT, b"").decode("utf-8", "replace")
        if table.num_rows != self._rows or held != self._fingerprint or not {"id", "text"} <= {*table.column_names}:
            raise RetrieverError(
                f"{self._path} is not the table of documents that was measured: it has {table.num_rows} rows of corpus "
                f"{held or 'unknown'}, expected {self._rows} of {self._fingerprint}. {again}"
            )
        return table
