"""The latency pass: the only place whose query durations reach a Result.

Live, uncached, every query alone, queries in seeded shuffles, systems in interleaved rounds, warm-up kept apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from adapters.base import Event, Rows, StageAdvanced, StageFinished, StageStarted
from bench.experiment_file import LoadPoint
from bench.failures import Failed, closing, failure_of
from bench.generators import Children, Portable, Processes, wanted_processes
from bench.live import LiveSystem
from bench.load import COLUMNS, Assignment, Carried, Floats, Sent, Threads
from bench.memory import Reading

WARM_UP_FIRST = 10
WARM_UP_AGAIN = 2
MINIMUM_FOR_P99 = 1000
ACHIEVED_AT_LEAST = 0.97
DEFAULT_SAMPLES = 1000
DEFAULT_BILLED_SAMPLES = 50
DEFAULT_SAMPLES_WHILE_WRITING = 50_000  # a turn ends with its rows, not before


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
    processor_seconds: Floats  # processor time in it of the process that sent its queries, the busiest of several
    other_seconds: Floats  # of all processes that sent none; NaN where the system does not tell
    generators: npt.NDArray[np.int16]  # processes that sent its queries
    memory_bytes: Floats  # of the engine in or after it; NaN where that is not known
    measured_at: str
    cut_off: str | None = None  # why the system was dropped before its last turn

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


@dataclass(slots=True)
class _Recorder:
    sent: list[Sent] = field(default_factory=list)
    turns: list[Carried] = field(default_factory=list)
    memory: list[int | None] = field(default_factory=list)

    def samples(self, measured_at: str, cut_off: str | None) -> Samples:
        n = len(self.sent)
        turns = self.turns
        others = [t.busy_seconds - sum(t.processor_seconds) for t in turns]
        return Samples(
            seconds=np.array([s.spent for s in self.sent], dtype=np.float64).reshape(n, len(COLUMNS)),
            query=np.array([s.query for s in self.sent], dtype=np.int32),
            phase=np.array([s.phase for s in self.sent], dtype=np.int8),
            round=np.array([s.turn for s in self.sent], dtype=np.int16),
            failed=np.array([s.failed for s in self.sent], dtype=np.bool_),
            overlap=np.array([s.overlap for s in self.sent], dtype=np.float64),
            started=np.array([s.started for s in self.sent], dtype=np.float64),
            turn_seconds=np.array([t.seconds for t in turns], dtype=np.float64),
            processor_seconds=np.array([max(t.processor_seconds) for t in turns], dtype=np.float64),
            other_seconds=np.maximum(np.array(others, dtype=np.float64), 0.0),
            generators=np.array([len(t.processor_seconds) for t in turns], dtype=np.int16),
            memory_bytes=np.array([math.nan if m is None else m for m in self.memory], dtype=np.float64),
            measured_at=measured_at,
            cut_off=cut_off,
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """A system to measure: how to open a worker of it, its rankings in the quality pass, samples wanted at most.

    portable: the system for processes of its own, None where it has to stay in this one.
    memory: called as a turn begins, it gives what is asked for the engine's bytes when the turn is over.
    background: what goes on while the measured queries of a turn are sent. seconds: of these in a turn, at most.
    """

    name: str
    open: Callable[[], LiveSystem]
    expected: Rows
    samples: int
    portable: Callable[[], Portable | None] = lambda: None
    memory: Callable[[], Reading] = lambda: lambda: None
    background: Callable[[int], AbstractContextManager[None]] = lambda turn: nullcontext()
    seconds: float = math.inf


def measure(
    load: LoadPoint, subjects: Sequence[Subject], *, seed: int, emit: Callable[[Event], None]
) -> dict[str, Samples]:
    """Measure systems under one load, taking turns. Raises nothing for a failing query: it is counted.

    A system whose every query fails is still returned, with all samples failed. One that cannot be opened or set up,
    or whose server goes away, is dropped from the turns that remain and returned with what was measured until then.
    """
    label = load.label
    began = time.perf_counter()
    emit(StageStarted("latency", label, load.rounds * len(subjects), "turns"))
    turn_seconds = load.seconds / (load.rounds * max(1, len(subjects)))
    children = Children()
    measured = [_Measured(load, subject, turn_seconds, children, emit) for subject in subjects]
    try:
        done = 0
        for turn in range(load.rounds):
            for one in _rotated([each for each in measured if each.cut_off is None], turn):
                one.take_turn(turn, np.random.default_rng([seed, turn, len(one.subject.expected)]))
                done += 1
                emit(StageAdvanced("latency", label, done))
    finally:
        for one in measured:
            one.close()
        children.close()
    emit(StageFinished("latency", label, time.perf_counter() - began, done, 0))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {one.subject.name: one.recorder.samples(now, one.cut_off) for one in measured}


def warm_up_queries(load: LoadPoint) -> int:
    """How many a system is sent before its turns."""
    return WARM_UP_FIRST + WARM_UP_AGAIN * (load.rounds - 1)


def _rotated(measured: Sequence[_Measured], turn: int) -> list[_Measured]:
    start = turn % max(1, len(measured))
    return [*measured[start:], *measured[:start]]


class _Measured:
    """One subject through the turns of a load point."""

    def __init__(
        self, load: LoadPoint, subject: Subject, seconds: float, children: Children, emit: Callable[[Event], None]
    ) -> None:
        """seconds: of one turn. children: those that send its queries where one process is not enough."""
        self.subject = subject
        self.recorder = _Recorder()
        self.cut_off: str | None = None
        self._children = children
        self._emit = emit
        self._load = load
        self._seconds = min(seconds, subject.seconds)
        self._workers = load.workers if load.mode == "closed" else load.max_in_flight
        opened: list[LiveSystem] = []
        self._generator: Threads | Processes = Threads(opened, subject.expected)
        with self._cutting_off(0):
            for _ in range(self._workers):
                opened.append(subject.open())

    def close(self) -> None:
        for failure in closing([self._generator.close]):
            self._emit(failure.warned(self.subject.name, "it was measured and could not be closed"))

    def take_turn(self, turn: int, rng: np.random.Generator) -> None:
        with self._cutting_off(turn):
            self._take_turn(turn, rng)

    @contextmanager
    def _cutting_off(self, turn: int) -> Iterator[None]:
        """What fails inside ends the measuring of this system, and of no other."""
        try:
            yield
        except BaseException as error:
            failure = failure_of(error)
            begun = f"ended in round {turn + 1} of {self._load.rounds}" if self.recorder.turns else "was not measured"
            what = f"its latency under {self._load.label} {begun}"
            self.cut_off = failure.of(what).cause
            self._emit(failure.warned(self.subject.name, what))

    def _keep(self, sent: Sequence[Sent]) -> None:
        """Take over what was sent. Raises Failed when a worker gave up."""
        self.recorder.sent += sent
        if ended := next((one.ended for one in sent if one.ended), None):
            raise Failed(ended)

    def _take_turn(self, turn: int, rng: np.random.Generator) -> None:
        load, count = self._load, len(self.subject.expected)
        warm_up = rng.integers(0, count, WARM_UP_FIRST if turn == 0 else WARM_UP_AGAIN).tolist()
        self._generator.configure()
        if turn == 0:
            self._start(warm_up)
        else:
            self._keep(self._generator.warm_up(turn, warm_up, self._seconds / 4))
        wanted = math.ceil(self.subject.samples * (turn + 1) / load.rounds)
        wanted -= math.ceil(self.subject.samples * turn / load.rounds)
        planned = None
        if load.mode == "open":
            assert load.rate is not None
            wanted = min(wanted, max(1, int(load.rate * self._seconds)))
            gaps = np.full(wanted, 1 / load.rate)
            if load.arrivals == "poisson":
                gaps = rng.exponential(1 / load.rate, wanted)
            planned = np.cumsum(gaps) - gaps[0]
        assignment = Assignment(turn, _shuffled(rng, count, wanted), planned, self._seconds)
        memory = self.subject.memory()
        with self.subject.background(turn):
            carried = self._generator.carry_out(assignment)
        self.recorder.memory.append(memory())
        self.recorder.turns.append(carried)
        self._keep(carried.sent)

    def _start(self, warm_up: Sequence[int]) -> None:
        """Warm up, and give the load to processes of its own where one would be what is measured."""
        generator, half = self._generator, len(warm_up) // 2
        self._keep(generator.warm_up(0, warm_up[:half], self._seconds / 8))
        processor = time.process_time()
        sent = generator.warm_up(0, warm_up[half:], self._seconds / 8)
        per_query = (time.process_time() - processor) / len(sent)
        self._keep(sent)
        count = self._load.processes
        if count is None:
            took = sum(one.spent[-1] for one in sent) / len(sent)
            per_second = self._load.rate if self._load.rate is not None else self._workers / took
            count = wanted_processes(per_second * per_query, self._workers)
        portable = self.subject.portable() if count > 1 else None
        if portable is not None:
            self.close()
            self._generator = Processes(portable, self._children.first(min(count, self._workers)), self._workers)
            self._generator.configure()
            self._keep(self._generator.warm_up(0, warm_up, self._seconds / 8))


def _shuffled(rng: np.random.Generator, count: int, wanted: int) -> list[int]:
    """Query positions in shuffles that each hold every query once."""
    order: list[int] = []
    while len(order) < wanted:
        order += rng.permutation(count).tolist()
    return order[:wanted]


def percentiles(seconds: Floats) -> Percentiles:
    """Nearest-rank percentiles of durations in seconds."""
    values = np.sort(seconds[~np.isnan(seconds)]) * 1000.0
    n = len(values)

    def rank(p: float) -> float | None:
        return float(values[max(0, math.ceil(p * n) - 1)]) if n else None

    return Percentiles(rank(0.50), rank(0.95), rank(0.99) if n >= MINIMUM_FOR_P99 else None, n)


def saturated(load: LoadPoint, samples: Samples) -> tuple[float, bool]:
    """The achieved rate in answers per second, and whether an open loop could not keep its schedule: under .97 of
    the offered rate, or a backlog that still grew over the last third of its turns.

    Of an open loop the achieved rate is that at which answers followed one another: a latency that stays as it is costs
    no rate, one that grows with the schedule does.
    """
    chosen = samples.measured
    total = float(samples.turn_seconds.sum())
    answered = float((~samples.failed[chosen]).sum())
    if load.mode == "closed" or load.rate is None or not chosen.any():
        return (answered / total if total else 0.0), False
    planned, behind, turns, growing = 0.0, 0.0, int(samples.round[chosen].max()) + 1, 0
    for turn in range(turns):
        here = chosen & (samples.round == turn)
        order = np.argsort(samples.started[here])
        wait, lag, well = (
            column[here][order]
            for column in (
                samples.seconds[:, COLUMNS.index("wait")],
                samples.seconds[:, COLUMNS.index("total")],
                ~samples.failed,
            )
        )
        planned += float(samples.started[here].max(initial=0.0)) + 1 / load.rate
        lag = lag[well]
        tenth = max(1, len(lag) // 10)
        behind += max(0.0, float(np.median(lag[-tenth:]) - np.median(lag[:tenth]))) if len(lag) else 0.0
        third = len(wait) // 3
        if third:
            middle, last = wait[third : 2 * third].mean(), wait[-third:].mean()
            growing += int(last > 2 * middle and last > 2 / load.rate)
    achieved, offered = answered / (planned + behind), float(chosen.sum()) / planned
    return achieved, achieved < ACHIEVED_AT_LEAST * offered or growing * 2 > turns
