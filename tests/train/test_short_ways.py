"""Laws of the short ways of make: each is the command that it is short for."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Commands in place of the installed ones: `bench` writes down its words, `tensorboard` runs until it is ended."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, program in (
        ("bench", f'printf "%s\\n" "$@" > "{tmp_path}/words"; [ "$3" != FAIL ] && [ "$2" != FAIL ]'),
        ("tensorboard", f'echo $$ > "{tmp_path}/board"; exec sleep 600'),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{program}\n")
        (folder / name).chmod(0o755)
    return folder


def make(tools: Path, target: str, *variables: str) -> tuple[int, list[str]]:
    """Exit status, and the words that `bench` was called with."""
    old = ("-o.venv/.uv", "-o.venv/.installed", "-o.venv/.installed-train")
    done = subprocess.run(
        [
            "make",
            f"--file={REPOSITORY / 'Makefile'}",
            f"--include-dir={REPOSITORY}",
            *old,
            target,
            f"BIN={tools}",
            *variables,
        ],
        cwd=tools.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    told = tools.parent / "words"
    return done.returncode, told.read_text().splitlines() if told.exists() else [done.stderr]


def test_training_and_measuring_take_the_experiment_that_is_named(tools: Path) -> None:
    assert make(tools, "train-embed", "CONFIG=my file.yaml") == (0, ["train", "my file.yaml"])
    assert make(tools, "eval-embed", "CONFIG=my file.yaml") == (0, ["run", "my file.yaml"])
    assert make(tools, "train-embed", "CONFIG=FAIL")[0] != 0


def test_text_reaches_the_command_as_it_was_written(tools: Path) -> None:
    text = 'it\'s a "text" `ls` ; -v'
    assert make(tools, "infer-embed", "MODEL=trained:x", f"TEXT={text}") == (0, ["encode", "--", "trained:x", text])
    words = ["encode", "--corpus", "c d.txt", "--file", "a b.txt", "trained:tuned"]
    assert make(tools, "infer-embed", "FILE=a b.txt", "CORPUS=c d.txt") == (0, words)


@pytest.mark.parametrize(("config", "status"), [("file.yaml", 0), ("FAIL", 2)])
def test_the_board_ends_with_the_training_and_hides_no_failure(tools: Path, config: str, status: int) -> None:
    code, words = make(tools, "train-embed-tb", f"CONFIG={config}")
    assert (code, words) == (status, ["train", config])
    board = tools.parent / "board"
    while board.exists() and _runs(board.read_text().strip()):  # the test's own limit of time ends this
        time.sleep(0.01)


def test_folders_are_made_where_data_and_results_are_looked_for(tools: Path) -> None:
    assert make(tools, "setup-embed-dirs")[0] == 0
    assert {"data", "results"} <= {path.name for path in tools.parent.iterdir()}


def _runs(process: str) -> bool:
    """Whether a process runs; one that ended and that nobody waited for does not."""
    try:
        os.kill(int(process), 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError, ValueError):
        return False
