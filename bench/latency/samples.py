"""Raw samples of the latency pass as arrays, and whether a system kept up with the load."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.experiment.file import LoadPoint
from bench.latency.loops import COLUMNS
from bench.statistics.arrays import Values

ACHIEVED_AT_LEAST = 0.97


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw samples of one system under one load.

    One row per query sent. seconds: (n, len(COLUMNS)), NaN for a stage that the system does not have. encoding: seconds
    by encoder, (n, len(encoders)). phase: 0 warm-up, 1 measured. round: from 0; a round that was repeated comes again
    under a number of its own. overlap: share of the quality pass's ranking found again. started: seconds since the turn
    began, as planned.

    One row per turn. turn_round: its round. counts: whether its figures count. disturbed: whether something else
    disturbed its round.
    """

    seconds: Values
    encoding: Values
    query: npt.NDArray[np.int32]
    phase: npt.NDArray[np.int8]
    round: npt.NDArray[np.int16]
    failed: npt.NDArray[np.bool_]
    overlap: Values
    started: Values
    turn_round: npt.NDArray[np.int16]
    turn_seconds: Values  # wall-clock length
    processor_seconds: Values  # processor time in it of the process that sent its queries, the busiest of several
    others_share: Values  # of the machine's processors that programs took which are neither ours nor an engine's
    generators: npt.NDArray[np.int16]  # processes that sent its queries
    memory_bytes: Values  # of the engine in or after it; NaN where that is not known
    counts: npt.NDArray[np.bool_]
    disturbed: npt.NDArray[np.bool_]
    encoders: tuple[str, ...]
    disturbances: tuple[str, ...]  # what disturbed the rounds that count, a sentence each
    measured_at: str
    taken_together: str  # names the pass; rounds compare only within one
    cut_off: str | None = None  # why the system was dropped before its last turn

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        """Which samples are not of a warm-up."""
        return np.equal(self.phase, 1)

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """Which measured samples are of a round that counts."""
        return self.measured & np.isin(self.round, self.turn_round[self.counts])

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Which samples the figures come from."""
        return self.counted & ~self.failed

    def of(self, column: str) -> Values:
        """Seconds of a stage, the waiting or the total, by sample."""
        found: Values = self.seconds[:, COLUMNS.index(column)]
        return found


def saturated(load: LoadPoint, samples: Samples) -> tuple[float, bool]:
    """The achieved rate in answers per second, and whether an open loop could not keep its schedule: under .97 of
    the offered rate, or a backlog that still grew over the last third of its turns.

    In an open loop the achieved rate is the rate at which answers followed one another. A constant latency does not
    lower it; a latency that grows during the schedule does.
    """
    chosen = samples.counted
    total = float(samples.turn_seconds[samples.counts].sum())
    answered = float(samples.answered.sum())
    if load.mode == "closed" or load.rate is None or not chosen.any():
        return (answered / total if total else 0.0), False
    planned, behind, growing = 0.0, 0.0, 0
    turns = np.unique(samples.round[chosen]).tolist()
    for turn in turns:
        here = chosen & (samples.round == turn)
        order = np.argsort(samples.started[here])
        wait, lag, well = (column[here][order] for column in (samples.of("wait"), samples.of("total"), ~samples.failed))
        planned += float(samples.started[here].max(initial=0.0)) + 1 / load.rate
        lag = lag[well]
        tenth = max(1, len(lag) // 10)
        behind += max(0.0, float(np.median(lag[-tenth:]) - np.median(lag[:tenth]))) if len(lag) else 0.0
        third = len(wait) // 3
        if third:
            middle, last = wait[third : 2 * third].mean(), wait[-third:].mean()
            growing += int(last > 2 * middle and last > 2 / load.rate)
    achieved, offered = answered / (planned + behind), float(chosen.sum()) / planned
    return achieved, achieved < ACHIEVED_AT_LEAST * offered or growing * 2 > len(turns)
