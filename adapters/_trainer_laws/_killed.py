"""A training in a process of its own, which is killed in the middle."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from adapters.base import TrainingStep

# What a training imports, which takes longer than a short one lasts: a server imports it once, does nothing else, and
# forks a process for each training.
_IMPORTED = ("torch", "sentence_transformers", "transformers.trainer", "datasets")


def process_of_its_own(target: Callable[..., object], *arguments: Any) -> ForkServerProcess:
    """A process that will call the target, which has imported what a training needs. It is not started yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_IMPORTED])
    return context.Process(target=_run, args=(target, *arguments))


def _run(target: Callable[..., object], *arguments: Any) -> None:
    # Locks of progress bars then have no name, which would outlive a process that is killed.
    multiprocessing.set_start_method("fork", force=True)
    target(*arguments)


def killed_training(suite: Any, folder: Path, step: int) -> None:
    """Begin the short training of a suite in a new process, which ends itself as by `kill -9` once a step is told."""
    kind = type(suite)
    process = process_of_its_own(_train_and_die, kind.__module__, kind.__qualname__, folder, step)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"The training was to be killed and ended with {process.exitcode}."
    process.close()


def _train_and_die(module: str, name: str, folder: Path, last: int) -> None:
    """What the new process does."""
    suite: Any = importlib.import_module(module)
    for part in name.split("."):
        suite = getattr(suite, part)

    def tell(told: TrainingStep) -> None:
        if told.step >= last:
            os.kill(os.getpid(), signal.SIGKILL)

    suite().train_briefly(folder, tell=tell)
