"""The latency pass: the only place whose query durations reach a Result.

Live, uncached, every query alone, queries in seeded shuffles, systems in interleaved rounds, warm-up kept apart.
A query's time runs from its planned start: in a closed loop that is when a worker is free, in an open loop the
schedule that was fixed beforehand, so that a stall is felt by everyone who would have queued behind it.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from adapters.base import AdapterError, Event, Rows, StageAdvanced, StageFinished, StageStarted
from bench.experiment_file import LoadPoint
from bench.live import STAGES, LiveSystem

COLUMNS = ("wait", *STAGES, "total")
WARM_UP_FIRST = 10
WARM_UP_AGAIN = 2
MINIMUM_FOR_P99 = 1000
ACHIEVED_AT_LEAST = 0.97
DEFAULT_SAMPLES = 1000
DEFAULT_BILLED_SAMPLES = 50

Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Samples:
    """Raw samples of one system under one load, one row per query sent.

    seconds: (n, len(COLUMNS)), NaN for a stage that the system does not have. phase: 0 warm-up, 1 measured.
    overlap: share of the quality pass's ranking found again. started: seconds since the turn began, as planned.
    """

    seconds: Floats
    query: npt.NDArray[np.int32]
    phase: npt.NDArray[np.int8]
    round: npt.NDArray[np.int16]
    failed: npt.NDArray[np.bool_]
    overlap: Floats
    started: Floats
    turn_seconds: Floats  # wall-clock length of each round's measured turn
    processor_seconds: Floats  # this process's processor time in it
    other_seconds: Floats  # every other process's; NaN where the system does not tell
    measured_at: str

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        return np.equal(self.phase, 1)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nearest-rank percentiles in milliseconds; p99 is None under 1,000 samples."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    samples: int


class _Sent(NamedTuple):
    """A query that was sent. Its ranking is looked at when the turn is over: work between two queries would let the
    engine's threads go to sleep, and would hold up the other workers of this process."""

    query: int
    phase: int
    turn: int
    failed: bool
    started: float
    spent: list[float]
    answer: Callable[[], Rows]


_Row: TypeAlias = tuple[int, int, int, bool, float, float, list[float]]


@dataclass(slots=True)
class _Recorder:
    expected: Rows
    rows: list[_Row] = field(default_factory=list)
    turns: list[tuple[float, float, float]] = field(default_factory=list)

    def keep(self, sent: Sequence[_Sent]) -> None:
        """Take over a turn's queries, with the share of the expected documents that each found."""
        for one in sent:
            overlap = 0.0 if one.failed else _overlap(one.answer(), self.expected[one.query])
            self.rows.append((one.query, one.phase, one.turn, one.failed, overlap, one.started, one.spent))

    def samples(self, measured_at: str) -> Samples:
        n = len(self.rows)
        return Samples(
            seconds=np.array([r[6] for r in self.rows], dtype=np.float64).reshape(n, len(COLUMNS)),
            query=np.array([r[0] for r in self.rows], dtype=np.int32),
            phase=np.array([r[1] for r in self.rows], dtype=np.int8),
            round=np.array([r[2] for r in self.rows], dtype=np.int16),
            failed=np.array([r[3] for r in self.rows], dtype=np.bool_),
            overlap=np.array([r[4] for r in self.rows], dtype=np.float64),
            started=np.array([r[5] for r in self.rows], dtype=np.float64),
            turn_seconds=np.array([t[0] for t in self.turns], dtype=np.float64),
            processor_seconds=np.array([t[1] for t in self.turns], dtype=np.float64),
            other_seconds=np.array([t[2] for t in self.turns], dtype=np.float64),
            measured_at=measured_at,
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """A system to measure: how to open a worker of it, its rankings in the quality pass, samples wanted at most."""

    name: str
    open: Callable[[], LiveSystem]
    expected: Rows
    samples: int


def measure(
    load: LoadPoint, subjects: Sequence[Subject], *, seed: int, emit: Callable[[Event], None]
) -> dict[str, Samples]:
    """Measure systems under one load, taking turns. Raises nothing for a failing query: it is counted.

    A system whose every query fails is still returned, with all samples failed.
    """
    recorders = {subject.name: _Recorder(subject.expected) for subject in subjects}
    turn_seconds = load.seconds / (load.rounds * max(1, len(subjects)))
    label = load.label
    began = time.perf_counter()
    emit(StageStarted("latency", label, load.rounds * len(subjects), "turns"))
    workers = {s.name: [s.open() for _ in range(_worker_count(load))] for s in subjects}
    try:
        done = 0
        for turn in range(load.rounds):
            for subject in _rotated(subjects, turn):
                rng = np.random.default_rng([seed, turn, len(subject.expected)])
                _turn(load, subject, workers[subject.name], recorders[subject.name], turn, turn_seconds, rng)
                done += 1
                emit(StageAdvanced("latency", label, done))
    finally:
        for systems in workers.values():
            for system in systems:
                system.close()
    emit(StageFinished("latency", label, time.perf_counter() - began, done, 0))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {name: recorder.samples(now) for name, recorder in recorders.items()}


def _rotated(subjects: Sequence[Subject], turn: int) -> list[Subject]:
    start = turn % max(1, len(subjects))
    return [*subjects[start:], *subjects[:start]]


def _worker_count(load: LoadPoint) -> int:
    return load.workers if load.mode == "closed" else min(load.max_in_flight, 64)


def _turn(
    load: LoadPoint,
    subject: Subject,
    workers: Sequence[LiveSystem],
    recorder: _Recorder,
    turn: int,
    seconds: float,
    rng: np.random.Generator,
) -> None:
    wanted = math.ceil(subject.samples * (turn + 1) / load.rounds) - math.ceil(subject.samples * turn / load.rounds)
    for worker in workers:
        worker.configure()
    count = len(subject.expected)
    began = time.perf_counter()
    warm_up = rng.integers(0, count, WARM_UP_FIRST if turn == 0 else WARM_UP_AGAIN)
    for query in warm_up:
        recorder.keep([_one(workers[0], int(query), 0, turn, None, 0.0)])
        if time.perf_counter() - began > seconds / 4:
            break  # a slow system must not spend the pass on its warm-up
    if load.mode == "closed":
        _closed(workers, subject, recorder, turn, wanted, seconds, rng)
    else:
        assert load.rate is not None
        wanted = min(wanted, max(1, int(load.rate * seconds)))
        gaps = rng.exponential(1 / load.rate, wanted) if load.arrivals == "poisson" else np.full(wanted, 1 / load.rate)
        _open(workers, subject, recorder, turn, np.cumsum(gaps) - gaps[0], _shuffled(rng, count, wanted))


def _shuffled(rng: np.random.Generator, count: int, wanted: int) -> list[int]:
    """Query positions in shuffles that each hold every query once."""
    order: list[int] = []
    while len(order) < wanted:
        order += rng.permutation(count).tolist()
    return order[:wanted]


def _closed(
    workers: Sequence[LiveSystem],
    subject: Subject,
    recorder: _Recorder,
    turn: int,
    wanted: int,
    seconds: float,
    rng: np.random.Generator,
) -> None:
    queries = iter(_shuffled(rng, len(subject.expected), wanted))
    lock = threading.Lock()
    sent: list[_Sent] = []
    clocks = _Clocks()
    began = clocks.began

    def work(worker: LiveSystem) -> None:
        while time.perf_counter() - began < seconds:
            with lock:
                query = next(queries, None)
            if query is None:
                return
            sent.append(_one(worker, query, 1, turn, None, began))

    _together(work, workers)
    recorder.turns.append(clocks.passed())
    recorder.keep(sent)


def _open(
    workers: Sequence[LiveSystem],
    subject: Subject,
    recorder: _Recorder,
    turn: int,
    schedule: Floats,
    queries: Sequence[int],
) -> None:
    planned = iter(zip(schedule.tolist(), queries, strict=True))
    lock = threading.Lock()
    sent: list[_Sent] = []
    clocks = _Clocks()
    began = clocks.began
    # An overloaded system would work through its backlog for minutes; by twice the schedule's length that it is
    # saturated stands beyond doubt.
    given_up = began + 2 * float(schedule[-1]) + 1.0

    def work(worker: LiveSystem) -> None:
        while time.perf_counter() < given_up:
            with lock:
                item = next(planned, None)
            if item is None:
                return
            start, query = item
            pause = began + start - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            sent.append(_one(worker, query, 1, turn, began + start, began))

    _together(work, workers)
    recorder.turns.append(clocks.passed())
    recorder.keep(sent)


class _Clocks:
    """Wall-clock time, this process's processor time and everybody else's, from now on."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self._own = time.process_time()
        self._all = _busy_seconds()

    def passed(self) -> tuple[float, float, float]:
        own = time.process_time() - self._own
        others = _busy_seconds() - self._all - own
        return time.perf_counter() - self.began, own, others if math.isnan(others) else max(0.0, others)


def _busy_seconds() -> float:
    """Processor time that all processes of this machine have used, and time that a host took from it; NaN where
    there is no /proc/stat. Source: proc(5): user, nice, system, idle, iowait, irq, softirq, steal."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return math.nan
    user, nice, system, _, _, irq, softirq, steal = (int(value) for value in fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _together(work: Callable[[LiveSystem], None], workers: Sequence[LiveSystem]) -> None:
    """Run every worker to its end; a single one runs in this thread, where a user's loop would."""
    if len(workers) == 1:
        work(workers[0])
        return
    errors: list[BaseException] = []

    def guarded(worker: LiveSystem) -> None:
        try:
            work(worker)
        except BaseException as error:  # handed to the caller below: a thread must not swallow it
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _one(worker: LiveSystem, query: int, phase: int, turn: int, planned: float | None, began: float) -> _Sent:
    """Send one query and time its stages. planned: its start in the schedule, None for now."""
    spent = dict.fromkeys(COLUMNS, math.nan)
    state = worker.start(query)
    start = time.perf_counter()
    before = start
    failed, paused = False, 0.0
    try:
        for step in worker.steps:
            step.run(state)
            after = time.perf_counter()
            if step.stage is not None:
                # The pause of our own rate limiter is `wait`; a provider's refusal and its retry are the stage's.
                own = after - before - state.waited
                paused, state.waited = paused + state.waited, 0.0
                so_far = spent[step.stage]
                spent[step.stage] = own if math.isnan(so_far) else so_far + own
            before = after
    except AdapterError:
        failed = True
    end = time.perf_counter()
    origin = start if planned is None else planned
    spent["wait"] = max(0.0, start - origin) + paused
    spent["total"] = end - origin
    times = [spent[name] for name in COLUMNS]
    return _Sent(query, phase, turn, failed, origin - began, times, lambda: worker.answer(state))


def _overlap(found: Rows, expected: Rows) -> float:
    """Share of the expected documents that were found; 1 when none was expected and none found."""
    wanted = expected[expected >= 0]
    if not len(wanted):
        return float(not (found >= 0).any())
    return float(np.isin(wanted, found).mean())


def percentiles(seconds: Floats) -> Percentiles:
    """Nearest-rank percentiles of durations in seconds."""
    values = np.sort(seconds[~np.isnan(seconds)]) * 1000.0
    n = len(values)

    def rank(p: float) -> float | None:
        return float(values[max(0, math.ceil(p * n) - 1)]) if n else None

    return Percentiles(rank(0.50), rank(0.95), rank(0.99) if n >= MINIMUM_FOR_P99 else None, n)


def saturated(load: LoadPoint, samples: Samples) -> tuple[float, bool]:
    """The achieved rate in queries per second, and whether an open loop could not keep its schedule: under .97 of
    the offered rate, or a backlog that still grew over the last third of its turns."""
    chosen = samples.measured
    total = float(samples.turn_seconds.sum())
    achieved = float((~samples.failed[chosen]).sum()) / total if total else 0.0
    if load.mode == "closed" or load.rate is None or not chosen.any():
        return achieved, False
    behind = 0.0
    sent = 0
    growing = 0
    for turn in range(int(samples.round.max()) + 1):
        here = chosen & (samples.round == turn)
        started, wait = samples.started[here], samples.seconds[here, COLUMNS.index("wait")]
        ends = started + samples.seconds[here, COLUMNS.index("total")]
        behind += max(float(ends.max(initial=0.0)), float(started.max(initial=0.0)) + 1 / load.rate)
        sent += int(here.sum())
        order = np.argsort(started)
        third = len(order) // 3
        if third:
            middle, last = wait[order[third : 2 * third]].mean(), wait[order[-third:]].mean()
            growing += int(last > 2 * middle and last > 2 / load.rate)
    planned = sum(
        float(samples.started[chosen & (samples.round == t)].max(initial=0.0)) + 1 / load.rate
        for t in range(int(samples.round.max()) + 1)
    )
    achieved = sent / behind if behind else 0.0
    offered = sent / planned if planned else load.rate
    return achieved, achieved < ACHIEVED_AT_LEAST * offered or growing * 2 > int(samples.round.max()) + 1
