"""The training itself, on sentence-transformers' own trainers, for every recipe.

A recipe describes its training as a `Task`: the untrained model, the examples (`_rows`), the loss, how the model is
asked during the training, and which of the library's trainers takes it. `train` then does what is the same for all: the
order of the examples (`_batches`), the measurements on the dev split, the best weights, patience, checkpoints that are
whole or count for nothing (`_checkpoints`), and the mapping of what goes wrong. `_recipe.LocalTrainer` calls it and
fills in the rest of the contract of a trainer.

Whatever interrupts a training, the same call ends in the same weights: a checkpoint holds weights, optimiser, schedule,
random states and `Progress`, and the batches of all steps are a function of examples, options and seed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from adapters.base import AdapterRejected, Evaluate, OutOfMemory, TrainingStep
from adapters.inference import first_line, lacks_memory
from adapters.trainers._batches import Batches
from adapters.trainers._checkpoints import PREFIX, Checkpoints, Progress
from adapters.trainers._library import arguments, library_trainer
from adapters.trainers._options import TrainingOptions
from adapters.trainers._task import Task

LINES = 200  # of a curve, about
_SECONDS_BETWEEN = 60.0  # checkpoints, where no number of steps is asked for
_SHARE_OF_TIME = 50  # a checkpoint comes no sooner than so many times what writing the last one took


def train(
    task: Task,
    options: TrainingOptions,
    batches: Batches,
    *,
    checkpoints: Path,
    about: str,
    seed: int,
    evaluate: Evaluate | None,
    tell: Callable[[TrainingStep], None],
) -> tuple[Progress, int | None]:
    """Train the task's model in place, to the best weights where there is a measure. about: what the training is, as
    text; checkpoints of another one are not gone on with. Returns the progress and the step it went on from, if any.

    Raises OutOfMemory, AdapterRejected.
    """
    kept = Checkpoints(checkpoints, about)
    found = kept.last()
    progress = found[1] if found else Progress()
    resumed = int(found[0].name.removeprefix(PREFIX)) if found else None
    watch = Watch(task, options, batches, kept, progress, evaluate, tell)
    with _mapped(options, task.device), _own_random_state():
        trainer = library_trainer(task, arguments(task, options, batches, checkpoints, seed), watch)
        watch.began = time.monotonic() - progress.seconds
        trainer.train(resume_from_checkpoint=str(found[0]) if found else None)
        watch.finish(trainer)
    return progress, resumed


class Watch:
    """Follows a training step by step: told of each loss and each end of a step, asked whether to save or to stop."""

    def __init__(
        self,
        task: Task,
        options: TrainingOptions,
        batches: Batches,
        kept: Checkpoints,
        progress: Progress,
        evaluate: Evaluate | None,
        tell: Callable[[TrainingStep], None],
    ) -> None:
        self.began = time.monotonic()
        self._kept = kept
        self._task, self._options, self._batches = task, options, batches
        self._progress, self._evaluate, self._tell = progress, evaluate, tell
        self._every = max(1, batches.steps // LINES)
        self._sum: Any = None  # of losses since the last one told, on the device: reading it would make the device wait
        self._saved, self._writing = time.monotonic(), 0.0

    def add_loss(self, loss: Any) -> None:
        """The loss of one batch, or its share in the loss of a step."""
        if self._sum is None:
            self._sum = loss.float() + self._progress.loss
        else:
            self._sum = self._sum + loss.float()

    def step_ended(self, trainer: Any, step: int, learning_rate: float) -> tuple[bool, bool]:
        """Whether to save, and whether to stop."""
        self._progress.loss_steps += 1
        last = step == self._batches.steps
        measured = self._evaluate is not None and self._is_measured(step)
        if measured or last or step % self._every == 0:
            self._tell_of(trainer, step, learning_rate, measured=measured)
        patience = self._options.patience
        stop = patience is not None and self._progress.since_best >= patience
        # After the last step there is nothing to go on with.
        return not stop and not last and self._is_saved(step), stop

    def save_begins(self, step: int) -> AbstractContextManager[None]:
        """Around the writing of a checkpoint. Raises AdapterRejected for a loss that is not finite, or a full disk."""
        self._saved = time.monotonic()
        self._read_loss()
        return self._kept.writing(step)

    def saved(self, step: int) -> None:
        """Called when the library has written a checkpoint."""
        self._progress.seconds = time.monotonic() - self.began
        with self._kept.writing(step):
            self._kept.complete(step, self._progress)
        self._writing = time.monotonic() - self._saved
        self._saved = time.monotonic()

    def finish(self, trainer: Any) -> None:
        """Bring the model to the best weights."""
        progress = self._progress
        progress.seconds = time.monotonic() - self.began
        if progress.best_step is not None and progress.best_step != progress.curve[-1].step:
            trainer.read_weights(self._kept.best(progress.best_step))
        if not weights_are_finite(self._task.model):
            raise self._not_finite("Weights are")

    def _is_measured(self, step: int) -> bool:
        every = self._options.evaluate_every
        return step in self._batches.ends if every is None else step % every == 0 or step == self._batches.steps

    def _is_saved(self, step: int) -> bool:
        if self._options.checkpoint_every is not None:
            return step % self._options.checkpoint_every == 0
        return time.monotonic() - self._saved >= max(_SECONDS_BETWEEN, _SHARE_OF_TIME * self._writing)

    def _tell_of(self, trainer: Any, step: int, learning_rate: float, *, measured: bool) -> None:
        progress = self._progress
        loss = self._read_loss() / progress.loss_steps
        self._sum, progress.loss, progress.loss_steps = None, 0.0, 0
        dev = self._measure(trainer, step) if measured else None
        told = TrainingStep(
            step, self._batches.steps, self._batches.epoch_at[step - 1], loss, dev, learning_rate,
            time.monotonic() - self.began,
        )  # fmt: skip
        progress.curve.append(told)
        self._tell(told)

    def _read_loss(self) -> float:
        if self._sum is not None:
            self._progress.loss = float(self._sum)
        if not np.isfinite(self._progress.loss):
            raise self._not_finite("The loss is")
        return self._progress.loss

    def _not_finite(self, what: str) -> AdapterRejected:
        cures = ["Lower learning_rate", "lengthen warmup"]
        cures += ["set precision: float32"] if self._task.precision != "float32" else []
        return AdapterRejected(
            f"{what} no longer finite, at a learning_rate of {self._options.learning_rate:g} in "
            f"{self._task.precision}. {', or '.join(cures)}."
        )

    def _measure(self, trainer: Any, step: int) -> float:
        assert self._evaluate is not None
        quiet = np.errstate(all="ignore")  # what is not finite is told below
        with trainer.as_in_use(), self._task.in_use(), _own_random_state(), quiet:
            value = float(self._evaluate(self._task.view))
        if not np.isfinite(value):
            raise self._not_finite("The measure on the dev split is")
        progress = self._progress
        if progress.best is None or value > progress.best:
            progress.best, progress.best_step, progress.since_best = value, step, 0
            if step != self._batches.steps:
                with self._kept.writing(step):
                    self._kept.keep_best(step, trainer.write_weights)
        else:
            progress.since_best += 1
        return value


@contextmanager
def _own_random_state() -> Iterator[None]:
    """What draws inside leaves no trace outside."""
    import torch

    python, numbers = random.getstate(), np.random.get_state()
    # Without a list it would wake every accelerator, and warn where there are several.
    awake = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng([torch.cuda.current_device()] if awake else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)


@contextmanager
def _mapped(options: TrainingOptions, device: str) -> Iterator[None]:
    """Map what is raised while a model trains. Raises OutOfMemory."""
    try:
        yield
    except Exception as error:
        if not lacks_memory(error):
            raise
        raise out_of_memory(options, device, first_line(error)) from error


def out_of_memory(options: TrainingOptions, device: str, cause: str) -> OutOfMemory:
    """The error for a training that found no memory, with settings that need less and learn alike."""
    cures = []
    if options.batch_size > 1:
        half = options.batch_size // 2
        cures.append(
            f"batch_size: {half} with gradient_accumulation: {2 * options.gradient_accumulation}, which makes steps of "
            "as many examples"
        )
    if not options.gradient_checkpointing:
        cures.append("gradient_checkpointing: true")
    cures.append("a smaller max_length" if options.max_length is None else f"a max_length below {options.max_length}")
    return OutOfMemory(
        f"No memory is left on {device} to train with batch_size {options.batch_size}. Try {', or '.join(cures)}. "
        f"({cause})"
    )


def seconds_per_step(task: Task, options: TrainingOptions, batches: Batches, folder: Path, seed: int) -> float:
    """How long a step takes, from a few real ones. They change the task's model, which is good for nothing after."""
    times: list[float] = []

    class Clock(Watch):
        def step_ended(self, trainer: Any, step: int, learning_rate: float) -> tuple[bool, bool]:
            self._read_loss()  # waits for the device
            times.append(time.monotonic())
            return False, step >= _TIMED

    kept = Checkpoints(folder, "timed")
    watch = Clock(task, options, batches, kept, Progress(), None, _told_to_nobody)
    with _mapped(options, task.device), _own_random_state():
        trainer = library_trainer(task, arguments(task, options, batches, folder, seed), watch)
        started = time.monotonic()
        trainer.train()
    # The first step also pays for what is done once.
    return times[0] - started if len(times) == 1 else (times[-1] - times[0]) / (len(times) - 1)


_TIMED = 4


def _told_to_nobody(step: TrainingStep) -> None:
    return


def weights_are_finite(model: Any) -> bool:
    """Whether every weight of a model is a number."""
    import torch

    return all(bool(torch.isfinite(each).all()) for each in model.parameters())


def parameters(model: Any) -> tuple[int, int]:
    """All parameters of a model, and those that learn."""
    counts = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(count for count, _ in counts), sum(count for count, learns in counts if learns)
