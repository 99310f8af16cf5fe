"""Shows the progress of a run on stderr: on a terminal a bar with the time left, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import rich.progress
from rich.console import Console

from adapters.base import Event, StageAdvanced, StageFinished, StageStarted, SystemFinished, Warned
from bench.messages.terminal import shown
from bench.messages.wording import counted, singular

_MOST_FRAMES = 20
_VERBS = {
    "load": "reading",
    "train": "training",
    "dev": "measuring on dev,",
    "encode": "embedding with",
    "build": "building",
    "search": "searching",
    "rerank": "reranking with",
    "mine": "mining",
    "cluster": "clustering for",
    "latency": "measuring latency,",
    "wait": "waiting:",
}
_LINE_EVERY_SECONDS = 10.0


class Progress:
    """A listener that shows stages as they run."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._bars = self._console.is_terminal
        self._started: dict[tuple[str, str], tuple[float, float, int | None, str]] = {}
        self._warned: set[str] = set()
        self._framed: set[tuple[str, ...]] = set()
        self._tasks: dict[tuple[str, str], rich.progress.TaskID] = {}
        self._display = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}", markup=False),
            rich.progress.BarColumn(bar_width=30),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            transient=True,
        )

    def __enter__(self) -> Self:
        if self._enabled and self._bars:
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._enabled and self._bars:
            self._display.stop()

    def __call__(self, event: Event) -> None:
        if not self._enabled:
            return
        match event:
            case StageStarted():
                self._start(event)
            case StageAdvanced():
                self._advance(event)
            case StageFinished():
                self._finish(event)
            case SystemFinished(status=status) if status not in ("success",):
                self._warn(": ".join([event.system, status.replace("_", " "), *([event.error] if event.error else [])]))
            case Warned():
                self._warn(f"{event.about}: {event.message}", event.frames)
            case _:
                pass

    def _start(self, event: StageStarted) -> None:
        key = (event.stage, event.label)
        now = time.monotonic()
        self._started[key] = (now, now, event.total, event.unit)
        if event.stage == "wait":
            self._line(described(event.stage, event.label))
        if self._bars:
            self._tasks[key] = self._display.add_task(shown(described(event.stage, event.label)), total=event.total)

    def _advance(self, event: StageAdvanced) -> None:
        key = (event.stage, event.label)
        if self._bars:
            told = f"{described(event.stage, event.label)}{f', {event.note}' if event.note else ''}"
            self._display.update(self._tasks[key], completed=event.done, description=shown(told))
            return
        began, last, total, unit = self._started[key]
        now = time.monotonic()
        if now - last >= _LINE_EVERY_SECONDS and total and event.done:
            left = (now - began) / event.done * (total - event.done)
            done = f"{event.done:,} of {total:,} {unit}{f', {event.note}' if event.note else ''}"
            self._line(f"{described(event.stage, event.label)}: {done}, {duration(left)} left")
            self._started[key] = (began, now, total, unit)

    def _finish(self, event: StageFinished) -> None:
        key = (event.stage, event.label)
        _, _, _, unit = self._started.pop(key)
        if self._bars:
            self._display.remove_task(self._tasks.pop(key))
        if event.stage == "wait":
            self._line(f"waited {duration(event.seconds)}")
            return
        if event.stage == "dev":  # the training tells the value
            return
        done = counted(event.computed, singular(unit))
        self._line(f"{described(event.stage, event.label)}: {done} in {duration(event.seconds)}")

    def _warn(self, text: str, frames: Sequence[str] = ()) -> None:
        """Only once: a failed system is reported when it fails and again when all have finished."""
        if text not in self._warned:
            self._warned.add(text)
            self._line(text)
            if tuple(frames) not in self._framed:  # a failure of what several systems share is reported by each
                self._framed.add(tuple(frames))
                for frame in _shortened(frames):
                    self._line(f"  {frame}")

    def _line(self, text: str) -> None:
        with suppress(OSError):  # a lost terminal must not end a run
            self._console.print(shown(text), soft_wrap=True)


def _shortened(frames: Sequence[str]) -> list[str]:
    """At most a screen of frames: endless recursion makes a thousand. All of them are in events.jsonl."""
    if (left_out := len(frames) - _MOST_FRAMES) <= 0:
        return list(frames)
    half = _MOST_FRAMES // 2
    return [*frames[:half], f"… {counted(left_out, 'frame')} between", *frames[-half:]]


def described(stage: str, label: str) -> str:
    """What goes on, such as "embedding with minilm"."""
    return f"{_VERBS.get(stage, stage)} {label}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
