"""The names of indexes in their engines. Only the name tells an index from a table of the user's."""

from __future__ import annotations

import re

_NAME = re.compile(r"bench_(?:[a-z]+_)?[0-9a-f]{32}")


def index_name(key: str, purpose: str | None = None) -> str:
    """The name of an index in its engine. key: 32 hex digits. purpose: one word, for an index that is not kept."""
    return f"bench_{key}" if purpose is None else f"bench_{purpose}_{key}"


def is_index_name(name: str) -> bool:
    """Whether `index_name` makes such a name. A table with any other name belongs to the user and is never dropped."""
    return _NAME.fullmatch(name) is not None
