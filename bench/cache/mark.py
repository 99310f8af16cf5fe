"""The mark that tells a cache from any other folder, and the names of what a cache holds.

Files are deleted only in a folder with the mark, and only under names that this program gives, because a project may
have folders called `datasets` and `indexes` too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from bench.cache import drafts
from bench.cache.artifacts import MAGIC, SCRATCH, write_atomically
from bench.cache.locks import FOLDER, alone_in, forget, shared
from bench.cache.own_files import is_own_folder, open_own, own_folder, read_own, refuse_links
from bench.cache.users import PART as USERS
from bench.cache.users import recorded

MARK = "CACHEDIR.TAG"
# It tells backup programs that this is a cache: bford.info/cachedir.
_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
_OURS = b"# A cache of retrieval-bench. `bench clean` deletes what it holds."

_PARTS = ("vectors", "scores", "candidates", "timings")
PARTS = (
    *_PARTS, "datasets", "indexes", "models", "negatives", "synthetic", "retrievers", "environments", USERS,
)  # fmt: skip
"""The folders that a cache consists of; nothing else in it is touched."""

_KEY = "[0-9a-f]{32}"
_ENTRY = re.compile(rf"{_KEY}(\.npz)?|{drafts.FILE}")
_TABLES = re.compile(rf"{_KEY}|\.{_KEY}-\w+")
_INDEX = re.compile(_KEY)
_MODEL = re.compile(rf"{_KEY}(\.checkpoints)?|\.{_KEY}-\w+|trainings(\.damaged-\w+)?\.csv|tensorboard|{drafts.FILE}")
_MINED = re.compile(rf"{_KEY}\.(parquet|json)|{drafts.FILE}")
_RETRIEVER = re.compile(rf"{_KEY}|{drafts.FILE}")
_NAMES = {
    "datasets": _TABLES, "indexes": _INDEX, "models": _MODEL, "negatives": _MINED, "synthetic": _RETRIEVER,
    "retrievers": _RETRIEVER, "environments": _RETRIEVER, USERS: re.compile(rf"{_KEY}\.json|{drafts.FILE}"),
}  # fmt: skip
_RECORDS = {"datasets": ("manifest.json",), "indexes": ("ref.json", "begun.json"), "models": ("provenance.json",)}
_SCRATCH = re.compile(rf"{re.escape(SCRATCH)}\w+")
_BESIDE = (".lock", FOLDER, ".DS_Store", "lost+found")  # the last two are the system's


@contextmanager
def cache_in_use(folder: Path, user: tuple[Path, str] | None = None) -> Iterator[str | None]:
    """Use a cache beside other runs, and mark it where possible. Yields what to tell the user where it is not. Drafts
    of killed runs are deleted from a marked cache that nobody else uses.

    user: the experiment's file and name, by which it is recorded what is used; None for whoever uses nothing for long.

    Raises CacheBusy while somebody has the cache alone, to delete from it, and OSError for links where the cache keeps
    folders of its own.
    """
    _refuse_links(folder)
    with shared(folder) as alone:
        with alone() as only:
            unmarked = _marked(folder)
            if only and unmarked is None:
                for part in PARTS:
                    drafts.remove_drafts(folder / part)
                forget(folder)
        with nullcontext() if user is None else recorded(folder, *user):
            yield unmarked


@contextmanager
def cache_to_oneself(folder: Path) -> Iterator[None]:
    """Hold a cache alone, to delete from it. Raises CacheBusy when a run uses it, and OSError as `cache_in_use`."""
    _refuse_links(folder)
    with alone_in(folder):
        if _marked(folder) is None:
            forget(folder)
        yield


def _refuse_links(folder: Path) -> None:
    for part in (*PARTS, FOLDER):
        if (folder / part).exists():
            own_folder(folder / part)
            refuse_links(folder / part, 0)


def is_marked(folder: Path) -> bool:
    """Whether a folder is a cache of this program."""
    try:
        lines = read_own(folder / MARK).splitlines()
    except OSError:
        return False
    return lines[:1] == [_SIGNATURE] and _OURS in lines


def mark(folder: Path) -> None:
    """Mark a folder as a cache of this program."""
    write_atomically(folder / MARK, b"\n".join((_SIGNATURE, _OURS, b"")))


def named_by_us(part: str, name: str) -> bool:
    """Whether this program gives such a name to an entry of a cache's folder."""
    return _NAMES.get(part, _ENTRY).fullmatch(name) is not None


def scratch_folders(folder: Path) -> list[Path]:
    """The temporary folders of processes."""
    return sorted(path for path in folder.glob(f"{SCRATCH}*") if _SCRATCH.fullmatch(path.name))


def _marked(folder: Path) -> str | None:
    if is_marked(folder):
        return None
    # A run that was killed while it wrote the mark left a draft of it.
    names = {path.name for path in folder.iterdir() if not drafts.is_draft(path.name)} - {*_BESIDE}
    damaged = (folder / MARK).is_file()  # or another program's mark: the other names decide
    if names and not _from_before(folder, names - {MARK} if damaged else names):
        foreign = sorted(name for name in names if name not in PARTS) or sorted(names)
        return (
            f"the folder {folder} holds what is no cache's ({foreign[0]}), so `bench clean` will delete nothing in it. "
            "For a cache that can be cleaned name an empty folder: --cache DIR"
        )
    mark(folder)
    return None


def _from_before(folder: Path, names: set[str]) -> bool:
    """Whether a version that wrote no marks made this cache: this program gives every name in it, and it holds a file
    that no other program writes."""
    written = False
    for name in names:
        path = folder / name
        if not is_own_folder(path):
            return False
        if name not in PARTS:
            if not _SCRATCH.fullmatch(name):
                return False
            continue
        entries = list(path.iterdir())
        if not all(named_by_us(name, entry.name) for entry in entries):
            return False
        written = written or any(_is_written_by_us(name, entry) for entry in entries)
    return written


def _is_written_by_us(part: str, entry: Path) -> bool:
    if part in _RECORDS:
        return any(_keys(entry / name) & {"checksums", "ref", "dev_measure"} for name in _RECORDS[part])
    files = [entry] if entry.suffix == ".npz" else sorted(entry.glob("*.npz"))
    return any(_begins_as_ours(file) for file in files[:1])


def _keys(path: Path) -> set[str]:
    try:
        record = json.loads(read_own(path))
    except (OSError, ValueError, RecursionError):
        return set()
    return set(record) if isinstance(record, dict) else set()


def _begins_as_ours(path: Path) -> bool:
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
