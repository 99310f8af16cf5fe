"""Checkpoints are whole or count for nothing."""

from __future__ import annotations

import errno
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.base import AdapterRejected, TrainingStep
from adapters.trainers._checkpoints import Checkpoints, Progress


def written(kept: Checkpoints, step: int, *, best: int | None = None) -> Path:
    """A checkpoint as the library writes it, not yet marked as whole."""
    path = kept.at(step)
    path.mkdir()
    (path / "optimizer.pt").write_bytes(b"moments")
    if best is not None:
        kept.keep_best(best, lambda file: file.write_bytes(b"weights"))
    return path


def progress(step: int, best: int | None = None) -> Progress:
    return Progress(curve=[TrainingStep(step, 10, 0.5, loss=0.25)], best_step=best, best=None if best is None else 0.5)


def test_a_checkpoint_that_nobody_completed_counts_for_nothing(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "this")
    written(kept, 2)
    kept.complete(2, progress(2))
    written(kept, 4)
    (tmp_path / ".best-4.pt").write_bytes(b"half")
    found = Checkpoints(tmp_path, "this").last()
    assert found == (kept.at(2), progress(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2"]


def test_the_one_before_is_removed_once_the_next_is_whole(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "this")
    written(kept, 2, best=1)
    kept.complete(2, progress(2, best=1))
    written(kept, 4, best=3)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-2", "checkpoint-4", "best-1.pt", "best-3.pt"}
    kept.complete(4, progress(4, best=3))
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-4", "best-3.pt"}


def test_weights_that_were_better_after_the_last_whole_checkpoint_are_found_again_by_training(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "this")
    written(kept, 2, best=1)
    kept.complete(2, progress(2, best=1))
    kept.keep_best(3, lambda file: file.write_bytes(b"better"))
    found = kept.last()
    assert found is not None and found[1].best_step == 1
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-2", "best-1.pt"}


def test_checkpoints_of_another_training_are_not_gone_on_with(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, "this")
    written(kept, 2)
    kept.complete(2, progress(2))
    assert Checkpoints(tmp_path, "another").last() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 64 vs 0"),
    ],
)
def test_a_disk_that_fills_leaves_the_checkpoint_before(tmp_path: Path, error: Exception) -> None:
    kept = Checkpoints(tmp_path, "this")
    written(kept, 2)
    kept.complete(2, progress(2))
    with (
        pytest.raises(AdapterRejected, match=r"is full: .* step 4 .*Free space .*goes on from step 2\."),
        kept.writing(4),
    ):
        written(kept, 4)
        raise error
    assert kept.last() == (kept.at(2), progress(2))


def test_what_is_no_lack_of_room_is_raised_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other"), Checkpoints(tmp_path, "this").writing(4):
        raise ValueError("other")


_TRAINS = """\
import json, resource, signal, sys
from pathlib import Path
sys.path[:] = json.loads(sys.argv[1])
from adapters.base import AdapterRejected
from adapters.testing import planted_data
from tests.trainers.test_recipes import TestMnrl

def fill(told):
    if told.step == 3:  # from now on no file may hold more than a byte, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    TestMnrl().train_briefly(Path(sys.argv[2]), tell=fill)
except AdapterRejected as error:
    print(error)
"""


@pytest.mark.slow
def test_a_training_whose_disk_fills_says_so_and_goes_on_from_the_checkpoint_before(tmp_path: Path) -> None:
    from tests.trainers.test_recipes import TestMnrl

    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY and signal.SIGXFSZ
    given = [json.dumps(sys.path), str(tmp_path)]
    ended = subprocess.run([sys.executable, "-c", _TRAINS, *given], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "is full" in ended.stdout and "goes on from step 2." in ended.stdout
    assert TestMnrl().train_briefly(tmp_path).resumed_from == 2
