"""Watching a run for hours costs a page no memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.ui.app import MOST_TABS
from tests.conftest import REPOSITORY


def test_a_tab_that_watches_a_run_leaves_nothing_behind_and_closed_tabs_are_forgotten(tmp_path: Path) -> None:
    looks = [sys.executable, "-P", "-m", "tests.ui.watched", tmp_path]
    done = subprocess.run(looks, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["answers"] > 4
    assert set(told["kept"]) == {told["kept"][0]}
    assert told["tabs"] == MOST_TABS
