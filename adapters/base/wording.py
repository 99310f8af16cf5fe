"""Words for messages that several adapters share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_LISTED = 12  # names that a message lists: a table may have thousands of columns


def listed(names: Iterable[object], wanted: Sequence[str] = ()) -> str:
    """`a, b, c`, and of many names some with `and 488 more`, first those that are spelled like what was wanted. `none`
    for no name."""
    every = list(dict.fromkeys(map(str, names)))
    if len(every) <= _LISTED:
        return ", ".join(every) or "none"
    close = [found for word in wanted for found in difflib.get_close_matches(word, every, n=3)]
    first = list(dict.fromkeys((*close, *every)))[:_LISTED]
    return f"{', '.join(first)} and {len(every) - _LISTED:,} more"
