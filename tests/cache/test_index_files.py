from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cache.index_files import damaged_files, file_digests


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An engine's files: two kinds, one of them in a folder of its own, one empty."""
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "a.idx").write_bytes(bytes(range(256)) * 2000)
    (tmp_path / "data" / "inner" / "b.lance").write_bytes(b"vectors")
    (tmp_path / "data" / "empty").touch()
    return tmp_path / "data"


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[300_000] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        flipped,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        Path.unlink,
        lambda path: (path.unlink(), path.symlink_to("empty")),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["a bit flipped", "cut short", "zeroed", "grown", "removed", "made a link", "made a folder"],
)
def test_a_file_that_is_not_what_it_was_is_named(index: Path, harm: Callable[[Path], object]) -> None:
    kept = file_digests(index)
    assert sorted(kept) == ["a.idx", "empty", "inner/b.lance"]
    assert damaged_files(index, kept) == []
    harm(index / "a.idx")
    assert damaged_files(index, kept) == ["a.idx"]


def test_a_folder_that_is_gone_has_lost_every_file(index: Path, tmp_path: Path) -> None:
    assert damaged_files(tmp_path / "elsewhere", file_digests(index)) == ["a.idx", "empty", "inner/b.lance"]


def test_what_an_engine_adds_later_is_no_damage(index: Path) -> None:
    kept = file_digests(index)
    (index / "lock").touch()
    assert damaged_files(index, kept) == []


def test_digests_do_not_depend_on_where_the_folder_lies(index: Path, tmp_path: Path) -> None:
    kept = file_digests(index)
    index.rename(tmp_path / "moved")
    assert file_digests(tmp_path / "moved") == kept
