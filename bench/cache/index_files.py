"""Digests of an index's files, so that damage is found before an index is used. An engine that reads a flipped byte of
its own files finds other documents and reports no error.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

# Small enough for a processor's cache. 750 MB take .33 s. A memory map takes .25 s, but it ends the process where
# another program shortens the file.
_CHUNK_BYTES = 1 << 18


def file_digests(folder: Path) -> dict[str, str]:
    """Size and xxh3 digest of every file below a folder, by its path from there; a link's is what it points to.
    Raises OSError for what may not be read, or cannot because too many files are open."""
    return {name: file_digest(path) for name, path in _files(folder)}


def damaged_files(folder: Path, kept: Mapping[str, str]) -> list[str]:
    """The kept files that are missing or changed. A file that the engine has added since does not count. Raises OSError
    as `file_digests` does: what this process may not read is not damaged."""
    there = dict(_files(folder))
    return [name for name in sorted(kept) if name not in there or file_digest(there[name]) != kept[name]]


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for parent, folders, names in os.walk(folder, onerror=_unless_gone):
        # A link to a folder is recorded as a link: what it leads to is no part of the index.
        for name in (*names, *(each for each in folders if Path(parent, each).is_symlink())):
            path = Path(parent, name)
            yield path.relative_to(folder).as_posix(), path


def _unless_gone(error: OSError) -> None:
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        raise error


def file_digest(path: Path) -> str:
    """Size and xxh3 digest of a file; of a link what it points to."""
    import xxhash

    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link:{path.readlink()}"
    if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer
        return f"kind:{stat.S_IFMT(mode)}"
    digest, size = xxhash.xxh3_128(), 0
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    try:
        with path.open("rb", buffering=0) as file:
            while read := file.readinto(buffer):
                digest.update(buffer[:read])
                size += read
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return "unreadable"  # a bad sector: the file has changed
    return f"{size}:{digest.hexdigest()}"
