"""Names of files, made of what people call things."""

from __future__ import annotations

import re

from bench.cache.digests import content_key

_UNSAFE = re.compile(r"[^A-Za-z0-9._+=,()>-]+")
_LONGEST = 200


def safe_name(name: str) -> str:
    """A system's name, safe for files, and no longer than file systems take it with an ending."""
    safe = _UNSAFE.sub("_", name)
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}-{content_key(name)[:12]}"
