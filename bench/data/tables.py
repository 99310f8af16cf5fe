"""Brings a collection's Arrow tables into one shape, digests them, and keeps them on disk so that nothing is parsed
twice."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import DatasetInvalid, DatasetSource, Tables, WrongAnswer, shape_of
from bench.cache.artifacts import new_folder
from bench.cache.locks import Waiting, entry_locked, untold
from bench.cache.own_files import NOT_ITSELF, open_own, own_folder, read_own
from bench.cache.uses import note

FORMAT = 2  # to be raised whenever the shape of kept tables changes, or what built-in sources read
_MANIFEST = "manifest.json"
_PIECES = {"corpus", "queries", "qrels", "corpus.vector", "queries.vector"}


class Loaded(NamedTuple):
    """Tables in one shape (columns as `Tables` says, title always there) and the digest of the corpus."""

    tables: Tables
    corpus_digest: str


def load_tables(source: DatasetSource, kept_in: Path | None, wait: Waiting = untold) -> Loaded:
    """The tables of the source. They come from a kept, memory-mapped copy while no source file has changed.

    kept_in: folder of kept tables, None to parse. A damaged copy is made again.
    Raises what `source.load` raises, and DatasetInvalid for tables that break the contract.
    """
    key = None if kept_in is None else _key(source)
    if kept_in is None or key is None:
        return _parsed(source)
    folder = kept_in / key
    note(kept_in.parent, kept_in.name, key)
    if (kept := _read(folder)) is not None:
        return kept
    with entry_locked(kept_in.parent, f"{kept_in.name}-{key}", wait):
        if (kept := _read(folder)) is None:  # nor has another run made it meanwhile
            _keep(_parsed(source), folder)
            kept = _read(folder)
        if kept is None:
            raise OSError(f"{folder}: the tables just written there cannot be read back. Check the disk.")
    return kept


def table_digest(table: pa.Table) -> str:
    """blake2b of a table's content, 16 bytes in hex: the same however the rows are cut into chunks.

    Covers names, types, order of rows, nulls; not the order of columns, nor the column `line`.
    """
    total = hashlib.blake2b(digest_size=16)
    total.update(f"{table.num_rows}".encode())
    for name in sorted(set(table.column_names) - {"line"}):
        column = scalars(table.column(name))
        total.update(f"\n{len(name)}:{name}:{column.type}:".encode())
        total.update(_column_digest(column))
    return total.hexdigest()


def _column_digest(column: pa.ChunkedArray) -> bytes:
    # Three streams, because a stream of mixed chunks would depend on where the chunks end.
    valid, lengths, values = (hashlib.blake2b(digest_size=16) for _ in range(3))
    for chunk in column.chunks:
        valid.update(_buffer(pc.is_valid(chunk).cast(pa.uint8()).to_numpy()))
        if pa.types.is_string(chunk.type):
            filled = pc.fill_null(chunk, "") if chunk.null_count else chunk
            lengths.update(_buffer(pc.binary_length(filled).to_numpy()))
            values.update(_string_bytes(filled))
        elif pa.types.is_fixed_size_list(chunk.type):
            values.update(_buffer(chunk.flatten().to_numpy()))
        else:
            zero = pa.scalar(0).cast(chunk.type)
            filled = pc.fill_null(chunk, zero) if chunk.null_count else chunk
            values.update(_buffer((filled.cast(pa.uint8()) if pa.types.is_boolean(filled.type) else filled).to_numpy()))
    return valid.digest() + lengths.digest() + values.digest()


def _buffer(values: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(values).view(np.uint8).data


def _string_bytes(chunk: pa.StringArray) -> memoryview:
    _, offsets, data = chunk.buffers()
    if not len(chunk) or data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(data)[int(ends[chunk.offset]) : int(ends[chunk.offset + len(chunk)])]


def _parsed(source: DatasetSource) -> Loaded:
    given: Any = source.load()
    if not isinstance(given, Tables):
        raise WrongAnswer(f"dataset adapter {source.name}: load returned {type(given).__name__}, not Tables.")
    tables = Tables(
        corpus=_shaped(given.corpus, "corpus", source.name),
        queries=_shaped(given.queries, "queries", source.name),
        qrels=None if given.qrels is None else _shaped(given.qrels, "qrels", source.name),
        notes=given.notes,
        provenance=given.provenance,
    )
    return Loaded(tables, table_digest(tables.corpus))


def _shaped(table: pa.Table, which: str, source: str) -> pa.Table:
    """The table with the contract's columns and types, in the contract's order."""
    fixed = _columns(which)
    columns: dict[str, pa.ChunkedArray] = {}
    for name, kind in fixed.items():
        if name == "title" and name not in table.column_names:
            columns[name] = pa.chunked_array([pa.nulls(table.num_rows, kind)])
            continue
        if name not in table.column_names:
            raise DatasetInvalid(f"{source}: {which}", f"the table has no column {name}.")
        columns[name] = _typed(table.column(name), kind, f"{source}: {which}.{name}")
        if name not in ("title", "text") and columns[name].null_count:
            raise DatasetInvalid(f"{source}: {which}", f"the column {name} has nulls.")
    if which != "qrels" and "vector" in table.column_names:
        columns["vector"] = _vectors(table.column("vector"), f"{source}: {which}.vector")
    for name in table.column_names:
        if which != "qrels" and name.startswith("meta."):
            columns[name] = _meta(table.column(name), f"{source}: {which}.{name}")
    if "line" in table.column_names:
        columns["line"] = _typed(table.column("line"), pa.int32(), f"{source}: {which}.line")
    return pa.table(columns).replace_schema_metadata(table.schema.metadata)


def _columns(which: str) -> dict[str, pa.DataType]:
    """The columns that a table always has."""
    if which == "qrels":
        return {"query_id": pa.string(), "document_id": pa.string(), "grade": pa.int32()}
    return {"id": pa.string(), **({"title": pa.string()} if which == "corpus" else {}), "text": pa.string()}


def _typed(column: pa.ChunkedArray, kind: pa.DataType, where: str) -> pa.ChunkedArray:
    same = column.type == kind or (pa.types.is_integer(column.type) and pa.types.is_integer(kind))
    if not same and not (pa.types.is_large_string(column.type) or pa.types.is_null(column.type)):
        raise DatasetInvalid(where, f"expected {kind}, got {column.type}.")
    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        raise DatasetInvalid(where, f"does not fit {kind}: {error}") from error


def _meta(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_integer(kind):
        return _typed(column, pa.int64(), where)
    if pa.types.is_floating(kind):
        return column.cast(pa.float64())
    if pa.types.is_boolean(kind) or _rich(kind):
        return column
    return _typed(column, pa.string(), where)


def _rich(kind: pa.DataType) -> bool:
    """Whether it is one of the types of meta columns that versions before format 2 turned to text."""
    if pa.types.is_list(kind):
        shape = shape_of(kind)
        return shape is not None and kind == shape.held_as
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_decimal(kind))


def scalars(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with lists, dates and decimals as texts. They are digested in this form, so that a collection keeps
    the fingerprint that it had when they were read as texts."""
    if not _rich(column.type):
        return column
    if not pa.types.is_list(column.type):
        return column.cast(pa.string())
    texts = [pa.array(map(_list_as_text, chunk.to_pylist()), pa.string()) for chunk in column.chunks]
    return pa.chunked_array(texts, pa.string())


def _list_as_text(value: list[Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _vectors(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    kind = column.type
    if not (pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32()):
        raise DatasetInvalid(where, f"expected a fixed-size list of float32, got {kind}.")
    if column.null_count:
        raise DatasetInvalid(where, f"{column.null_count} of {len(column)} vectors are null.")
    if any(chunk.flatten().null_count for chunk in column.chunks):
        raise DatasetInvalid(where, "some of the numbers are null.")
    if column.num_chunks == 1:
        return column
    # One piece, so that the whole column is one matrix without a copy.
    flat = [chunk.flatten().to_numpy() for chunk in column.chunks]
    values = np.concatenate(flat) if flat else np.empty(0, np.float32)
    return pa.chunked_array([pa.FixedSizeListArray.from_arrays(pa.array(values), kind.list_size)])


def _key(source: DatasetSource) -> str | None:
    """Name of the kept copy: a hash of everything that decides what the source reads, None if that is unknown."""
    files = source.sources()
    if files is None:
        return None
    kind = type(source)
    code = Path(inspect.getfile(kind))
    facts = {
        "format": FORMAT,
        "source": [kind.__module__, kind.__qualname__, *_state(code)],
        "options": source.options.model_dump(mode="json"),
        "context": [source.context.vector_dimension, source.context.seed],
        "files": [[str(file.resolve()), *_state(file)] for file in files],
    }
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _state(file: Path) -> tuple[int, int]:
    try:
        state = file.stat()
    except OSError as error:
        raise DatasetInvalid(str(file), f"cannot be read: {error.strerror}.") from error
    return state.st_size, state.st_mtime_ns


def _keep(loaded: Loaded, folder: Path) -> None:
    """Write the tables beside `folder`, then rename: whatever lies at `folder` is whole."""
    tables = loaded.tables
    own_folder(folder.parent)
    draft = new_folder(folder.parent, f".{folder.name}-")
    try:
        pieces = {"corpus": tables.corpus, "queries": tables.queries}
        if tables.qrels is not None:
            pieces["qrels"] = tables.qrels
        for name in ("corpus", "queries"):
            # Apart from the texts, because a batch of texts ends at 2 GiB and the vectors have to stay one piece.
            if "vector" in pieces[name].column_names:
                pieces[f"{name}.vector"] = pieces[name].select(["vector"])
                pieces[name] = pieces[name].drop_columns(["vector"])
        manifest = {
            "checksums": {name: _write(table, draft / f"{name}.arrow") for name, table in pieces.items()},
            "corpus_digest": loaded.corpus_digest,
            "notes": list(tables.notes),
            "provenance": dict(tables.provenance),
        }
        sealed = {**manifest, "digest": _seal(manifest, folder.name)}
        _synced(draft / _MANIFEST, lambda file: file.write(json.dumps(sealed).encode()))
        _take_place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _take_place(draft: Path, folder: Path) -> None:
    if folder.exists():
        damaged = new_folder(folder.parent, f".{folder.name}-")
        folder.replace(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
    try:
        draft.rename(folder)
    except OSError:
        if not (folder / _MANIFEST).is_file():  # unless another process was first
            raise
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(table: pa.Table, path: Path) -> str:
    def body(file: Any) -> None:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    _synced(path, body)
    return _checksum(path)


def _synced(path: Path, body: Callable[[Any], Any]) -> None:
    with path.open("wb") as file:
        body(file)
        file.flush()
        os.fsync(file.fileno())


def _checksum(path: Path) -> str:
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _read(folder: Path) -> Loaded | None:
    """The kept tables, memory-mapped; None where there are none or a byte has changed."""
    try:
        manifest = json.loads(read_own(folder / _MANIFEST))
        # One of an earlier version has no digest.
        if (digest := manifest.pop("digest", None)) is not None and digest != _seal(manifest, folder.name):
            return None
        if not manifest["checksums"].keys() <= _PIECES:
            return None
        # Checked before Arrow sees the bytes, because damaged offsets would crash the process.
        if any(_checksum(folder / f"{name}.arrow") != kept for name, kept in manifest["checksums"].items()):
            return None
        pieces = {name: _mapped(folder / f"{name}.arrow") for name in manifest["checksums"]}
        tables = Tables(
            corpus=_whole(pieces, "corpus"),
            queries=_whole(pieces, "queries"),
            qrels=pieces.get("qrels"),
            notes=tuple(manifest["notes"]),
            provenance=manifest["provenance"],
        )
        if not _fitting(tables):
            return None
        return Loaded(tables, str(manifest["corpus_digest"]))
    except (FileNotFoundError, NotADirectoryError, DatasetInvalid):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # a manifest of another shape
        return None
    except OSError as error:
        if error.errno not in NOT_ITSELF:
            raise
        return None


def _seal(manifest: Mapping[str, Any], key: str) -> str:
    """Digest of a manifest as it is read back, together with the name of its copy. Every word of a manifest gets into
    results."""
    plain = json.loads(json.dumps(manifest))
    return hashlib.blake2b(json.dumps([key, plain], sort_keys=True).encode(), digest_size=16).hexdigest()


def _mapped(path: Path) -> pa.Table:
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    table.validate(full=True)  # even an unchanged file may have been written with wrong offsets
    return table


def _fitting(tables: Tables) -> bool:
    """Whether the tables have the columns that they are written with."""
    for which, table in (("corpus", tables.corpus), ("queries", tables.queries), ("qrels", tables.qrels)):
        if table is not None:
            columns = _columns(which)
            if any(name not in table.column_names or table.column(name).type != kind for name, kind in columns.items()):
                return False
            if "vector" in table.column_names:
                _vectors(table.column("vector"), which)
    return True


def _whole(pieces: Mapping[str, pa.Table], name: str) -> pa.Table:
    table = pieces[name]
    vectors = pieces.get(f"{name}.vector")
    return table if vectors is None else table.append_column("vector", vectors.column("vector"))
