"""The files of a run's folder, read and written whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.cache.artifacts import write_atomically
from bench.cache.locks import opened, tried

REQUEST = "request.json"
STARTED = "started.json"
CANCELLED = "cancelled.json"
ENDED = "ended.json"
EVENTS = "events.jsonl"
LOG = "log.txt"
LOCK = "lock"


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(record, indent=1).encode())


def read_record(path: Path) -> dict[str, Any] | None:
    """A record; None where there is none that is whole."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def is_held(folder: Path) -> bool:
    """Whether the run of a folder lives: somebody holds its lock."""
    path = folder / LOCK
    if not os.path.lexists(path):
        return False
    try:
        with opened(path) as file:
            return not tried(file, path, shared=True)
    except FileNotFoundError:
        return False


def folders(runs: Path) -> list[Path]:
    """The folders of all runs in the order in which they were asked for. Links are not followed."""
    if not runs.is_dir():
        return []
    return sorted(
        (each for each in runs.iterdir() if not each.name.startswith(".") and not each.is_symlink() and each.is_dir()),
        key=lambda folder: folder.name,
    )


def earlier(folder: Path) -> list[Path]:
    """The runs that were asked for before this one."""
    return [each for each in folders(folder.parent) if each.name < folder.name]
