"""A training in a process of its own, which is killed in the middle."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from adapters.base import TrainingStep

_SCRIPT = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from adapters._trainer_laws._killed import train_and_die
train_and_die(*sys.argv[2:])
"""


def killed_training(suite: Any, folder: Path, step: int) -> None:
    """Begin the short training of a suite in a new process, which ends itself as by `kill -9` once a step is told."""
    kind = type(suite)
    given = [json.dumps(sys.path), kind.__module__, kind.__qualname__, str(folder), str(step)]
    ended = subprocess.run([sys.executable, "-c", _SCRIPT, *given], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-3000:]


def train_and_die(module: str, name: str, folder: str, step: str) -> None:
    """What the new process does."""
    suite: Any = importlib.import_module(module)
    for part in name.split("."):
        suite = getattr(suite, part)

    def tell(told: TrainingStep) -> None:
        if told.step >= int(step):
            os.kill(os.getpid(), signal.SIGKILL)

    suite().train_briefly(Path(folder), tell=tell)
