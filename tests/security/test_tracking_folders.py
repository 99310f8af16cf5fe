"""Laws: a result that was handed over makes no tracker write anywhere that the user did not agree to."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.results.model import read_result, write_result
from tests import small

NOTES = """
from adapters.base import Delivery, FilePath, Options, Tracker

class NotesOptions(Options):
    path: FilePath

class NotesTracker(Tracker):
    name = "notes"
    Options = NotesOptions

    def on(self, event):
        return

    def finish(self, timeout_seconds):
        self.context.path(self.options.path).write_text("notes")
        return Delivery(self.name, 1, 0)
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder, as its run left it."""
    folder = tmp_path_factory.mktemp("run")
    small.collection(folder / "data")
    return small.measure(folder, small.spec([{"name": "bm25", "store": "bm25"}]))[0]


@pytest.fixture
def received(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in a folder that is the current one. The user has set nothing."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "home"))
    current = tmp_path / "current"
    current.mkdir()
    (tmp_path / "victim").mkdir()
    shutil.copytree(finished, current / "received")
    monkeypatch.chdir(current)
    return current / "received"


def naming(folder: Path, tracker: Mapping[str, Any], base: str | None = None) -> None:
    """Let the result name this tracker, and that folder as its experiment's."""
    result = read_result(folder)
    result.experiment["trackers"] = {"near": dict(tracker)}
    result.provenance.base = base
    write_result(folder, result)


def refused(folder: Path, place: Path) -> None:
    """Tracking asks for the place, and writes nothing."""
    before = sorted(place.parent.rglob("*"))
    done = small.bench("track", folder)
    assert done.exit_code == 2, done.stdout
    assert f"the tracker may write to {place.resolve()}, which the result names" in done.stderr
    assert "--trust" in done.stderr and sorted(place.parent.rglob("*")) == before


STORES = {
    "a folder": lambda victim: {"uri": str(victim / "mlruns")},
    "a file address": lambda victim: {"uri": (victim / "mlruns").as_uri()},
    "a file address in capitals": lambda victim: {"uri": f"FILE://{victim}/mlruns"},
    "steps upward": lambda victim: {"uri": f"../../{victim.name}/mlruns"},
    "a database": lambda victim: {"uri": f"sqlite:///{victim}/mlruns"},
    "a database of a named driver": lambda victim: {"uri": f"sqlite+pysqlite:///{victim}/mlruns"},
    "percent signs": lambda victim: {"uri": f"file://{victim}/%6dlruns"},
}


@pytest.mark.parametrize("store", STORES)
def test_a_received_result_writes_into_no_folder_that_it_names_unless_the_user_agrees(
    store: str, received: Path, tmp_path: Path
) -> None:
    naming(received, {"adapter": "mlflow", **STORES[store](tmp_path / "victim")})
    refused(received, tmp_path / "victim" / "mlruns")


def test_nor_beside_the_experiment_file_that_it_tells_of(received: Path, tmp_path: Path) -> None:
    naming(received, {"adapter": "mlflow"}, base=str(tmp_path / "victim"))
    refused(received, tmp_path / "victim" / "mlruns")


def test_nor_through_a_link_in_its_own_folder(received: Path, tmp_path: Path) -> None:
    (received / "mlruns").symlink_to(tmp_path / "victim")
    naming(received, {"adapter": "mlflow"})
    refused(received, tmp_path / "victim")


def test_a_current_folder_that_holds_all_of_the_users_own_is_no_agreement(
    received: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    naming(received, {"adapter": "mlflow", "uri": str(tmp_path / "victim" / "mlruns")})
    refused(received, tmp_path / "victim" / "mlruns")


def test_a_tracker_that_does_not_say_where_it_writes_is_asked_for(received: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "notes-1.0.dist-info").mkdir(parents=True)
    (site / "notes_tracker.py").write_text(NOTES)
    (site / "notes-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: notes\nVersion: 1.0\n")
    entry = "[retrieval_bench.trackers]\nnotes = notes_tracker:NotesTracker\n"
    (site / "notes-1.0.dist-info" / "entry_points.txt").write_text(entry)
    sys.path.insert(0, str(site))
    try:
        naming(received, {"adapter": "notes", "path": str(tmp_path / "victim" / "x")})
        refused(received, tmp_path / "victim" / "x")
        naming(received, {"adapter": "notes", "path": "x"}, base=str(tmp_path / "victim"))
        refused(received, tmp_path / "victim")
        assert small.bench("track", received, "--trust").exit_code == 0
        assert (tmp_path / "victim" / "x").read_text() == "notes"
        naming(received, {"adapter": "notes", "path": "x"})
        assert small.bench("track", received).exit_code == 0
    finally:
        sys.path.remove(str(site))
        sys.modules.pop("notes_tracker", None)


def test_a_store_that_came_with_the_result_has_nothing_written_elsewhere(received: Path, tmp_path: Path) -> None:
    naming(received, {"adapter": "mlflow"})
    made = small.bench("track", received)
    assert made.exit_code == 0, made.stdout
    (of_experiment,) = [path.parent for path in received.rglob("mlruns/*/meta.yaml") if path.parent.name != "0"]
    meta = (of_experiment / "meta.yaml").read_text()
    victim = tmp_path / "victim"
    changed = meta.replace(of_experiment.as_uri(), victim.as_uri()).replace(str(of_experiment), str(victim))
    assert changed != meta
    (of_experiment / "meta.yaml").write_text(changed)
    events = received / "events.jsonl"  # another run, so that a new one is made
    events.write_text(events.read_text().replace(json.loads(events.read_text().splitlines()[0])["folder"], "/other"))
    done = small.bench("track", received)
    assert done.exit_code == 1 and f"files written to {victim}, outside of it" in " ".join(done.stdout.split())
    assert not [*victim.iterdir()]


def test_the_users_own_store_is_not_asked_for(received: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "own"))
    naming(received, {"adapter": "mlflow"}, base=str(tmp_path / "victim"))
    assert small.bench("track", received).exit_code == 0
    assert [*(tmp_path / "own").rglob("per_query.jsonl")]
