"""The process that keeps one run: it waits for the run's turn, starts the command, and writes how it ended.

python -m bench.ui.runs.keeper FOLDER LOCK      LOCK: the number of the open lock file, which the command gets too
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from bench.machine.children import environment
from bench.machine.clock import utc_now
from bench.ui.runs.files import CANCELLED, ENDED, LOG, REQUEST, STARTED, earlier, is_held, write_record

_PAUSE = 0.3


def keep(folder: Path, lock: int) -> None:
    """Keep the run of a folder until it has ended. SIGINT takes it out of the queue, or is handed on to the command."""
    cancelled = False
    process: subprocess.Popen[bytes] | None = None

    def cut(number: int, frame: FrameType | None) -> None:
        nonlocal cancelled
        cancelled = True
        if process is not None:
            process.send_signal(signal.SIGINT)

    def called_off() -> bool:
        return cancelled or (folder / CANCELLED).exists()

    # Below a shell that runs something in the background SIGINT is ignored from birth, and a command would inherit
    # that. What was sent before this line is lost; the file tells of it.
    signal.signal(signal.SIGINT, cut)
    while not called_off() and any(map(is_held, earlier(folder))):
        time.sleep(_PAUSE)
    if called_off():
        write_record(folder / ENDED, {"at": utc_now(), "exit": None})
        return
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            request["command"],
            cwd=request["cwd"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
        )
        if cancelled:  # while the command was being started
            process.send_signal(signal.SIGINT)
        write_record(folder / STARTED, {"at": utc_now(), "pid": process.pid})
        write_record(folder / ENDED, {"at": utc_now(), "exit": process.wait()})


if __name__ == "__main__":
    os.umask(0o077)
    keep(Path(sys.argv[1]), int(sys.argv[2]))
