"""Places of an experiment file that a user must fill: what stands there says so, and the file does not run before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_BEGINS = "<fill in: "


def to_fill(what: str) -> str:
    """What stands in such a place."""
    return f"{_BEGINS}{what}>"


def places_to_fill(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Where such places are, and what belongs there."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from places_to_fill(each, f"{at}.{name}" if at else str(name))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from places_to_fill(each, f"{at}[{place}]")
    elif isinstance(value, str) and value.startswith(_BEGINS):
        yield at, value.removeprefix(_BEGINS).removesuffix(">")
