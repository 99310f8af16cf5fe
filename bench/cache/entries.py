"""The entries of a cache, and which of them are chosen to be dropped: what one file alone uses, or what nobody has
used for some time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.cache.mark import PARTS, named_by_us
from bench.cache.own_files import is_own_folder
from bench.cache.users import PART as USERS
from bench.cache.users import User, users

_BY_SEGMENT = ("vectors", "scores")  # whose files are of different texts, so that experiments use some of them
_KEY = re.compile(r"\.?([0-9a-f]{32})(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept under one key, or of vectors and scores one segment. paths: its files and folders. users: the files
    whose runs used it."""

    part: str
    name: str
    paths: tuple[Path, ...]
    users: tuple[User, ...] = ()

    @property
    def address(self) -> str:
        """As users record it."""
        return f"{self.part}/{self.name}"

    @property
    def bytes(self) -> int:
        return sum(map(size_of, self.paths))

    @property
    def last_used(self) -> float:
        """When it was used or written last, in seconds since 1970."""
        written = [file.lstat().st_mtime for path in self.paths for file in (path, *path.rglob("*"))]
        return max([*written, *(user.used[self.address] for user in self.users)])


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be dropped. file: only what this file alone uses; None for whatever anybody does. unused_since: only
    what nobody has used since, in seconds since 1970. models: trained ones too. indexes: nothing else than those."""

    file: Path | None = None
    unused_since: float | None = None
    models: bool = False
    indexes: bool = False


@dataclass(slots=True)
class Chosen:
    """entries: to be dropped. shared, models: what is kept because others use it, and because a training is much
    work."""

    entries: list[Entry] = field(default_factory=list)
    shared: list[Entry] = field(default_factory=list)
    models: list[Entry] = field(default_factory=list)

    def others(self, file: Path) -> list[User]:
        """Who else uses what is shared."""
        found = {user.file: user for entry in self.shared for user in entry.users if user.file != file}
        return [found[name] for name in sorted(found)]


def chosen(cache: Path, wish: Wish) -> Chosen:
    """The entries that a wish means."""
    found = Chosen()
    for entry in entries(cache):
        if wish.indexes and entry.part != "indexes":
            continue
        if wish.file is not None and all(user.file != wish.file for user in entry.users):
            continue
        if wish.unused_since is not None and entry.last_used > wish.unused_since:
            continue
        if wish.file is not None and len(entry.users) > 1:
            found.shared.append(entry)
        elif entry.part == "models" and not wish.models:
            found.models.append(entry)
        else:
            found.entries.append(entry)
    return found


def entries(cache: Path) -> list[Entry]:
    """All entries of a cache, with their users."""
    by_address: dict[str, list[User]] = {}
    for user in users(cache)[0]:
        for address in user.used:
            by_address.setdefault(address, []).append(user)
    found: dict[tuple[str, str], list[Path]] = {}
    for part, name, path in _paths(cache):
        found.setdefault((part, name), []).append(path)
    return [
        Entry(part, name, tuple(paths), tuple(by_address.get(f"{part}/{name}", ())))
        for (part, name), paths in sorted(found.items())
    ]


def _paths(cache: Path) -> Iterator[tuple[str, str, Path]]:
    for part in PARTS:
        if part == USERS or not is_own_folder(cache / part):
            continue
        for path in (cache / part).iterdir():
            if not named_by_us(part, path.name) or (key := _KEY.match(path.name)) is None:
                continue
            if part in _BY_SEGMENT and is_own_folder(path):
                yield from ((part, f"{key[1]}/{file.stem}", file) for file in path.glob("*.npz"))
            else:
                yield part, key[1], path


def by_part(found: Sequence[Entry], told: Callable[[str, int, int], str]) -> list[str]:
    """What is told of each part that has some entries: its name, how many, and their bytes."""
    lines = []
    for part in PARTS:
        if here := [entry for entry in found if entry.part == part]:
            lines.append(told(part, len(here), sum(entry.bytes for entry in here)))
    return lines


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files below a folder."""
    return sum(file.lstat().st_size for file in (path, *path.rglob("*")) if file.is_file())
