"""Puts load on a live system: closed loops, whose workers ask again when answered, and open ones, on a schedule.

A query's time runs from its planned start: in a closed loop that is when a worker is free, in an open loop the
schedule that was fixed beforehand, so that a stall is felt by everyone who would have queued behind it.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adapters.base import AdapterError, AdapterUnavailable, Rows
from bench.failures import Failure, close_all, failure_of
from bench.live import STAGES, LiveSystem, State

COLUMNS = ("wait", *STAGES, "total")
PAUSE_SECONDS = 5.0
MOST_AWAY = 3  # queries in a row that find a server away; after them each further one would only wait for it

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is sent in one turn. queries: positions. planned: their starts in seconds after `began`, None in a closed
    loop. began: on time.perf_counter, which all processes of a machine share. seconds: after them nothing is sent."""

    turn: int
    queries: Sequence[int]
    planned: Floats | None
    seconds: float
    began: float = math.nan

    @property
    def until(self) -> float:
        """When the last query may be sent. An overloaded system would work through its backlog for minutes: by twice
        the schedule's length, and a pause that any machine may take, that it is saturated stands beyond doubt."""
        if self.planned is None:
            return self.began + self.seconds
        return self.began + 2 * float(self.planned[-1]) + PAUSE_SECONDS if len(self.planned) else self.began

    def starting(self, began: float) -> Assignment:
        """The same from that moment on."""
        return replace(self, began=began)

    def shares(self, count: int) -> list[Assignment]:
        """The assignment dealt out evenly."""
        planned = self.planned
        return [
            replace(self, queries=self.queries[i::count], planned=None if planned is None else planned[i::count])
            for i in range(count)
        ]


class Sent(NamedTuple):
    """A query that was sent. phase: 0 warm-up, 1 measured. overlap: share of the expected documents that it found.
    started: seconds after the turn's beginning, as planned. spent: seconds by COLUMNS, NaN for a stage not there.
    ended: why its worker gave up with it: the last of several in a row that could not reach a server, or an exception
    that no adapter mapped."""

    query: int
    phase: int
    turn: int
    failed: bool
    overlap: float
    started: float
    spent: list[float]
    ended: Failure | None


class Carried(NamedTuple):
    """A turn that was carried out. processor_seconds: of each process that sent its queries. busy_seconds: of all
    processors by anybody meanwhile, NaN where the system does not tell."""

    sent: list[Sent]
    seconds: float
    processor_seconds: list[float]
    busy_seconds: float


class _Asked(NamedTuple):
    """Its ranking is looked at when the turn is over: work between two queries would let the engine's threads go to
    sleep, and would hold up the other workers of this process."""

    query: int
    error: AdapterError | None
    started: float
    spent: list[float]
    worker: LiveSystem
    state: State
    ended: Failure | None = None  # its worker gave up: a foreign exception, or the last of MOST_AWAY in a row


class _Patience:
    """One worker's, with a server that cannot be reached."""

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

    def __init__(self, workers: Sequence[LiveSystem], expected: Rows) -> None:
        """expected: the documents of the quality pass by query position, (n, k)."""
        self._workers = workers
        self._expected = expected

    def configure(self) -> None:
        """Set the query options of every worker. Raises AdapterError."""
        for worker in self._workers:
            worker.configure()

    def warm_up(self, turn: int, queries: Sequence[int], seconds: float) -> list[Sent]:
        """Send queries by one worker; a slow system must not spend the pass on it, so that time ends it too."""
        began = time.perf_counter()
        asked, patience = list[_Asked](), _Patience()
        for query in queries:
            asked.append(patience.seen(_ask(self._workers[0], query, None, began)))
            if asked[-1].ended or time.perf_counter() - began > seconds:
                break
        return [self._looked_at(one, 0, turn) for one in asked]

    def carry_out(self, assignment: Assignment) -> Carried:
        """Send the assignment's queries; from now on where it names no beginning."""
        own, busy = time.process_time(), _busy_seconds()
        if math.isnan(assignment.began):
            assignment = assignment.starting(time.perf_counter())
        asked = _sent_together(self._workers, assignment)
        seconds = time.perf_counter() - assignment.began
        own, busy = time.process_time() - own, _busy_seconds() - busy
        return Carried([self._looked_at(one, 1, assignment.turn) for one in asked], seconds, [own], busy)

    def close(self) -> None:
        """Close the workers. Raises Failed, when all are closed, for one that raised."""
        close_all(worker.close for worker in self._workers)

    def _looked_at(self, one: _Asked, phase: int, turn: int) -> Sent:
        failed = one.error is not None or one.ended is not None
        share = 0.0 if failed else overlap(one.worker.answer(one.state), self._expected[one.query])
        return Sent(one.query, phase, turn, failed, share, one.started, one.spent, one.ended)


def _busy_seconds() -> float:
    """Processor time that all processes of this machine have used, and time that a host took from it; NaN where
    there is no /proc/stat. Source: proc(5): user, nice, system, idle, iowait, irq, softirq, steal."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return math.nan
    user, nice, system, _, _, irq, softirq, steal = (int(value) for value in fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _sent_together(workers: Sequence[LiveSystem], assignment: Assignment) -> list[_Asked]:
    planned = assignment.planned
    starts = [math.nan] * len(assignment.queries) if planned is None else planned.tolist()
    queue = iter(zip(assignment.queries, starts, strict=True))
    began, until = assignment.began, assignment.until
    lock = threading.Lock()
    asked: list[_Asked] = []

    def work(worker: LiveSystem) -> None:
        patience = _Patience()
        _sleep_until(began)
        while time.perf_counter() < until:
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
    spent = dict.fromkeys(COLUMNS, math.nan)
    state = worker.start(query)
    start = time.perf_counter()
    before = start
    failure: AdapterError | None = None
    ended: Failure | None = None
    end: float | None = None
    paused = 0.0
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
    except AdapterError as error:
        failure = error
    except BaseException as error:
        end = time.perf_counter()  # a traceback takes a while to write
        ended = failure_of(error)
    end = end or time.perf_counter()
    origin = start if planned is None else planned
    spent["wait"] = max(0.0, start - origin) + paused
    spent["total"] = end - origin
    return _Asked(query, failure, origin - began, [spent[name] for name in COLUMNS], worker, state, ended)


def overlap(found: Rows, expected: Rows) -> float:
    """Share of the expected documents that were found; 1 when none was expected and none found."""
    wanted = expected[expected >= 0]
    if not len(wanted):
        return float(not (found >= 0).any())
    return float(np.isin(wanted, found).mean())
