"""A page that is really served, by the command, for tests that ask it over HTTP or with a browser."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.machine.children import command, environment


@contextmanager
def served(folder: Path, *options: str, cwd: Path | None = None, **variables: str) -> Iterator[str]:
    """The address of a page over a folder, served on a free port until the block ends."""
    with page(folder, *options, cwd=cwd, **variables) as (address, _):
        yield address


@contextmanager
def page(
    folder: Path, *options: str, cwd: Path | None = None, **variables: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """As `served`, with the process. variables: of its environment."""
    process = subprocess.Popen(
        command("bench", "ui", str(folder), "--port", "0", *options),
        cwd=cwd or folder,
        env={**environment(), "HOME": str(folder), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        if not address:
            raise AssertionError(process.stderr.read())
        yield address, process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
