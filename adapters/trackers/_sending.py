"""The common base of trackers: events become one parcel per run, which a process of its own delivers.

Tracking SDKs retry for minutes, print to the terminal, wait at exit and keep global state. A process that can be
ended at the deadline bounds all of it; it tells line by line what has arrived.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shlex
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from adapters.base import Delivery, Event, QueryScored, RunStarted, SystemFinished, Tracker
from adapters.service import scrub

_MAY_BE_SECRET = re.compile(
    r"KEY|TOKEN|SECRET|PASS|PWD$|CREDENTIAL|AUTH|COOKIE|_PAT$|_SAS|CONNECTION_STRING|CUSTOM_HEADERS|USERNAME|_DSN$"
    r"|^AWS_|^AZURE_|^GOOGLE_|^DATABRICKS_|^MLFLOW_|^BRAINTRUST_",
    re.IGNORECASE,
)
AGAIN = "bench track {folder} sends it later"


class SendingTracker(Tracker):
    """A subclass names its sender (a script beside this file), its parcel and its environment."""

    sender: ClassVar[str]
    key_variables: tuple[str, ...] = ()

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__(options, context)
        self._started: RunStarted | None = None
        self._entries: dict[str, SystemFinished] = {}
        self._rows: dict[str, dict[str, QueryScored]] = {}

    def on(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._started = event
        elif isinstance(event, SystemFinished):
            self._entries[event.system] = event
        elif isinstance(event, QueryScored):
            # By query: an event that is told again after an interruption is the same row.
            self._rows.setdefault(event.system, {})[event.query_id] = event

    def finish(self, timeout_seconds: float) -> Delivery:
        expected = sum(map(len, self._rows.values()))
        if self._started is None or not (expected or self._entries):
            return Delivery(self.name, 0, 0, notes=("there was nothing to send.",))
        if obstacle := self.obstacle():
            return Delivery(self.name, 0, expected, notes=(f"{obstacle} {self._later}",))
        told, trouble = self._run(self.parcel(self._started), timeout_seconds)
        sent = min(expected, sum(int(line.get("sent", 0)) for line in told))
        notes = [str(line["note"]) for line in told if line.get("note")]
        link = next((str(line["link"]) for line in told if line.get("link")), None)
        if trouble:
            notes.append(trouble)
        if sent < expected:
            notes.append(f"{expected - sent:,} of {expected:,} rows were not sent: {self._later}")
        return Delivery(self.name, sent, expected - sent, link, tuple(self._scrubbed(note) for note in notes))

    @abstractmethod
    def obstacle(self) -> str | None:
        """Why nothing can be sent, known without asking anyone."""

    @abstractmethod
    def parcel(self, started: RunStarted) -> dict[str, Any]:
        """What the sender gets, as JSON."""

    def environment(self) -> Mapping[str, str]:
        """Variables for the sender beyond this process's own."""
        return {}

    @property
    def own_variables(self) -> tuple[str, ...]:
        """Prefixes of variables that the sender gets although they may hold secrets."""
        return ()

    def systems(self, started: RunStarted) -> Iterable[tuple[str, Mapping[str, Any], list[QueryScored]]]:
        """Name, entry of result.json and rows of each system, the baseline first."""
        names = list(dict.fromkeys([*started.systems, *self._rows, *self._entries]))
        names.sort(key=lambda name: name != started.experiment.get("baseline"))
        for name in names:
            rows = list(self._rows.get(name, {}).values())
            if rows or name in self._entries:
                yield name, self._entries[name].entry if name in self._entries else {}, rows

    @property
    def _later(self) -> str:
        folder = shlex.quote(self._started.folder) if self._started else "RESULT"
        return AGAIN.format(folder=folder) + "."

    def _run(self, parcel: Mapping[str, Any], seconds: float) -> tuple[list[dict[str, Any]], str | None]:
        """The lines that the sender told, and what went wrong with it."""
        # -P: the script's own folder holds modules named like the SDKs they speak to.
        script = Path(__file__).with_name(self.sender)
        with subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A password in ~/.netrc would replace the key that was named.
            env={**self._inherited(), "NETRC": os.devnull, **self.environment()},
        ) as process:
            data = json.dumps(parcel, default=str).encode()
            late = False
            try:
                out, errors = process.communicate(data, timeout=seconds)
            except subprocess.TimeoutExpired:
                late = True
                process.kill()
                out, errors = process.communicate()
            except BaseException:
                process.kill()
                raise
        told = [json.loads(line) for line in out.decode("utf-8", "replace").splitlines() if line.startswith("{")]
        if late:
            return told, f"the service took longer than {seconds:g} s."
        if process.returncode:
            last = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no word of why"]
            return told, f"sending ended early: {last[0]}"
        return told, None

    def _inherited(self) -> dict[str, str]:
        """This process's variables without those that may hold a secret for somebody else."""
        own = self.own_variables
        return {
            name: value
            for name, value in os.environ.items()
            if not _MAY_BE_SECRET.search(name) or (own and name.startswith(own))
        }

    def _scrubbed(self, text: str) -> str:
        return scrub(text, [os.environ.get(name) for name in self.key_variables])


def row_id(*parts: str) -> str:
    """The same id for the same row, whenever and wherever it is sent."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def scores_within_bounds(scores: Mapping[str, float | None]) -> dict[str, float]:
    """The scores that are measured, finite and within 0..1, a rounding error beyond taken as the bound."""
    found: dict[str, float] = {}
    for name, value in scores.items():
        if value is not None and math.isfinite(value) and -1e-6 <= value <= 1 + 1e-6:
            found[name] = min(1.0, max(0.0, float(value)))
    return found


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that are finite numbers."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
