"""Names of documents as people write them into a table: with the folder or without, with the ending or without; one
id, or several."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath

_MOST_LOOKED_AT = 20_000  # entries of a folder that may be somebody's home
_BETWEEN = re.compile(r"\s*[,;|\n]\s*|\s+")  # what separates ids in a cell


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


def ids_named(cell: object, ids: Container[str]) -> tuple[list[str], bool]:
    """The ids that a cell names, and whether there is nothing else in it: one id, or several with commas, semicolons,
    bars or spaces between them."""
    text = str(cell).strip()
    names = [text] if text in ids else list(filter(None, _BETWEEN.split(text)))
    known = [name for name in names if name in ids]
    return known, bool(names) and len(known) == len(names)
