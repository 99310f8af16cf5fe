"""Memory: the peak of this process over a window, and the figure that a server tells about itself.

On Linux the peak of a window is exact and costs nothing: writing 5 to /proc/self/clear_refs makes the kernel forget the
peak so far, VmHWM is the one since (proc(5)). Elsewhere only the peak since the process began is known (getrusage). If
that rose within a window it is the window's peak; if not, the window's peak is unknown.
"""

from __future__ import annotations

import importlib
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from adapters.base import Store
from adapters.base.freed import give_back

SECONDS_BETWEEN_READINGS = 1.0

Reading: TypeAlias = Callable[[], int | None]
"""Bytes now, or the peak up to now; None where that is not known."""


class Window:
    """The memory of this process from now on. Windows must not overlap: a new one makes the kernel forget the peak of
    the last."""

    def __init__(self) -> None:
        self.before_bytes = _of_status("VmRSS")
        self._forgotten = _forget_peak()
        self._highest_before = 0 if self._forgotten else _peak_since_start()

    def peak_bytes(self) -> int | None:
        """The most resident bytes since the window began; None where that is not known."""
        if self._forgotten:
            return _of_status("VmHWM")
        highest = _peak_since_start()
        return highest if highest > self._highest_before else None


@dataclass(slots=True)
class BuildMemory:
    """Resident bytes before a build and at its peak, of this process for an embedded store, else of the server; None
    where that is not known."""

    before_bytes: int | None = None
    peak_bytes: int | None = None


@contextmanager
def of_build(store: Store, server: Reading) -> Iterator[BuildMemory]:
    """Watch the build inside the context. The figures are there once it has ended well. server: reads the memory of the
    store's server."""
    found = BuildMemory()
    if store.embedded:
        # Otherwise the first build of an engine counts the engine's code: 100 MB for lancedb.
        for package in store.requires:
            importlib.import_module(package)
        give_back(collect=False)
        window = Window()
        yield found
        found.before_bytes, found.peak_bytes = window.before_bytes, window.peak_bytes()
        return
    found.before_bytes = server()
    if found.before_bytes is None:
        yield found
        return
    readings = [found.before_bytes]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(SECONDS_BETWEEN_READINGS):
            try:
                now = store.server_memory()
            except BaseException:
                continue  # the reading at the end reports a server that stopped answering
            if now is not None:
                readings.append(now)

    watcher = threading.Thread(target=watch, name="server-memory", daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
    found.peak_bytes = max([*readings, server() or 0])


def of_search(store: Store, server: Reading) -> Callable[[], Reading]:
    """Begins to watch searches when it is called. Returns a function that tells their memory afterwards: the peak of
    this process for an embedded store, one reading of the server for any other."""
    if store.embedded:
        return lambda: Window().peak_bytes
    return lambda: server


def _forget_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return _of_status("VmHWM") is not None


def _of_status(name: str) -> int | None:
    """A figure of /proc/self/status in bytes; None where the system does not tell it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(f"{name}:")), None)
    return None if found is None else int(found[1]) * 1024


def _peak_since_start() -> int:
    """Source: getrusage(2): kilobytes on Linux, bytes on macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
