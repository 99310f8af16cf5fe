"""A fence around a process that runs a stranger's experiment file: no network, no other program, and no files but those
that it was given.

There are two fences. The kernel's (on Linux: a network namespace without devices, and Landlock) also holds native code.
Python's audit hook works on every system, for what goes through Python. Neither limits memory or time.

It cannot be taken down again, so it is put up in a process of its own: `python -P -m bench --fence PLACES ARGUMENTS…`
puts it up and goes on as `bench ARGUMENTS…`.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLAG = "--fence"
PYTHON_ALONE = "Python alone, which does not hold native code: see SECURITY.md"


@dataclass(frozen=True, slots=True)
class Places:
    """Folders, with links resolved. reads: may be read, in addition to what is installed and the system's own. scratch:
    where packages keep files while the process lasts."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    scratch: str

    @property
    def written(self) -> tuple[str, ...]:
        return (*self.writes, self.scratch)


@dataclass(frozen=True, slots=True)
class Fence:
    """A fence that was put up. network, files: what enforces it."""

    places: Places
    network: str
    files: str

    def sentence(self) -> str:
        """What the fence allows, and what enforces it."""
        reads, writes = " and ".join(self.places.reads), " and ".join(self.places.writes)
        held = f"held by {self.network}"
        if self.files != self.network:
            held = f"network: held by {self.network}; files: held by {self.files}"
        return f"restricted: no network, reads only {reads} and what is installed, writes only {writes} ({held})"


_standing: Fence | None = None


def standing() -> Fence | None:
    """The fence around this process, None where there is none."""
    return _standing


def put_up(places: Places) -> Fence:
    """Put the fence up around this process, for good. Call before any thread is started."""
    global _standing
    network = _leave_network()
    files = _landlock(places)
    sys.addaudithook(_Watch(places))
    _standing = Fence(places, "the kernel" if network else PYTHON_ALONE, "the kernel" if files else PYTHON_ALONE)
    return _standing


# -- Python's own ------------------------------------------------------------------------------------------------

_FORBIDDEN = {
    **dict.fromkeys(
        (
            "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
            "socket.gethostbyname", "socket.gethostbyaddr",
        ),
        "has no network",
    ),
    **dict.fromkeys(
        (
            "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
            "os.startfile", "pty.spawn",
        ),
        "starts no other program",
    ),
}  # fmt: skip
# Audit events on paths: the positions of paths that are read, of paths that are written, and of the folder descriptors
# that belong to them.
_READ_AT: dict[str, tuple[int, ...]] = {"os.listdir": (0,), "os.scandir": (0,), "os.chdir": (0,), "os.link": (0,)}
_WRITTEN_AT: dict[str, tuple[tuple[int, int], ...]] = {
    "os.remove": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, -1),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.setxattr": ((0, -1),),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Watch:
    """Refuses what the fence does not allow. Source: docs.python.org, "Audit events table"."""

    def __init__(self, places: Places) -> None:
        self._writes = (*places.written, *_DEVICES)
        self._reads = (*self._writes, *places.reads, *_installed())

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN:
            raise PermissionError(errno.EPERM, f"a restricted run {_FORBIDDEN[event]} ({event})")
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes):
                writing = bool((flags or 0) & _WRITING)
                self._look(os.path.realpath(os.fsdecode(path)), self._writes if writing else self._reads)
            return
        for at in _READ_AT.get(event, ()):
            if isinstance(path := arguments[at], str | bytes):
                self._look(os.path.realpath(os.fsdecode(path)), self._reads)
        for at, folder_at in _WRITTEN_AT.get(event, ()):
            if isinstance(path := arguments[at], str | bytes):
                folder = arguments[folder_at] if folder_at >= 0 else -1
                self._look(_entry(os.fsdecode(path), folder), self._writes)

    def _look(self, path: str, allowed: Sequence[str]) -> None:
        if not any(_inside(path, root) for root in allowed):
            what = "write" if allowed is self._writes else "read"
            raise PermissionError(errno.EACCES, f"a restricted run may not {what} here", path)


def _entry(path: str, folder: Any) -> str:
    """The path of an entry of a folder with the folder's links resolved. The entry itself may be a link."""
    if isinstance(folder, int) and folder >= 0:
        path = os.path.join(f"/proc/self/fd/{folder}", path)  # noqa: PTH118 - a Path per event would be slow
    above, _, name = path.rstrip("/").rpartition("/")
    above = os.path.realpath(above or ("/" if path.startswith("/") else "."))
    return f"{above.rstrip('/')}/{name}"


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root if root.endswith("/") else f"{root}/")


_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/shm")
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/opt", "/etc", "/proc", "/sys", "/dev", "/System", "/Library")


def _installed() -> tuple[str, ...]:
    """Where Python, its packages and the system's libraries are."""
    from bench.machine.children import PACKAGES

    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path)]
    return tuple(dict.fromkeys([*map(os.path.realpath, [*found, PACKAGES]), *_SYSTEM]))


# -- the kernel's ------------------------------------------------------------------------------------------------

_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
# Numbers of system calls since Linux 5.13, on every architecture that it has had since 5.0.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
# Source: kernel.org, "Landlock: unprivileged access control", filesystem flags by bit.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_SYM = (1 << bit for bit in (4, 5, 7, 8, 12))
_REFER, _TRUNCATE, _IOCTL = (1 << bit for bit in (13, 14, 15))
_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TO_READ = _READ_FILE | _READ_DIR
_TO_WRITE = _TO_READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL


def _linux() -> Any | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _leave_network() -> bool:
    """Enter a new network namespace, whose only device is a loopback that is down. Returns whether that worked."""
    libc = _linux()
    if libc is None:
        return False
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    try:  # map the user's own number again: libraries look up whose process they are in
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    except OSError:
        pass
    return True


def _landlock(places: Places) -> bool:
    """Let the kernel refuse every other file and every program. Returns whether it does."""
    libc = _linux()
    version = -1 if libc is None else libc.syscall(_CREATE_RULESET, None, 0, 1)
    if libc is None or version < 1:
        return False
    handled = (1 << _RIGHTS_BY_VERSION[min(version, 5)]) - 1
    # Versions from 4 on also refuse TCP, from 6 on signals and abstract sockets to processes outside.
    attributes = struct.pack("=QQQ", handled, 0b11, 0b11)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for paths, rights in (
            ((*places.reads, *_installed()), _TO_READ),
            (places.written, _TO_WRITE),
            (_DEVICES, _TO_WRITE | _IOCTL),
        ):
            for path in paths:
                _allow(libc, ruleset, path, rights & handled)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: Any, ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rule
    try:
        if not os.path.isdir(path):  # noqa: PTH112
            rights &= _OF_FILES
        libc.syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def end_with_parent() -> None:
    """Let this process end together with the one that started it, where the system supports that."""
    if (libc := _linux()) is not None:
        libc.prctl(_PR_SET_PDEATHSIG, 15, 0, 0, 0)


def main(arguments: Sequence[str]) -> list[str]:
    """Put the fence up as the first argument says. Returns the other arguments, which belong to the command."""
    end_with_parent()
    told = json.loads(arguments[0])
    put_up(Places(tuple(told["reads"]), tuple(told["writes"]), told["scratch"]))
    return list(arguments[1:])
