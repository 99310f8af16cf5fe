"""The folder of a result: where it is, which one is gone on with, and the events written into it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from adapters.base import Event, event_as_dict
from bench.config import ConfigFaults, Experiment
from bench.failures import failure_of
from bench.results import RESULT_FILE, ResultUnreadable, read_result

Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Places:
    """output: folder that holds <experiment>/<time>-<hash>/. cache: folder of the artefacts."""

    output: Path
    cache: Path


def open_folder(experiment: Experiment, output: Path) -> tuple[Path, bool]:
    """The folder to write to: the latest one of the same config that was cut off, else a new one."""
    parent = output / experiment.name
    for folder in sorted(parent.glob(f"*-{experiment.hash}"), reverse=True):
        if folder.is_dir() and not (folder / RESULT_FILE).exists():
            return folder, True  # killed before its first word
        try:
            status = read_result(folder).status
        except ResultUnreadable as error:
            if error.newer:
                raise ConfigFaults([str(error)]) from error
            continue
        if status in ("started", "cancelled"):
            return folder, True
        break
    stamp = time.time()
    while True:
        folder = parent / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(stamp))}-{experiment.hash}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            stamp += 1
            continue
        return folder, False


class Relay:
    """Hands events to listeners, which may change on the way. One that raises hears no more, and the others are told:
    what listens to a run must not end what the run is measuring."""

    def __init__(self, listeners: list[Listener]) -> None:
        self.listeners = listeners

    def __call__(self, event: Event) -> None:
        for listener in list(self.listeners):
            try:
                listener(event)
            except BaseException as error:
                failure = failure_of(error)
                self.listeners = [other for other in self.listeners if other is not listener]
                self(failure.warned("events", "one of their listeners failed and hears no more of this run"))


def event_writer(log: TextIO) -> Listener:
    """A listener that writes each event as one line of JSON, at once."""

    def write(event: Event) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        log.write(json.dumps({"at": at, **event_as_dict(event)}, ensure_ascii=False, default=str) + "\n")
        log.flush()

    return write
