"""Versions of installed packages, each read once: a process goes on with the package that it imported, and to read the
description of a large one takes ten milliseconds."""

from functools import cache
from importlib import metadata


@cache
def version(distribution: str) -> str:
    """Raises PackageNotFoundError."""
    return metadata.version(distribution)
