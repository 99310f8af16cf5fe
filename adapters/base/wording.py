"""Words for messages that several adapters share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_LISTED = 12  # names that a message lists: a table may have thousands of columns


def listed(names: Iterable[object], wanted: Sequence[str] = ()) -> str:
    """`a, b, c`, and of many names the first with `and 488 more`. wanted: those not found; what is spelled like one of
    them comes first. `none` for no name."""
    every = [str(name) for name in names]
    close = [found for word in wanted for found in difflib.get_close_matches(word, every, n=3)]
    ordered = list(dict.fromkeys((*close, *every)))
    more = f" and {len(ordered) - _LISTED:,} more" if len(ordered) > _LISTED else ""
    return (", ".join(ordered[:_LISTED]) or "none") + more
