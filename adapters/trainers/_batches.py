"""Which examples form a batch, for a whole training at once.

The order is a function of the examples' order, the options and the seed; neither the global random state nor an
earlier interruption changes it. The library's own sampler that keeps duplicates apart promises as many batches as there
would be without duplicates, and its trainer then leaves the last examples of an epoch out; here every example has its
turn in every epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.base import InvalidOptions
from adapters.trainers._options import TrainingOptions
from adapters.trainers._rows import Rows


@dataclass(frozen=True, slots=True)
class Batches:
    """batches: row numbers. accumulated: batches in a step. epoch_at: passes over the data that are done after each
    step. ends: steps that end a pass, and the last step."""

    batches: Sequence[list[int]]
    accumulated: int
    epoch_at: Sequence[float]
    ends: frozenset[int]

    @property
    def steps(self) -> int:
        return len(self.epoch_at)


def plan_batches(rows: Rows, options: TrainingOptions, seed: int) -> Batches:
    """The batches of a training. Raises InvalidOptions where no two examples can stand in one batch."""
    keys = _keys(rows)
    wanted = None if options.steps is None else options.steps * options.gradient_accumulation
    batches: list[list[int]] = []
    passed: list[float] = []  # passes over the data after each batch
    ends: list[int] = []  # batches kept at the end of each pass
    while len(batches) < wanted if wanted else len(ends) < options.epochs:
        taken = 0
        rng = np.random.default_rng([seed, len(ends)])
        order: list[int] = rng.permutation(len(rows)).tolist()
        if rows.together is not None:
            order = _by_class(order, rows.together, rows.at_once, rng)
        for batch in _one_pass(order, options.batch_size, keys):
            taken += len(batch)
            if len(batch) > 1 or not rows.alone_teaches_nothing:
                batches.append(batch)
                passed.append(len(ends) + taken / len(rows))
        if len(batches) == (ends[-1] if ends else 0):
            raise InvalidOptions(
                "No batch holds two training pairs, because all pairs share a text or batch_size is 1; so there is "
                "nothing to tell apart.",
                key="batch_size",
            )
        ends.append(len(batches))
    # The last pass is cut short where epochs is no whole number.
    last = wanted or max(1, sum(done <= options.epochs + 1e-9 for done in passed))
    return _in_steps(batches[:last], passed[:last], [end for end in ends if end < last], options.gradient_accumulation)


def _in_steps(batches: list[list[int]], passed: list[float], ends: list[int], accumulated: int) -> Batches:
    steps = -(-len(batches) // accumulated)
    epoch_at = [passed[min(len(batches), (step + 1) * accumulated) - 1] for step in range(steps)]
    return Batches(batches, accumulated, epoch_at, frozenset({*(-(-end // accumulated) for end in ends), steps}))


def _keys(rows: Rows) -> list[frozenset[int]] | None:
    """For each row the numbers of its texts that must stand alone in a batch."""
    if not rows.apart:
        return None
    numbers: dict[Any, int] = {}
    columns = [rows.columns[name] for name in rows.apart]
    if rows.groups is not None:
        columns.append([("group", group) for group in rows.groups])
    return [frozenset(numbers.setdefault(text, len(numbers)) for text in texts) for texts in zip(*columns, strict=True)]


def _by_class(order: list[int], classes: Sequence[Any], at_once: int, rng: np.random.Generator) -> list[int]:
    """The rows in another order, in which so many of a class stand in a row, and no two such runs of a class follow one
    another but by chance."""
    members: dict[Any, list[int]] = {}
    for row in order:
        members.setdefault(classes[row], []).append(row)
    runs = [each[at : at + at_once] for each in members.values() for at in range(0, len(each), at_once)]
    return [row for run in rng.permutation(len(runs)).tolist() for row in runs[run]]


def _one_pass(order: list[int], size: int, keys: list[frozenset[int]] | None) -> Iterator[list[int]]:
    """Every row once. A row whose texts stand in the batch already waits for the next one, and comes first there."""
    count = len(order)
    if keys is None:
        yield from (order[start : start + size] for start in range(0, count, size))
        return
    waiting: list[int] = []
    place = 0
    while waiting or place < count:
        batch: list[int] = []
        there: set[int] = set()
        still: list[int] = []
        for at, row in enumerate(waiting):
            if len(batch) == size:
                still += waiting[at:]
                break
            _take(row, keys[row], batch, there, still)
        while place < count and len(batch) < size:
            _take(order[place], keys[order[place]], batch, there, still)
            place += 1
        yield batch
        waiting = still


def _take(row: int, texts: frozenset[int], batch: list[int], there: set[int], still: list[int]) -> None:
    if there.isdisjoint(texts):
        batch.append(row)
        there |= texts
    else:
        still.append(row)


def sampler(batches: Batches) -> Callable[..., Any]:
    """What the library's arguments take for a batch sampler: gives these batches, whatever it is asked."""
    from sentence_transformers.base.sampler import DefaultBatchSampler

    class Planned(DefaultBatchSampler):  # type: ignore[misc]
        def __iter__(self) -> Iterator[list[int]]:
            return iter(batches.batches)

        def __len__(self) -> int:
            return len(batches.batches)

    return Planned
