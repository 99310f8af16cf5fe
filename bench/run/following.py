"""A run that another program follows: its events as lines of JSON in a file, at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from adapters.base import Event, QueryScored, event_as_dict
from bench.cache.own_files import open_own
from bench.machine.clock import utc_now
from bench.messages.secrets import redacted_event
from bench.run.folder import Listener


@contextmanager
def followed(file: Path | None) -> Iterator[list[Listener]]:
    """The listener that writes a run's events into a file, in a list; none where no file is given. The file is begun
    anew. Raises OSError."""
    if file is None:
        yield []
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with EventFile(file) as listener:
        yield [listener]


class EventFile:
    """Writes each event as `events.jsonl` of a result has it, but for the queries: those are rows of data, and stand in
    the result when it is there."""

    def __init__(self, file: Path) -> None:
        # Unbuffered: whoever reads has the whole line at once.
        self._file = FileIO(open_own(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb")

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __call__(self, event: Event) -> None:
        if isinstance(event, QueryScored):
            return
        line = json.dumps({"at": utc_now(), **event_as_dict(redacted_event(event))}, ensure_ascii=False, default=str)
        self._file.write(f"{line}\n".encode("utf-8", "backslashreplace"))
