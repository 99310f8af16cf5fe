"""Negatives that were mined, kept by what decided them.

<cache>/negatives/<key>.parquet     the pairs as n-tuples
<cache>/negatives/<key>.json        the report and the digest of the Parquet file, written last
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from bench.cache.artifacts import write_atomically
from bench.cache.digests import DIGEST_BYTES, content_key
from bench.cache.own_files import NOT_ITSELF, own_folder, read_own
from bench.cache.uses import note
from bench.train.mining.mined import MiningReport

FOLDER = "negatives"
SCHEMA = pa.schema(
    {
        **dict.fromkeys(("query_id", "document_id", "query", "positive"), pa.string()),
        "negatives": pa.list_(pa.string()),
        "negative_ids": pa.list_(pa.string()),
        "negative_scores": pa.list_(pa.float32()),
    }
)


def place_of(cache: Path, key: str) -> Path:
    """The Parquet file of a key."""
    return cache / FOLDER / f"{key}.parquet"


def keep(cache: Path, key: str, table: pa.Table, report: MiningReport) -> None:
    """Write what was mined: each file whole or not at all."""
    path = place_of(cache, key)
    own_folder(path.parent)
    data = parquet_bytes(table)
    write_atomically(path, data)
    record = {"key": key, "table": _digest(data), "report": report.model_dump(mode="json")}
    write_atomically(path.with_suffix(".json"), json.dumps({**record, "digest": content_key(record)}).encode())


def kept(cache: Path, key: str) -> tuple[pa.Table, MiningReport] | str | None:
    """What is kept under a key: None where nothing is, and a sentence where it is damaged."""
    path = place_of(cache, key)
    note(cache, FOLDER, key)
    record, data = _read(path.with_suffix(".json")), _read(path)
    if record is None and data is None:
        return None
    try:
        found = json.loads(record or b"")
        report = MiningReport.model_validate(found["report"])
        whole = (
            found.pop("digest") == content_key(found) and found["key"] == key and found["table"] == _digest(data or b"")
        )
        table = pq.read_table(pa.BufferReader(data)) if whole else None
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        ValidationError,
        pa.ArrowException,
        OSError,
    ):
        table = None
    if table is None or table.schema.remove_metadata() != SCHEMA:
        return f"{path.name} in the cache is damaged"
    return table, report


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        return read_own(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno not in NOT_ITSELF:
            raise
        return b""
