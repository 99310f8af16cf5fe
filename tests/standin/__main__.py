"""Start the stand-in services: python -P -m tests.standin --port 8765, or run a command against them: -- COMMAND"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import suppress

from tests.standin import KINDS, Faults, StandIn


def main() -> None:
    """Serve until interrupted; the lines on stdout point the SDKs here."""
    parser = argparse.ArgumentParser(prog="python -P -m tests.standin", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long every call takes")
    parser.add_argument("--fault-rate", type=float, default=0.0, help="share of requests that go wrong")
    parser.add_argument("--fault-kinds", default=",".join(KINDS), help="which ones")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--remember", action="store_true", help="compute no answer twice, for measurements")
    parser.add_argument("command", nargs="*", help="run this with the SDKs pointed here, then stop with its status")
    given = parser.parse_args()
    faults = Faults(given.fault_rate, tuple(given.fault_kinds.split(",")), given.seed)
    standin = StandIn(port=given.port, latency_seconds=given.latency_ms / 1000, faults=faults, remember=given.remember)
    if given.command:
        with standin:
            done = subprocess.run(given.command, env={**os.environ, **standin.environment()}, check=False)
        sys.exit(done.returncode)
    for name, value in standin.environment().items():
        print(f"export {name}={value}", flush=True)
    with suppress(KeyboardInterrupt):
        standin.serve()


if __name__ == "__main__":
    main()
