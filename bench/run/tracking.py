"""Trackers follow a run through its events and deliver at its end; a failure of theirs never fails the run."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any, get_args

from adapters import registry
from adapters.base import (
    Contact,
    Context,
    Delivery,
    Event,
    InvalidOptions,
    QueryScored,
    RunFinished,
    RunStarted,
    SystemFinished,
    Tracker,
    WrongAnswer,
    places_feared,
)
from bench.cache.own_files import open_own
from bench.experiment.parts import Experiment
from bench.experiment.trust import contacts_with
from bench.messages.failures import Failure, as_failure, closing, failure_of
from bench.messages.secrets import redacted_event
from bench.results.model import Result, ResultUnreadable

SECONDS_TO_DELIVER = 120.0
_FOLLOWED = (RunStarted, SystemFinished, QueryScored, RunFinished)
_BY_NAME: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}


@dataclass(frozen=True, slots=True)
class TrackerMaker:
    """Makes a tracker when it is called."""

    kind: type[Any]
    options: Any
    context: Context

    def __call__(self) -> Tracker:
        return self.kind(self.options, self.context)  # type: ignore[no-any-return]

    def contacts(self) -> Sequence[Contact]:
        """Whom the tracker would send to."""
        return contacts_with(self.kind, (self.options,), self.context) or ()

    def writes(self) -> Sequence[Path]:
        """Files and folders of this machine that the tracker would write to."""
        if self.kind.writes is Tracker.writes:  # one that does not say is not even made: it might write then
            return places_feared(self.options, self.context)
        try:
            with self() as tracker:
                return tracker.writes()
        except BaseException as error:
            failure_of(error)  # the delivery meets it again, and tells it
            return ()


class Tracking:
    """The trackers of one run."""

    def __init__(self, trackers: Mapping[str, Callable[[], Tracker]]) -> None:
        """trackers: what makes each, by name."""
        self._trackers: dict[str, Tracker] = {}
        self.failures: dict[str, Failure] = {}
        """Why a tracker heard or delivered nothing."""
        for name, make in trackers.items():
            with self._noting(name):
                self._trackers[name] = make()
        self._names = list(trackers)

    @classmethod
    def of(cls, experiment: Experiment) -> Tracking:
        """The trackers that an experiment names."""
        context = experiment.context()
        parts = experiment.trackers.items()
        return cls({name: TrackerMaker(part.kind, part.options, context) for name, part in parts})

    def __call__(self, event: Event) -> None:
        """Hand an event on. Events of stages are left out, because they come while something is being timed."""
        if not isinstance(event, _FOLLOWED):
            return
        event = event if isinstance(event, QueryScored) else redacted_event(event)
        for name, tracker in self._trackers.items():
            if name not in self.failures:
                with self._noting(name):
                    tracker.on(event)

    def deliver(self, seconds: float = SECONDS_TO_DELIVER) -> list[Delivery]:
        """Let every tracker deliver, and close it. Each tracker's delivery tells why rows were not delivered."""
        return [self._delivered(name, seconds) for name in self._names]

    def _delivered(self, name: str, seconds: float) -> Delivery:
        found: Delivery | None = None
        tracker = self._trackers.get(name)
        if tracker is not None and name not in self.failures:
            with self._noting(name):
                found = _checked(name, tracker.finish(seconds))
        if found is None:
            found = Delivery(name, 0, 0, None, (f"failed: {self.failures[name].cause}",))
        for failure in closing([] if tracker is None else [tracker.close]):
            self.failures.setdefault(name, failure)
            found = replace(found, notes=(*found.notes, f"could not be closed: {failure.cause}"))
        return found

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        """Whatever a tracker raises must not end a paid-for run."""
        try:
            yield
        except BaseException as error:
            self.failures[name] = failure_of(error)


def _checked(name: str, delivery: Any) -> Delivery:
    if not isinstance(delivery, Delivery):
        raise WrongAnswer(f"Tracker {name}: finish returned {type(delivery).__name__}, not a Delivery.")
    return delivery


def replay(folder: Path) -> Iterator[Event]:
    """The events of a result folder since its latest start, as trackers take them.

    Raises FileNotFoundError where the folder holds no events.jsonl, and ResultUnreadable for one that tells no events.
    """
    events: list[Event] = []
    events_file = open_own(folder / "events.jsonl", os.O_RDONLY)
    with os.fdopen(events_file, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                break  # the last line of a run that was killed while writing it
            try:
                event = _event(json.loads(line), folder)
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                raise ResultUnreadable(
                    f"{folder / 'events.jsonl'}, line {number}: it is no event of a run ({type(error).__name__}). Ask "
                    "for the folder again, or leave it untracked."
                ) from error
            if isinstance(event, RunStarted):
                events = []
            if event is not None:
                events.append(event)
    yield from events


def _event(data: dict[str, Any], folder: Path) -> Event | None:
    """The event that a line tells, None for one that no tracker follows."""
    kind = _BY_NAME.get(data.get("event", ""))
    if kind not in _FOLLOWED:
        return None
    known = {field.name for field in dataclasses.fields(kind)}
    told = {key: value for key, value in data.items() if key in known}
    if kind is RunStarted:
        # The folder may have been moved: it lies here now, and the name that it had in its run names what was sent.
        told |= {"run": PureWindowsPath(told.get("folder", "")).name, "folder": str(folder)}
    event: Event = kind(**told)
    return event


def base_of(result: Result, folder: Path) -> Path:
    """The folder that a result's trackers start relative paths from, as in its run: that of the experiment file.

    Where an older result does not tell it, or it is gone, the result's own folder.
    """
    told = result.provenance.base
    return Path(told) if told and Path(told).is_dir() else folder


def trackers_for(experiment: Mapping[str, Any], only: str | None, base: Path) -> dict[str, TrackerMaker]:
    """What makes the trackers that a result's experiment names; with `only`, that one, by its name or its adapter's.

    Raises InvalidOptions, MissingDependency, and Failed for a tracker that cannot be loaded.
    """
    listed = experiment.get("trackers") or {}
    if not isinstance(listed, Mapping) or not all(isinstance(spec, Mapping) for spec in listed.values()):
        raise InvalidOptions("The result's experiment names its trackers as no experiment file does. Ask for it again.")
    named: dict[str, Mapping[str, Any]] = dict(listed)
    if only is not None:
        named = {only: named.get(only, {"adapter": only})}
    if not named:
        known = ", ".join(registry.names("trackers"))
        raise InvalidOptions(f"The experiment names no tracker. Name one: --tracker NAME. Known: {known}.")
    found: dict[str, TrackerMaker] = {}
    for name, spec in named.items():
        with as_failure(f"tracker {name}"):
            kind = registry.load("trackers", str(spec.get("adapter")))
            if missing := kind.missing():
                raise missing
            options = kind.Options.model_validate({k: v for k, v in spec.items() if k != "adapter"})
        found[name] = TrackerMaker(kind, options, Context(base))
    return found
