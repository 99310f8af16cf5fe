"""Maps the engine's errors."""

from __future__ import annotations

from adapters.base import AdapterError, AdapterRejected, OutOfMemory
from adapters.inference import first_line, lacks_memory


def told(error: Exception, what: str, kind: type[AdapterError] = AdapterRejected) -> AdapterError:
    """The adapters' error for one of the engine: OutOfMemory where memory is lacking, else one of the given kind."""
    if lacks_memory(error):
        return OutOfMemory(
            f"{what}: no memory is left in this process. Take an index type with PQ or SQ, or fewer documents. "
            f"({first_line(error)})"
        )
    return kind(f"{what}: {error}")
