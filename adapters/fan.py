"""Several requests of one session in flight at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Fan:
    """Threads that send the requests of a session; they are made when there is more than one request to send.

    threads: how many at most. name: what their names begin with.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def each(self, one: Callable[[int], T], count: int) -> list[T]:
        """What `one` gives for 0 to count - 1. The first failure ends the requests that have not begun."""
        if count == 1:
            return [one(0)]
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
        futures = [self._pool.submit(one, i) for i in range(count)]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Let the threads end; what has not begun is not sent."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
