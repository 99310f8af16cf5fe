"""Decides how far a cache's record of an index is trusted: somebody else may have made the cache, and records name
tables and folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.base import Similarity, index_name, is_index_name

_MOST_ROWS = 2**31 - 1


class _Ref(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    folder: str
    rows: int = Field(ge=0, le=_MOST_ROWS)
    dimension: int | None = Field(ge=0, le=_MOST_ROWS)
    similarity: Annotated[Similarity, Field(strict=False)]
    details: dict[str, Any] = {}
    withheld: list[int] = []
    undirected: list[int] = []


class _Record(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    ref: _Ref
    adapter: str
    index: dict[str, Any]
    connection: dict[str, Any]
    base: str = ""


class _Kept(_Record):
    build_seconds: float
    build_memory: dict[str, int | None] = {}
    built_at: str
    build_id: str = ""
    files: dict[str, str] = {}


def kept_record(record: Mapping[str, Any], key: str, folder: Path) -> dict[str, Any] | None:
    """The record of a whole index as far as it is trusted; None for one of another shape or another index.

    folder: with the engine's files, whatever the record says: a cache may have been moved, or made to lead elsewhere.
    """
    return _believed(_Kept, record, folder) if _named(record) == index_name(key) else None


def droppable_record(record: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """The record of an index, whole or begun, that may be dropped from its engine; None for one of another shape, or
    with a name that this program does not give."""
    return _believed(_Record, record, folder) if is_index_name(_named(record)) else None


def name_told(record: Mapping[str, Any]) -> str:
    """The name of the index in a record, for the message that the record is not trusted."""
    return _named(record)[:80] or "nothing"


def _named(record: Mapping[str, Any]) -> str:
    ref = record.get("ref")
    name = ref.get("name") if isinstance(ref, Mapping) else None
    return name if isinstance(name, str) else ""


def _believed(kind: type[_Record], record: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    try:
        kind.model_validate(record)
    except (ValidationError, RecursionError):
        return None
    return {**record, "ref": {**record["ref"], "folder": str(folder)}}
