"""The measure that decides, taken while a model learns, with its progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from adapters.base import EncodesTexts, Floats, Role, ScoresPairs
from bench.quality.stages import Emit, Stage
from bench.train.deciding import Deciding

_T = TypeVar("_T")
_Begins: TypeAlias = Callable[[int, str], Stage]
_AT_ONCE = 256  # texts or pairs between two reports


class Watched:
    """Asks for the measure that decides, and remembers what the model gave when it was best. label: how progress names
    the model."""

    def __init__(self, deciding: Deciding, emit: Emit, label: str) -> None:
        self._deciding = deciding
        self._emit = emit
        self._label = label
        self.value = -np.inf
        self.output: Floats | None = None

    def __call__(self, model: EncodesTexts | ScoresPairs) -> float:
        told = _Scoring(model, self._stage) if isinstance(model, ScoresPairs) else _Encoding(model, self._stage)
        value = self._deciding.evaluate(told)
        if value > self.value:
            self.value, self.output = value, self._deciding.outputs(model)
        return value

    def _stage(self, total: int, unit: str) -> Stage:
        return Stage(self._emit, "dev", self._label, total, unit)


class _Encoding:
    """A model that tells how many texts it has encoded."""

    def __init__(self, model: EncodesTexts, stage: _Begins) -> None:
        self._model = model
        self._stage = stage

    def encode(self, texts: Sequence[str], role: Role) -> Floats:
        return _in_parts(texts, lambda some: self._model.encode(some, role), self._stage, "texts")


class _Scoring:
    """A model that tells how many pairs it has scored."""

    def __init__(self, model: ScoresPairs, stage: _Begins) -> None:
        self._model = model
        self._stage = stage

    def score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        return _in_parts(pairs, self._model.score, self._stage, "pairs")


def _in_parts(given: Sequence[_T], asked: Callable[[Sequence[_T]], Floats], stage: _Begins, unit: str) -> Floats:
    """What a model gives for all, asked for a part at a time, with progress where there are several."""
    if len(given) <= _AT_ONCE:
        return asked(given)
    parts = []
    with stage(len(given), unit) as advance:
        for first in range(0, len(given), _AT_ONCE):
            parts.append(asked(given[first : first + _AT_ONCE]))
            advance(len(parts[-1]))
    found: Floats = np.concatenate(parts)
    return found
