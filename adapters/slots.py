"""Places among the calls of one adapter that are under way."""

from __future__ import annotations

import threading
import time


class Slots:
    """As many calls at once as may be. A thread's request takes a place as it leaves, and gives it back when its answer
    has come whole: meanwhile the thread makes its request or makes sense of the answer."""

    def __init__(self, concurrency: int) -> None:
        self._slots = threading.BoundedSemaphore(concurrency)
        self._here = threading.local()

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

    def begin(self) -> None:
        """This thread begins to make a request."""
        self._here.waited = 0.0

    @property
    def waited(self) -> float:
        """Seconds that this thread's last request waited for its place."""
        return float(self._here.waited)
