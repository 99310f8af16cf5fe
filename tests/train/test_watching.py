"""The measure on dev is told as it is taken: over a large pool it takes as long as the training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from adapters.base import Event, Floats, Role, StageAdvanced, StageFinished, StageStarted
from bench.progress import Progress
from bench.train.deciding import Deciding
from bench.train.watching import Watched


class Encoding:
    def encode(self, texts: Sequence[str], role: Role) -> Floats:
        return np.array([[len(text)] for text in texts], np.float32)


class Scoring:
    def score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        return np.array([len(query) + len(document) for query, document in pairs], np.float32)


class Sum:
    """Decides by the sum of what a model gives."""

    def __init__(self, count: int) -> None:
        self.count = count

    def evaluate(self, model: Any) -> float:
        given = [str(i) for i in range(self.count)]
        return float(
            model.score([(one, "") for one in given]).sum()
            if hasattr(model, "score")
            else model.encode(given, "query").sum()
        )

    def outputs(self, model: Any) -> Floats:
        return np.zeros(1, np.float32)


@pytest.mark.parametrize(("model", "unit"), [(Encoding(), "texts"), (Scoring(), "pairs")])
def test_it_tells_how_far_it_is_and_changes_no_value(model: Any, unit: str) -> None:
    events: list[Event] = []
    value = Watched(cast(Deciding, Sum(600)), events.append, "tuned seed 1")(model)
    # Of the numbers 0 to 599, 10 have one digit, 90 two, 500 three: 10 + 180 + 1,500.
    assert value == 1690
    [started] = [event for event in events if isinstance(event, StageStarted)]
    assert (started.stage, started.label, started.total, started.unit) == ("dev", "tuned seed 1", 600, unit)
    assert [event.done for event in events if isinstance(event, StageAdvanced)] == [256, 512, 600]
    assert isinstance(events[-1], StageFinished)


def test_a_small_one_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = []
    Watched(cast(Deciding, Sum(256)), events.append, "tuned")(Encoding())
    assert not events


def test_its_end_takes_no_line_because_the_training_tells_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        Watched(cast(Deciding, Sum(600)), progress, "tuned")(Encoding())
    assert "dev" not in capsys.readouterr().err
