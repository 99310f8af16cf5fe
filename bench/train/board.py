"""Event files for TensorBoard, written while a model is trained, where the package is installed."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

from adapters.base.trainer import TrainingStep
from bench.train.kept import KeptModels

BOARD = "tensorboard"
_FLUSH_SECONDS = 10  # how much of the curve a killed training may lose
_SCALARS = ("loss", "dev", "learning_rate", "epoch")


class TrainingLog:
    """The event file of one training. It begins with the first step that is told; a training that goes on takes the
    place of what an earlier one told of the same steps.

    A log that cannot be written never ends a training: `fault` says what happened, and nothing more is written.
    """

    def __init__(self, models: KeptModels, *, name: str, key: str, seed_number: int) -> None:
        self.folder = models.folder / BOARD / f"{name}-{key}-seed{seed_number}"
        self.fault: str | None = None
        self._writer: Any = None
        if importlib.util.find_spec(BOARD) is None:
            self.fault = f"no event files are written: the package {BOARD} is not installed"

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def step(self, step: TrainingStep) -> None:
        """Write what was told of a step."""
        if self.fault is not None:
            return
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary

        try:
            if self._writer is None:
                self._writer = _opened(self.folder)
                start = SessionLog(status=SessionLog.START)  # drops what an earlier training told of later steps
                self._writer.add_event(Event(wall_time=time.time(), step=step.step, session_log=start))
            told = {name: value for name in _SCALARS if (value := getattr(step, name)) is not None}
            values = [Summary.Value(tag=name, simple_value=value) for name, value in told.items()]
            self._writer.add_event(Event(wall_time=time.time(), step=step.step, summary=Summary(value=values)))
        except OSError as error:
            self._failed(error)

    def close(self) -> None:
        """Write what is still in memory. May be called again."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self.fault = f"{self.folder}: its event file cannot be written: {error.strerror or error}"


def _opened(folder: Path) -> Any:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    return EventFileWriter(str(folder), flush_secs=_FLUSH_SECONDS)
