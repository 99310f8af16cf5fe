"""Notes of which entries of a cache are used: whoever reads or makes one says so here, and a run listens.

An entry goes by its part of the cache and its name there: `indexes/<key>`, `vectors/<key>/<segment>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

Listener: TypeAlias = Callable[[Iterable[str]], None]

_listeners: dict[Path, list[Listener]] = {}


def note(cache: Path, part: str, *names: str) -> None:
    """Say that entries of a part are used now."""
    for listener in _listeners.get(cache, ()):
        listener(f"{part}/{name}" for name in names)


def note_paths(cache: Path, paths: Iterable[Path]) -> None:
    """Say that what these paths lie in is used now, as far as it is in the cache."""
    for path in paths:
        if path.resolve().is_relative_to(cache.resolve()):
            part, name, *_ = path.resolve().relative_to(cache.resolve()).parts
            note(cache, part, name)


@contextmanager
def noted(cache: Path, listener: Listener) -> Iterator[None]:
    """Hear of what is used in a cache while the context lasts."""
    listeners = _listeners.setdefault(cache, [])
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)
