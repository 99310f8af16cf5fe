"""Takes a kept model out of the cache, into a folder of the user's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.cache.artifacts import new_folder
from bench.train.kept import KeptModel


class PlaceTaken(Exception):
    """Something stands where a model would be written."""


def export_to(kept: KeptModel, target: Path) -> None:
    """Copy the model's folder to a place where nothing is yet, or an empty folder. It is there whole or not at all.
    Raises PlaceTaken, OSError."""
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise PlaceTaken(f"{target} is there already. Name a new folder: --to DIR")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = new_folder(target.parent, f".{target.name}-")
    try:
        shutil.copytree(kept.folder, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
