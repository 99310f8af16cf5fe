"""A folder is used by one run at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bench.cache.own_files import open_own


class CacheBusy(Exception):
    """Another run uses the cache."""


@contextlib.contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder for this process. Raises CacheBusy, naming the other process, when it is held already."""
    folder.mkdir(parents=True, exist_ok=True)
    with os.fdopen(
        open_own(folder / ".lock", os.O_RDWR | os.O_CREAT), "r+", encoding="utf-8", errors="replace"
    ) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            raise CacheBusy(
                f"{what} {folder} is in use by another run (process {holder}). Wait for it, or use another: --cache DIR"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
