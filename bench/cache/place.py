"""Where the cache is: one for all that a user runs, where the platform keeps caches."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from adapters.base.paths import resolve_path
from bench.cache.mark import PARTS

VARIABLE = "BENCH_CACHE"
"""Names another cache, for all commands of a shell."""

_BEFORE = ".bench-cache"  # where earlier versions kept it, in the working directory


@dataclass(frozen=True, slots=True)
class Place:
    """A cache's folder. note: what to tell of it."""

    folder: Path
    note: str | None = None


def usual_place(working: Path) -> Place:
    """The cache where neither the command line nor the file names one: that of the variable, else that of an earlier
    version in the working directory, else that of the user. Raises ValueError where there is none."""
    if (named := _named(working)) is not None:
        return Place(named)
    before = working / _BEFORE
    if any((before / part).is_dir() for part in PARTS):
        return Place(before, _moving(before))
    return Place(_of_user())


def restricted_place(working: Path) -> Path:
    """As `usual_place`, for a file that is not trusted: beside the user's cache, because it may neither read what is in
    that one nor change it."""
    folder = _named(working) or _of_user()
    return folder.with_name(f"{folder.name}-restricted")


def _named(working: Path) -> Path | None:
    named = os.environ.get(VARIABLE)
    return resolve_path(working, named) if named else None


def _of_user() -> Path:
    from platformdirs import user_cache_path

    # In a folder of its own: servers that were built lie beside it.
    folder = user_cache_path("retrieval-bench", appauthor=False) / "cache"
    if not folder.is_absolute():
        raise ValueError(f"there is no home folder to keep the cache in. Name one: --cache DIR, or {VARIABLE}=DIR")
    return folder


def _moving(before: Path) -> str:
    usual = _of_user()
    told = f"the cache {before} of the working directory is used. Without it, {usual} is, from every directory."
    if usual.exists():
        return f"{told} To have both in one: cp -Rn {before}/. {shlex.quote(str(usual))}   Then delete {before}."
    return (
        f"{told} To move it there: mkdir -p {shlex.quote(str(usual.parent))} && mv {before} {shlex.quote(str(usual))}"
    )
