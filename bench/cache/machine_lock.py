"""The lock of the machine: while one run measures latencies, the others pause between their pieces of work.

    <runtime folder>/gate    held by who measures or waits to, so that others begin nothing new
    <runtime folder>/room    shared by all that work

The folder is this user's on this machine, whatever caches the runs use.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cache.locks import Kind, Waiting, holder, in_order, opened, signed, tried, untold, waited
from bench.cache.own_files import open_own


@dataclass(slots=True)
class _Here:
    """What this process holds. at_work: a piece of work is under way. measuring: it has the machine to itself. room: a
    descriptor, -1 for none."""

    at_work: bool = False
    measuring: bool = False
    room: int = -1


_here = _Here()


def runtime_folder() -> Path:
    """The folder of the locks: in that of the session, or in that of temporary files where there is none of this
    user's. Raises OSError where somebody else's stands in its place."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    if given and _is_ours(Path(given)):
        folder = Path(given) / "retrieval-bench"
    else:
        folder = Path(tempfile.gettempdir()) / f"retrieval-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_ours(folder):
        raise PermissionError(errno.EPERM, "is not this user's own folder; remove it", str(folder))
    return folder


def _is_ours(folder: Path) -> bool:
    try:
        state = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid()


@contextmanager
def at_work(wait: Waiting = untold) -> Iterator[None]:
    """Do a piece of work, which may load the machine; before it begins, wait until nobody measures. Nothing of the
    cache is waited for in it. A piece in another, or in a measurement of this process, is a part of it."""
    if _here.at_work or _here.measuring:
        yield
        return
    with in_order(Kind.MACHINE):
        _enter(wait)
        _here.at_work = True
        try:
            yield
        finally:
            _here.at_work = False
            _leave()


def pause(wait: Waiting = untold) -> None:
    """Let another run measure, if one wants to: called at moments when a long piece of work can stand still."""
    if _here.at_work:
        _leave()
        _enter(wait)


@contextmanager
def measuring(wait: Waiting = untold) -> Iterator[None]:
    """Have the machine to oneself. Nothing of the cache is waited for meanwhile. Raises RuntimeError in a piece of
    work: one would wait for oneself."""
    if _here.at_work:
        raise RuntimeError("a run measures latencies between its pieces of work, not in one.")
    folder = runtime_folder()
    with in_order(Kind.MACHINE), opened(folder / "gate") as gate, opened(folder / "room") as room:
        waited(lambda: tried(gate, folder / "gate"), wait, lambda: f"another run ({holder(gate)}) measures latencies")
        signed(gate)
        waited(lambda: tried(room, folder / "room"), wait, lambda: "other runs end their pieces of work")
        _here.measuring = True
        try:
            yield
        finally:
            _here.measuring = False


@contextmanager
def engine_locked(index: str, wait: Waiting = untold) -> Iterator[None]:
    """Hold an index whose query settings live in its engine, while it is searched with settings of one's own."""
    path = runtime_folder() / f"settings-{index}"
    with in_order(Kind.ENTRY), opened(path) as file:
        waited(lambda: tried(file, path), wait, lambda: f"another run ({holder(file)}) searches the same index")
        signed(file)
        yield


def _enter(wait: Waiting) -> None:
    folder = runtime_folder()
    with opened(folder / "gate") as gate:
        said = "another run ({}) measures latencies".format
        waited(lambda: tried(gate, folder / "gate", shared=True), wait, lambda: said(holder(gate)))
        _here.room = open_own(folder / "room", os.O_RDWR | os.O_CREAT)
        try:
            waited(lambda: tried(_here.room, folder / "room", shared=True), wait, lambda: said(holder(gate)))
        except BaseException:
            _leave()
            raise


def _leave() -> None:
    if _here.room >= 0:
        os.close(_here.room)
    _here.room = -1
