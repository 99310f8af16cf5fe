"""The names of indexes in their engines: by them alone an index is told from a table of the user's."""

from __future__ import annotations

import re

_NAME = re.compile(r"bench_(?:[a-z]+_)?[0-9a-f]{32}")


def index_name(key: str, purpose: str | None = None) -> str:
    """What an index is called in its engine. key: 32 hex digits. purpose: one word, of an index that is not kept."""
    return f"bench_{key}" if purpose is None else f"bench_{purpose}_{key}"


def is_index_name(name: str) -> bool:
    """Whether `index_name` makes such names. What is called otherwise is somebody's own, and is never dropped."""
    return _NAME.fullmatch(name) is not None
