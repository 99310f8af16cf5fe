"""Calls to managed services: concurrency, retries, and what was paid for.

The SDKs' own retries are off wherever this is used: they neither count what they do nor know the rate limits, and
two layers of retries multiply.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np

from adapters.base import AdapterError, AdapterRejected, Usage, reckoned_tokens
from adapters.rate_limit import RateLimit
from adapters.service import CallOptions, RequestRefused, Retryable
from adapters.slots import Slots

T = TypeVar("T")

LONGEST_BACKOFF_SECONDS = 30.0
MOST_READERS = 16
TRUST = 32
PROBE = "text"
SHORTEST_CUT = 64  # characters; no model is meant for less
SAME_UNUSABLE = 5  # answers of the same defect one after another: the next would have it too
KEPT_ITEMS = 50_000  # texts whose paid answers are remembered after a failure; at 1,024 dimensions 200 MB


def shortened(text: str, refusal: RequestRefused, end: Literal["start", "end"] = "end") -> str | None:
    """A text without so much of one end as a refusal says that it is too long; None where it does not say that."""
    if not refusal.too_large or len(text) < SHORTEST_CUT:
        return None
    share = 0.5 if refusal.asked is None or refusal.most is None else max(0.97 * refusal.most / refusal.asked, 0.05)
    length = max(1, int(len(text) * share))
    return text[:length] if end == "end" else text[-length:]


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One call. parts: equal for calls that would get the same answer. send: one try, giving the answer and what it
    cost; raises Retryable or an AdapterError. tokens: reckoned; items: texts in it. place: what of the caller's work it
    is about. smaller: what to send instead where the service refuses the request for what it holds; nothing where that
    is one text, which has failed then. cut: whether a text was shortened to what the service takes."""

    parts: Sequence[str]
    send: Callable[[], tuple[T, Usage]]
    tokens: int
    items: int
    place: Any = None
    smaller: Callable[[RequestRefused], Sequence[Job[T]]] = lambda refusal: ()
    cut: bool = False

    @property
    def key(self) -> bytes:
        """A digest of the parts, made when something has to be remembered: no call waits for it."""
        digest = hashlib.blake2b(digest_size=16)
        for part in self.parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a job came to: a value, or why the service refuses the one text that it is about."""

    job: Job[T]
    value: T | None
    usage: Usage
    refusal: str | None = None


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


_Numbered: TypeAlias = tuple[tuple[int, ...], Job[T]]


class Transport:
    """The way of one adapter to its service.

    slots: the service's, in which its requests leave. probe: makes a job that surely holds nothing to object to. Where
    it is refused too, no refusal is about the texts.
    """

    def __init__(
        self,
        options: CallOptions,
        slots: Slots,
        *,
        seed: int,
        probe: Callable[[], Job[Any]],
        items_per_minute: float | None = None,
    ) -> None:
        self._options = options
        self._limit = RateLimit(
            {"requests": options.requests_per_minute, "tokens": options.tokens_per_minute, "items": items_per_minute}
        )
        self._slots = slots
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._kept: OrderedDict[bytes, Answer[Any]] = OrderedDict()
        self._sizes = Sizes()
        self._probe = probe
        self._probing = threading.Lock()
        self._trust = 0  # refusals to believe to be about the texts before the probe is sent again

    @property
    def remark(self) -> str | None:
        """What is to be known of requests that were too large; None where none was."""
        return self._sizes.remark

    def gather(self, jobs: Sequence[Job[T]]) -> list[Answer[T]]:
        """Make the calls, `concurrency` at once; the answers in no order.

        When one fails for good, those under way are still awaited, and all answers are remembered, so that the same
        jobs given again send only what has no answer yet. Raises the first failure in the order of the jobs.
        """
        answers: list[Answer[T]] = []
        try:
            answers.extend(self.stream(jobs))
        except BaseException:
            self._keep(answers)
            raise
        return answers

    def stream(self, jobs: Sequence[Job[T]]) -> Iterator[Answer[T]]:
        """Make the calls, `concurrency` at once; each answer as soon as it has come.

        A job that is refused for what it holds is sent in smaller ones, down to the single text that fails. When one
        fails for good, those under way are still given; then the first failure in the order of the jobs is raised.
        Answers given are the caller's to keep.
        """
        missing: list[_Numbered[T]] = []
        for i, job in enumerate(jobs):
            if (kept := self._remembered(job)) is not None:
                yield kept
            else:
                missing.append(((i,), job))
        while len(missing) == 1:
            ((number, job),) = missing
            found = self._call(job, threading.Event(), alone=True)
            if isinstance(found, Answer):
                yield found
                return
            missing = [((*number, i), smaller) for i, smaller in enumerate(found)]
        if missing:
            yield from self._together(missing)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _together(self, missing: Sequence[_Numbered[T]]) -> Iterator[Answer[T]]:
        with self._lock:
            if self._pool is None:
                # More threads than calls at once: some make requests or turn answers into vectors, which takes the
                # SDKs longer than it should, while `concurrency` calls are under way.
                threads = self._options.concurrency + min(self._options.concurrency, MOST_READERS)
                self._pool = ThreadPoolExecutor(threads, thread_name_prefix="managed")
            pool = self._pool
        stop = threading.Event()
        under_way: dict[Future[Answer[T] | Sequence[Job[T]]], tuple[int, ...]] = {}
        done: queue.SimpleQueue[Future[Answer[T] | Sequence[Job[T]]]] = queue.SimpleQueue()
        failures: dict[tuple[int, ...], BaseException] = {}

        def submit(number: tuple[int, ...], job: Job[T]) -> None:
            future = pool.submit(self._call, job, stop, alone=False)
            under_way[future] = number
            future.add_done_callback(done.put)

        try:
            for number, job in missing:
                submit(number, job)
            while under_way:
                number = under_way.pop(future := done.get())
                if future.cancelled():
                    continue
                if (error := future.exception()) is not None:
                    if not isinstance(error, _Stopped):
                        failures[number] = error
                    stop.set()
                    for other in list(under_way):
                        other.cancel()
                    continue
                found = future.result()
                if isinstance(found, Answer):
                    yield found
                    continue
                for i, smaller in enumerate(found):
                    if (kept := self._remembered(smaller)) is not None:
                        yield kept
                    elif not stop.is_set():
                        submit((*number, i), smaller)
        finally:
            stop.set()
            for future in under_way:
                future.cancel()
        if failures:
            first = failures[min(failures)]
            raise first from first.__cause__

    def _call(self, job: Job[T], stop: threading.Event, *, alone: bool) -> Answer[T] | Sequence[Job[T]]:
        """One call with its retries, or the smaller ones to make instead. Usage counts the pauses of our own limits,
        not those after a failure; among them the wait for a place under `concurrency` when this is all that the caller
        waits for."""
        if (known := self._sizes.too_large(job)) is not None and (smaller := job.smaller(known)):
            return smaller
        try:
            value, usage = self._tried(job, stop, alone=alone)
        except RequestRefused as refusal:
            probed = Usage() if job.items > 1 and refusal.surely else self._believed(refusal, stop)
            smaller = job.smaller(refusal)
            self._sizes.refused(job, refusal)
            return smaller or Answer(job, None, probed, str(refusal))
        self._trust = TRUST
        self._sizes.answered(job, usage)
        return Answer(job, value, usage)

    def _believed(self, refusal: RequestRefused, stop: threading.Event) -> Usage:
        """Raises the refusal where the service refuses the probe as well; else what asking for that took."""
        with self._probing:
            used = Usage()
            if self._trust == 0:
                try:
                    _, used = self._tried(self._probe(), stop, alone=False)
                except RequestRefused:
                    raise refusal from refusal.__cause__
                self._trust = TRUST
            self._trust -= 1
            return used

    def _tried(self, job: Job[T], stop: threading.Event, *, alone: bool) -> tuple[T, Usage]:
        waited = 0.0
        unusable: list[str] = []  # what was wrong with the last answers
        tokens = round(job.tokens * self._sizes.ratio)
        for retries in range(self._options.max_retries + 1):
            if stop.is_set():
                raise _Stopped
            reservation = self._limit.reserve({"requests": 1, "tokens": tokens, "items": job.items})
            if reservation.wait_seconds > 0:
                waited += self._rested(reservation.wait_seconds, stop)
            self._slots.begin()
            try:
                value, usage = job.send()
                waited += self._slots.waited if alone else 0.0
            except Retryable as failure:
                unusable = [*unusable, str(failure)] if failure.unusable else []
                lasting = len(unusable) >= SAME_UNUSABLE and len(set(unusable[-SAME_UNUSABLE:])) == 1
                if lasting or retries == self._options.max_retries:
                    raise failure.error from failure.cause
                pause = self._pause(retries, failure)
            else:
                self._limit.settle(reservation, "tokens", usage.tokens or tokens)
                return value, replace(usage, requests=1, retries=retries, waited_seconds=usage.waited_seconds + waited)
            finally:
                self._slots.answered()
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

    def _remembered(self, job: Job[T]) -> Answer[T] | None:
        """The answer kept for such a job, once."""
        with self._lock:
            kept = self._kept.pop(job.key, None) if self._kept else None
        return None if kept is None else replace(kept, job=job)

    def _keep(self, answers: Iterable[Answer[Any]]) -> None:
        with self._lock:
            for answer in answers:
                if answer.value is not None:
                    self._kept[answer.job.key] = answer
            total = sum(answer.job.items for answer in self._kept.values())
            while total > KEPT_ITEMS:
                total -= self._kept.popitem(last=False)[1].job.items


class Sizes:
    """What a service was seen to take: how many tokens it counts for one that was reckoned, and what was too large."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reckoned = self._counted = 0
        self._most_tokens: float | None = None  # reckoned
        self._most_items: int | None = None
        self._largest_answered = 0  # items
        self._halved = 0
        self._largest_refused = 0  # items

    @property
    def ratio(self) -> float:
        """Tokens that the service counts for one that was reckoned."""
        return self._counted / self._reckoned if self._reckoned else 1.0

    @property
    def remark(self) -> str | None:
        if not self._halved or not self._largest_answered:  # what was never answered is an error, told as one
            return None
        return (
            f"{self._halved:,} of its requests, of up to {self._largest_refused:,} texts, were refused and sent again "
            f"in smaller ones; the largest that was answered held {self._largest_answered:,}"
        )

    def answered(self, job: Job[Any], usage: Usage) -> None:
        with self._lock:
            if usage.tokens:
                self._reckoned += job.tokens
                self._counted += usage.tokens
            self._largest_answered = max(self._largest_answered, job.items)

    def refused(self, job: Job[Any], refusal: RequestRefused) -> None:
        """Learn from a refusal of several texts for their size. One that counts most of what was reckoned is about the
        whole request; one that counts nothing, of more texts than were ever answered, is taken to be about their
        number."""
        if job.items < 2 or refusal.known or not refusal.too_large:
            return
        with self._lock:
            self._halved += 1
            self._largest_refused = max(self._largest_refused, job.items)
            if refusal.asked is not None and refusal.most is not None:
                if refusal.asked == job.items:
                    self._most_items = min(refusal.most, self._most_items or refusal.most)
                elif refusal.asked >= job.tokens / 2:
                    most = job.tokens * refusal.most / refusal.asked
                    self._most_tokens = min(most, self._most_tokens or most)
            elif job.items > self._largest_answered:
                self._most_items = min(job.items - 1, self._most_items or job.items)

    def too_large(self, job: Job[Any]) -> RequestRefused | None:
        """The refusal to expect of a job that holds more than the service was seen to take."""
        if job.items < 2:
            return None
        items = self._most_items is not None and job.items > self._most_items
        tokens = self._most_tokens is not None and job.tokens > self._most_tokens
        if not items and not tokens:
            return None
        return RequestRefused("It is larger than what the service takes.", known=True, surely=True)


class _Stopped(AdapterError):
    """Another call of the same lot failed; this one was not tried again."""
