"""Training is killed at random moments and ends in the weights of an undisturbed one."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters._trainer_laws._killed import process_of_its_own
from adapters.base import Context, TrainingStep
from adapters.testing import planted_base, planted_data
from adapters.trainers._checkpoints import PREFIX
from tests.thorough import enough

KILLS, STEPS = enough(4, 10), 80


def trained(folder: str, tell: Callable[[TrainingStep], None]) -> list[TrainingStep]:
    """Train in a folder, which may hold what a killed training left."""
    at = Path(folder)
    kind = registry.load("trainers", "mnrl")
    base = str(planted_base(at.parent / "base"))
    options = kind.Options(
        base=base, device="cpu", steps=STEPS, batch_size=8, learning_rate=3e-3, checkpoint_every=2, evaluate_every=5
    )

    def evaluate(model: Any) -> float:
        """A number that goes up and down, so that the best weights are not the last ones."""
        return float(np.sin(1e4 * model.encode(["ask1 of"], "query")[0, 0]))

    ended = kind(options, Context()).train(
        planted_data(), folder=at / "model", checkpoints=at / "kept", seed=1, evaluate=evaluate, tell=tell
    )
    return list(ended.curve)


def weights(folder: Path) -> str:
    return hashlib.blake2b((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def train_and_tell(folder: str, steps: Connection) -> None:
    """What a training in a process of its own does."""
    trained(folder, lambda step: steps.send(step.step))


def killed(folder: Path, steps: int, seconds: float) -> bool:
    """Whether a training could be killed, so many steps after its first one and then so many seconds."""
    reader, writer = Pipe(duplex=False)
    process = process_of_its_own(train_and_tell, str(folder), writer)
    process.start()
    writer.close()
    with reader, suppress(EOFError):
        for _ in range(steps):
            reader.recv()
        time.sleep(seconds)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_same_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    planted_base(tmp_path / "base")
    undisturbed = trained(str(tmp_path / "one"), lambda step: None)
    half = 0
    for kill in range(KILLS):
        assert killed(tmp_path / "two", int(rng.integers(1, STEPS // KILLS)), rng.uniform(0, 0.03)), f"kill {kill}"
        assert not (tmp_path / "two" / "model").exists()
        half += any(not (path / "whole.json").exists() for path in (tmp_path / "two" / "kept").glob(f"{PREFIX}*"))
    resumed = trained(str(tmp_path / "two"), lambda step: None)
    assert weights(tmp_path / "two") == weights(tmp_path / "one")
    plain = [(step.step, step.loss, step.dev, step.learning_rate) for step in undisturbed]
    assert [(step.step, step.loss, step.dev, step.learning_rate) for step in resumed] == plain
    print(f"{half} of {KILLS} kills hit a checkpoint that was being written")
