"""Drops what runs left in engines and in the cache, and tells what was deleted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing as closed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from adapters import registry
from adapters.base import Contact, Context, IndexMissing, IndexRef, MissingDependency, Store
from bench.cache.artifacts import Cache
from bench.cache.index_records import droppable_record, name_told
from bench.cache.mark import PARTS, cache_to_oneself, named_by_us, scratch_folders
from bench.cache.own_files import is_own_folder
from bench.messages.failures import closing, failure_of
from bench.messages.wording import counted

Scope = Literal["index", "all"]


@dataclass(slots=True)
class Cleaned:
    """kept: indexes that could not be dropped, with the cause; their references stay, so that the next try finds them.
    bytes: how many were freed on this disk; what a server frees is not known."""

    indexes: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    """An index that the cache has a record of. record: its contents if they are trusted, else None; then nothing is
    dropped from an engine, and the folder is deleted like any other."""

    folder: Path
    whole: bool
    record: dict[str, Any] | None
    name: str

    @property
    def label(self) -> str:
        assert self.record is not None
        kind = self.record["index"].get("type")
        what = f"{self.record['adapter']}{f' {kind}' if kind else ''}{_where(self.record)}"
        return f"{what}, {counted(self.record['ref']['rows'], 'row')} ({self.name})"

    @property
    def kind(self) -> str:
        return "index" if self.whole else "unfinished index"


def contents(folder: Path, scope: Scope) -> list[str]:
    """What `clean` would delete, one phrase each; empty where there is nothing."""
    held = list(_held(Cache(folder)))
    found = [f"{one.kind} {one.label}, {_size(one.folder):,} bytes here" for one in held if one.record]
    found += [_disbelieved(one) for one in held if one.record is None]
    known = {one.folder for one in held if one.record}
    found += [f"{path}, {_size(path):,} bytes" for path in _leftovers(folder) if path not in known]
    return found + [f"{part}, {sum(map(_size, entries)):,} bytes" for part, entries in _parts(folder, scope)]


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of the parts of a cache that hold something, by name."""
    found = {part: _size(folder / part) for part in PARTS if is_own_folder(folder / part)}
    return {part: size for part, size in found.items() if size}


def contacts(folder: Path) -> dict[str, Sequence[Contact]]:
    """The engines that `clean` would ask to drop an index, by the name of the index."""
    found: dict[str, Sequence[Contact]] = {}
    for one in _held(Cache(folder)):
        if one.record is not None:
            found[f"{one.kind} {one.name}"] = _contacts(one.record)
    return found


def clean(folder: Path, scope: Scope, *, tell: Callable[[str], None]) -> Cleaned:
    """Drop every index that the cache knows from its engine, and delete its files; with scope "all" everything else in
    the cache too. An engine that is away keeps its indexes, and the rest goes on. Anything whose name this program does
    not give stays.

    folder: a cache that bears its mark. Raises CacheBusy when a run uses the cache.
    """
    done = Cleaned()
    with cache_to_oneself(folder):
        away: dict[str, str] = {}
        staying: set[Path] = set()
        for one in list(_held(Cache(folder))):
            if one.record is None:
                tell(_disbelieved(one))
                continue
            if cause := _drop(one.record, away, tell):
                done.kept.append(f"{one.label}: {cause}")
                tell(f"kept {one.kind} {one.label}: {cause}")
                staying.add(one.folder)
                continue
            size = _size(one.folder)
            shutil.rmtree(one.folder, ignore_errors=True)
            done.indexes.append(one.label)
            done.bytes += size
            tell(f"dropped {one.kind} {one.label}, {size:,} bytes here")
        leftovers = [(path, [path]) for path in _leftovers(folder) if path not in staying]
        for place, entries in (*leftovers, *_parts(folder, scope)):
            size = sum(map(_size, entries))
            for entry in entries:
                _delete(entry)
            done.parts.append(place.name)
            done.bytes += size
            tell(f"deleted {place}, {size:,} bytes")
            if place not in entries and (others := len(list(place.iterdir()))):
                tell(f"kept {place} with {counted(others, 'entry')} of other names than this program gives")
            elif place not in entries:
                place.rmdir()
    return done


def _held(cache: Cache) -> Iterator[_Held]:
    """The indexes of which there are records: whole ones, then those whose builds did not end."""
    whole = [(cache.folder / "indexes" / key, record) for key, record in cache.index_refs()]
    for kept, found in ((True, whole), (False, list(cache.begun_indexes()))):
        for folder, record in found:
            if folder.parent.name != "indexes" or named_by_us("indexes", folder.name):
                yield _Held(folder, kept, droppable_record(record, folder / "data"), name_told(record))


def _disbelieved(held: _Held) -> str:
    return (
        f"{held.folder}: its record names {held.name!r}, which is no index of this program, or is not of a record's "
        "shape; nothing of that name is dropped, and only the files here are deleted"
    )


def _drop(record: dict[str, Any], away: dict[str, str], tell: Callable[[str], None]) -> str | None:
    """Drop one index; the cause when that is not possible. away: causes by connection, so that a server that does not
    answer is waited for once."""
    place = f"{record['adapter']} {record['connection']} {record.get('base')}"
    if place in away:
        return away[place]
    try:
        store = _store(record)
        try:
            if missing := store.missing():
                raise missing
            store.drop(IndexRef.from_dict(record["ref"]))
        finally:
            for failure in closing([store.close]):
                tell(f"{record['adapter']} could not be closed: {failure.where}")
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


def _store(record: dict[str, Any]) -> Store:
    kind = registry.load("stores", record["adapter"])
    made: Store = kind(
        kind.Index.model_validate(record["index"]),
        kind.Connection.model_validate(record["connection"]),
        Context(Path(record.get("base", ""))),  # an older record has none: relative paths started at the current folder
    )
    return made


def _contacts(record: dict[str, Any]) -> Sequence[Contact]:
    try:
        with closed(_store(record)) as store:
            return store.contacts()
    except BaseException as error:
        failure_of(error)  # dropping meets the same failure and reports it
        return ()


def _where(record: dict[str, Any]) -> str:
    """Where an index is, if not in the cache."""
    addresses = [contact.address for contact in _contacts(record)]
    if not addresses and (uri := record["connection"].get("uri")):  # a folder of tables, for which no server is asked
        addresses = [str(uri)]
    return f" at {', '.join(addresses)}" if addresses else ""


def _leftovers(folder: Path) -> Iterator[Path]:
    """What nobody needs any more: interrupted builds and scratch folders."""
    whole = {folder / "indexes" / key for key, record in Cache(folder).index_refs() if _is_ours(folder, key, record)}
    yield from (path for path in _entries(folder, "indexes") if path not in whole)
    yield from scratch_folders(folder)


def _parts(folder: Path, scope: Scope) -> Iterator[tuple[Path, list[Path]]]:
    """With "all": the other folders of the cache, and what this program wrote into them."""
    for part in PARTS:
        if scope == "all" and part != "indexes" and is_own_folder(folder / part):
            yield folder / part, _entries(folder, part)


def _is_ours(folder: Path, key: str, record: dict[str, Any]) -> bool:
    return droppable_record(record, folder / "indexes" / key / "data") is not None


def _entries(folder: Path, part: str) -> list[Path]:
    """What lies in one of the cache's folders under names that this program gives."""
    place = folder / part
    if not is_own_folder(place):
        return []
    return sorted(path for path in place.iterdir() if named_by_us(part, path.name))


def _delete(path: Path) -> None:
    if is_own_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink()


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in (path, *path.rglob("*")) if file.is_file())
