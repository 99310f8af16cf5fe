"""What a run would do and take, told by the command in a process of its own: this one loads no models."""

from __future__ import annotations

import subprocess

from bench.experiment.reader import load_experiment
from bench.machine.children import command, environment
from bench.ui.desk import Desk

_LONGEST = 600  # seconds


def dry_run(desk: Desk, file: str, kind: str = "run") -> tuple[bool, str]:
    """Whether the experiment could begin, and what the command tells. file: an experiment file of the desk. Raises
    OutsideFolder, ConfigFaults."""
    path = desk.inside(file)
    desk.admit(load_experiment(path))
    cache = ["--cache", str(desk.cache)] if desk.cache else []
    try:
        done = subprocess.run(
            command("bench", kind, str(path), "--dry-run", "--quiet", *cache),
            cwd=desk.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_LONGEST,
        )
    except subprocess.TimeoutExpired:
        return False, f"The dry run was stopped after {_LONGEST} seconds."
    return done.returncode == 0, (done.stdout + done.stderr).strip()
