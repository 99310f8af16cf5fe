"""Who uses which entries of a cache, so that it can be told what one experiment alone uses.

    <cache>/users/<digest of a file's path>.json    an experiment, or a retriever: its path, its name, and when it last
                                                    used which entries

What a run uses is noted in memory (`bench.cache.uses`), and written when some seconds have passed and when the run
ends. What a killed run could not write any more is of unknown use until the next one notes it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.cache.artifacts import write_atomically
from bench.cache.digests import content_key
from bench.cache.locks import FOLDER, opened, tried, untold, waited
from bench.cache.own_files import own_folder, read_own
from bench.cache.uses import noted

PART = "users"
_WRITTEN_EVERY = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class User:
    """A file whose runs use a cache. name: of the experiment. used: by entry, in seconds since 1970."""

    file: Path
    name: str
    used: Mapping[str, float]

    @property
    def last_used(self) -> float:
        return max(self.used.values(), default=0.0)

    def written(self) -> bytes:
        """As JSON, entries that were used at the same time together."""
        times: dict[str, list[str]] = {}
        for entry, at in sorted(self.used.items()):
            times.setdefault(datetime.fromtimestamp(int(at), UTC).isoformat(), []).append(entry)
        return json.dumps({"file": str(self.file), "name": self.name, "used": times}, indent=1).encode(
            "utf-8", "surrogatepass"
        )


class _Recorder:
    """Notes what one run uses."""

    def __init__(self, cache: Path, file: Path, name: str) -> None:
        self._cache, self._file, self._name = cache, file, name
        self._process = os.getpid()
        self._entries: dict[str, None] = {}
        self._unwritten = 0
        self._written_at = 0.0
        self._one_at_a_time = threading.Lock()

    def note(self, entries: Iterable[str]) -> None:
        before = len(self._entries)
        self._entries.update(dict.fromkeys(entries))
        self._unwritten += len(self._entries) - before
        if self._unwritten and time.monotonic() - self._written_at > _WRITTEN_EVERY:
            self.write(patient=False)

    def write(self, *, patient: bool) -> None:
        """Write what was noted to what other runs of the file have written. patient: wait for one that writes now; else
        it is written later."""
        if os.getpid() != self._process or not self._entries:
            return
        # Whoever writes entries meets the same failure of the disk and tells it.
        with self._one_at_a_time, suppress(OSError), record_locked(self._cache, self._file, patient) as mine:
            if mine:
                self._written_at, self._unwritten = time.monotonic(), 0
                now, place = time.time(), record_of(self._cache, self._file)
                kept = read_user(place)
                used = dict(kept.used) if kept is not None else {}
                write_user(self._cache, User(self._file, self._name, used | dict.fromkeys(list(self._entries), now)))


@contextmanager
def recorded(cache: Path, file: Path, name: str) -> Iterator[None]:
    """Record what is used in a cache as used by a file, by its absolute path."""
    recorder = _Recorder(cache, file, name)
    try:
        with noted(cache, recorder.note):
            yield
    finally:
        recorder.write(patient=True)


def record_of(cache: Path, file: Path) -> Path:
    """Where it stands what a file uses."""
    return cache / PART / f"{content_key(str(file))}.json"


@contextmanager
def record_locked(cache: Path, file: Path, patient: bool = True) -> Iterator[bool]:
    """Hold the record of a file, for as long as writing it takes; nothing else is waited for meanwhile. Yields whether
    it is held."""
    own_folder(cache / FOLDER)
    path = cache / FOLDER / f"{PART}-{content_key(str(file))}"
    with opened(path) as lock:
        if patient:
            waited(lambda: tried(lock, path), untold, str)
        yield patient or tried(lock, path)


def write_user(cache: Path, user: User) -> None:
    """Write a record whole, or delete one of a file that uses nothing."""
    place = record_of(cache, user.file)
    if user.used:
        own_folder(place.parent)
        write_atomically(place, user.written())
    else:
        place.unlink(missing_ok=True)


def read_user(place: Path) -> User | None:
    """A record; None for one that is absent or damaged."""
    try:
        record: Any = json.loads(read_own(place))
        times = {datetime.fromisoformat(at).timestamp(): entries for at, entries in record["used"].items()}
        used = {str(entry): at for at, entries in sorted(times.items()) for entry in entries}
        return User(Path(record["file"]), str(record["name"]), used)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def users(cache: Path) -> tuple[list[User], int]:
    """All users by their files' paths, and how many records are damaged."""
    places = sorted((cache / PART).glob("*.json"))
    found = [read_user(place) for place in places]
    known = [user for user in found if user is not None]
    return sorted(known, key=lambda user: user.file), len(found) - len(known)
