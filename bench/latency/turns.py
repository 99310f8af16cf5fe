"""The latency pass: the only place whose query durations reach a Result.

Live, uncached, every query alone, queries in seeded shuffles, warm-up kept apart. Systems take turns in rounds, each
time in an order drawn anew, so that the machine's drift meets all of them alike. A round that something else disturbed
is taken again, by all systems, while time is left; what is left of such rounds is marked, and all raw samples are kept.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace

import numpy as np

from adapters.base import Event, Rows, StageAdvanced, StageFinished, StageStarted
from bench.experiment.file import LoadPoint
from bench.latency.disturbance import Observed, Watch, Watching
from bench.latency.loops import COLUMNS, Assignment, Carried, Least, Sent, Shuffles, Threads
from bench.latency.processes import Children, Portable, Processes, wanted_processes
from bench.latency.samples import Samples
from bench.latency.steps import LiveSystem
from bench.machine.clock import utc_now
from bench.machine.memory import Reading
from bench.messages.failures import Failed, closing, failure_of

WARM_UP_FIRST = 10
WARM_UP_AGAIN = 2
QUERIES_IN_A_TURN = 20  # of one worker, at least
DEFAULT_SAMPLES = 1000
DEFAULT_BILLED_SAMPLES = 100  # the fewest that support a 95th percentile
DEFAULT_SAMPLES_WHILE_WRITING = 50_000  # a turn does not end before its rows are written


@dataclass(slots=True)
class _Recorder:
    sent: list[Sent] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    turns: list[Carried] = field(default_factory=list)
    memory: list[int | None] = field(default_factory=list)
    observed: list[Observed] = field(default_factory=list)

    def samples(self, encoders: tuple[str, ...], disturbed: dict[int, str], planned: int, name: str) -> Samples:
        """disturbed: by round, what disturbed it. planned: rounds. name: of the pass."""
        n, turns = len(self.sent), self.turns
        good = [r for r in self.rounds if r not in disturbed]
        left = [r for r in self.rounds if r in disturbed][: max(0, planned - len(good))]
        return Samples(
            seconds=np.array([s.spent for s in self.sent], dtype=np.float64).reshape(n, len(COLUMNS)),
            encoding=np.array([s.encoding for s in self.sent], dtype=np.float64).reshape(n, len(encoders)),
            query=np.array([s.query for s in self.sent], dtype=np.int32),
            phase=np.array([s.phase for s in self.sent], dtype=np.int8),
            round=np.array([s.turn for s in self.sent], dtype=np.int16),
            failed=np.array([s.failed for s in self.sent], dtype=np.bool_),
            overlap=np.array([s.overlap for s in self.sent], dtype=np.float64),
            started=np.array([s.started for s in self.sent], dtype=np.float64),
            turn_round=np.array(self.rounds, dtype=np.int16),
            turn_seconds=np.array([t.seconds for t in turns], dtype=np.float64),
            processor_seconds=np.array([max(t.processor_seconds) for t in turns], dtype=np.float64),
            others_share=np.array([o.others_share for o in self.observed], dtype=np.float64),
            generators=np.array([len(t.processor_seconds) for t in turns], dtype=np.int16),
            memory_bytes=np.array([math.nan if m is None else m for m in self.memory], dtype=np.float64),
            counts=np.isin(self.rounds, [*good, *left]).astype(np.bool_),
            disturbed=np.isin(self.rounds, list(disturbed)).astype(np.bool_),
            encoders=encoders,
            disturbances=tuple(f"round {r + 1}: {disturbed[r]}" for r in left),
            measured_at=utc_now(),
            taken_together=name,
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """A system to measure: how to open a worker of it, its rankings in the quality pass, samples wanted.

    capped: every query costs money, so no more than `samples` are measured, however short a turn then is, and the
    system warms up once. portable: the system for processes of its own, None where it has to stay in this one. servers:
    the processes on this machine that work for it beside this one, None where they are not known. memory: called when a
    turn begins; it gives a function that tells the engine's bytes when the turn is over. background: what goes on while
    the measured queries of a turn are sent. seconds: the most that a turn sends queries.
    """

    name: str
    open: Callable[[], LiveSystem]
    expected: Rows
    samples: int
    capped: bool = False
    portable: Callable[[], Portable | None] = lambda: None
    servers: Callable[[], tuple[int, ...] | None] = lambda: ()
    memory: Callable[[], Reading] = lambda: lambda: None
    background: Callable[[int], AbstractContextManager[None]] = lambda turn: nullcontext()
    seconds: float = math.inf


def measure(
    load: LoadPoint,
    subjects: Sequence[Subject],
    *,
    seed: int,
    emit: Callable[[Event], None],
    watch: Callable[[], Watching] = Watch,
) -> dict[str, Samples]:
    """Measure systems under one load, taking turns. Raises nothing for a failing query: it is counted.

    A system whose every query fails is still returned, with all samples failed. One that cannot be opened or set up,
    or whose server goes away, is dropped from the turns that remain and returned with what was measured until then.
    """
    return _Pass(load, subjects, seed, emit).carry_out(watch)


def turn_seconds(load: LoadPoint, systems: int) -> float:
    """A turn's share of the pass's seconds; of one worker no less than a turn has to last."""
    share = load.seconds / (load.planned_rounds * max(1, systems))
    return max(share, load.turn_seconds) if load.alone else share


def warm_up_queries(load: LoadPoint, *, capped: bool) -> int:
    """How many queries a system gets as warm-up before its turns."""
    return WARM_UP_FIRST + (0 if capped else WARM_UP_AGAIN * (load.planned_rounds - 1))


class _Pass:
    """All systems under one load point."""

    def __init__(self, load: LoadPoint, subjects: Sequence[Subject], seed: int, emit: Callable[[Event], None]) -> None:
        self._load, self._seed, self._emit = load, seed, emit
        self._children = Children()
        seconds = turn_seconds(load, len(subjects))
        self._measured = [_Measured(load, subject, seconds, self._children, emit) for subject in subjects]
        self._observed: list[list[Observed]] = []  # by round
        self._longest = 0.0  # seconds of a round

    def carry_out(self, watch: Callable[[], Watching]) -> dict[str, Samples]:
        watching = watch()
        began = time.perf_counter()
        try:
            planned = self._load.planned_rounds
            self._rounds(self._load.label, range(planned), watching)
            again = range(planned, 2 * planned)
            if self._load.ingest is None and self._undisturbed(watching) < planned:  # rows can be written only once
                self._rounds(f"{self._load.label}, disturbed rounds again", again, watching, began + self._load.seconds)
            disturbed = self._disturbed(watching)
        finally:
            for one in self._measured:
                one.close()
            self._children.close()
            watching.close()
        name = f"{os.getpid()}-{time.time_ns()}"
        return {one.subject.name: one.samples(disturbed, name) for one in self._measured}

    def _rounds(self, label: str, rounds: Sequence[int], watch: Watching, until: float = math.inf) -> None:
        """Carry out rounds. until: no round begins that would not be over by then. A round that is no longer wanted
        does not begin either."""
        began, done = time.perf_counter(), 0
        if began + self._longest > until:
            return
        self._emit(StageStarted("latency", label, len(rounds) * len(self._measured), "turns"))
        for number in rounds:
            start = time.perf_counter()
            wanted = until == math.inf or self._undisturbed(watch) < self._load.planned_rounds
            if start + self._longest > until or not wanted:
                break
            self._observed.append([])
            # The order is drawn for all, so that it does not depend on who is still there.
            for position in np.random.default_rng([self._seed, number]).permutation(len(self._measured)).tolist():
                one = self._measured[position]
                if one.cut_off is None:
                    rng = np.random.default_rng([self._seed, number, len(one.subject.expected)])
                    self._observed[-1] += one.take_turn(number, rng, watch)
                done += 1
                self._emit(StageAdvanced("latency", label, done))
            self._longest = max(self._longest, time.perf_counter() - start)
        self._emit(StageFinished("latency", label, time.perf_counter() - began, done, 0))

    def _disturbed(self, watch: Watching) -> dict[int, str]:
        """By round, what disturbed it."""
        found: dict[int, str] = {}
        for number, observed in enumerate(self._observed):
            # Turns of a round differ in the numbers of a reason: one of them is enough.
            reasons = {re.split(r"\d", reason)[0]: reason for one in observed for reason in watch.reasons(one)}
            if reasons:
                found[number] = ", ".join(reasons.values())
        return found

    def _undisturbed(self, watch: Watching) -> int:
        return len(self._observed) - len(self._disturbed(watch))


class _Measured:
    """One subject through the turns of a load point."""

    def __init__(
        self, load: LoadPoint, subject: Subject, seconds: float, children: Children, emit: Callable[[Event], None]
    ) -> None:
        """seconds: of one turn. children: those that send its queries where one process is not enough."""
        self.subject = subject
        self.cut_off: str | None = None
        self._recorder = _Recorder()
        self._children = children
        self._emit = emit
        self._load = load
        self._seconds = min(seconds, subject.seconds)
        self._workers = load.workers if load.mode == "closed" else load.max_in_flight
        self._warm = False
        opened: list[LiveSystem] = []
        self._generator: Threads | Processes = Threads(opened, subject.expected)
        with self._cutting_off(0):
            for _ in range(self._workers):
                opened.append(subject.open())
        self._encoders = opened[0].encoders if opened else ()

    def close(self) -> None:
        for failure in closing([self._generator.close]):
            self._emit(failure.warned(self.subject.name, "it was measured and could not be closed"))

    def samples(self, disturbed: dict[int, str], name: str) -> Samples:
        """disturbed: by round, what disturbed it. name: of the pass."""
        found = self._recorder.samples(self._encoders, disturbed, self._load.planned_rounds, name)
        return replace(found, cut_off=self.cut_off)

    def take_turn(self, turn: int, rng: np.random.Generator, watch: Watching) -> list[Observed]:
        """Take the turn of a round and return what was observed meanwhile; None where there was no turn to take."""
        before = len(self._recorder.observed)
        with self._cutting_off(turn):
            self._take_turn(turn, rng, watch)
        return self._recorder.observed[before:]

    @contextmanager
    def _cutting_off(self, turn: int) -> Iterator[None]:
        """Inside the context: a failure ends the measuring of this system and of no other."""
        try:
            yield
        except BaseException as error:
            failure = failure_of(error)
            rounds = max(turn + 1, self._load.planned_rounds)
            begun = f"ended in round {turn + 1} of {rounds}" if self._recorder.turns else "was not measured"
            what = f"its latency under {self._load.label} {begun}"
            self.cut_off = failure.of(what).cause
            self._emit(failure.warned(self.subject.name, what))

    def _keep(self, sent: Sequence[Sent]) -> None:
        """Take over what was sent. Raises Failed when a worker gave up."""
        self._recorder.sent += sent
        if ended := next((one.ended for one in sent if one.ended), None):
            raise Failed(ended)

    def _take_turn(self, turn: int, rng: np.random.Generator, watch: Watching) -> None:
        load, count, recorder = self._load, len(self.subject.expected), self._recorder
        wanted = self._wanted(turn)
        if not wanted and self.subject.capped and load.ingest is None:
            return
        self._generator.configure()
        if not self._warm:
            self._start(turn, rng.integers(0, count, WARM_UP_FIRST).tolist())
            self._warm = True
        elif not self.subject.capped:
            warm_up = rng.integers(0, count, WARM_UP_AGAIN).tolist()
            self._keep(self._generator.warm_up(turn, warm_up, self._seconds / 4))
        assignment = self._assignment(turn, wanted, rng)
        servers = self.subject.servers()
        memory = self.subject.memory()
        pids = None if servers is None else (*servers, *self._generator.pids)
        with watch.turn(pids) as sighting, self.subject.background(turn):
            carried = self._generator.carry_out(assignment)
        recorder.memory.append(memory())
        recorder.rounds.append(turn)
        recorder.turns.append(carried)
        recorder.observed.append(sighting.observed)
        self._keep(carried.sent)

    def _wanted(self, turn: int) -> int:
        """Measured queries of a turn; of one worker at least, unless each costs money."""
        samples, rounds = self.subject.samples, self._load.planned_rounds
        until = math.ceil(samples * min(turn + 1, rounds) / rounds)
        if self.subject.capped:  # makes up for queries that an earlier turn had no time for
            return until - sum(one.phase for one in self._recorder.sent)
        return until - math.ceil(samples * turn / rounds) if turn < rounds else math.ceil(samples / rounds)

    def _assignment(self, turn: int, wanted: int, rng: np.random.Generator) -> Assignment:
        load, count = self._load, len(self.subject.expected)
        if load.alone and not self.subject.capped:
            shuffles = Shuffles(count, tuple(rng.integers(0, 2**32, 4).tolist()))
            least = Least(load.turn_seconds, QUERIES_IN_A_TURN)
            return Assignment(turn, shuffles, None, self._seconds, least=least, wanted=wanted)
        planned = None
        if load.mode == "open":
            assert load.rate is not None
            wanted = min(wanted, max(1, int(load.rate * self._seconds)))
            gaps = np.full(wanted, 1 / load.rate)
            if load.arrivals == "poisson":
                gaps = rng.exponential(1 / load.rate, wanted)
            planned = np.cumsum(gaps) - gaps[0]
        return Assignment(turn, _shuffled(rng, count, wanted), planned, self._seconds)

    def _start(self, turn: int, warm_up: Sequence[int]) -> None:
        """Warm up. Move the load to processes of its own where one process would be the limit that is measured."""
        generator, half = self._generator, len(warm_up) // 2
        self._keep(generator.warm_up(turn, warm_up[:half], self._seconds / 8))
        processor = time.process_time()
        sent = generator.warm_up(turn, warm_up[half:], self._seconds / 8)
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
            self._keep(self._generator.warm_up(turn, warm_up, self._seconds / 8))


def _shuffled(rng: np.random.Generator, count: int, wanted: int) -> list[int]:
    """Query positions in shuffles that each hold every query once."""
    order: list[int] = []
    while len(order) < wanted:
        order += rng.permutation(count).tolist()
    return order[:wanted]
