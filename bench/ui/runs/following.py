"""What a run tells so far, read from its events: stages with their time left, systems, warnings, where it writes."""

from __future__ import annotations

import calendar
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.cache.own_files import open_own
from bench.messages.wording import counted, singular
from bench.progress import described, duration

_MOST_LINES = 200
_CHUNK = 1 << 20
_LONGEST_LINE = 8 << 20


@dataclass(slots=True)
class Stage:
    """A stage that goes on. began: seconds since 1970; total: None where it is not known."""

    what: str
    unit: str
    total: int | None
    began: float
    done: int = 0
    note: str = ""

    def left(self, now: float) -> float | None:
        """Seconds left, if it goes on at the same pace; None before anything can be said."""
        if not self.total or not self.done or now <= self.began:
            return None
        return (now - self.began) / self.done * max(0, self.total - self.done)

    def told(self, now: float) -> str:
        text = f"{self.what}: {self.done:,} of {self.total:,} {self.unit}" if self.total else self.what
        left = self.left(now)
        return text + (f", {self.note}" if self.note else "") + (f", {duration(left)} left" if left is not None else "")


@dataclass(slots=True)
class Told:
    """folder: the result, once it was opened; status: as in result.json, None until the end."""

    stages: dict[tuple[str, str], Stage] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    systems: list[str] = field(default_factory=list)
    finished: dict[str, str] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    folder: str | None = None
    status: str | None = None

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the file. What is no event, or one of a later version, is passed over."""
        kind, at = event.get("event"), _seconds(event.get("at"))
        key = (str(event.get("stage")), str(event.get("label")))
        if kind == "RunStarted":
            self.folder, self.systems = str(event.get("folder")), [str(each) for each in event.get("systems") or []]
            self._line(
                at, f"the result goes to {self.folder}" + (", which is continued" if event.get("resumed") else "")
            )
        elif kind == "StageStarted":
            total = event.get("total")
            known = total if isinstance(total, int) else None
            self.stages[key] = Stage(described(*key), str(event.get("unit", "")), known, at)
            self._line(at, f"{described(*key)} …")
        elif kind == "StageAdvanced" and key in self.stages:
            stage = self.stages[key]
            stage.done, stage.note = int(event.get("done") or 0), str(event.get("note") or "")
            if key[0] == "train" and stage.note:
                self.curves.setdefault(key[1], []).append((stage.done, stage.note))
        elif kind == "StageFinished":
            stage = self.stages.pop(key, Stage(described(*key), "", None, at))
            done = counted(int(event.get("computed") or 0), singular(stage.unit) or "unit")
            reused = int(event.get("reused") or 0)
            kept = f", {reused:,} kept from before" if reused else ""
            self._line(at, f"{stage.what}: {done} in {duration(float(event.get('seconds') or 0))}{kept}")
        elif kind == "SystemFinished":
            self.finished[str(event.get("system"))] = str(event.get("status")).replace("_", " ")
        elif kind == "Warned":
            text = f"{event.get('about')}: {event.get('message')}"
            if text not in self.warnings:
                self.warnings.append(text)
        elif kind == "RunFinished":
            self.folder, self.status = str(event.get("folder")), str(event.get("status"))
            self.stages.clear()

    def _line(self, at: float, text: str) -> None:
        self.lines.append(f"{time.strftime('%H:%M:%S', time.localtime(at))}  {text}")
        del self.lines[:-_MOST_LINES]


class Follower:
    """Reads an events file on from where it stopped; all who look at a run share one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._rest = b""
        self.told = Told()

    def read_on(self) -> Told:
        """Take in what was written since. A line that is not whole yet waits."""
        try:
            descriptor = open_own(self._path, os.O_RDONLY)
        except OSError:
            return self.told
        with os.fdopen(descriptor, "rb") as file:
            file.seek(self._place)
            while chunk := file.read(_CHUNK):
                self._place += len(chunk)
                *whole, self._rest = (self._rest + chunk).split(b"\n")
                self._rest = self._rest if len(self._rest) <= _LONGEST_LINE else b""
                for line in whole:
                    self._hear(line)
        return self.told

    def _hear(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(event, dict):
            self.told.hear(event)


def _seconds(at: object) -> float:
    """Seconds since 1970 of a time as events have it; 0 for anything else."""
    try:
        return float(calendar.timegm(time.strptime(str(at), "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0.0
