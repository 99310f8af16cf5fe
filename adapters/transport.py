"""Calls to managed services: concurrency, retries, and what was paid for.

The SDKs' own retries are off wherever this is used: they neither count what they do nor know the rate limits, and
two layers of retries multiply.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from .base import AdapterError, AdapterRejected, Usage, reckoned_tokens
from .rate_limit import RateLimit
from .service import CallOptions, Retryable

T = TypeVar("T")

LONGEST_BACKOFF_SECONDS = 30.0
MOST_READERS = 16
KEPT_ITEMS = 50_000  # texts whose paid answers are remembered after a failure; at 1,024 dimensions 200 MB


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One call. parts: equal for calls that would get the same answer. send: one try, giving the answer and what it
    cost; raises Retryable or an AdapterError. tokens: estimated; items: texts in it."""

    parts: Sequence[str]
    send: Callable[[], tuple[T, Usage]]
    tokens: int
    items: int

    @property
    def key(self) -> bytes:
        """A digest of the parts, made when something has to be remembered: no call waits for it."""
        digest = hashlib.blake2b(digest_size=16)
        for part in self.parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()


def batches(texts: Sequence[str], *, items: int, tokens: int) -> list[range]:
    """Consecutive batches that fill a request's limits in texts and estimated tokens; a text over it stands alone."""
    found: list[range] = []
    start, total = 0, 0
    for i, text in enumerate(texts):
        size = reckoned_tokens(text)
        if i > start and (i - start == items or total + size > tokens):
            found.append(range(start, i))
            start, total = i, 0
        total += size
    if start < len(texts):
        found.append(range(start, len(texts)))
    return found


class Transport:
    """The way of one adapter to its service."""

    def __init__(self, options: CallOptions, *, seed: int, items_per_minute: float | None = None) -> None:
        self._options = options
        self._limit = RateLimit(
            {"requests": options.requests_per_minute, "tokens": options.tokens_per_minute, "items": items_per_minute}
        )
        self._slots = threading.BoundedSemaphore(options.concurrency)
        self._here = threading.local()
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._kept: OrderedDict[bytes, tuple[Any, Usage, int]] = OrderedDict()

    def gather(self, jobs: Sequence[Job[T]]) -> list[tuple[T, Usage]]:
        """Make the calls, `concurrency` at once; answers in the order of the jobs.

        When one fails for good, those under way are still awaited, and all answers are remembered, so that the same
        jobs given again send only what has no answer yet. Raises the first failure in the order of the jobs.
        """
        answers: dict[int, tuple[T, Usage]] = {}
        try:
            answers.update(self.stream(jobs))
        except BaseException:
            self._keep((jobs[i], *answer) for i, answer in answers.items())
            raise
        return [answers[i] for i in range(len(jobs))]

    def stream(self, jobs: Sequence[Job[T]]) -> Iterator[tuple[int, tuple[T, Usage]]]:
        """Make the calls, `concurrency` at once; each answer with its job's place as soon as it has come.

        When one fails for good, those under way are still given; then the first failure in the order of the jobs is
        raised. Answers given are the caller's to keep.
        """
        with self._lock:
            keys = [job.key for job in jobs] if self._kept else []
            kept = {i: self._kept.pop(key) for i, key in enumerate(keys) if key in self._kept}
        for i, (value, usage, _) in kept.items():
            yield i, (value, usage)
        missing = [i for i in range(len(jobs)) if i not in kept]
        if len(missing) == 1:
            yield missing[0], self._call(jobs[missing[0]], threading.Event(), alone=True)
        elif missing:
            yield from self._together(jobs, missing)

    def leaving(self) -> None:
        """This thread's request is made and about to leave: wait for a place among the calls under way."""
        if getattr(self._here, "holds", False):
            return
        began = time.perf_counter()
        self._slots.acquire()
        self._here.holds = True
        self._here.waited = time.perf_counter() - began

    def answered(self) -> None:
        """This thread's answer has come whole: another call may leave while this thread makes sense of it."""
        if getattr(self._here, "holds", False):
            self._here.holds = False
            self._slots.release()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _together(self, jobs: Sequence[Job[T]], missing: Sequence[int]) -> Iterator[tuple[int, tuple[T, Usage]]]:
        with self._lock:
            if self._pool is None:
                # More threads than calls at once: some make requests or turn answers into vectors, which takes the
                # SDKs longer than it should, while `concurrency` calls are under way.
                threads = self._options.concurrency + min(self._options.concurrency, MOST_READERS)
                self._pool = ThreadPoolExecutor(threads, thread_name_prefix="managed")
            pool = self._pool
        stop = threading.Event()
        places = {pool.submit(self._call, jobs[i], stop, alone=False): i for i in missing}
        failures: dict[int, BaseException] = {}
        try:
            for future in as_completed(places):
                if future.cancelled():
                    continue
                if (error := future.exception()) is None:
                    yield places[future], future.result()
                    continue
                if not isinstance(error, _Stopped):
                    failures[places[future]] = error
                stop.set()
                for other in places:
                    other.cancel()
        finally:
            stop.set()
            for future in places:
                future.cancel()
        if failures:
            first = failures[min(failures)]
            raise first from first.__cause__

    def _call(self, job: Job[T], stop: threading.Event, *, alone: bool) -> tuple[T, Usage]:
        """One call with its retries. Usage counts the pauses of our own limits, not those after a failure; among them
        the wait for a place under `concurrency` when this is all that the caller waits for."""
        waited = 0.0
        for retries in range(self._options.max_retries + 1):
            if stop.is_set():
                raise _Stopped
            reservation = self._limit.reserve({"requests": 1, "tokens": job.tokens, "items": job.items})
            if reservation.wait_seconds > 0:
                waited += self._rested(reservation.wait_seconds, stop)
            self._here.waited = 0.0
            try:
                value, usage = job.send()
                waited += self._here.waited if alone else 0.0
            except Retryable as failure:
                if retries == self._options.max_retries:
                    raise failure.error from failure.cause
                pause = self._pause(retries, failure)
            else:
                self._limit.settle(reservation, "tokens", usage.tokens or job.tokens)
                return value, replace(usage, requests=1, retries=retries, waited_seconds=usage.waited_seconds + waited)
            finally:
                self.answered()
            stop.wait(pause)
        raise AssertionError("unreachable")

    def _rested(self, seconds: float, stop: threading.Event) -> float:
        """Wait for the reserved time; the seconds it took."""
        began = time.perf_counter()
        if stop.wait(seconds):
            raise _Stopped
        return time.perf_counter() - began

    def _pause(self, retries: int, failure: Retryable) -> float:
        """Seconds before the next try, between half and all of the doubled pause, or a little more than asked for."""
        with self._lock:
            jitter = float(self._random.uniform(0.5, 1.0))
        own: float = min(LONGEST_BACKOFF_SECONDS, self._options.backoff_seconds * 2.0**retries) * jitter
        if failure.after is None:
            return own
        if failure.after > self._options.longest_wait_seconds:
            raise AdapterRejected(
                f"{failure.error} It asks to wait {failure.after:,.0f} s, longer than longest_wait_seconds: "
                f"{self._options.longest_wait_seconds:g}."
            ) from failure.cause
        return failure.after + min(own, self._options.backoff_seconds)

    def _keep(self, answered: Iterable[tuple[Job[Any], Any, Usage]]) -> None:
        with self._lock:
            for job, value, usage in answered:
                self._kept[job.key] = value, usage, job.items
            total = sum(items for _, _, items in self._kept.values())
            while total > KEPT_ITEMS:
                total -= self._kept.popitem(last=False)[1][2]


class _Stopped(AdapterError):
    """Another call of the same lot failed; this one was not tried again."""
