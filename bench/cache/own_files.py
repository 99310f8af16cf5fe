"""Opens files of caches and results without following links. Whoever hands over a folder may have put a link in a
file's place, and this program would then read or write somebody else's file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

NOT_ITSELF = frozenset({errno.ELOOP, errno.EISDIR, errno.EINVAL, errno.ENXIO, errno.EFBIG})
"""The error numbers where a link, a folder, a pipe, a device or a file that is too large stands in place of a file."""

LARGEST = 4 << 30
"""Bytes of a file that is read whole: what holds nothing may claim any length."""


def open_own(path: Path, flags: int) -> int:
    """A descriptor of a file that is no link, pipe or device; with os.O_CREAT in `flags` it is made where it is absent.
    Raises OSError, naming the file."""
    try:
        # Without blocking, because opening a pipe would wait for a writer.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(path) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    number, what = (errno.EISDIR, os.strerror(errno.EISDIR)) if stat.S_ISDIR(mode) else (errno.EINVAL, "is no file")
    raise OSError(number, what, str(path))


def read_own(path: Path) -> bytes:
    """The bytes of a file. Raises OSError as `open_own` does."""
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise OSError(errno.EFBIG, f"is larger than {LARGEST >> 30} GiB, as no such file is", str(path))
        return file.read()


def own_folder(folder: Path) -> None:
    """Make a folder where it is absent. Raises OSError where a link stands there."""
    if folder.is_symlink():
        raise _link(folder)
    folder.mkdir(parents=True, exist_ok=True)


def refuse_links(folder: Path, depth: int) -> None:
    """Raise OSError for a link to a folder, in a folder or so many levels below it: writing there would be writing
    elsewhere. A link to a file is allowed: it is replaced, not followed."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_symlink():
            if entry.is_dir():
                raise _link(Path(entry.path))
        elif depth and entry.is_dir():
            refuse_links(Path(entry.path), depth - 1)


def is_own_folder(path: Path) -> bool:
    """Whether a folder stands there, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def _link(path: Path) -> OSError:
    return OSError(errno.ELOOP, "is a symbolic link, and none is followed here", str(path))
