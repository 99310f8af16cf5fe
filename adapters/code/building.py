"""Builds what a retriever opens from documents, and tells where it lies."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.code.contract import QueryEncoder, RetrieverError
from adapters.code.directions import of_ordinary_length
from adapters.code.documents import FINGERPRINT

_BUILT_FILE = "built.json"
_DOCUMENTS_FILE = "documents.parquet"
_TEXTS_AT_ONCE = 256


class IndexBuilder(ABC):
    """Builds an index with the options that were measured, reads it back, and checks it."""

    @abstractmethod
    def build(self, documents: pa.Table, vectors: npt.NDArray[np.float32] | None, folder: Path) -> None:
        """Build in an empty folder. documents: columns row, id, text and `meta.*`. vectors: float32 (n, dimension), by
        the table's rows; None where the index holds none. Raises RetrieverError where the engine built something else.
        """


@dataclass(frozen=True)
class BuiltPart:
    """How one part of a retriever is built. argument: of its constructor, which takes the folder, or the file in it of
    that name. encoder: of the documents; None where the part holds no vectors. similarity: how they are compared.
    every_row: whether it also holds documents whose vector is zero, which has no direction."""

    builder: IndexBuilder
    argument: str
    file: str | None = None
    encoder: QueryEncoder | None = None
    similarity: str | None = None
    every_row: bool = False


class BuiltData:
    """The folder of a retriever's data: documents.parquet, a folder for each part, and built.json, which tells what
    they are. Paths of it are relative, or absolute for what was not built."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            told = json.loads((folder / _BUILT_FILE).read_text(encoding="utf-8"))
            self.rows = int(told["rows"])
            self.fingerprint = str(told["fingerprint"])
            self._parts: dict[str, dict[str, Any]] = dict(told["parts"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise RetrieverError(
                f"{folder} holds no data of this retriever ({error}). Build it: build(documents, folder)"
            ) from error

    @property
    def documents(self) -> Path:
        """The table of documents."""
        return self.folder / _DOCUMENTS_FILE

    def files(self, part: str) -> dict[str, Any]:
        """The paths that a part's constructor takes, by argument. Raises RetrieverError."""
        return {name: self.folder / place for name, place in self._part(part)["files"].items()}

    def left_out(self, part: str) -> list[int]:
        """Rows that this part has nothing for, and that are left out of what it is asked. Raises RetrieverError."""
        return [int(row) for row in self._part(part)["left_out"]]

    def _part(self, name: str) -> dict[str, Any]:
        if name not in self._parts:
            raise RetrieverError(f"{self.folder} holds no {name}: it is the data of another retriever.")
        return self._parts[name]


def build_data(
    documents: Iterable[Mapping[str, Any]],
    folder: Path,
    parts: Mapping[str, BuiltPart],
    *,
    kept: Mapping[str, Mapping[str, Path]],
    fields: Sequence[str],
) -> Path:
    """Build all that a retriever opens, from documents with `id`, `text` and further fields, which become metadata.

    folder: where nothing is yet; it appears whole or not at all. kept: files of parts that are opened where they lie,
        such as models, by part and argument. fields: metadata that filters ask for. Raises
    RetrieverError for documents of another form, and where an engine built something else than what was measured.
    """
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise RetrieverError(f"{folder} is there already. Take a new folder, or delete it.")
    table = _documents_table(documents, fields)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        told = _built_in(draft, table, parts)
        for name, files in kept.items():
            places = {argument: str(path.resolve()) for argument, path in files.items()}
            told["parts"][name] = {"files": places, "left_out": []}
        (draft / _BUILT_FILE).write_text(json.dumps(told, indent=2), encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _built_in(draft: Path, table: pa.Table, parts: Mapping[str, BuiltPart]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name in ("id", "text"):
        for value in table.column(name).to_pylist():
            digest.update(f"{len(value)}:{value}".encode("utf-8", "surrogatepass"))
    fingerprint = digest.hexdigest()
    stored = table.drop_columns(["row"]).replace_schema_metadata({FINGERPRINT: fingerprint.encode()})
    pq.write_table(stored, draft / _DOCUMENTS_FILE)
    vectors: dict[int, npt.NDArray[np.float32]] = {}
    told: dict[str, Any] = {}
    for name, part in parts.items():
        place = draft / name
        place.mkdir()
        mine, rows, undirected = None, table, []
        if part.encoder is not None:
            if id(part.encoder) not in vectors:
                vectors[id(part.encoder)] = _encoded(part.encoder, table.column("text").to_pylist())
            mine = vectors[id(part.encoder)]
            if part.similarity == "cosine":
                mine = of_ordinary_length(mine)
                nowhere = ~mine.any(axis=1)
                undirected = np.flatnonzero(nowhere).tolist() if part.every_row else []
                if not part.every_row and nowhere.any():
                    mine, rows = mine[~nowhere], table.filter(pa.array(~nowhere))
        part.builder.build(rows, mine, place)
        file = name if part.file is None else f"{name}/{part.file}"
        told[name] = {"files": {part.argument: file}, "left_out": undirected}
    return {"rows": table.num_rows, "fingerprint": fingerprint, "parts": told}


def _encoded(encoder: QueryEncoder, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    parts = [encoder.encode(texts[i : i + _TEXTS_AT_ONCE]) for i in range(0, len(texts), _TEXTS_AT_ONCE)]
    vectors: npt.NDArray[np.float32] = np.ascontiguousarray(np.concatenate(parts), np.float32)
    if vectors.shape[0] != len(texts) or not np.isfinite(vectors).all():
        raise RetrieverError(f"The encoder gave an array of shape {vectors.shape} for {len(texts)} texts.")
    return vectors


def _documents_table(documents: Iterable[Mapping[str, Any]], fields: Sequence[str]) -> pa.Table:
    """Columns row, id, text and `meta.*`."""
    given = [dict(each) for each in documents]
    if not given:
        raise RetrieverError("There are no documents to build from.")
    seen: set[str] = set()
    for number, each in enumerate(given, start=1):
        name, text = each.get("id"), each.get("text")
        if not isinstance(name, str) or not name or not isinstance(text, str):
            raise RetrieverError(f"Document {number}: it needs an id and a text, both of type str.")
        if name in seen:
            raise RetrieverError(f"Document {number}: the id {name!r} stands twice.")
        seen.add(name)
    names = dict.fromkeys(name for each in given for name in each if name not in ("id", "text"))
    if absent := [field for field in fields if field not in names]:
        raise RetrieverError(f"The retriever filters by {absent[0]}, and no document has that field.")
    columns: dict[str, Any] = {
        "row": pa.array(range(len(given)), pa.int32()),
        "id": pa.array([each["id"] for each in given], pa.string()),
        "text": pa.array([each["text"] for each in given], pa.string()),
    }
    for name in names:
        try:
            columns[f"meta.{name}"] = pa.array([each.get(name) for each in given])
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise RetrieverError(f"The field {name} holds values of several types: {error}") from error
    return pa.table(columns)
