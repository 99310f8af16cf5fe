"""Checkpoints of a training: each is whole or counts for nothing.

The library writes its files into `checkpoint-<step>`. A checkpoint counts only once all its files are on the disk and
one more says so; older ones are removed after that, never before. What a kill left half written is removed when the
training goes on. The best weights so far lie beside the checkpoints, in a file of their own that a checkpoint names.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adapters.base import AdapterRejected, TrainingStep

PREFIX = "checkpoint-"  # as the library names its folders
WEIGHTS = "weights.pt"
_WHOLE = "whole.json"
_BEST = "best-"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# torch's writer says no more than that its place in the file is not the expected one.
_NO_ROOM_WORDS = ("no space left", "disk quota exceeded", "file too large", "os error 28", "inline_container.cc")


@dataclass(slots=True)
class Progress:
    """What a training knows of itself beside weights and optimiser. since_best: measurements since the best one.
    loss: sum since the last step that was told, and from how many steps."""

    curve: list[TrainingStep] = field(default_factory=list)
    best_step: int | None = None
    best: float | None = None
    since_best: int = 0
    loss: float = 0.0
    loss_steps: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Progress:
        return cls(**{**values, "curve": [TrainingStep(**step) for step in values["curve"]]})


class Checkpoints:
    """Those in one folder. about: what the training is, as text; checkpoints of another one are removed."""

    def __init__(self, folder: Path, about: str) -> None:
        self.folder = folder
        self._about = about
        folder.mkdir(parents=True, exist_ok=True)

    def last(self) -> tuple[Path, Progress] | None:
        """The newest whole checkpoint and the progress that it holds; removes all else. None where there is none."""
        whole = {step: values for step, path in self._folders() if (values := self._read(path)) is not None}
        newest = max(whole, default=None)
        progress = None if newest is None else Progress.of(whole[newest])
        self._remove_others(newest, progress)
        return None if newest is None or progress is None else (self.at(newest), progress)

    def at(self, step: int) -> Path:
        return self.folder / f"{PREFIX}{step}"

    def complete(self, step: int, progress: Progress) -> None:
        """Call when the library has written its files. From now on a training goes on from this step."""
        path = self.at(step)
        for file in path.rglob("*"):
            if file.is_file():
                _to_disk(file)
        _to_disk(path)
        draft = path / f".{_WHOLE}"
        draft.write_text(json.dumps({"about": self._about, "progress": progress.as_dict()}), encoding="utf-8")
        _to_disk(draft)
        draft.rename(path / _WHOLE)
        _to_disk(path)
        _to_disk(self.folder)
        self._remove_others(step, progress)

    def keep_best(self, step: int, write: Callable[[Path], None]) -> None:
        """Keep the weights of a step as the best. write: writes them to a file."""
        draft = self.folder / f".{_BEST}{step}.pt"
        write(draft)
        _to_disk(draft)
        draft.rename(self.best(step))
        _to_disk(self.folder)

    def best(self, step: int) -> Path:
        return self.folder / f"{_BEST}{step}.pt"

    @contextmanager
    def writing(self, step: int) -> Iterator[None]:
        """Map what is raised while something of a step is written. Raises AdapterRejected where the disk is full."""
        try:
            yield
        except Exception as error:
            if not _lacks_room(error):
                raise
            shutil.rmtree(self.at(step), ignore_errors=True)
            for draft in self.folder.glob(f".{_BEST}*"):
                draft.unlink(missing_ok=True)
            before = max((at for at, path in self._folders() if self._read(path) is not None), default=None)
            on = f"it goes on from step {before:,}" if before else "it begins anew"
            raise AdapterRejected(
                f"The disk of {self.folder} is full: the checkpoint of step {step:,} cannot be written. Free space on "
                f"it, or move the cache to a larger disk, and start the training again: {on}."
            ) from error

    def _folders(self) -> list[tuple[int, Path]]:
        named = ((path.name.removeprefix(PREFIX), path) for path in self.folder.glob(f"{PREFIX}*"))
        return [(int(step), path) for step, path in named if step.isdigit()]

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            written = json.loads((path / _WHOLE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        progress: dict[str, Any] = written["progress"]
        return progress if written["about"] == self._about else None

    def _remove_others(self, step: int | None, progress: Progress | None) -> None:
        kept = {self.at(step)} if step is not None else set()
        if progress is not None and progress.best_step is not None:
            kept.add(self.best(progress.best_step))
        for path in (*self.folder.glob(f"{PREFIX}*"), *self.folder.glob(f"{_BEST}*"), *self.folder.glob(f".{_BEST}*")):
            if path in kept:
                continue
            if path.is_dir():
                # Its mark goes first: a kill in between must not leave half a checkpoint that counts.
                (path / _WHOLE).unlink(missing_ok=True)
                shutil.rmtree(path)
            else:
                path.unlink()


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lacks_room(error: BaseException | None) -> bool:
    """Whether an error says that no room is left. torch tells of it without the system's number."""
    if error is None:
        return False
    words = str(error).lower()
    if (isinstance(error, OSError) and error.errno in _NO_ROOM) or any(word in words for word in _NO_ROOM_WORDS):
        return True
    return _lacks_room(error.__cause__ or error.__context__)
