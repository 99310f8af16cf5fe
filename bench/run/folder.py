"""The folder of a result: its place, which unfinished folder is continued, and the events that are written into it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

from adapters.base import Event, QueryScored, Warned, event_as_dict
from bench.cache.artifacts import write_atomically
from bench.cache.locks import InUse, locked
from bench.cache.own_files import open_own, own_folder, refuse_links
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.machine.clock import utc_now
from bench.messages.failures import failure_of
from bench.messages.secrets import redacted_event
from bench.messages.wording import writable
from bench.results.model import RESULT_FILE, ResultUnreadable, read_result

Listener = Callable[[Event], None]

EVENTS_FILE = "events.jsonl"


@dataclass(frozen=True, slots=True)
class Places:
    """output: folder that holds <experiment>/<time>-<hash>/. cache: folder of the artefacts."""

    output: Path
    cache: Path


@contextmanager
def opened_folder(experiment: Experiment, output: Path) -> Iterator[tuple[Path, bool]]:
    """The folder to write to, held while the context lasts, and whether it is continued: the latest one of the same
    config that was cut off, unless another run writes to it, else a new one."""
    parent = output / experiment.name
    own_folder(parent)  # this program makes it: a link there would lead into somebody else's folder
    with ExitStack() as stack:
        if (cut_off := _cut_off(parent, experiment.hash)) is not None and _held(cut_off, stack):
            yield cut_off, True
            return
        stamp = time.time()
        while True:
            folder = parent / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(stamp))}-{experiment.hash}"
            stamp += 1
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            if _held(folder, stack):  # unless a run that was started together with this one took it as cut off
                break
        yield folder, False


def _cut_off(parent: Path, config: str) -> Path | None:
    for folder in sorted(parent.glob(f"*-{config}"), reverse=True):
        if folder.is_symlink():
            own_folder(folder)
        if folder.is_dir():
            refuse_links(folder, 0)
        if folder.is_dir() and not (folder / RESULT_FILE).exists():
            return folder  # killed before it wrote anything
        try:
            status = read_result(folder).status
        except ResultUnreadable as error:
            if error.newer:
                raise ConfigFaults([str(error)]) from error
            continue
        return folder if status in ("started", "cancelled") else None
    return None


def _held(folder: Path, stack: ExitStack) -> bool:
    """Hold a folder until the stack closes, unless another run does."""
    try:
        stack.enter_context(locked(folder, "The result folder"))
    except InUse:
        return False
    return True


class Relay:
    """Hands events to listeners, which may be added and removed during a run. A listener that raises gets no more
    events, and a warning tells the others: a listener must not end a run."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = list(listeners)

    def hand_to(self, listeners: Sequence[Listener]) -> None:
        """Who hears of what comes from now on."""
        self._listeners = list(listeners)

    def __call__(self, event: Event) -> None:
        for listener in list(self._listeners):
            try:
                listener(event)
            except BaseException as error:
                failure = failure_of(error)
                self._listeners = [other for other in self._listeners if other is not listener]
                self(failure.warned("events", "one of their listeners failed and hears no more of this run"))


class Warnings:
    """Hands events on, and keeps the text of each warning once, for whoever reads the result."""

    def __init__(self, emit: Listener) -> None:
        self._emit = emit
        self.texts: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Warned):  # the text of an adapter may hold characters that no file takes
            event = replace(event, message=writable(event.message))
        self._emit(event)
        if isinstance(event, Warned):
            text = f"{event.about}: {event.message}" if event.about != "dataset" else event.message
            if text not in self.texts:
                self.texts.append(text)


class EventLog:
    """A listener that writes each event to a result's folder as one line of JSON, at once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS_FILE
        self._file = self._opened()

    def __call__(self, event: Event) -> None:
        at = utc_now()
        # A query's row is data: its ids and texts stand as the dataset has them.
        shown = event if isinstance(event, QueryScored) else redacted_event(event)
        line = json.dumps({"at": at, **event_as_dict(shown)}, ensure_ascii=False, default=str) + "\n"
        self._file.write(line.encode("utf-8", "backslashreplace"))

    def restore(self) -> bool:
        """Write the file again where it was removed or replaced, and continue in it. Returns whether it was. What was
        written stays readable while the file is open here, also after its removal."""
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(self._path.lstat(), os.fstat(self._file.fileno())):
                return False
        self._file.seek(0)
        write_atomically(self._path, self._file.read())
        self.close()
        self._file = self._opened()
        return True

    def close(self) -> None:
        self._file.close()

    def _opened(self) -> FileIO:
        # Unbuffered, so that closing the file does not try again to write what a full disk refused.
        return FileIO(open_own(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "ab+")
