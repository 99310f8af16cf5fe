"""Where results lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bench.results.model import RESULT_FILE, ResultUnreadable

_DEEPEST = 6  # folders below the one that is searched
_OF_A_CACHE = "CACHEDIR.TAG"


def result_in(place: Path) -> Path:
    """The result folder at a place: the folder itself, that of a result.json, or the newest one in a folder of results
    or of experiments. Raises ResultUnreadable where there is none."""
    if place.name == RESULT_FILE and place.is_file():
        return place.parent
    if (place / RESULT_FILE).is_file():
        return place
    found = [file.parent for depth in ("*", "*/*") for file in place.glob(f"{depth}/{RESULT_FILE}")]
    if not found:
        raise ResultUnreadable(
            f"{place}: there is no result. A result folder holds {RESULT_FILE}; `bench run` makes one in results."
        )
    return max(found, key=lambda folder: folder.name)  # each is called by the time of its run


def results_below(place: Path) -> Iterator[Path]:
    """All result folders at a place and below it, as deep as results are put; in the order of their paths. Hidden
    folders, caches and links to folders are passed over."""
    if place.name == RESULT_FILE and place.is_file():
        place = place.parent
    above = len(place.parts)
    for folder, inner, files in os.walk(place):
        if RESULT_FILE in files:
            yield Path(folder)
            inner.clear()  # what lies in a result belongs to it
        elif _OF_A_CACHE in files or len(Path(folder).parts) - above >= _DEEPEST:
            inner.clear()
        inner[:] = sorted(name for name in inner if not name.startswith("."))
