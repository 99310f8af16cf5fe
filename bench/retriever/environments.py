"""Virtual environments made from a file's header, kept by the header's hash."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from bench.cache.artifacts import Cache
from bench.cache.digests import content_key
from bench.cache.own_files import own_folder
from bench.retriever.refusal import RetrieverRefused

PART = "environments"
_HEADER = re.compile(r"^# /// script$\n(?P<body>(?:^#(?:| .*)$\n)+?)^# ///$", re.MULTILINE)
_WHOLE = "whole"  # written last: a folder without it was cut off


def requirements_in(path: Path) -> list[str]:
    """The dependencies that a file's header pins (PEP 723). Raises RetrieverRefused."""
    found = _HEADER.search(path.read_text(encoding="utf-8"))
    if found is None:
        raise RetrieverRefused(f"{path}: has no header with its dependencies (# /// script), which --fresh installs.")
    text = "".join(line[2:] if line.startswith("# ") else line[1:] for line in found["body"].splitlines(keepends=True))
    try:
        wanted = tomllib.loads(text).get("dependencies", [])
    except tomllib.TOMLDecodeError as error:
        raise RetrieverRefused(f"{path}: its header cannot be read: {error}") from error
    return [str(each) for each in wanted]


def fresh_python(path: Path, cache: Cache) -> Path:
    """The interpreter of an environment that holds what a file's header asks for, made where the cache has none. Raises
    RetrieverRefused where it cannot be made."""
    wanted = requirements_in(path)
    own_folder(cache.folder / PART)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache.folder / PART / content_key([version, sorted(wanted)])
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (folder / _WHOLE).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        for command in _commands(folder, python, wanted):
            _run(command)
        (folder / _WHOLE).touch()
    return python


def _commands(folder: Path, python: Path, wanted: list[str]) -> list[list[str]]:
    """What makes an environment: uv where it is installed, which takes seconds, else venv and pip."""
    if (uv := shutil.which("uv", path=_places())) is not None:
        made = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
        return [made, [uv, "pip", "install", "--quiet", "--python", str(python), *wanted]]
    return [
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
    ]


def _places() -> str:
    """Where uv is looked for: beside this interpreter first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RetrieverRefused(f"{' '.join(command[:3])} …: failed: {done.stderr.strip()[-2000:]}")
