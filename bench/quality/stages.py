"""What the stages of the quality pass share: the count of their work and the events that tell of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from adapters.base import Event, StageAdvanced, StageFinished, StageStarted, Usage
from bench.cache.locks import Waiting

Emit = Callable[[Event], None]


def waiting(emit: Emit) -> Waiting:
    """Tells by events what a run waits for."""
    return lambda what: Stage(emit, "wait", what, None, "seconds")


@dataclass(slots=True)
class Count:
    """Distinct units of work that a run needed: computed by it, or reused from an earlier one."""

    computed: int = 0
    reused: int = 0

    def as_dict(self) -> dict[str, int]:
        return {"computed": self.computed, "reused": self.reused}


@dataclass(slots=True)
class Work:
    """What the quality pass did."""

    texts_embedded: Count = field(default_factory=Count)
    indexes_built: Count = field(default_factory=Count)
    queries_searched: Count = field(default_factory=Count)
    pairs_scored: Count = field(default_factory=Count)

    def as_dict(self) -> dict[str, dict[str, int]]:
        return {name: getattr(self, name).as_dict() for name in self.__slots__}


class Advance(Protocol):
    """Tells that units of a stage were done; note: how it stands."""

    def __call__(self, units: int, note: str | None = None) -> None: ...


class Stage:
    """Emits a stage's events; the value of the context is called with the units just done."""

    def __init__(self, emit: Emit, stage: str, label: str, total: int | None, unit: str) -> None:
        self._emit = emit
        self._stage = stage
        self._label = label
        self._total = total
        self._unit = unit
        self._done = 0

    def __enter__(self) -> Advance:
        self._began = time.perf_counter()
        self._emit(StageStarted(self._stage, self._label, self._total, self._unit))
        return self._advance

    def _advance(self, units: int, note: str | None = None) -> None:
        self._done += units
        self._emit(StageAdvanced(self._stage, self._label, self._done, note))

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self._began
        self._emit(StageFinished(self._stage, self._label, seconds, self._done, 0))


def usage_from(totals: Mapping[str, float]) -> Usage:
    """Usage from summed shares of segments, counts rounded to whole numbers."""
    counts = ("requests", "tokens", "search_units", "retries", "output_tokens")
    whole = {name: round(totals.get(name, 0.0)) for name in counts}
    return Usage(**whole, waited_seconds=totals.get("waited_seconds", 0.0))
