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

from bench.machine.children import environment
from bench.machine.clock import utc_now
from bench.ui.runs.files import ENDED, LOG, REQUEST, STARTED, earlier, is_held, write_record

_PAUSE = 0.3


def keep(folder: Path, lock: int) -> None:
    """Keep the run of a folder until it has ended. SIGINT takes it out of the queue, or is handed on to the command."""
    # An ignored SIGINT would be inherited by the command, as below a shell that runs something in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while any(is_held(other) for other in earlier(folder)):
            time.sleep(_PAUSE)
    except KeyboardInterrupt:
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
        write_record(folder / STARTED, {"at": utc_now(), "pid": process.pid})
        code = _waited(process)
        write_record(folder / ENDED, {"at": utc_now(), "exit": code})


def _waited(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


if __name__ == "__main__":
    os.umask(0o077)
    keep(Path(sys.argv[1]), int(sys.argv[2]))
