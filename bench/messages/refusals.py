"""What the operating system refuses, as one sentence each: where, what, and what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

_ANOTHER_PLACE = "or name another place (results: --output DIR, cache: --cache DIR)."
_CURES = {
    errno.EACCES: f"Change its permissions, {_ANOTHER_PLACE}",
    errno.EPERM: f"Change its permissions, {_ANOTHER_PLACE}",
    errno.EROFS: f"Mount it for writing, {_ANOTHER_PLACE}",
    errno.ENOTDIR: f"A file stands where a folder is needed: move it away, {_ANOTHER_PLACE}",
    errno.EEXIST: f"A file stands where a folder is needed: move it away, {_ANOTHER_PLACE}",
    errno.EISDIR: f"A folder stands where a file is needed: move it away, {_ANOTHER_PLACE}",
    errno.ENAMETOOLONG: "Give a shorter name.",
    errno.ENOENT: "Create it, or correct the name.",
    errno.ELOOP: "Correct the links that lead in a circle, or put the file or folder itself in the link's place.",
    errno.EMFILE: "Let this process open more files: ulimit -n 4096",
    errno.ENFILE: "Close other programs: this machine can open no more files.",
    errno.EFBIG: f"Let this process write larger files (ulimit -f unlimited), {_ANOTHER_PLACE}",
    errno.EIO: f"Look whether the disk fails, {_ANOTHER_PLACE}",
}
_PLACES = frozenset({errno.EACCES, errno.EPERM, errno.EIO})
"""Errors that connections and services raise too: a refusal of the operating system names a file."""
_RESOURCES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EROFS})
_NOTHING_FREE = 1 << 16  # bytes: less than one page of an engine's file
# The forms in which Rust and Python write the number of an error that they wrap.
_NUMBER = re.compile(r"\((?:os error) (\d+)\)|\[Errno (\d+)\]")


def refusal(error: OSError) -> str:
    """One sentence for what was refused, and the cure where there is one."""
    place = error.filename if error.filename is not None else error.filename2
    what = error.strerror or str(error) or type(error).__name__
    if isinstance(place, bytes):
        place = os.fsdecode(place)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        at = "" if place is None else f" ({place})"
        return f"the disk is full{at}. Free space, {_ANOTHER_PLACE}"
    sentence = f"{place}: {what[:1].lower()}{what[1:]}." if place is not None else f"{what}."
    cure = _CURES.get(error.errno or 0)
    return f"{sentence} {cure}" if cure else sentence


def refused_by_system(error: BaseException) -> OSError | None:
    """The refusal for lack of disk, file handles or permissions that is behind an exception, else None. Engines wrap
    such refusals, so the causes are searched, and the messages of exceptions from other languages. The experiment is
    then right, but the machine is not.
    """
    for each in _behind(error):
        if isinstance(each, OSError) and each.errno is not None:
            if each.errno in _RESOURCES or (each.errno in _PLACES and each.filename is not None):
                return each
            continue
        if (number := _number_in(_text(each))) is not None:
            return OSError(number, os.strerror(number))
    return None


def full_disk(folder: str | os.PathLike[str]) -> OSError | None:
    """The refusal where a file system has no free space, for an engine that does not tell why it failed."""
    state = os.statvfs(folder)
    if state.f_bavail * state.f_frsize >= _NOTHING_FREE:
        return None
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(folder))


def _number_in(message: str) -> int | None:
    for found in _NUMBER.finditer(message):
        number = int(found[1] or found[2])
        if number in _RESOURCES | _PLACES:
            return number
    return next((number for number in _RESOURCES if os.strerror(number) in message), None)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:  # even the text of a third party's exception may fail
        if isinstance(second, KeyboardInterrupt):
            raise
        return ""


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _behind(each)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def unwritable_text(error: UnicodeEncodeError) -> str:
    """One sentence for a name or a text that an encoding cannot hold."""
    piece = error.object[max(0, error.start - 20) : error.end + 20]
    return f"{piece!r} cannot be written as {error.encoding}: it holds bytes that are no text. Rename it."
