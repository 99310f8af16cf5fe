"""Drafts: files that are written beside their place and then renamed. A killed program leaves drafts that nobody reads,
and that are deleted here."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

FILE = r"\.writing-[0-9a-f]{16}"
"""The names of drafts."""
_FILE = re.compile(FILE)
_COLLECTION = re.compile(r"\.[0-9a-f]{32}-[0-9a-f]{16}")  # a folder of kept tables that is being written
_DEPTH = 1  # <part of a cache>/<key>/<file>, <result>/runs/<file>


def draft_beside(path: Path) -> Path:
    """An unused name in a file's folder, for the draft that will take the file's place."""
    return path.with_name(f".writing-{secrets.token_hex(8)}")


def is_draft(name: str) -> bool:
    return _FILE.fullmatch(name) is not None


def remove_drafts(folder: Path) -> None:
    """Delete what killed programs left in a part of a cache or in a result. The caller alone may be writing there."""
    for path in list(_drafts(folder, _DEPTH)):
        with suppress(OSError):  # a draft that cannot be deleted takes room but does no harm
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _drafts(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # whoever needs the folder reports the failure
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if _COLLECTION.fullmatch(entry.name):
                yield Path(entry.path)
            elif depth:
                yield from _drafts(Path(entry.path), depth - 1)
        elif is_draft(entry.name):
            yield Path(entry.path)
