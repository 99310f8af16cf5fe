"""Limits per minute, kept by waiting: the amount within any 60 seconds never exceeds them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class RateLimit:
    """Bounds amounts within any 60 seconds; first come, first served.

    Limits are by name: requests, tokens, items. A single amount above its limit passes alone.
    """

    def __init__(
        self,
        limits: Mapping[str, float | None],
        *,
        window_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._windows = {name: _Window(limit, window_seconds) for name, limit in limits.items() if limit is not None}
        self._clock = clock
        self._lock = threading.Lock()
        self._last = -float("inf")

    def reserve(self, amounts: Mapping[str, float]) -> Reservation:
        """Take the next place in which these amounts fit."""
        with self._lock:
            now = self._clock()
            at = max(now, self._last) if self._windows else now
            for name, window in self._windows.items():
                at = window.earliest(at, amounts[name])
            entries = {name: window.take(at, amounts[name]) for name, window in self._windows.items()}
            self._last = at
            return Reservation(max(0.0, at - now), entries)

    def settle(self, reservation: Reservation, name: str, amount: float) -> None:
        """Replace an estimated amount by the real one."""
        entry = reservation.entries.get(name)
        if entry is not None:
            with self._lock:
                self._windows[name].correct(entry, amount)


@dataclass(slots=True)
class _Entry:
    at: float
    amount: float
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """wait_seconds: how long to wait for the place."""

    wait_seconds: float
    entries: Mapping[str, _Entry]


class _Window:
    def __init__(self, limit: float, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._entries: deque[_Entry] = deque()
        self._total = 0.0

    def earliest(self, at: float, amount: float) -> float:
        while self._entries:
            first = self._entries[0]
            fits = self._total + min(amount, self._limit) <= self._limit
            if fits and first.at + self._seconds > at:
                break
            at = max(at, first.at + self._seconds)
            first.gone = True
            self._total -= self._entries.popleft().amount
        return at

    def take(self, at: float, amount: float) -> _Entry:
        entry = _Entry(at, amount)
        self._entries.append(entry)
        self._total += amount
        return entry

    def correct(self, entry: _Entry, amount: float) -> None:
        if not entry.gone:
            self._total += amount - entry.amount
            entry.amount = amount
