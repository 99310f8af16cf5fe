"""What a recipe trains, described for the loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from adapters.base import EncodesTexts, ScoresPairs
from adapters.trainers._rows import Rows

Library: TypeAlias = Literal["SentenceTransformer", "CrossEncoder"]


def _as_it_is() -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Task:
    """What a recipe trains.

    model: the untrained model of the library, float32, on its device. loss: its loss, made with the model. view: the
    model as `Evaluate` takes it. library: whose trainer takes model and loss. precision: resolved. in_use: inside it
    the model is as it will be used, where it reads more of a text than in training.
    """

    model: Any
    rows: Rows
    loss: Any
    view: EncodesTexts | ScoresPairs
    library: Library
    precision: str
    in_use: Callable[[], AbstractContextManager[None]] = _as_it_is

    @property
    def device(self) -> str:
        return str(self.model.device.type)


class Follower(Protocol):
    """Who follows a training: is told of each loss and each end of a step, and asked whether to save or to stop."""

    def add_loss(self, loss: Any) -> None:
        """The loss of one batch, or its share in the loss of a step."""

    def step_ended(self, trainer: Any, step: int, learning_rate: float) -> tuple[bool, bool]:
        """Whether to save, and whether to stop."""
        ...

    def save_begins(self, step: int) -> AbstractContextManager[None]:
        """Around the writing of a checkpoint by the library."""
        ...

    def saved(self, step: int) -> None:
        """Called when the library has written a checkpoint."""
