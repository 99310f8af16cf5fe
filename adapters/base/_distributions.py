"""Finds the distribution that an importable package belongs to."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions


@lru_cache(maxsize=256)
def distribution_of(package: str, likely: str | None = None) -> str | None:
    """The installed distribution that a package belongs to, None where there is none. likely: the name to try first,
    because searching all distributions takes a good part of a second."""
    for name in (likely, package):
        if name is not None and (found := _named(name)) is not None:
            return found
    return next(iter(packages_distributions().get(package, ())), None)


def _named(name: str) -> str | None:
    try:
        return distribution(name).name
    except PackageNotFoundError:
        return None
