"""Names of documents as people write them into a table: with the folder or without, with the ending or without."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath

_MOST_LOOKED_AT = 20_000  # entries of a folder that may be somebody's home


class DocumentNames:
    """Finds the document that a table means. ids: paths of documents below their folder, with slashes."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = frozenset(ids)

    def __call__(self, name: str) -> str | None:
        """The id that is meant: what is an id is one; else the only document whose path, name or name without ending it
        is. None where no document is meant, or several may be."""
        if name in self._ids:
            return name
        plain = name.strip().replace("\\", "/").removeprefix("./")
        return plain if plain in self._ids else self._by_name.get(plain)

    @cached_property
    def _by_name(self) -> dict[str, str | None]:
        """Other names of the ids; None for those that several have."""
        found: dict[str, str | None] = {}
        for one in self._ids:
            path = PurePosixPath(one)
            for name in {path.name, path.stem, path.with_suffix("").as_posix()}:
                found[name] = None if name in found else one
        return found


def documents_below(folder: Path, endings: Iterable[str]) -> list[str]:
    """The paths of files with some endings below a folder, with slashes; hidden ones are none, and of a very large
    folder only the first are looked at."""
    found, looked_at, wanted = [], 0, tuple(endings)
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        below = Path(place).relative_to(folder)
        found += [(below / each).as_posix() for each in names if each.lower().endswith(wanted) and each[0] != "."]
        looked_at += len(names) + len(folders)
        if looked_at > _MOST_LOOKED_AT:
            break
    return found
