"""Puts load on a live system: closed loops, whose workers ask again when answered, and open ones, on a schedule.

A query's time runs from its planned start: in a closed loop that is when a worker is free, in an open loop the
schedule that was fixed beforehand, so that a stall is felt by everyone who would have queued behind it.
"""

from __future__ import annotations

import gc
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import NamedTuple

import numpy as np

from adapters.base import AdapterError, AdapterUnavailable, Hits, Rows
from bench.latency.steps import STAGES, LiveSystem, State
from bench.messages.failures import Failure, close_all, failure_of
from bench.statistics.arrays import Values

COLUMNS = ("wait", *STAGES, "total")
_COLUMN = {name: column for column, name in enumerate(COLUMNS)}
_WAIT, _TOTAL = _COLUMN["wait"], _COLUMN["total"]
PAUSE_SECONDS = 5.0
MOST_AWAY = 3  # queries in a row that find a server away; after them each further one would only wait for it


@dataclass(frozen=True, slots=True)
class Shuffles:
    """Positions of queries in shuffles that each hold every query once, without end; the same each time."""

    count: int
    seed: tuple[int, ...]

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng(self.seed)
        while self.count:
            yield from rng.permutation(self.count).tolist()


@dataclass(frozen=True, slots=True)
class Least:
    """The least length of a turn of one worker, in seconds and in queries. The turn goes on until both are reached."""

    seconds: float
    queries: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is sent in one turn. queries: positions, for a single worker perhaps without end. planned: their starts in
    seconds after `began`, None in a closed loop. began: on time.perf_counter, which all processes of a machine share.
    seconds: after them nothing is sent, and with `least` no earlier than that allows. wanted: with `least`, the queries
    after which the turn ends in less than `seconds`."""

    turn: int
    queries: Sequence[int] | Shuffles
    planned: Values | None
    seconds: float
    began: float = math.nan
    least: Least | None = None
    wanted: int = 0

    def over(self, elapsed: float, sent: int, failed: int) -> bool:
        """Whether nothing more is sent. Where most queries fail, the turn waits for no number of them: a server that
        answers none in time would hold it up for many times its length."""
        if self.least is None:
            return elapsed >= self.limit
        if not sent or elapsed < self.least.seconds:
            return False
        if sent < self.least.queries and 2 * failed <= sent:
            return False
        return sent >= self.wanted or elapsed >= self.seconds

    @property
    def limit(self) -> float:
        """How many seconds after the beginning the last query may be sent. An overloaded system would work through its
        backlog for minutes. A queue that has not drained by twice the schedule's length, plus a pause that any machine
        may take, is saturated."""
        if self.planned is None:
            return self.seconds
        return 2 * float(self.planned[-1]) + PAUSE_SECONDS if len(self.planned) else 0.0

    def starting(self, began: float) -> Assignment:
        """The same assignment, beginning at that moment."""
        return replace(self, began=began)

    def shares(self, count: int) -> list[Assignment]:
        """Shares of the assignment, dealt out evenly."""
        if count == 1 or isinstance(self.queries, Shuffles):
            return [self] * count
        queries, planned = self.queries, self.planned
        return [
            replace(self, queries=queries[i::count], planned=None if planned is None else planned[i::count])
            for i in range(count)
        ]


class Sent(NamedTuple):
    """A query that was sent. phase: 0 warm-up, 1 measured. overlap: share of the expected documents that it found.
    started: seconds after the turn's beginning, as planned. spent: seconds by COLUMNS, NaN for a stage not there.
    encoding: seconds by the system's encoders. ended: why its worker gave up after it: it was the last of several
    queries in a row that could not reach a server, or it raised an exception that no adapter mapped."""

    query: int
    phase: int
    turn: int
    failed: bool
    overlap: float
    started: float
    spent: list[float]
    encoding: list[float]
    ended: Failure | None


class Carried(NamedTuple):
    """A turn that was carried out. processor_seconds: of each process that sent its queries."""

    sent: list[Sent]
    seconds: float
    processor_seconds: list[float]


class _Asked(NamedTuple):
    """Its ranking is looked at when the turn is over: work between two queries would let the engine's threads go to
    sleep, and would hold up the other workers of this process."""

    query: int
    error: AdapterError | None
    started: float
    spent: list[float]
    encoding: list[float]
    worker: LiveSystem
    state: State
    ended: Failure | None = None  # its worker gave up: a foreign exception, or the last of MOST_AWAY in a row


class _Patience:
    """Counts the queries of one worker that could not reach a server."""

    def __init__(self) -> None:
        self._away = 0

    def seen(self, one: _Asked) -> _Asked:
        """The query, marked when it was one too many."""
        self._away = self._away + 1 if isinstance(one.error, AdapterUnavailable) else 0
        if one.error is not None and self._away >= MOST_AWAY:
            return one._replace(ended=failure_of(one.error))
        return one


class Threads:
    """Generates load from this process: one thread per worker; a single worker runs in the caller's, where a user's
    loop would."""

    processes = 1
    pids: tuple[int, ...] = ()

    def __init__(self, workers: Sequence[LiveSystem], expected: Rows) -> None:
        """expected: the documents of the quality pass by query position, (n, k)."""
        self._workers = workers
        self._expected = expected
        # A program that froze its objects itself keeps them so: nobody can thaw some of them. The count takes long.
        self._freezes = gc.get_freeze_count() == 0

    def configure(self) -> None:
        """Set the query options of every worker. Raises AdapterError."""
        for worker in self._workers:
            worker.configure()

    def warm_up(self, turn: int, queries: Sequence[int], seconds: float) -> list[Sent]:
        """Send queries by one worker. Time ends it too, because a slow system must not spend the whole pass on its
        warm-up."""
        began = time.perf_counter()
        asked, patience = list[_Asked](), _Patience()
        for query in queries:
            asked.append(patience.seen(_ask(self._workers[0], query, None, began)))
            if asked[-1].ended or time.perf_counter() - began > seconds:
                break
        return [self._looked_at(one, 0, turn) for one in asked]

    def carry_out(self, assignment: Assignment) -> Carried:
        """Send the assignment's queries; from now on where it names no beginning."""
        own = time.process_time()
        if math.isnan(assignment.began):
            assignment = assignment.starting(time.perf_counter())
        # Samples are kept until the turn is over. They would make the garbage collector walk everything that the
        # process holds (models, packages) again and again in the midst of queries. A user's own loop would not.
        if self._freezes:
            gc.freeze()
        try:
            asked = _sent_together(self._workers, assignment)
        finally:
            if self._freezes:
                gc.unfreeze()
        seconds = time.perf_counter() - assignment.began
        own = time.process_time() - own
        return Carried([self._looked_at(one, 1, assignment.turn) for one in asked], seconds, [own])

    def close(self) -> None:
        """Close the workers. Raises Failed, when all are closed, for one that raised."""
        close_all(worker.close for worker in self._workers)

    def _looked_at(self, one: _Asked, phase: int, turn: int) -> Sent:
        failed = one.error is not None or one.ended is not None
        share = 0.0 if failed else overlap(one.worker.answer(one.state), self._expected[one.query])
        return Sent(one.query, phase, turn, failed, share, one.started, one.spent, one.encoding, one.ended)


def _sent_together(workers: Sequence[LiveSystem], assignment: Assignment) -> list[_Asked]:
    planned = assignment.planned
    queue = iter(zip(assignment.queries, repeat(math.nan) if planned is None else planned.tolist(), strict=False))
    began = assignment.began
    lock = threading.Lock()
    asked: list[_Asked] = []
    failed = 0

    def work(worker: LiveSystem) -> None:
        nonlocal failed
        patience = _Patience()
        _sleep_until(began)
        while not assignment.over(time.perf_counter() - began, len(asked), failed):
            with lock:
                item = next(queue, None)
            if item is None:
                return
            query, start = item
            if math.isnan(start):
                one = _ask(worker, query, None, began)
            else:
                _sleep_until(began + start)
                one = _ask(worker, query, began + start, began)
            one = patience.seen(one)
            asked.append(one)
            failed += one.error is not None  # exact where one worker sends; elsewhere it is not asked for
            if one.ended:
                return

    _together(work, workers)
    return asked


def _sleep_until(moment: float) -> None:
    pause = moment - time.perf_counter()
    if pause > 0:
        time.sleep(pause)


def _together(work: Callable[[LiveSystem], None], workers: Sequence[LiveSystem]) -> None:
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


def _ask(worker: LiveSystem, query: int, planned: float | None, began: float) -> _Asked:
    """Send one query and time its stages. planned: its start in the schedule, None for now."""
    spent, encoding = [math.nan] * len(COLUMNS), [math.nan] * len(worker.encoders)
    state = worker.start(query)
    clock = time.perf_counter
    start = before = clock()
    failure: AdapterError | None = None
    ended: Failure | None = None
    end: float | None = None
    paused = 0.0
    try:
        for step in worker.steps:
            step.run(state)
            after = clock()
            if step.stage is not None:
                # The pause of our own rate limiter is `wait`; a provider's refusal and its retry are the stage's.
                own = after - before - state.waited
                paused, state.waited = paused + state.waited, 0.0
                column = _COLUMN[step.stage]
                so_far = spent[column]
                spent[column] = own if math.isnan(so_far) else so_far + own
                if step.encoder is not None:
                    encoding[worker.encoders.index(step.encoder)] = own
            before = after
        end = clock()
        _let_go(state, worker.name)
    except AdapterError as error:
        failure = error
    except BaseException as error:
        end = end or clock()  # a traceback takes a while to write
        ended = failure_of(error)
    end = end or clock()
    origin = start if planned is None else planned
    spent[_WAIT] = max(0.0, start - origin) + paused
    spent[_TOTAL] = end - origin
    return _Asked(query, failure, origin - began, spent, encoding, worker, state, ended)


def _let_go(state: State, name: str) -> None:
    """Keep a copy of a query's ranking and nothing else. An engine whose answers are all held needs new memory for each
    answer; it does not where a user reads an answer and goes on."""
    hits = state.found.get(name)
    state.vectors, state.found, state.with_texts = {}, {}, []
    if hits is not None:
        state.found[name] = Hits(hits.rows.copy(), hits.scores.copy())


def overlap(found: Rows, expected: Rows) -> float:
    """Share of the expected documents that were found; 1 when none was expected and none found."""
    wanted = expected[expected >= 0]
    if not len(wanted):
        return float(not (found >= 0).any())
    return float(np.isin(wanted, found).mean())
