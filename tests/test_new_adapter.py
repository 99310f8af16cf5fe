"""`bench new-adapter` writes packages that pass as written, and refuses names that would hide something."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adapters import registry
from bench.new_adapter import ROLES, Refused, next_commands, write_package
from tests import small

LONGEST = "another_name_of_24_lettr"


def ran(folder: Path, *command: str) -> str:
    """What a tool says of a package; fails where it finds a fault."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_package_passes_as_it_is_written(tmp_path: Path) -> None:
    folders = [write_package(role, f"my_{role}", tmp_path) for role in ROLES]
    told = ran(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", *(folder.name for folder in folders))
    assert " passed" in told


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", ["q", "mine", LONGEST])
def test_a_package_is_formatted_and_linted_whatever_its_name(tmp_path: Path, role: str, name: str) -> None:
    folder = write_package(role, name, tmp_path)
    ran(folder, "ruff", "check", "--no-cache", ".")
    ran(folder, "ruff", "format", "--no-cache", "--diff", ".")


@pytest.mark.slow
def test_every_package_satisfies_strict_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [write_package(role, f"my_{role}", tmp_path) for role in ROLES]
    files = [str(file) for folder in folders for file in folder.glob("*my_*.py")]
    settings = str(folders[0] / "pyproject.toml")
    monkeypatch.setenv("MYPYPATH", os.pathsep.join(map(str, folders)))
    ran(tmp_path, "mypy", "--config-file", settings, "--cache-dir", os.devnull, *files)


def test_the_entry_point_is_the_class_under_the_adapters_name(tmp_path: Path) -> None:
    for role in ROLES:
        folder = write_package(role, f"my_{role}", tmp_path)
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        [(group, entries)] = project["entry-points"].items()
        assert group.removeprefix("retrieval_bench.") in registry.ROLES
        [(name, value)] = entries.items()
        kind = value.partition(":")[2]
        assert (name, value) == (f"my_{role}", f"my_{role}:{kind}")
        text = (folder / f"my_{role}.py").read_text()
        assert f"class {kind}(" in text and f'name = "{name}"' in text and "mine" not in text.lower()


def test_the_command_says_what_it_wrote_and_what_to_type_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = small.bench("new-adapter", "store", "mine")
    assert outcome.exit_code == 0
    assert outcome.stdout.splitlines()[:3] == ["cd mine", 'pip install -e ".[test]"', "pytest"]
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == [
        "conftest.py", "mine.py", "pyproject.toml", "test_mine.py",
    ]  # fmt: skip
    again = small.bench("new-adapter", "store", "mine")
    assert (again.exit_code, again.stderr) == (2, "mine is there already. Take another name, or move it away.\n")


def test_a_role_may_be_written_in_the_plural(tmp_path: Path) -> None:
    assert list(next_commands("stores", "mine")) == list(next_commands("store", "mine"))
    assert "StoreConformance" in (write_package("stores", "mine", tmp_path) / "test_mine.py").read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-store", "'my-store' is no name: .* Did you mean my_store"),
        ("Mine", "Did you mean mine"),
        ("../mine", "is no name"),
        ("", "is no name"),
        ("1st", "is no name"),
        ("größe", "is no name"),
        ("class", "is a word of Python"),
        ("match", "is a word of Python"),
        ("list", "is a word of Python"),
        ("lancedb", "is an adapter already, among the stores"),
        ("beir", "is an adapter already, among the datasets"),
        ("json", "There is a Python package json"),
        ("numpy", "There is a Python package numpy"),
        ("adapters", "There is a Python package adapters"),
        ("bench", "There is a Python package bench"),
        ("test_mine", "pytest would take test_mine.py for a test"),
        ("conftest", "pytest would take"),
        (LONGEST + "s", "has at most 24 letters"),
    ],
)
def test_a_name_that_would_hide_something_or_cannot_be_one_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        write_package("store", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_role_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        Refused, match=r"'shop' is no role\. Roles are: dataset, encoder, store, reranker, tracker, trainer"
    ):
        write_package("shop", "mine", tmp_path)
