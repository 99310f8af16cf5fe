"""How this program starts processes of its own: they can import what this process can, and nothing from a stranger's
folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bench

PACKAGES = str(Path(bench.__file__).resolve().parent.parent)
"""The folder that holds `bench` and `adapters`."""


def command(module: str, *arguments: str) -> list[str]:
    """How a module of this program is started. `-P` keeps the current folder out of the search path, because it may be
    a stranger's."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment for such a process. Whatever can be imported here can be imported there, third-party adapters
    included."""
    places = [*(path for path in sys.path if path), PACKAGES]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(places))}
