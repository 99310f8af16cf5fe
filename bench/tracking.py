"""Trackers follow a run through its events and deliver at its end; a failure of theirs never fails the run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from adapters import registry
from adapters.base import (
    AdapterError,
    Context,
    Delivery,
    Event,
    InvalidOptions,
    QueryScored,
    RunFinished,
    RunStarted,
    SystemFinished,
    Tracker,
)
from bench.config import Experiment
from bench.results import Result

SECONDS_TO_DELIVER = 120.0
_FOLLOWED = (RunStarted, SystemFinished, QueryScored, RunFinished)
_BY_NAME: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}


class Tracking:
    """The trackers of one run."""

    def __init__(self, trackers: Sequence[tuple[str, Tracker]]) -> None:
        self._trackers = list(trackers)
        self._broken: dict[str, str] = {}

    @classmethod
    def of(cls, experiment: Experiment) -> Tracking:
        """The trackers that an experiment names."""
        context = Context(experiment.base, None, experiment.settings.seed)
        return cls([(name, part.kind(part.options, context)) for name, part in experiment.trackers.items()])

    def __call__(self, event: Event) -> None:
        """Hand an event on. Events of stages stay out: they come while something is being timed."""
        if not isinstance(event, _FOLLOWED):
            return
        for name, tracker in self._trackers:
            if name in self._broken:
                continue
            try:
                tracker.on(event)
            except Exception as error:  # third-party code: whatever it raises must not end a paid-for run
                self._broken[name] = f"{type(error).__name__}: {error}"

    def deliver(self, seconds: float = SECONDS_TO_DELIVER) -> list[Delivery]:
        """Let every tracker deliver, and close it. What was not delivered says why."""
        found: list[Delivery] = []
        for name, tracker in self._trackers:
            try:
                if name in self._broken:
                    raise AdapterError(self._broken[name])
                found.append(tracker.finish(seconds))
            except Exception as error:  # as above
                found.append(Delivery(name, 0, 0, None, (f"failed: {error}",)))
            tracker.close()
        return found


def replay(folder: Path) -> Iterator[Event]:
    """The events that a result folder holds, of the latest start on, as trackers take them.

    Raises FileNotFoundError where the folder holds no events.jsonl.
    """
    events: list[Event] = []
    with (folder / "events.jsonl").open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                break  # the last line of a run that was killed while writing it
            data = json.loads(line)
            kind = _BY_NAME.get(data.pop("event", ""))
            data.pop("at", None)
            if kind is RunStarted:
                events = []
            if kind in _FOLLOWED:
                known = {field.name for field in dataclasses.fields(kind)}
                events.append(kind(**{key: value for key, value in data.items() if key in known}))
    yield from events


def base_of(result: Result, folder: Path) -> Path:
    """The folder that a result's trackers start relative paths from, as in its run: that of the experiment file.

    Where an older result does not tell it, or it is gone, the result's own folder.
    """
    told = result.provenance.get("base")
    return Path(told) if told and Path(told).is_dir() else folder


def trackers_for(experiment: Mapping[str, Any], only: str | None, base: Path) -> list[tuple[str, Tracker]]:
    """The trackers that a result's experiment names; with `only`, that one, by its name or its adapter's.

    Raises InvalidOptions, MissingDependency.
    """
    named: dict[str, Mapping[str, Any]] = dict(experiment.get("trackers") or {})
    if only is not None:
        named = {only: named.get(only, {"adapter": only})}
    if not named:
        known = ", ".join(registry.names("trackers"))
        raise InvalidOptions(f"The experiment names no tracker. Name one: --tracker NAME. Known: {known}.")
    found: list[tuple[str, Tracker]] = []
    for name, spec in named.items():
        kind = registry.load("trackers", str(spec.get("adapter")))
        if missing := kind.missing():
            raise missing
        options = kind.Options.model_validate({k: v for k, v in spec.items() if k != "adapter"})
        found.append((name, kind(options, Context(base))))
    return found
