"""Finds out whether another program disturbed a turn. The measured times are never a sign of it, because a measurement
must show the stalls of what it measures.

Three signs: the processor share of programs that are neither ours nor the engine's, a small fixed probe between turns,
and moments in which this whole process stood still.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

# Measured in turns of one second on two processors: the share was .67 to .70 beside two busy loops, and .00 to .01 when
# nothing else ran.
SHARE_THAT_DISTURBS = 0.2
# A share is counted in ticks of 10 ms: in a turn shorter than this, one or two of them would pass for a busy machine.
SECONDS_FOR_A_SHARE = 0.25
# A probe takes 9 ms of processor time; there it took 1.9 to 3.1 times as long, and with nothing else running up to 1.7
# times, when the host of the virtual machine took 4 or 6 ms of it.
SLOWNESS_THAT_DISTURBS = 1.8
STANDSTILL_THAT_DISTURBS = 0.5
_TICK_SECONDS = 0.05
_PROBE = bytes(range(256)) * 256
_PROBE_REPEATED = 100


class Observed(NamedTuple):
    """What was seen around one turn. others_share: the share of the machine's processors that other programs took, NaN
    where it is not known. standstill: the longest one, in seconds. slowest_probe: the slower of the probes before and
    after the turn, in seconds."""

    others_share: float = math.nan
    standstill: float = 0.0
    slowest_probe: float = 0.0


@dataclass(slots=True)
class Sighting:
    """Holds the observation of a turn as soon as the turn is over."""

    observed: Observed = field(default_factory=Observed)


class Watching(Protocol):
    """What the latency pass needs from a watcher."""

    def turn(self, others: Sequence[int] | None) -> _Context:
        """Watch while the context lasts. others: processes that work for the measured system beside this one; None
        where they are not known."""

    def reasons(self, observed: Observed) -> list[str]:
        """The disturbances of a turn, one sentence each, judged by what is known of this machine at the time of the
        call."""

    def close(self) -> None:
        """Stop watching."""


class _Context(Protocol):
    def __enter__(self) -> Sighting: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Watch:
    """Watches this machine."""

    def __init__(self) -> None:
        self._probes: list[float] = []  # processor seconds of every probe
        self._last = _probe(self._probes)
        self._standstills = _Standstills()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching."""
        self._standstills.stop()

    @contextmanager
    def turn(self, others: Sequence[int] | None) -> Iterator[Sighting]:
        """See Watching.turn."""
        sighting, before = Sighting(), self._last
        self._standstills.forget()
        busy, known = _busy_seconds(), _seconds_of(others)
        began = time.perf_counter()
        try:
            yield sighting
        finally:
            lasted = time.perf_counter() - began
            share = math.nan
            if known is not None and lasted >= SECONDS_FOR_A_SHARE and (after := _seconds_of(others)) is not None:
                foreign = _busy_seconds() - busy - (after - known)
                share = max(0.0, foreign) / (lasted * (os.cpu_count() or 1))
            still = self._standstills.longest()
            self._last = _probe(self._probes)
            sighting.observed = Observed(share, still, max(before, self._last))

    @property
    def quiet_probe(self) -> float:
        """How many seconds a probe takes undisturbed: the lower quartile of the processor time of all probes until now.
        Processor time does not contain the time in which a probe waits for a processor."""
        ordered = sorted(self._probes)
        return ordered[(len(ordered) - 1) // 4]

    def reasons(self, observed: Observed) -> list[str]:
        """See Watching.reasons."""
        found: list[str] = []
        if observed.standstill > STANDSTILL_THAT_DISTURBS:
            found.append(f"this process stood still for {observed.standstill:.1f} s")
        if observed.others_share > SHARE_THAT_DISTURBS:  # NaN is not
            found.append(f"other programs took {100 * observed.others_share:.0f} % of the processors")
        slowness = observed.slowest_probe / self.quiet_probe
        if slowness > SLOWNESS_THAT_DISTURBS:
            found.append(f"a fixed piece of work between turns took {slowness:.1f} times as long as on a quiet machine")
        return found


def _probe(processor: list[float]) -> float:
    """Do the fixed work and return how long it took; note its processor time."""
    began, own = time.perf_counter(), time.thread_time()
    for _ in range(_PROBE_REPEATED):
        hashlib.blake2b(_PROBE).digest()
    processor.append(time.thread_time() - own)
    return time.perf_counter() - began


@dataclass(slots=True)
class _Standstills:
    """A thread that ticks. It notes when a tick came late while this process used no processor: then the process was
    stopped (as by Ctrl-Z), or the virtual machine was. An engine whose own work delays the ticks uses a processor."""

    _longest: float = 0.0
    _ticked: float = field(default_factory=time.perf_counter)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._tick, name="standstills", daemon=True)
        self._thread.start()

    def _tick(self) -> None:
        own = time.process_time()
        while not self._ended.wait(_TICK_SECONDS):
            now, used = time.perf_counter(), time.process_time()
            late = now - self._ticked - _TICK_SECONDS
            if late > STANDSTILL_THAT_DISTURBS and used - own < late / 2:
                self._longest = max(self._longest, late)
            self._ticked, own = now, used

    def forget(self) -> None:
        """Begin anew."""
        self._longest = 0.0

    def longest(self) -> float:
        """Seconds, since it began anew. A process that was continued a moment ago may not have ticked yet."""
        if time.perf_counter() - self._ticked > STANDSTILL_THAT_DISTURBS:
            time.sleep(2 * _TICK_SECONDS)
        return self._longest

    def stop(self) -> None:
        self._ended.set()
        assert self._thread is not None
        self._thread.join()


def _busy_seconds() -> float:
    """Processor time that all processes of this machine have used, and time that a host took from it; NaN where
    there is no /proc/stat. Source: proc(5): user, nice, system, idle, iowait, irq, softirq, steal."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return math.nan
    user, nice, system, _, _, irq, softirq, steal = (int(value) for value in fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _seconds_of(others: Sequence[int] | None) -> float | None:
    """Processor time of this process and of these; None where one of them is not known or is gone."""
    if others is None:
        return None
    try:
        return time.process_time() + sum(_processor_seconds(pid) for pid in others)
    except (OSError, ValueError, IndexError):
        return None


def _processor_seconds(pid: int) -> float:
    """Source: proc(5), /proc/[pid]/stat: utime and stime are fields 14 and 15; field 2 is in parentheses and may hold
    anything."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
