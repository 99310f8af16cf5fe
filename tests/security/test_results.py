"""Laws: a result folder is written and read as itself, and what changed in it since its run is told."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.cache.own_files import open_own
from bench.results.model import ResultUnreadable, read_result, write_result
from bench.results.seal import SEAL, sealed
from tests import small

LEXICAL = [{"name": "bm25", "store": "bm25"}]
SHORT = [{"samples": 30, "turn_seconds": 0.001}]


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with an experiment that was run, and its result's folder."""
    folder = tmp_path / "made"
    small.collection(folder / "data")
    return folder, small.measure(folder, small.spec(LEXICAL, latency=SHORT))[0]


def cut_off(result: Path) -> None:
    written = json.loads((result / "result.json").read_text())
    (result / "result.json").write_text(json.dumps({**written, "status": "cancelled"}))


def run(folder: Path) -> Any:
    return small.bench("run", folder, "--output", folder / "results", "--cache", folder / "cache", "--quiet")


# -- links -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Somebody's folder, in it files of every name that a run writes."""
    folder = tmp_path / "victim"
    for name in ("result.json", "events.jsonl", ".lock", "bm25.trec", "per_query.parquet", "timings.parquet"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    return folder


@pytest.mark.parametrize("name", [".lock", "events.jsonl"])
def test_a_lock_and_events_are_not_opened_through_a_link(finished: tuple[Path, Path], victim: Path, name: str) -> None:
    folder, result = finished
    cut_off(result)
    (result / name).unlink()
    (result / name).symlink_to(victim / name)
    outcome = run(folder)
    assert outcome.exit_code == 2
    assert f"{name}: is a symbolic link" in outcome.stderr and len(outcome.stderr.splitlines()) == 1
    assert (victim / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["result.json", "runs/bm25.trec", "per_query.parquet", "timings.parquet"])
def test_what_is_written_replaces_a_link_and_does_not_follow_it(
    finished: tuple[Path, Path], victim: Path, name: str
) -> None:
    folder, result = finished
    cut_off(result)
    path = result / name
    path.unlink()
    path.symlink_to(victim / path.name)
    assert run(folder).exit_code == 0
    assert (victim / path.name).read_text() == "mine"
    assert name == "result.json" or not path.is_symlink()


@pytest.mark.parametrize("what", ["the experiment's folder", "the result's folder", "the folder of run files"])
def test_a_folder_of_results_that_is_a_link_is_refused(finished: tuple[Path, Path], victim: Path, what: str) -> None:
    folder, result = finished
    cut_off(result)
    place = {"the experiment's folder": result.parent, "the result's folder": result}.get(what, result / "runs")
    shutil.rmtree(place)
    place.symlink_to(victim)
    outcome = run(folder)
    assert outcome.exit_code == 2
    assert f"{place}: is a symbolic link" in outcome.stderr and len(outcome.stderr.splitlines()) == 1
    assert {path.read_text() for path in victim.iterdir()} == {"mine"}


def test_the_folders_that_a_user_names_may_be_links(finished: tuple[Path, Path], tmp_path: Path) -> None:
    folder, _ = finished
    for name in ("results", "cache"):
        (folder / name).rename(tmp_path / f"far-{name}")
        (folder / name).symlink_to(tmp_path / f"far-{name}")
    outcome = run(folder)
    assert outcome.exit_code == 0, outcome.stderr


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT):
        with pytest.raises(OSError, match="pipe"):
            open_own(tmp_path / "pipe", flags)


# -- what changed ----------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


HARMS: dict[str, Callable[[Path], object]] = {
    "flip": flip,
    "truncate": lambda path: os.truncate(path, path.stat().st_size // 2),
    "remove": Path.unlink,
    "link": lambda path: (path.rename(path.with_name("moved")), path.symlink_to("moved")),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["per_query.parquet", "timings.parquet", "runs/bm25.trec"])
def test_a_file_of_a_result_that_changed_is_told(finished: tuple[Path, Path], name: str, harm: str) -> None:
    _, result = finished
    assert read_result(result).warnings == []
    HARMS[harm](result / name)
    (warning,) = read_result(result).warnings
    assert f"{result / name} " in warning and "after its run wrote it" in warning
    outcome = small.bench("track", result, "--tracker", "mlflow")
    assert outcome.exit_code == 2 and str(result / name) in outcome.stderr


def test_a_number_that_was_changed_in_a_result_is_told(finished: tuple[Path, Path]) -> None:
    _, result = finished
    text = (result / "result.json").read_text()
    (result / "result.json").write_text(text.replace('"mean": 0.', '"mean": 0.9', 1))
    (warning,) = read_result(result).warnings
    assert "result.json was changed after its run wrote it" in warning
    assert small.bench("track", result, "--tracker", "mlflow").exit_code == 2


def test_a_result_of_before_there_were_digests_is_read_without_a_word(finished: tuple[Path, Path]) -> None:
    _, result = finished
    written = json.loads((result / "result.json").read_text())
    del written["files"], written[SEAL]
    (result / "result.json").write_text(json.dumps(written))
    assert read_result(result).warnings == []


# -- what is believed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "runs/../../secret", "a/b", "", "runs/", ".."])
def test_a_result_that_names_files_elsewhere_reads_none(finished: tuple[Path, Path], name: str) -> None:
    _, result = finished
    written = json.loads((result / "result.json").read_text())
    values = {key: value for key, value in written.items() if key != SEAL}
    (result / "result.json").write_text(json.dumps(sealed({**values, "files": {name: "0:0"}})))
    (warning,) = read_result(result).warnings
    assert "no file of its folder" in warning


HOSTILE: dict[str, Any] = {
    "trackers a text": {"experiment": {"trackers": "x"}},
    "trackers a list": {"experiment": {"trackers": [1]}},
    "a tracker of no adapter": {"experiment": {"trackers": {"a": {}}}},
    "a tracker that is a path": {"experiment": {"trackers": {"a": {"adapter": "../../x"}}}},
    "base a number": {"provenance": {"base": 5}, "experiment": {"trackers": {"a": {"adapter": "../x"}}}},
    "files a list": {"files": ["x"]},
    "files of numbers": {"files": {"x": 1}},
    "systems a text": {"systems": "x"},
    "beyond all counts": {"latency_samples": 10**400},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_result_of_any_shape_is_one_sentence(finished: tuple[Path, Path], change: dict[str, Any]) -> None:
    _, result = finished
    written = {key: v for key, v in json.loads((result / "result.json").read_text()).items() if key != SEAL}
    (result / "result.json").write_text(json.dumps(sealed({**written, **change})))
    outcome = small.bench("track", result)
    assert outcome.exit_code == 2
    assert "Traceback" not in outcome.stderr and len(outcome.stderr.splitlines()) == 1, outcome.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": 1, "experiment": ' + '{"a":' * 5_000 + "1" + "}" * 5_001])
def test_a_result_nested_without_end_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ResultUnreadable):
        read_result(tmp_path)


@pytest.mark.parametrize("line", ["[]", '{"event": "RunStarted"}', "{", '{"event": ["x"]}', "5", "[" * 50_000])
def test_events_of_any_shape_are_one_sentence(finished: tuple[Path, Path], line: str) -> None:
    _, result = finished
    (result / "events.jsonl").write_text(line + "\n")
    outcome = small.bench("track", result, "--tracker", "mlflow")
    assert outcome.exit_code in (1, 2)
    assert "Traceback" not in outcome.stderr


def test_a_result_that_is_written_again_is_sealed_again(finished: tuple[Path, Path]) -> None:
    _, result = finished
    kept = read_result(result)
    kept.warnings.append("one more")
    write_result(result, kept)
    assert read_result(result).warnings == ["one more"]
