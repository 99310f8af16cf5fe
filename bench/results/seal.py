"""Digests of the files that a run wrote into its result's folder. A reader of the result finds what a bad disk or
another person changed since."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.cache.digests import content_key
from bench.cache.index_files import file_digest
from bench.cache.own_files import is_own_folder

SEAL = "digest"
"""The key of a result that holds the digest of all its others."""

_FILE = re.compile(r"(?:runs/)?(?!\.)[^/\0]+")


def digests_of(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """Digests of files in a result's folder, by their paths from there."""
    return {file.relative_to(folder).as_posix(): file_digest(file) for file in sorted(files) if file.is_file()}


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a result with their digest among them."""
    return {**values, SEAL: _seal(values)}


def changes(folder: Path, values: Mapping[str, Any]) -> Iterator[str]:
    """What has changed in a result's folder since its run wrote it, one sentence each. values: of result.json as it
    stands. A run that was cut off is not checked: it will be continued, and writes everything again.
    """
    if values.get("status") in ("started", "cancelled"):
        return
    seal, files = values.get(SEAL), values.get("files")
    if seal is not None and seal != _seal(values):
        yield _told(folder / "result.json", "was changed")
    for name, digest in files.items() if isinstance(files, dict) else ():
        if not _FILE.fullmatch(name) or not is_own_folder((folder / name).parent):
            yield f"{folder}: its result names {name[:80]!r}, which is no file of its folder. It is not looked at"
            continue
        try:
            now = file_digest(folder / name)
        except FileNotFoundError:
            yield _told(folder / name, "is gone")
            continue
        if now != digest:
            yield _told(folder / name, "was changed")


def _told(path: Path, what: str) -> str:
    return (
        f"{path} {what} after its run wrote it, by a failing disk or by another hand: its numbers are not the run's. "
        "Run the experiment again: what was computed is in the cache"
    )


def _seal(values: Mapping[str, Any]) -> str:
    return content_key({name: value for name, value in values.items() if name != SEAL})
