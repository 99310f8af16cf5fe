"""Drop what runs left in engines and in the cache, and say what was deleted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from adapters import registry
from adapters.base import Context, IndexMissing, IndexRef, MissingDependency
from bench.cache.artifacts import SCRATCH, Cache, locked
from bench.messages.failures import closing, failure_of

Scope = Literal["index", "all"]

PARTS = ("vectors", "scores", "candidates", "timings", "datasets", "indexes")
"""The folders that a cache consists of; nothing else in it is touched."""


@dataclass(slots=True)
class Cleaned:
    """kept: indexes that could not be dropped, with the cause; their references stay, so that the next try finds them.
    bytes: freed on this disk; what a server frees is not known here."""

    indexes: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    bytes: int = 0


def contents(folder: Path, scope: Scope) -> list[str]:
    """What `clean` would delete, one phrase each; empty where there is nothing."""
    cache = Cache(folder)
    found = [
        f"index {_label(kept)}, {_size(folder / 'indexes' / key):,} bytes here" for key, kept in cache.index_refs()
    ]
    found += [f"unfinished index {_label(begun)}, {_size(path):,} bytes here" for path, begun in cache.begun_indexes()]
    begun_at = {path for path, _ in cache.begun_indexes()}
    return found + [f"{path}, {_size(path):,} bytes" for path in _leftovers(cache, scope) if path not in begun_at]


def clean(folder: Path, scope: Scope, *, tell: Callable[[str], None]) -> Cleaned:
    """Drop every index that the cache knows from its engine, and delete its files; with scope "all" everything else
    in the cache too. An engine that is away keeps its indexes, and the rest goes on.

    Raises CacheBusy when a run uses the cache.
    """
    done = Cleaned()
    with locked(folder, "The cache"):
        cache = Cache(folder)
        away: dict[str, str] = {}
        for key, kept in list(cache.index_refs()):
            size = _size(folder / "indexes" / key)
            if cause := _drop(kept, away, tell):
                done.kept.append(f"{_label(kept)}: {cause}")
                tell(f"kept index {_label(kept)}: {cause}")
                continue
            cache.forget_index(key)
            done.indexes.append(_label(kept))
            done.bytes += size
            tell(f"dropped index {_label(kept)}, {size:,} bytes here")
        staying: set[Path] = set()
        for path, begun in list(cache.begun_indexes()):
            if cause := _drop(begun, away, tell):
                done.kept.append(f"{_label(begun)}: {cause}")
                tell(f"kept unfinished index {_label(begun)}: {cause}")
                staying.add(path)
                continue
            done.indexes.append(_label(begun))
            tell(f"dropped unfinished index {_label(begun)}")
        for path in _leftovers(cache, scope):
            if path in staying:
                continue
            size = _size(path)
            shutil.rmtree(path)
            done.parts.append(path.name)
            done.bytes += size
            tell(f"deleted {path}, {size:,} bytes")
    return done


def _drop(kept: dict[str, Any], away: dict[str, str], tell: Callable[[str], None]) -> str | None:
    """Drop one index; the cause when that is not possible. away: causes by connection, so that a server that does not
    answer is waited for once."""
    place = f"{kept['adapter']} {kept['connection']} {kept.get('base')}"
    if place in away:
        return away[place]
    try:
        kind = registry.load("stores", kept["adapter"])
        store = kind(
            kind.Index.model_validate(kept["index"]),
            kind.Connection.model_validate(kept["connection"]),
            Context(Path(kept.get("base", ""))),  # an older record holds none: paths started where the user stood
        )
        try:
            if missing := store.missing():
                raise missing
            store.drop(IndexRef.from_dict(kept["ref"]))
        finally:
            for failure in closing([store.close]):
                tell(f"{kept['adapter']} could not be closed: {failure.where}")
    except IndexMissing:
        return None
    except ValidationError as error:
        return f"its options are not understood any more: {error.errors(include_url=False)[0]['msg']}"
    except BaseException as error:
        failure = failure_of(error)
        if failure.passing or isinstance(error, MissingDependency):
            away[place] = failure.cause
        return failure.where
    return None


def _leftovers(cache: Cache, scope: Scope) -> Iterator[Path]:
    """Index folders that no reference makes whole (interrupted builds), scratch folders, and with "all" the rest."""
    known = {key for key, _ in cache.index_refs()}
    yield from (p for p in sorted((cache.folder / "indexes").glob("*")) if p.is_dir() and p.name not in known)
    yield from sorted(cache.folder.glob(f"{SCRATCH}*"))
    if scope == "all":
        yield from (cache.folder / part for part in PARTS if part != "indexes" and (cache.folder / part).is_dir())


def _label(kept: dict[str, Any]) -> str:
    kind = kept["index"].get("type")
    return f"{kept['adapter']}{f' {kind}' if kind else ''}, {kept['ref']['rows']:,} rows ({kept['ref']['name']})"


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
