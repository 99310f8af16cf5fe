"""Locks between runs: files that the system locks, and frees when their process ends, however it ends.

    <cache>/.lock                    shared by all that use the cache; held alone while something is deleted
    <cache>/.locks/<entry>           held while an entry is made; one at a time
    <cache>/.locks/<entry>.claims/   which texts of vectors or scores a run computes: `bench.cache.claims`

No run waits for ever: whoever holds a lock waits only for locks of a later kind (`Kind`), and nobody waits while it has
the machine to itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from enum import IntEnum
from pathlib import Path
from typing import TypeAlias

from bench.cache.own_files import open_own, own_folder

Waiting: TypeAlias = Callable[[str], AbstractContextManager[object]]
"""Tells what is waited for, as long as its context lasts."""

TOLD_AFTER = 2.0  # seconds that nobody is told of
FOLDER = ".locks"
_LONGEST_PAUSE = 0.1
_PATIENCE = 5.0
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


class CacheBusy(Exception):
    """Another run uses what is needed, or nothing could keep two runs apart."""


class InUse(CacheBusy):
    """Another run has a folder to itself."""


class Kind(IntEnum):
    """The kinds of locks, in the order in which one run may come to hold them."""

    ENTRY = 1
    CLAIMS = 2
    MACHINE = 3


_held = threading.local()


def untold(what: str) -> AbstractContextManager[object]:
    """Waits without a word."""
    return nullcontext()


@contextmanager
def in_order(kind: Kind) -> Iterator[bool]:
    """Note that a lock of a kind is asked for and then held. Yields whether it may be waited for: not while one has the
    machine to oneself. Raises RuntimeError where a lock of the same kind or a later one is held: two runs could wait
    for each other."""
    held: list[Kind] = _held.__dict__.setdefault("kinds", [])
    alone = Kind.MACHINE in held
    others = [each for each in held if each is not Kind.MACHINE]
    if (others and others[-1] >= kind) or (alone and kind is Kind.MACHINE):
        raise RuntimeError(f"a lock of kind {kind.name} is asked for by who holds one of kind {held[-1].name}.")
    held.append(kind)
    try:
        yield not alone
    finally:
        held.pop()


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder for this process alone. Raises InUse, naming the other process, when it is held already."""
    folder.mkdir(parents=True, exist_ok=True)
    with opened(folder / ".lock") as file:
        if not tried(file, folder / ".lock"):
            raise InUse(f"{what} {folder} is in use by another run ({holder(file)}). Wait for it.")
        signed(file)
        yield


@contextmanager
def entry_locked(cache: Path, name: str, wait: Waiting = untold) -> Iterator[None]:
    """Hold an entry of a cache while it is made. Another run may have made it meanwhile: look again. Raises
    RuntimeError where this thread holds one already."""
    own_folder(cache / FOLDER)
    path = cache / FOLDER / name
    with in_order(Kind.ENTRY) as may_wait, opened(path) as file:

        def told() -> str:
            return f"another run ({holder(file)}) makes the same {name.partition('-')[0]}"

        if not may_wait and not tried(file, path):
            raise CacheBusy(f"{told()}. Run it again.")
        waited(lambda: tried(file, path), wait, told)
        signed(file)
        yield


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A lock file, not locked yet. Closing it frees it."""
    file = open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        yield file
    finally:
        os.close(file)


def tried(file: int, path: Path, *, shared: bool = False) -> bool:
    """Lock a file, or say that another process has it. Raises CacheBusy where the file system locks nothing."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if (refusal := no_locks(error, path)) is None:
            raise
        raise refusal from error
    return True


def no_locks(error: OSError, path: Path) -> CacheBusy | None:
    """What is told where a file system locks no files, as some network folders; None for another failure."""
    if error.errno not in _NO_LOCKS:
        return None
    return CacheBusy(
        f"{path.parent}: its file system locks no files ({error.strerror}), so nothing would keep two runs apart. Name "
        "folders on a disk of this machine: --cache DIR, --output DIR"
    )


def waited(attempt: Callable[[], bool], wait: Waiting, told: Callable[[], str]) -> None:
    """Try until it succeeds. After two seconds it is told what is waited for."""
    began, pause = time.monotonic(), 0.005
    while not attempt():
        if time.monotonic() - began >= TOLD_AFTER:
            break
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    else:
        return
    with wait(told()):
        while not attempt():
            time.sleep(_LONGEST_PAUSE)


def signed(file: int) -> None:
    """Write this process into a lock file, for those who wait."""
    os.ftruncate(file, 0)
    os.pwrite(file, b"%d" % os.getpid(), 0)


def holder(file: int) -> str:
    """Who signed a lock file."""
    number = os.pread(file, 20, 0).strip(b"\0 ").decode("ascii", "replace")
    return f"process {number or 'unknown'}"


# -- the cache as a whole --------------------------------------------------------------------------------------------


@contextmanager
def shared(cache: Path) -> Iterator[Callable[[], AbstractContextManager[bool]]]:
    """Use a cache beside others. Raises CacheBusy, naming the other process, while one has it alone."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / ".lock"
    with opened(path) as file, _running(cache):

        @contextmanager
        def alone() -> Iterator[bool]:
            """Whether nobody else uses the cache; then nobody begins to until the context ends."""
            if only := tried(file, path):
                signed(file)
            try:
                yield only
            finally:
                _share(file, path)

        _share(file, path)
        yield alone


def _share(file: int, path: Path) -> None:
    until = time.monotonic() + _PATIENCE  # a run that begins has it alone for a moment
    while not tried(file, path, shared=True):
        if time.monotonic() > until:
            said = f"The cache {path.parent} is in use by another run ({holder(file)})"
            raise CacheBusy(f"{said}, which has it alone. Wait for it, or use another: --cache DIR")
        time.sleep(_LONGEST_PAUSE)


@contextmanager
def alone_in(cache: Path) -> Iterator[None]:
    """Hold a cache alone, to delete from it. Raises CacheBusy, naming who else uses it."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / ".lock"
    with opened(path) as file:
        if not tried(file, path):
            raise CacheBusy(
                f"The cache {cache} is in use by another run ({_others(cache, holder(file))}). Wait for it."
            )
        signed(file)
        yield


@contextmanager
def _running(cache: Path) -> Iterator[None]:
    """Be named among those who use a cache."""
    own_folder(cache / FOLDER)
    path = cache / FOLDER / f"running-{os.getpid()}-{time.monotonic_ns()}"
    with opened(path) as file:
        tried(file, path)
        signed(file)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _others(cache: Path, otherwise: str) -> str:
    """Who uses a cache now."""
    found: list[str] = []
    for path in sorted((cache / FOLDER).glob("running-*")):
        with suppress(OSError), opened(path) as file:
            if not tried(file, path, shared=True):
                found.append(holder(file))
    return ", ".join(dict.fromkeys(found)) or otherwise


def forget(cache: Path) -> None:
    """Delete the lock files of those who have ended. The caller has the cache to itself."""
    import shutil

    for path in (cache / FOLDER).glob("*"):
        if path.name.startswith(f"running-{os.getpid()}-"):
            continue
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
