"""One cache for all that a user runs, found from every directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.cache.mark import mark
from bench.cache.place import restricted_place, usual_place
from tests import small


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, and a working directory beside it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("BENCH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home dir"))
    return tmp_path / "home dir"


def old_cache() -> None:
    Path(".bench-cache/vectors").mkdir(parents=True)
    mark(Path(".bench-cache"))


def test_the_cache_is_where_the_platform_keeps_caches(home: Path) -> None:
    place = usual_place(Path())
    assert place.folder.is_relative_to(home) and place.note is None
    assert place.folder.parent.name == "retrieval-bench"  # beside the servers that were built
    assert not home.exists()  # asking makes nothing


def test_option_file_and_variable_come_before_the_users_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.commands.command_line import cache_folder

    old_cache()
    monkeypatch.setenv("BENCH_CACHE", "~/mine")
    assert cache_folder(Path("given"), "named", Path("/base")) == Path("given")
    assert cache_folder(None, "named", Path("/base")) == Path("/base/named")
    assert cache_folder(None, None, Path("/base")) == home / "mine"
    monkeypatch.setenv("BENCH_CACHE", "")
    assert cache_folder(None, None, Path("/base")) == Path(".bench-cache")


def test_an_old_cache_of_the_working_directory_is_used_and_the_line_that_moves_it_does(home: Path) -> None:
    old_cache()
    place = usual_place(Path())
    assert place.folder == Path(".bench-cache")
    assert place.note is not None
    command = place.note.partition("To move it there: ")[2]
    assert os.system(command) == 0  # as a user would paste it, though the home folder's name has a space
    moved = usual_place(Path())
    assert moved.note is None and (moved.folder / "vectors").is_dir()
    old_cache()
    both = usual_place(Path())
    assert both.folder == Path(".bench-cache") and "cp -Rn" in (both.note or "")


def test_an_empty_folder_of_that_name_is_no_old_cache(home: Path) -> None:
    Path(".bench-cache").mkdir()
    assert usual_place(Path()).folder.is_relative_to(home)
    Path(".bench-cache").rmdir()
    Path(".bench-cache").write_text("")
    assert usual_place(Path()).folder.is_relative_to(home)


def test_what_is_not_trusted_has_a_cache_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_cache()
    assert restricted_place(Path()).name == "cache-restricted"
    monkeypatch.setenv("BENCH_CACHE", str(home / "mine"))
    assert restricted_place(Path()) == home / "mine-restricted"


def test_a_variable_that_leads_nowhere_is_a_fault(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", "$NO_SUCH_VARIABLE/x")
    told = small.bench("doctor")
    assert told.exit_code == 2 and "NO_SUCH_VARIABLE" in told.stderr


def test_the_doctor_tells_place_and_size(home: Path) -> None:
    told = small.bench("doctor").stdout
    assert f"cache: {usual_place(Path()).folder}, nothing in it yet" in told
    old_cache()
    Path(".bench-cache/vectors/x.npz").write_bytes(b"12345")
    told = small.bench("doctor")
    assert "cache: .bench-cache, 5 bytes (vectors 5)" in told.stdout
    assert "the cache .bench-cache of the working directory is used" in told.stderr
