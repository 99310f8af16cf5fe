"""The runs of a desk: asked for, listed, followed, cancelled and resumed. All that is told is read from files, so that
all tabs, and a page that was started again, see the same."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from bench.cache.digests import content_key
from bench.cache.locks import opened, tried
from bench.cache.own_files import own_folder
from bench.experiment.reader import load_experiment
from bench.machine.children import command, environment
from bench.machine.clock import utc_now
from bench.ui.desk import Desk, OutsideFolder
from bench.ui.runs.files import (
    CANCELLED,
    ENDED,
    EVENTS,
    LOCK,
    LOG,
    REQUEST,
    STARTED,
    folders,
    is_held,
    read_record,
    write_record,
)
from bench.ui.runs.following import Follower, Told

Kind: TypeAlias = Literal["run", "train"]
State: TypeAlias = Literal["waiting", "running", "finished", "failed", "refused", "cancelled", "killed"]

LIVE: frozenset[State] = frozenset({"waiting", "running"})
RESUMABLE: frozenset[State] = frozenset({"cancelled", "killed", "failed"})
FLAGS: dict[Kind, tuple[str, ...]] = {
    "run": ("--remeasure", "--retrain", "--trust"),
    "train": ("--retrain", "--trust"),
}
_MOST_FOLLOWED = 50
_MOST_WAITING = 50
_LOG_TAIL = 64 << 10


class NotAsked(ValueError):
    """A run that cannot be asked for, with the reason."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its folder tells it. cause: why it ended, where it did not end by itself."""

    folder: Path
    kind: Kind
    file: str
    flags: tuple[str, ...]
    asked_at: str
    state: State
    cause: str = ""
    changed: bool = False

    @property
    def id(self) -> str:
        return self.folder.name


@lru_cache(maxsize=16)
def board(desk: Desk) -> Board:
    """The board of a desk, one for all its tabs."""
    return Board(desk)


class Board:
    """The runs of one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._followers: dict[str, Follower] = {}
        self._ended: dict[str, tuple[Run, object]] = {}

    # -- looking -------------------------------------------------------------------------------------------------

    def listing(self) -> list[Run]:
        """All runs, the last one that was asked for first."""
        return [run for folder in reversed(folders(self._desk.runs)) if (run := self._read(folder)) is not None]

    def run(self, name: str) -> Run | None:
        """The run of a name that a browser sent; None where there is none."""
        return next((run for run in self.listing() if run.id == name), None)

    def told(self, run: Run) -> Told:
        """What a run tells so far."""
        with self._lock:
            if run.id not in self._followers:
                while len(self._followers) >= _MOST_FOLLOWED:
                    self._followers.pop(next(iter(self._followers)))
                self._followers[run.id] = Follower(run.folder / EVENTS)
            return self._followers[run.id].read_on()

    def log(self, run: Run) -> str:
        """The end of what the command printed."""
        try:
            with (run.folder / LOG).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - _LOG_TAIL))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def command_of(self, kind: Kind, file: str, flags: Sequence[str] = ()) -> str:
        """The command line of a run, as a user would type it in the desk's folder."""
        return shlex.join(["bench", *self._arguments(kind, file, self._desk.named(self._desk.results), flags)])

    def _arguments(self, kind: Kind, file: str, results: str, flags: Sequence[str]) -> list[str]:
        output = ["--output", results] if kind == "run" else []
        cache = ["--cache", str(self._desk.cache)] if self._desk.cache else []
        return [kind, file, *output, *cache, *flags]

    # -- doing ---------------------------------------------------------------------------------------------------

    def start(self, kind: Kind, file: str, flags: Sequence[str] = ()) -> Run:
        """Ask for a run. file: an experiment file of the desk. Raises NotAsked, OutsideFolder, ConfigFaults,
        OSError."""
        if self._desk.read_only:
            raise NotAsked("This page is read-only: nothing is run here.")
        path = self._desk.inside(file)
        if not path.is_file():
            raise NotAsked(f"{file}: there is no such file in {self._desk.folder}.")
        if unknown := [flag for flag in flags if flag not in FLAGS[kind]]:
            raise NotAsked(f"{', '.join(unknown)}: bench {kind} is not given that from here.")
        self._desk.admit(load_experiment(path))
        name = self._desk.named(path)
        with self._lock:
            live = [run for run in self.listing() if run.state in LIVE]
            if any((run.kind, run.file) == (kind, name) for run in live):
                raise NotAsked(f"{name} runs already, or waits for its turn: it is not run twice at once.")
            if len(live) >= _MOST_WAITING:
                raise NotAsked(f"{len(live)} runs wait already. Cancel one, or wait.")
            return self._started(kind, path, name, tuple(dict.fromkeys(flags)))

    def _started(self, kind: Kind, path: Path, name: str, flags: tuple[str, ...]) -> Run:
        own_folder(self._desk.runs.parent)
        own_folder(self._desk.runs)
        # Its name decides whose turn is first, and there is never a second one of the same time.
        stamp = time.time_ns() // 1000
        stem = time.strftime("%Y%m%dT%H%M%S", time.gmtime(stamp / 1e6)) + f".{stamp % 1_000_000:06d}"
        draft, folder = self._desk.runs / f".{stem}", self._desk.runs / stem
        draft.mkdir()
        arguments = self._arguments(kind, str(path), str(self._desk.results), flags)
        line = command("bench", *arguments, "--events", str(folder / EVENTS))
        request = {
            "kind": kind, "file": name, "flags": list(flags), "asked_at": utc_now(), "cwd": str(self._desk.folder),
            "command": line, "text": _digest(path),
        }  # fmt: skip
        write_record(draft / REQUEST, request)
        with opened(draft / LOCK) as lock:
            tried(lock, draft / LOCK)
            draft.rename(folder)
            # A session of its own: neither ^C at the page's terminal nor the page's end reaches it.
            keeper = subprocess.Popen(
                command("bench.ui.runs.keeper", str(folder), str(lock)),
                cwd=self._desk.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lock,),
                start_new_session=True,
            )
            os.pwrite(lock, b"%d" % keeper.pid, 0)
        threading.Thread(target=keeper.wait, daemon=True).start()  # otherwise an ended one stays as a zombie
        run = self._read(folder)
        assert run is not None
        return run

    def cancel(self, run: Run) -> None:
        """Cut a run off as ^C does, or take it out of the queue. What was paid for is kept."""
        if not is_held(run.folder):
            return
        # A keeper that has only just been started may not hear the signal; it looks for the file.
        write_record(run.folder / CANCELLED, {"at": utc_now()})
        started = read_record(run.folder / STARTED)
        with opened(run.folder / LOCK) as lock:
            number = started.get("pid") if started else int(os.pread(lock, 20, 0) or b"0")
        if isinstance(number, int) and number > 1:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGINT)

    def resume(self, run: Run) -> Run:
        """Ask for the same again: it goes on where it stopped. The command is put together anew; what a folder says of
        one is not obeyed. Raises as `start` does."""
        return self.start(run.kind, run.file, [flag for flag in run.flags if flag != "--remeasure"])

    # -- one folder ----------------------------------------------------------------------------------------------

    def _read(self, folder: Path) -> Run | None:
        """The run of a folder. What has ended stays as it is and is read once: every tab asks for all runs again and
        again."""
        known = self._ended.get(folder.name) or _as_it_is(folder)
        if known is None or known[0].state in LIVE:
            return known[0] if known is not None else None
        self._ended[folder.name] = known
        run, text = known
        return replace(run, changed=self._changed(run.file, text))

    def _changed(self, file: str, text: object) -> bool:
        """Whether the experiment file is another one than when the run was asked for."""
        try:
            return _digest(self._desk.inside(file)) != text
        except (OSError, OutsideFolder):
            return True


def _as_it_is(folder: Path) -> tuple[Run, object] | None:
    """A run as its folder tells it now, and the digest of its experiment file; None where the folder holds no run."""
    request = read_record(folder / REQUEST)
    if request is None or request.get("kind") not in FLAGS:
        return None
    kind: Kind = request["kind"]
    flags = tuple(str(flag) for flag in request.get("flags") or [] if flag in FLAGS[kind])
    state, cause = _state(folder)
    return (
        Run(folder, kind, str(request.get("file")), flags, str(request.get("asked_at")), state, cause),
        request.get("text"),
    )


def _digest(path: Path) -> str:
    about = path.stat()
    return _digest_at(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=500)
def _digest_at(path: Path, changed: int, size: int) -> str:
    return content_key(path.read_text(encoding="utf-8", errors="replace"))


def _state(folder: Path) -> tuple[State, str]:
    """How a run stands, and why it ended. The lock is looked at first: what is written is complete once it is free."""
    held = is_held(folder)
    started, ended = read_record(folder / STARTED), read_record(folder / ENDED)
    if ended is None and held:
        return ("running", "") if started else ("waiting", "it waits until the runs before it have ended")
    if ended is None and started:
        return "killed", "its process ended without a word: it was killed, or the machine was started again"
    code = ended.get("exit") if ended else None
    if not isinstance(code, int):
        return "cancelled", "before its turn"
    if code == -signal.SIGINT:  # ^C before the command could answer it
        code = 130
    if code < 0:
        return "killed", _killed_by(-code)
    ends: dict[int, tuple[State, str]] = {
        0: ("finished", ""),
        1: ("failed", "a part of it failed; the log says which"),
        2: ("refused", "it could not begin; the log says why"),
        130: ("cancelled", "it was cut off; what was paid for is kept"),
    }
    return ends.get(code, ("failed", f"it ended with exit status {code}; the log may say why"))


def _killed_by(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    reason = ": often because memory ran out" if number == signal.SIGKILL else ""
    return f"it was killed by {name}{reason}"
