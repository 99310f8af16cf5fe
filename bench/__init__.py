"""A retrieval benchmark harness built around vector databases.

`bench.load(RESULT)` gives a result as data frames, `bench.compare(OLD, NEW)` the verdicts on a change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.comparing.api import compare
    from bench.frames import load

__all__ = ["compare", "load"]

# What scripts use, by the module that holds it. It is loaded when it is asked for: `bench --help` needs none of it.
_EXPORTED = {"compare": "bench.comparing.api", "load": "bench.frames"}


def __getattr__(name: str) -> Any:
    if name not in _EXPORTED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_EXPORTED[name]), name)
