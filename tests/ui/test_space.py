"""Laws of a Space: its systems find what was measured, and those that need a key or a server are refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.ui.desk import Desk
from bench.ui.served_space import desk_of
from bench.ui.shown_results import results_of
from bench.ui.space import SpaceRefused, write_space
from bench.ui.trying import Trying, asked_parts, kept_systems, offered
from tests import small
from tests.standin import StandIn


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    small.collection(home / "data", documents=20, queries=4)
    (home / "today.trec").write_text("q0 Q0 d0 1 1.0 x\n")
    systems = [{"name": "bm25", "store": "bm25"}, {"name": "today", "run": "today.trec"}]
    small.measure(home, small.spec(systems, baseline="bm25"))
    return home


@pytest.fixture(scope="module")
def space(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("spaces") / "space"
    done = write_space(Desk.at(home, cache=home / "cache"), target)
    assert done.results == 1 and len(done.systems) == 1 and "today" in " ".join(done.left_out)
    return target


@pytest.fixture
def trying(space: Path) -> Iterator[Trying]:
    found = Trying.at(desk_of(space))
    yield found
    found.engines.close()


def test_the_head_of_its_page_names_what_a_space_asks_for(space: Path) -> None:
    text = (space / "README.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    needed = dict(line.split("==") for line in (space / "requirements.txt").read_text().splitlines())
    assert head["sdk"] == "gradio" and head["sdk_version"] == needed["gradio"] and (space / head["app_file"]).is_file()
    assert "bm25s" in needed and not {"torch", "lancedb"} & set(needed)
    assert not any("+" in number for number in needed.values())


def test_its_systems_find_what_was_measured_wherever_it_lies(space: Path, trying: Trying, home: Path) -> None:
    [listed] = results_of(trying.desk)
    usable, usual, faults, questions = offered(trying.desk, str(listed.folder))
    assert usable == usual == ["bm25"] and "today cannot be tried" in faults
    *_, there = asked_parts(trying, str(listed.folder), ["bm25"], questions[0], 3)
    at_home = Trying.at(Desk.at(home, cache=home / "cache"))
    folder = next((home / "results").glob("*/*"))
    *_, here = asked_parts(at_home, str(folder), ["bm25"], questions[0], 3)
    at_home.engines.close()
    assert "✓" in there and there.partition("<ol")[2].split("</ol>")[0] == here.partition("<ol")[2].split("</ol>")[0]


def test_its_page_is_put_together_with_what_came_along_alone(space: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(space, moved)
    code = (
        "import sys; sys.path.insert(0, 'lib'); from pathlib import Path; import bench\n"
        "from bench.ui.served_space import desk_of; from bench.ui.app import pages\n"
        "assert Path(bench.__file__).is_relative_to(Path.cwd()), bench.__file__\n"
        "tabs = [each.label for each in pages(desk_of(Path())).blocks.values() if type(each).__name__ == 'Tab']\n"
        "print(tabs, 'torch' in sys.modules, 'lancedb' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=moved, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'Results'" in done.stdout and "'Experiment'" not in done.stdout and "False False" in done.stdout


def test_a_folder_of_somebody_else_stays_and_an_earlier_space_is_replaced(
    space: Path, home: Path, tmp_path: Path
) -> None:
    desk = Desk.at(home, cache=home / "cache")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    with pytest.raises(SpaceRefused, match="which stay"):
        write_space(desk, tmp_path / "mine")
    copy = tmp_path / "copy"
    shutil.copytree(space, copy)
    (copy / "results" / "old").mkdir()
    write_space(desk, copy)
    assert not (copy / "results" / "old").exists() and len(kept_systems(desk_of(copy))) == 1


def test_a_named_system_that_cannot_come_along_is_refused_and_nothing_is_written(home: Path, tmp_path: Path) -> None:
    desk = Desk.at(home, cache=home / "cache")
    for name, why in (("today", "run file"), ("absent", "no result has such a system")):
        with pytest.raises(SpaceRefused, match=why):
            write_space(desk, tmp_path / "space", [name])
    told = small.bench("ui", str(home), "--space", str(tmp_path / "space"), "--system", "today")
    assert told.exit_code == 2 and "today" in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceRefused, match="no result whose run ended"):
        write_space(Desk.at(tmp_path), tmp_path / "space")


def test_a_system_that_needs_a_key_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.collection(tmp_path / "data", documents=8, queries=4)
    with StandIn() as service:
        for name, value in service.environment().items():
            monkeypatch.setenv(name, value)
        encoders = {"cohere": {"adapter": "cohere", "model": "embed-v4.0"}}
        systems = [{"name": "bm25", "store": "bm25"}, {"name": "paid", "encoder": "cohere"}]
        small.measure(tmp_path, small.spec(systems, encoders=encoders, baseline="bm25"))
        desk = Desk.at(tmp_path, cache=tmp_path / "cache")
        with pytest.raises(SpaceRefused, match="paid needs"):
            write_space(desk, tmp_path / "space", ["paid"])
        done = write_space(desk, tmp_path / "space")
    assert [name.partition(": ")[2] for name in done.systems] == ["bm25"]
    assert "paid needs" in " ".join(done.left_out)
    texts = [path.read_text() for path in (tmp_path / "space").glob("*.json")]
    assert "paid" not in json.dumps(texts)
