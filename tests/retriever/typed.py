"""Strict type checks of written files. All of them keep what they find of the libraries in one place: reading a library
takes longer than checking a file."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def faults_of_types(files: Iterable[Path], kept: Path) -> str:
    """What `mypy --strict` says of the files, checked together; nothing where they are without a fault."""
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of these tests may be at it
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "--cache-dir", str(kept), *files],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr
