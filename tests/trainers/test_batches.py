"""Which examples form a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.base import InvalidOptions
from adapters.trainers._batches import Batches, plan_batches
from adapters.trainers._options import TrainingOptions
from adapters.trainers._rows import Rows


def options(**chosen: Any) -> TrainingOptions:
    return TrainingOptions.model_validate({"base": "none", "batch_size": 4, **chosen})


def pairs(count: int, answers: int | None = None) -> Rows:
    columns = {
        "query": [f"question {i}" for i in range(count)],
        "positive": [f"answer {i % (answers or count)}" for i in range(count)],
    }
    return Rows(columns, apart=("query", "positive"))


def rows_of(planned: Batches) -> list[int]:
    return [row for batch in planned.batches for row in batch]


def test_every_example_has_its_turn_in_every_epoch() -> None:
    planned = plan_batches(pairs(10), options(epochs=3), seed=1)
    assert np.bincount(rows_of(planned)).tolist() == [3] * 10
    # 10 examples in batches of 4 are 4 + 4 + 2: three steps an epoch, which ends at steps 3, 6 and 9.
    assert [len(batch) for batch in planned.batches] == [4, 4, 2] * 3
    assert (planned.steps, planned.ends) == (9, {3, 6, 9})
    assert planned.epoch_at[:3] == pytest.approx([0.4, 0.8, 1.0])


@pytest.mark.parametrize("answers", [2, 3, 7])
def test_no_text_stands_twice_in_a_batch_and_no_example_is_left_out(answers: int) -> None:
    rows = pairs(21, answers)
    planned = plan_batches(rows, options(epochs=2), seed=1)
    for batch in planned.batches:
        texts = [rows.columns[name][row] for row in batch for name in ("query", "positive")]
        assert len(set(texts)) == len(texts)
    # 21 / answers rows have each answer; a batch of one row alone has nothing to tell apart and is left out.
    assert len(rows_of(planned)) >= 2 * 21 - 2 * 21 // answers
    assert len(rows_of(plan_batches(pairs(21, 21), options(epochs=2), seed=1))) >= 2 * 20


def test_a_negative_stands_in_no_batch_with_the_query_that_it_answers() -> None:
    """As a text of the batch it would count as wrong for the very query that it answers."""
    columns = {"query": ["a", "b", "c", "d"], "positive": ["A", "B", "C", "D"], "negative_1": ["B", "A", "D", "C"]}
    planned = plan_batches(Rows(columns, apart=tuple(columns)), options(), seed=1)
    for batch in planned.batches:
        assert not ({0, 1} <= set(batch)) and not ({2, 3} <= set(batch))
    assert sorted(rows_of(planned)) == [0, 1, 2, 3]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    np.random.seed(3)
    one, again = (plan_batches(pairs(30), options(epochs=2), seed=5) for _ in range(2))
    assert one == again
    other = plan_batches(pairs(30), options(epochs=2), seed=6)
    assert one.batches != other.batches
    assert one.batches[:8] != one.batches[8:]


def test_epochs_may_be_a_fraction_and_steps_may_stand_instead() -> None:
    # Half of 16 examples are two batches of 4; one and a half times 16 are six.
    assert len(plan_batches(pairs(16), options(epochs=0.5), seed=1).batches) == 2
    assert len(plan_batches(pairs(16), options(epochs=1.5), seed=1).batches) == 6
    assert len(plan_batches(pairs(16), options(epochs=0.01), seed=1).batches) == 1
    planned = plan_batches(pairs(16), options(steps=10), seed=1)
    assert (planned.steps, planned.ends) == (10, {4, 8, 10})


def test_accumulated_batches_are_one_step() -> None:
    planned = plan_batches(pairs(16), options(epochs=2, gradient_accumulation=3), seed=1)
    # 8 batches in steps of 3 are 3 + 3 + 2; the first epoch ends with batch 4, in step 2.
    assert (len(planned.batches), planned.steps, planned.ends) == (8, 3, {2, 3})
    assert len(plan_batches(pairs(16), options(steps=5, gradient_accumulation=3), seed=1).batches) == 15


def test_pairs_of_which_no_two_fit_into_a_batch_are_refused() -> None:
    with pytest.raises(InvalidOptions, match="nothing to tell apart"):
        plan_batches(pairs(16, answers=1), options(), seed=1)
    with pytest.raises(InvalidOptions, match="batch_size is 1"):
        plan_batches(pairs(16), options(batch_size=1), seed=1)


def test_of_many_pairs_with_few_answers_hardly_any_is_left_out() -> None:
    planned = plan_batches(pairs(20_000, answers=77), options(batch_size=64), seed=1)
    assert len(set(rows_of(planned))) >= 19_990


def test_an_option_that_would_change_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="epochs has no effect"):
        options(steps=3, epochs=2)
    for wrong in ({"warmup": 2.5}, {"epochs": 0}, {"learning_rate": float("nan")}, {"unknown": 1}):
        with pytest.raises(ValueError):
            options(**wrong)
