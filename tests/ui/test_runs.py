"""Laws of runs that a page starts: one at a time, found again by their folders, cut off and resumed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.cache.locks import opened, tried
from bench.experiment.reader import load_experiment
from bench.ui.desk import Desk, OutsideFolder
from bench.ui.runs.board import Board, NotAsked, Run, board
from bench.ui.runs.files import ENDED, EVENTS, LOCK, REQUEST, STARTED, write_record
from bench.ui.runs.following import Follower
from bench.ui.shown_results import results_of
from tests import small

AT = "2026-03-01T12:00:00Z"
A_MINUTE_LATER = 1772366460.0  # 2026-03-01T12:01:00Z


def event(kind: str, **values: Any) -> str:
    return json.dumps({"at": AT, "event": kind, **values}) + "\n"


def until(what: Callable[[], Any], seconds: float = 240) -> Any:
    """Wait until something holds, however slow the machine is."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)
    return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    small.collection(tmp_path / "data")
    small.write(tmp_path, small.spec([{"name": "bm25", "store": "bm25"}]))
    return Desk.at(tmp_path)


def a_run(desk: Desk, name: str = "1", **files: Any) -> Run:
    """A run's folder as one would lie there whose processes have ended."""
    folder = desk.runs / name
    folder.mkdir(parents=True)
    write_record(folder / REQUEST, {"kind": "run", "file": "bench.yaml", "flags": [], "asked_at": AT, "text": "x"})
    (folder / LOCK).touch()
    for file, record in files.items():
        write_record(folder / {"started": STARTED, "ended": ENDED}[file], record)
    return next(run for run in Board(desk).listing() if run.id == name)


@pytest.mark.parametrize(("code", "state", "cause"), [
    (0, "finished", ""), (1, "failed", "a part of it failed"), (2, "refused", "it could not begin"),
    (130, "cancelled", "it was cut off"), (-2, "cancelled", "it was cut off"),
    (-9, "killed", "SIGKILL: often because memory ran out"), (-15, "killed", "SIGTERM"),
    (7, "failed", "exit status 7"), (None, "cancelled", "before its turn"),
])  # fmt: skip
def test_a_run_says_how_it_ended_and_why(desk: Desk, code: int | None, state: str, cause: str) -> None:
    run = a_run(desk, started={"at": AT, "pid": 1}, ended={"at": AT, "exit": code})
    assert run.state == state and cause in run.cause


def test_a_run_whose_processes_are_gone_is_called_killed(desk: Desk) -> None:
    assert a_run(desk, started={"at": AT, "pid": 1}).state == "killed"
    assert a_run(desk, "2").state == "cancelled"


def test_what_is_no_run_is_passed_over(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    a_run(desk)
    for name, text in {"2": "{", "3": "[]", "4": '{"kind": "rm -rf"}', "5": ""}.items():
        (desk.runs / name).mkdir()
        (desk.runs / name / REQUEST).write_text(text)
    (desk.runs / "6").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    assert [run.id for run in board(desk).listing()] == ["1"] and board(desk).run("../1") is None


def test_a_run_of_elsewhere_is_not_asked_for(desk: Desk) -> None:
    for file, refusal in {"../x.yaml": OutsideFolder, "nothing.yaml": NotAsked, "data": NotAsked}.items():
        with pytest.raises(refusal):
            board(desk).start("run", file)
    with pytest.raises(NotAsked, match="is not given that"):
        board(desk).start("run", "bench.yaml", ["--output=/"])
    assert board(desk).listing() == []


@pytest.mark.parametrize("keys", [
    {"dataset": {"adapter": "beir", "path": "/etc"}},
    {"dataset": {"adapter": "beir", "path": "../elsewhere"}},
    {"dataset": {"adapter": "beir", "path": "link"}},
    {"cache": "/var/tmp/cache"},
    {"systems": [{"run": "/etc/passwd"}]},
    {"stores": {"bm25": {"adapter": "bm25"}, "l": {"adapter": "lancedb", "uri": "/var/tmp/lance"}},
     "encoders": {"e": {"adapter": "sentence_transformers", "model": "/etc"}},
     "systems": [{"store": "l", "encoder": "e"}]},
])  # fmt: skip
def test_an_experiment_that_leads_outside_is_not_run(desk: Desk, keys: dict[str, Any]) -> None:
    (desk.folder / "link").symlink_to("/etc")
    small.write(desk.folder, {**small.spec([{"name": "bm25", "store": "bm25"}]), **keys})
    with pytest.raises(OutsideFolder, match="leads out of the folders"):
        board(desk).start("run", "bench.yaml")
    assert board(desk).listing() == []


def test_a_further_folder_is_read(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = small.collection(tmp_path_factory.mktemp("further") / "data")
    spec = small.spec([{"name": "bm25", "store": "bm25"}]) | {"dataset": {"adapter": "beir", "path": str(data)}}
    loaded = load_experiment(small.write(desk.folder, spec))
    assert Desk.at(desk.folder, further=[data.parent]).admit(loaded) is loaded
    with pytest.raises(OutsideFolder):
        desk.admit(loaded)


def test_a_command_that_a_folder_names_is_not_obeyed(desk: Desk) -> None:
    folder = a_run(desk, started={"at": AT, "pid": os.getpid()}, ended={"at": AT, "exit": 130}).folder
    request = json.loads((folder / REQUEST).read_text())
    write_record(folder / REQUEST, {**request, "file": "/etc/passwd", "flags": ["--output=/"], "command": ["false"]})
    run = board(desk).listing()[0]
    assert run.flags == ()
    with pytest.raises(OutsideFolder):
        board(desk).resume(run)
    board(desk).cancel(run)  # nobody holds it, so no process is sent a signal


def test_a_run_that_waits_is_cancelled_before_it_can_hear_a_signal(desk: Desk) -> None:
    """Below a shell's background job SIGINT is ignored until a process says otherwise."""
    before = a_run(desk)
    heeded = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with opened(before.folder / LOCK) as lock:
            assert tried(lock, before.folder / LOCK)
            run = board(desk).start("train", "bench.yaml")
            assert run.state == "waiting"
            board(desk).cancel(run)
            until(lambda: next(each for each in Board(desk).listing() if each.id == run.id).state == "cancelled")
    finally:
        signal.signal(signal.SIGINT, heeded)
    assert not (run.folder / STARTED).exists()


def test_a_line_of_events_that_is_not_whole_waits(tmp_path: Path) -> None:
    file = tmp_path / EVENTS
    first, second = event("Warned", about="a", message="b"), event("Warned", about="ü", message="d")
    cut = len((first + second).encode()) - 9
    file.write_bytes((first + second).encode()[:cut])
    follower = Follower(file)
    assert follower.read_on().warnings == ["a: b"]
    file.write_bytes((first + second).encode())
    assert follower.read_on().warnings == follower.read_on().warnings == ["a: b", "ü: d"]


def test_the_time_left_is_that_of_the_pace_so_far(tmp_path: Path) -> None:
    (tmp_path / EVENTS).write_text(
        event("StageStarted", stage="encode", label="words", total=40, unit="texts")
        + event("StageAdvanced", stage="encode", label="words", done=10, note=None)
    )
    (stage,) = Follower(tmp_path / EVENTS).read_on().stages.values()
    # 10 texts took 60 s, so 30 more take 180 s.
    assert stage.left(A_MINUTE_LATER) == 180
    assert stage.told(A_MINUTE_LATER) == "embedding with words: 10 of 40 texts, 3 min left"


def test_a_follower_passes_over_what_is_no_event_and_keeps_few_lines(tmp_path: Path) -> None:
    ends = event("StageStarted", stage="s", label="l", total=None, unit="texts") + event(
        "StageFinished", stage="s", label="l", seconds=1.5, computed=2, reused=1
    )
    (tmp_path / EVENTS).write_text("{\n[]\nnull\n" + '{"event": "Later", "at": 3}\n' + ends * 300)
    told = Follower(tmp_path / EVENTS).read_on()
    assert (
        not told.stages
        and len(told.lines) == 200
        and told.lines[-1].endswith("s l: 2 texts in 1.5 s, 1 kept from before")
    )


def test_events_are_written_as_lines_that_a_program_reads(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "new" / "e.jsonl"
    done = small.bench("run", tmp_path / "bench.yaml", "--output", tmp_path / "out", "--quiet", "--events", file)
    assert done.exit_code == 0, done.stderr
    events = [json.loads(line) for line in file.read_text().splitlines()]
    kinds = [each["event"] for each in events]
    assert kinds[-1] == "RunFinished" and "StageStarted" in kinds and "QueryScored" not in kinds
    told = Follower(file).read_on()
    assert told.status == "success" and told.finished == {"bm25": "success"} and Path(str(told.folder)).is_dir()


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, third_party: None) -> Iterator[dict[str, Any]]:
    """What becomes of a slow run, and of a quick one that waits for it."""
    home = tmp_path_factory.mktemp("lived")
    small.collection(home / "data")
    (slowly := home / "slowly").touch()  # while it is there, a run does not end by itself
    slow = small.spec(
        [{"name": "slow", "encoder": "words"}],
        encoders={"words": {"adapter": "words", "seconds_per_text": 1.0, "slow_while": str(slowly)}},
        experiment="slow",
    )
    small.write(home, slow).rename(home / "slow.yaml")
    small.write(home, small.spec([{"name": "bm25", "store": "bm25"}]))
    desk = Desk.at(home, cache=home / "cache")
    runs = Board(desk)
    seen: dict[str, Any] = {"desk": desk}

    def state(run: Run) -> str:
        return next(each.state for each in Board(desk).listing() if each.id == run.id)

    first, second = runs.start("run", "slow.yaml"), runs.start("run", "bench.yaml")
    with pytest.raises(NotAsked) as again:
        runs.start("run", "slow.yaml")
    seen["twice"] = str(again.value)
    until(lambda: runs.told(first).stages)
    seen["together"] = (state(first), state(second))
    runs.cancel(first)
    until(lambda: state(second) in ("finished", "failed", "refused"))
    seen["ends"] = (state(first), state(second), runs.log(second))
    third = runs.resume(next(run for run in runs.listing() if run.id == first.id))
    until(lambda: runs.told(third).stages)
    waits = runs.start("train", "bench.yaml")
    runs.cancel(waits)
    until(lambda: state(waits) != "waiting")
    seen["left the queue"] = state(waits)
    os.kill(json.loads((third.folder / STARTED).read_text())["pid"], signal.SIGKILL)
    until(lambda: state(third) != "running")
    seen["killed"] = next(run for run in runs.listing() if run.id == third.id)
    slowly.unlink()
    last = runs.resume(seen["killed"])
    until(lambda: state(last) not in ("running", "waiting"))
    seen["last"] = (state(last), runs.told(last), [runs.told(each).folder for each in (first, third)])
    yield seen
    for run in runs.listing():
        runs.cancel(run)


@pytest.mark.slow
def test_one_runs_at_a_time_and_the_others_wait(lived: dict[str, Any]) -> None:
    assert lived["together"] == ("running", "waiting")


@pytest.mark.slow
def test_the_same_file_is_not_run_twice_at_once(lived: dict[str, Any]) -> None:
    assert "not run twice at once" in lived["twice"]


@pytest.mark.slow
def test_a_cancelled_run_makes_room_for_the_next(lived: dict[str, Any]) -> None:
    assert lived["ends"][:2] == ("cancelled", "finished") and "bm25" in lived["ends"][2]


@pytest.mark.slow
def test_a_waiting_run_leaves_the_queue(lived: dict[str, Any]) -> None:
    assert lived["left the queue"] == "cancelled"


@pytest.mark.slow
def test_a_killed_run_is_told_with_its_cause(lived: dict[str, Any]) -> None:
    assert lived["killed"].state == "killed" and "SIGKILL" in lived["killed"].cause


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_its_result(lived: dict[str, Any]) -> None:
    state, told, folders = lived["last"]
    assert state == "finished" and told.status == "success"
    assert folders == [told.folder, told.folder] and len(results_of(lived["desk"])) == 2
