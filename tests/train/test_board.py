"""Laws of the event files: what TensorBoard reads is what was told, and no log ends a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.base.trainer import TrainingStep
from bench.cache.artifacts import Cache
from bench.train.board import TrainingLog
from bench.train.kept import KeptModels
from tests.train.stored import CURVE

KEY = "ab" * 16


def log(cache: Path) -> TrainingLog:
    return TrainingLog(KeptModels(Cache(cache)), name="tuned", key=KEY, seed_number=2)


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events: Any = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_what_was_told_of_each_step_is_what_tensorboard_reads(tmp_path: Path) -> None:
    with log(tmp_path) as told:
        for step in CURVE:
            told.step(step)
    assert told.fault is None
    found = read(tmp_path / "models" / "tensorboard" / f"tuned-{KEY}-seed2")
    assert found["loss"] == [(10, 2.0), (20, 1.0)]
    assert found["dev"] == [(20, 0.625)]  # nothing at step 10, where nothing was measured
    assert found["epoch"] == [(10, 0.5), (20, 1.0)]


def test_a_training_that_goes_on_takes_the_place_of_the_steps_after_its_checkpoint(tmp_path: Path) -> None:
    for losses in ({10: 2.0, 20: 9.0}, {20: 1.0}):
        with log(tmp_path) as told:
            for number, loss in losses.items():
                told.step(TrainingStep(number, 20, number / 20, loss=loss))
    assert read(told.folder)["loss"] == [(10, 2.0), (20, 1.0)]


def test_a_training_of_which_nothing_is_told_leaves_no_event_file(tmp_path: Path) -> None:
    with log(tmp_path):
        pass
    assert not (tmp_path / "models").exists()


def test_a_log_that_cannot_be_written_says_so_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    told = log(tmp_path)
    for step in CURVE:
        told.step(step)
    told.close()
    assert told.fault is not None and "cannot be written" in told.fault
