"""Systems that are kept open because several people ask them, so many at most."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar


class Closing(Protocol):
    """What holds memory until it is closed."""

    def close(self) -> None: ...


Kept = TypeVar("Kept", bound=Closing)


@dataclass(slots=True)
class _Place(Generic[Kept]):
    """What is kept under a key. users: how many use it now. made: None until the first user has made it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    made: Kept | None = None


class Engines(Generic[Kept]):
    """Things that are made when they are asked for first, shared, and closed when others are asked for: those that
    nobody used for the longest time first. Nothing is closed while somebody uses it.

    most: how many stay open where nobody uses them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._places: OrderedDict[tuple[str, ...], _Place[Kept]] = OrderedDict()
        self._folder = tempfile.TemporaryDirectory(prefix="bench-asked-")

    @property
    def folder(self) -> Path:
        """A folder for files that are used as long as this is."""
        return Path(self._folder.name)

    @contextmanager
    def borrowed(self, key: tuple[str, ...], make: Callable[[], Kept]) -> Iterator[Kept]:
        """What is kept under a key, made where nothing is. Raises what `make` raises; then nothing is kept."""
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            place.users += 1
        try:
            with place.lock:
                if place.made is None:
                    place.made = make()
                made = place.made
            yield made
        finally:
            self._give_back(place)

    def _give_back(self, place: _Place[Kept]) -> None:
        with self._lock:
            place.users -= 1
            idle = [key for key, each in self._places.items() if not each.users]
            empty = [key for key in idle if self._places[key].made is None]
            over = [key for key in idle if key not in empty][: max(0, len(self._places) - len(empty) - self._most)]
            dropped = [self._places.pop(key) for key in (*empty, *over)]
        for each in dropped:
            if each.made is not None:
                with suppress(Exception):  # it is gone either way
                    each.made.close()

    @property
    def open(self) -> int:
        """How many are open."""
        with self._lock:
            return sum(place.made is not None for place in self._places.values())

    def close(self) -> None:
        """Close all, and delete the folder."""
        with self._lock:
            places = list(self._places.values())
            self._places.clear()
        for place in places:
            if place.made is not None:
                with suppress(Exception):
                    place.made.close()
        self._folder.cleanup()
