"""What the operating system refuses, as one sentence each: where, what, and what to do."""

from __future__ import annotations

import errno
import os

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
    errno.ELOOP: "Correct the symbolic links, which lead in a circle.",
    errno.EMFILE: "Let this process open more files: ulimit -n 4096",
    errno.ENFILE: "Close other programs: this machine can open no more files.",
}


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


def unwritable_text(error: UnicodeEncodeError) -> str:
    """One sentence for a name or a text that an encoding cannot hold."""
    piece = error.object[max(0, error.start - 20) : error.end + 20]
    return f"{piece!r} cannot be written as {error.encoding}: it holds bytes that are no text. Rename it."
