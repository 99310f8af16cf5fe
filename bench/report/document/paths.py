"""Paths in a result: `systems[3].measures.nDCG@10.mean`, and `["own p50"]` for a key with other characters."""

from __future__ import annotations

import json
import re
from typing import Any

_BARE = re.compile(r"[^.\[\]\"\\\s]+")
_STEP = re.compile(r"\.?([^.\[\]\"\\\s]+)|\[(\d+)\]|\[(\"(?:[^\"\\]|\\.)*\")\]")


class NoSuchPath(Exception):
    """A path that leads nowhere in a result."""


def step(key: str) -> str:
    """The step to a key of a mapping."""
    return f".{key}" if _BARE.fullmatch(key) else f"[{json.dumps(key)}]"


def steps_of(path: str) -> list[str | int]:
    """The keys and places of a path. Raises NoSuchPath for a text that is no path."""
    if not path:
        raise NoSuchPath(path)
    found: list[str | int] = []
    place = 0
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None:
            raise NoSuchPath(path)
        bare, number, quoted = match.groups()
        try:
            found.append(bare if bare is not None else int(number) if number is not None else str(json.loads(quoted)))
        except ValueError:
            raise NoSuchPath(path) from None
        place = match.end()
    return found


def at(values: Any, path: str) -> Any:
    """What stands at a path. Raises NoSuchPath."""
    here = values
    for each in steps_of(path):
        try:
            here = here[each]
        except (KeyError, IndexError, TypeError):
            raise NoSuchPath(path) from None
    return here
