"""Where results lie."""

from __future__ import annotations

from pathlib import Path

from bench.results.model import RESULT_FILE, ResultUnreadable


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
