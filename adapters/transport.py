"""Calls to managed services: rate limits, concurrency, retries, what was paid for, and keys kept out of sight.

The SDKs' own retries are off wherever this is used: they neither count what they do nor know the rate limits, and
two layers of retries multiply.
"""

from __future__ import annotations

import email.utils
import json
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import numpy as np
from pydantic import Field

from .base import (
    AdapterError,
    AdapterRejected,
    AdapterTimeout,
    AdapterUnavailable,
    ModelNotFound,
    Options,
    Usage,
)

T = TypeVar("T")

TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
LONGEST_BACKOFF_SECONDS = 30.0
MOST_READERS = 16
KEPT_ITEMS = 50_000  # texts whose paid answers are remembered after a failure; at 1,024 dimensions 200 MB
_MESSAGE_CHARACTERS = 300


class CallOptions(Options):
    """What every managed service takes.

    api_key_env: the environment variable that holds the key, where the SDK's own is not it. Limits are per minute
    and include every try; tokens are estimated before a call and corrected by its answer. A try waits for an answer
    `timeout_seconds`; pauses between tries double from `backoff_seconds`, jittered, or are what the service asks
    for up to `longest_wait_seconds`.
    """

    base_url: str | None = Field(None, pattern=r"^https?://")
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    concurrency: int = Field(8, ge=1, le=256)
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    timeout_seconds: float = Field(60.0, gt=0)
    max_retries: int = Field(8, ge=0, le=50)
    backoff_seconds: float = Field(0.5, ge=0)
    longest_wait_seconds: float = Field(120.0, ge=0)


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, from 1: UTF-8 bytes / 4, which for English is characters / 4."""
    return max(1, -(-len(text.encode("utf-8", "surrogatepass")) // 4))


class Retryable(Exception):
    """A try failed in a way that another may cure. error: what to raise when none did; after: seconds to wait first,
    as the service asks; cause: the SDK's exception where it may be shown."""

    def __init__(self, error: AdapterError, *, after: float | None = None, cause: BaseException | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after = after
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """One call. key: equal for calls that would get the same answer. send: one try, giving the answer and what it
    cost; raises Retryable or an AdapterError. tokens: estimated; items: texts in it."""

    key: bytes
    send: Callable[[], tuple[T, Usage]]
    tokens: int
    items: int


class RateLimit:
    """At most so much within any 60 seconds; first come, first served.

    Limits are by name: requests, tokens, items. An amount above a limit of its own passes alone.
    """

    def __init__(
        self,
        limits: Mapping[str, float | None],
        *,
        window_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._windows = {name: _Window(limit, window_seconds) for name, limit in limits.items() if limit is not None}
        self._clock = clock
        self._lock = threading.Lock()
        self._last = -float("inf")

    def reserve(self, amounts: Mapping[str, float]) -> Reservation:
        """Take the next place in which these amounts fit."""
        with self._lock:
            now = self._clock()
            at = max(now, self._last) if self._windows else now
            for name, window in self._windows.items():
                at = window.earliest(at, amounts[name])
            entries = {name: window.take(at, amounts[name]) for name, window in self._windows.items()}
            self._last = at
            return Reservation(max(0.0, at - now), entries)

    def settle(self, reservation: Reservation, name: str, amount: float) -> None:
        """Correct an estimated amount by what it turned out to be."""
        entry = reservation.entries.get(name)
        if entry is not None:
            with self._lock:
                self._windows[name].correct(entry, amount)


@dataclass(slots=True)
class _Entry:
    at: float
    amount: float
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """wait_seconds: until the place comes."""

    wait_seconds: float
    entries: Mapping[str, _Entry]


class _Window:
    def __init__(self, limit: float, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._entries: deque[_Entry] = deque()
        self._total = 0.0

    def earliest(self, at: float, amount: float) -> float:
        while self._entries:
            first = self._entries[0]
            fits = self._total + min(amount, self._limit) <= self._limit
            if fits and first.at + self._seconds > at:
                break
            at = max(at, first.at + self._seconds)
            first.gone = True
            self._total -= self._entries.popleft().amount
        return at

    def take(self, at: float, amount: float) -> _Entry:
        entry = _Entry(at, amount)
        self._entries.append(entry)
        self._total += amount
        return entry

    def correct(self, entry: _Entry, amount: float) -> None:
        if not entry.gone:
            self._total += amount - entry.amount
            entry.amount = amount


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
            kept = {i: self._kept.pop(job.key) for i, job in enumerate(jobs) if job.key in self._kept}
        for i, (value, usage, _) in kept.items():
            yield i, (value, usage)
        missing = [i for i in range(len(jobs)) if i not in kept]
        if len(missing) == 1:
            yield missing[0], self._call(jobs[missing[0]], threading.Event(), alone=True)
        elif missing:
            yield from self._together(jobs, missing)

    def answered(self) -> None:
        """This thread's answer has come whole: another call may start while this thread makes sense of it."""
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
                # More threads than calls at once: some turn answers into vectors, which takes the SDKs longer than it
                # should, while `concurrency` calls are under way.
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
            waited += self._admitted(reservation, stop, count_slot=alone)
            try:
                value, usage = job.send()
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

    def _admitted(self, reservation: Reservation, stop: threading.Event, *, count_slot: bool) -> float:
        """Wait for the reserved time and for a place; the seconds it took."""
        began = time.perf_counter()
        if reservation.wait_seconds > 0 and stop.wait(reservation.wait_seconds):
            raise _Stopped
        limited = time.perf_counter() - began if reservation.wait_seconds > 0 else 0.0
        began = time.perf_counter()
        at_once = self._slots.acquire(blocking=False)
        if not at_once:
            self._slots.acquire()
        self._here.holds = True
        return limited + (time.perf_counter() - began if count_slot and not at_once else 0.0)

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


class Service:
    """Who is called: names, address and key, and how its refusals are told.

    own_address: the provider's own; anything else is the `address` of an Identity. answered: told when an answer has
    come whole, where the HTTP client calls `read_whole` with every response.
    """

    def __init__(
        self,
        title: str,
        options: CallOptions,
        *,
        own_address: str | None,
        address_env: str | None,
        key_env: str | None,
    ) -> None:
        given = options.base_url or (os.environ.get(address_env) if address_env else None) or own_address
        assert given is not None
        self.title = title
        self.answered: Callable[[], None] = lambda: None
        self.url = given.rstrip("/")
        self.address = None if own_address and _same_place(self.url, own_address) else without_credentials(self.url)
        self.key_variable = options.api_key_env or key_env

    @property
    def key(self) -> str | None:
        """The key, read when asked for and kept nowhere."""
        return (os.environ.get(self.key_variable) or "").strip() or None if self.key_variable else None

    def check_key(self) -> None:
        """Raise AdapterRejected when there is no key, unless a server of one's own may do without."""
        if self.key is None and self.address is None:
            raise AdapterRejected(
                f"{self.title} needs an API key. Set it: export {self.key_variable}=…, or name the variable that holds "
                "it: api_key_env: NAME"
            )

    def read_whole(self, response: Any) -> None:
        """Hook of httpx for responses."""
        response.read()
        self.answered()

    @property
    def at(self) -> str:
        """The service in words."""
        return self.title if self.address is None else f"{self.title} at {self.address}"

    def scrubbed(self, text: object) -> str:
        """Text without the key, on one line, cut to a few hundred characters."""
        line = " ".join(scrub(str(text), [self.key]).split())
        return line if len(line) <= _MESSAGE_CHARACTERS else f"{line[:_MESSAGE_CHARACTERS]} …"

    def showable(self, error: BaseException) -> BaseException | None:
        """The exception, if neither it nor what it carries shows the key: what `raise … from` may keep."""
        shown = f"{error}{error!r}{getattr(error, 'body', '')}{getattr(error, 'headers', '')}"
        return None if self.key and self.key in shown else error

    def failed(
        self, status: int, message: object, *, headers: Mapping[str, str] | None = None, error: BaseException
    ) -> Exception:
        """What an answer with an error status means: Retryable, or the AdapterError to raise."""
        said = self.scrubbed(message)
        cause = self.showable(error)
        if status in TRANSIENT and "insufficient_quota" not in said:
            after = retry_after(headers or {})
            if status == 429:
                refused = AdapterRejected(
                    f"{self.at} refused for its rate limit (429) until the last retry: {said} Lower "
                    "requests_per_minute, tokens_per_minute or concurrency."
                )
                return Retryable(refused, after=after, cause=cause)
            return Retryable(AdapterUnavailable(f"{self.at} failed ({status}): {said}"), after=after, cause=cause)
        final: AdapterError
        if status in (401, 403):
            where = f"the key in {self.key_variable}" if self.key else f"a call without a key ({self.key_variable})"
            final = AdapterRejected(f"{self.at} refused {where} ({status}): {said}")
        elif status == 404:
            final = ModelNotFound(f"{self.at} does not have it (404): {said}")
        else:
            final = AdapterRejected(f"{self.at} refused the request ({status}): {said}")
        final.__cause__ = cause
        return final

    def timed_out(self, seconds: float, error: BaseException) -> Retryable:
        """No answer in time."""
        return Retryable(
            AdapterTimeout(f"{self.at} gave no answer within {seconds:g} s (timeout_seconds)."),
            cause=self.showable(error),
        )

    def unreachable(self, error: BaseException) -> Retryable:
        """No connection, or one that broke."""
        said = self.scrubbed(error) or type(error).__name__
        return Retryable(
            AdapterUnavailable(f"{self.at} cannot be reached or broke off ({self.url_shown}): {said}"),
            cause=self.showable(error),
        )

    def malformed(self, what: str, error: BaseException | None = None) -> Retryable:
        """An answer that is not what the interface promises."""
        return Retryable(
            AdapterRejected(f"{self.at} answered with something unusable until the last retry: {what}"),
            cause=self.showable(error) if error else None,
        )

    @property
    def url_shown(self) -> str:
        """The address without credentials."""
        return without_credentials(self.url)


def scrub(text: str, secrets: Iterable[str | None]) -> str:
    """Text in which every secret is replaced, also where it stands escaped as JSON writes it."""
    for secret in secrets:
        if secret:
            for form in {secret, json.dumps(secret)[1:-1]}:
                text = text.replace(form, "[key]")
    return text


def without_credentials(url: str) -> str:
    """An address without user, password and query."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait: retry-after-ms, or Retry-After in seconds or as a date. None if not said.

    Source: RFC 9110, section 10.2.3; retry-after-ms is OpenAI's.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = lower.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, TypeError, OverflowError):
                continue
        if np.isfinite(seconds):
            return max(0.0, seconds)
    return None


def batches(texts: Sequence[str], *, items: int, tokens: int) -> list[range]:
    """Consecutive batches that fill a request's limits in texts and estimated tokens; a text over it stands alone."""
    found: list[range] = []
    start, total = 0, 0
    for i, text in enumerate(texts):
        size = estimated_tokens(text)
        if i > start and (i - start == items or total + size > tokens):
            found.append(range(start, i))
            start, total = i, 0
        total += size
    if start < len(texts):
        found.append(range(start, len(texts)))
    return found


def _same_place(url: str, other: str) -> bool:
    mine, theirs = urlsplit(url.rstrip("/")), urlsplit(other.rstrip("/"))
    return (mine.scheme, mine.netloc.lower(), mine.path) == (theirs.scheme, theirs.netloc.lower(), theirs.path)
