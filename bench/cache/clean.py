"""Drops what runs left in engines and in the cache, and tells what was deleted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing as closed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from adapters import registry
from adapters.base import Contact, Context, IndexMissing, IndexRef, MissingDependency, Store
from bench.cache.artifacts import Cache
from bench.cache.entries import Chosen, Entry, Wish, by_part, chosen, entries, size_of
from bench.cache.index_records import droppable_record, name_told
from bench.cache.mark import PARTS, cache_to_oneself, named_by_us, scratch_folders
from bench.cache.own_files import is_own_folder
from bench.cache.users import User, record_locked, users, write_user
from bench.messages.failures import closing, failure_of
from bench.messages.wording import counted, listed

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


Tell = Callable[[str], None]


def contents(folder: Path, scope: Scope) -> list[str]:
    """What `clean` would delete, one phrase each; empty where there is nothing."""
    held = list(_held(Cache(folder)))
    found = _told(held)
    known = {one.folder for one in held if one.record}
    found += [f"{path}, {size_of(path):,} bytes" for path in _leftovers(folder) if path not in known]
    return found + [f"{part}, {sum(map(size_of, held)):,} bytes" for part, held in _parts(folder, scope)]


def contents_of(folder: Path, wish: Wish) -> tuple[list[str], list[str]]:
    """What `drop` would delete, and what would stay although it is meant, one phrase each."""
    picked = chosen(folder, wish)
    places = {path for entry in picked.entries for path in entry.paths}
    held = [one for one in _held(Cache(folder)) if one.folder in places]
    told = _told(held)
    plain = [entry for entry in picked.entries if not {one.folder for one in held} & {*entry.paths}]
    told += by_part(plain, lambda part, count, size: f"{part}: {counted(count, 'entry')}, {size:,} bytes")
    return told, _staying(picked, wish)


def _told(held: Sequence[_Held]) -> list[str]:
    found = [f"{one.kind} {one.label}, {size_of(one.folder):,} bytes here" for one in held if one.record]
    return found + [_disbelieved(one) for one in held if one.record is None]


def _staying(picked: Chosen, wish: Wish) -> list[str]:
    found = []
    if picked.shared and wish.file is not None:
        names = listed([str(user.file) for user in picked.others(wish.file)])
        found.append(
            f"kept {counted(len(picked.shared), 'entry')} that others use too ({names}), "
            f"{_bytes(picked.shared):,} bytes"
        )
    if picked.models:
        stay = f"kept {counted(len(picked.models), 'trained model')}, {_bytes(picked.models):,} bytes"
        found.append(f"{stay}. To delete trained models too: --models")
    return found


def _bytes(found: Sequence[Entry]) -> int:
    return sum(entry.bytes for entry in found)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of the parts of a cache that hold something, by name."""
    found = {part: size_of(folder / part) for part in PARTS if is_own_folder(folder / part)}
    return {part: size for part, size in found.items() if size}


def contacts(folder: Path, wish: Wish | None = None) -> dict[str, Sequence[Contact]]:
    """The engines that `clean`, or with a wish `drop`, would ask to drop an index, by the name of the index."""
    found: dict[str, Sequence[Contact]] = {}
    meant = None if wish is None else {path for entry in chosen(folder, wish).entries for path in entry.paths}
    for one in _held(Cache(folder)):
        if one.record is not None and (meant is None or one.folder in meant):
            found[f"{one.kind} {one.name}"] = _contacts(one.record)
    return found


def clean(folder: Path, scope: Scope, *, tell: Tell) -> Cleaned:
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
            if not _dropped(one, away, done, tell):
                staying.add(one.folder)
        leftovers = [(path, [path]) for path in _leftovers(folder) if path not in staying]
        for place, paths in (*leftovers, *_parts(folder, scope)):
            size = sum(map(size_of, paths))
            for path in paths:
                _delete(path)
            done.parts.append(place.name)
            done.bytes += size
            tell(f"deleted {place}, {size:,} bytes")
            if place not in paths and (others := len(list(place.iterdir()))):
                tell(f"kept {place} with {counted(others, 'entry')} of other names than this program gives")
            elif place not in paths:
                place.rmdir()
    return done


def drop(folder: Path, wish: Wish, *, tell: Tell) -> Cleaned:
    """Delete the entries that a wish means, indexes from their engines too. The wish's file is then recorded as a user
    of nothing but what stays for want of an engine, or because it is a trained model.

    Raises CacheBusy when a run uses the cache: it may need any of them.
    """
    done = Cleaned()
    with cache_to_oneself(folder):
        picked = chosen(folder, wish)
        indexes = {one.folder: one for one in _held(Cache(folder))}
        away: dict[str, str] = {}
        plain: list[Entry] = []
        for entry in picked.entries:
            index = next((indexes[path] for path in entry.paths if path in indexes), None)
            if index is not None:
                _dropped(index, away, done, tell)
            if index is None or index.record is None:
                plain.append(entry)
        for line in by_part(plain, lambda part, count, size: f"{part}: {counted(count, 'entry')}, {size:,} bytes"):
            tell(f"deleted of {line}")
        done.bytes += _bytes(plain)
        done.parts += dict.fromkeys(entry.part for entry in plain)
        for path in (path for entry in plain for path in entry.paths):
            _delete(path)
            with suppress(OSError):  # the folder of segments, once it is empty
                path.parent.rmdir()
        for line in _staying(picked, wish):
            tell(line)
        _forget(folder, {entry.address for entry in picked.shared}, wish.file)
    return done


def _forget(cache: Path, addresses: Collection[str], file: Path | None) -> None:
    """Take out of the records what is not there any more, and that a file uses some addresses."""
    there = {entry.address for entry in entries(cache)}
    for user in users(cache)[0]:
        left = there - {*addresses} if user.file == file else there
        with record_locked(cache, user.file):
            write_user(cache, User(user.file, user.name, {at: when for at, when in user.used.items() if at in left}))


def _dropped(one: _Held, away: dict[str, str], done: Cleaned, tell: Tell) -> bool:
    """Drop an index and delete its files; whether it need not stay. Of one without a trusted record nothing is dropped,
    and its files are left to the caller."""
    if one.record is None:
        tell(_disbelieved(one))
        return True
    if cause := _drop(one.record, away, tell):
        done.kept.append(f"{one.label}: {cause}")
        tell(f"kept {one.kind} {one.label}: {cause}")
        return False
    size = size_of(one.folder)
    shutil.rmtree(one.folder, ignore_errors=True)
    done.indexes.append(one.label)
    done.bytes += size
    tell(f"dropped {one.kind} {one.label}, {size:,} bytes here")
    return True


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


def _drop(record: dict[str, Any], away: dict[str, str], tell: Tell) -> str | None:
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
