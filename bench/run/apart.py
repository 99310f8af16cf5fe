"""Runs a command restricted: in a process of its own, behind a fence, with access to nothing of the user's that it does
not need."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from adapters.base import OFFLINE_VARIABLES, open_text, resolve_path
from bench.cache.place import VARIABLE
from bench.experiment.yaml_text import LONGEST, parse_yaml
from bench.machine import children, fence
from bench.messages.secrets import holds_secret
from bench.messages.terminal import say, show

# Where packages keep files that they can make again.
_KEPT = ("TMPDIR", "XDG_CACHE_HOME", "HF_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")

_LOCKS = "XDG_RUNTIME_DIR"  # locks of the machine: a stranger's run shares none with the user's


def run_apart(arguments: Sequence[str], *, file: Path, output: Path, cache: Path, cache_is_given: bool) -> int:
    """Run `bench ARGUMENTS…` behind a fence; its exit status. It reads the file's folder, and writes into the folders
    of results and cache: those of the command line, or that which the file names below its own folder."""
    base = file.resolve().parent
    if not cache_is_given and (named := _named_cache(file, base)) is not None:
        cache = named
    with _made([output, cache]) as writes, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        places = {"reads": [str(base)], "writes": writes, "scratch": os.path.realpath(scratch)}
        command = children.command("bench", fence.FLAG, json.dumps(places), *arguments)
        return _ended(command, {**_environment(scratch), VARIABLE: os.path.realpath(cache)})


def _environment(scratch: str) -> dict[str, str]:
    """The environment without keys: a restricted run has nobody to send them to."""
    found = {name: value for name, value in children.environment().items() if not holds_secret(name)}
    return {**found, **dict.fromkeys(OFFLINE_VARIABLES, "1"), **dict.fromkeys((*_KEPT, _LOCKS), scratch)}


def _named_cache(file: Path, base: Path) -> Path | None:
    """The cache that the file names, if it lies below the file's folder. Any other is refused when the file is read."""
    try:
        with open_text(file) as opened:
            raw = parse_yaml(opened.read(LONGEST + 1))
        named = raw.get("cache") if isinstance(raw, dict) else None
        path = resolve_path(base, named) if isinstance(named, str) and "://" not in named else None
        return path if path is not None and path.resolve().is_relative_to(base) else None
    except Exception:  # the run meets the same failure and reports it
        return None


@contextmanager
def _made(folders: Iterable[Path]) -> Iterator[list[str]]:
    """Make the folders that a fence opens, because a fence can only open what exists. Folders that were made here and
    stayed empty are removed again."""
    made: list[Path] = []
    try:
        for folder in folders:
            missing = [each for each in (folder, *folder.parents) if not each.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            made += missing
        yield [os.path.realpath(folder) for folder in folders]
    finally:
        for folder in sorted(made, key=lambda each: len(each.parts), reverse=True):
            locks = {".lock", ".locks"}  # held by nobody any more
            if folder.is_dir() and {path.name for path in folder.iterdir()} <= locks:
                shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.rmdir()


def _ended(command: Sequence[str], environment: dict[str, str]) -> int:
    own = _is(sys.stdout, 1) and _is(sys.stderr, 2)
    pipe = None if own else subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe) as process:
        while True:
            try:
                out, err = process.communicate()
                break
            except KeyboardInterrupt:  # the terminal sent it to the child too, which has a result to finish
                continue
    if not own:
        show(out.decode("utf-8", "replace"))
        if told := err.decode("utf-8", "replace").rstrip("\n"):
            say(told)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _is(stream: Any, descriptor: int) -> bool:
    """Whether a child inherits this stream under that number."""
    try:
        return bool(stream.fileno() == descriptor)
    except (AttributeError, OSError, ValueError):
        return False
