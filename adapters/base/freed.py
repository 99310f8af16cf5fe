"""Memory that is free again, given back to the system."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

import pyarrow as pa


def give_back(*, collect: bool) -> None:
    """Return freed memory to the system, so that what comes next does not seem to need none, or lacks room.

    collect: whether objects that point to themselves are looked for first, as models do; that takes a tenth of a second
    in a large process.
    """
    if collect:
        gc.collect()
    pa.default_memory_pool().release_unused()
    with suppress(AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
