"""How much of what could be tried for hours a test tries: a part in every run, all of it with BENCH_TEST_ALL=1."""

from __future__ import annotations

import os
from typing import TypeVar

ALL = "BENCH_TEST_ALL" in os.environ
T = TypeVar("T")


def enough(always: T, everything: T) -> T:
    """What a test takes: `always` in every run, `everything` where BENCH_TEST_ALL is set."""
    return everything if ALL else always
