"""Processes of our own: what they need so that they import what this one can, and nothing of a stranger's folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bench

PACKAGES = str(Path(bench.__file__).resolve().parent.parent)
"""The folder that holds `bench` and `adapters`."""


def command(module: str, *arguments: str) -> list[str]:
    """How a module of ours is started. `-P`: the folder that the user stands in may be a stranger's."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment, with which whatever can be imported here can be imported there: adapters may be importable only
    because this process can import them."""
    places = [*(path for path in sys.path if path), PACKAGES]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(places))}
