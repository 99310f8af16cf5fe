"""What reads text files and paths: every encoding, compression and line end reads as the plain file does."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.base import Context, DatasetInvalid, InvalidOptions, numbered_lines, open_text

TEXT = "q1 Q0 käse 1 2.5 x\n\nq2 Q0 猫 1 1.5 x\n"
LINES = [(1, "q1 Q0 käse 1 2.5 x"), (3, "q2 Q0 猫 1 1.5 x")]
FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "byte order mark": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 big-endian": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "carriage return and line feed": lambda text: text.replace("\n", "\r\n").encode(),
    "carriage return": lambda text: text.replace("\n", "\r").encode(),
    "utf-16 with carriage returns": lambda text: text.replace("\n", "\r").encode("utf-16"),
    "no end of the last line": lambda text: text.rstrip("\n").encode(),
}


@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_text_file_reads_as_the_plain_one(tmp_path: Path, form: str, packed: bool) -> None:
    data = FORMS[form](TEXT)
    path = tmp_path / "lines.txt"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert list(numbered_lines(path)) == LINES
    with open_text(path) as file:
        assert [line for line in file.read().splitlines() if line] == [line for _, line in LINES]


def test_a_carriage_return_inside_a_line_ends_none(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(b"a" * (1 << 16) + b"\rb\nc\n")
    assert [number for number, _ in numbered_lines(path)] == [1, 2]
    path.write_bytes(b"a\rb" + b"c" * (1 << 16) + b"\nd\n")
    assert [number for number, _ in numbered_lines(path)] == [1, 2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"fine\n\xff\xfe\n", r"lines\.txt:2: is not UTF-8 \(byte 1 of the line\)"),
        ("fine\n".encode("utf-16-le"), r"lines\.txt:1: holds a null byte"),
        (b"\xff\xfe\n\x00\x00\xd8\n\x00", r"lines\.txt: is not UTF-16 somewhere after line 0"),
        (b"fine\r\xff\r", r"lines\.txt: is not UTF-8 somewhere after line"),
        (gzip.compress(b"fine\n" * 99, mtime=0)[:-9], r"lines\.txt: is compressed by gzip and damaged or cut off"),
        (b"\x1f\x8bnot really", r"lines\.txt: is compressed by gzip and damaged"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(data)
    with pytest.raises(DatasetInvalid, match=message):
        list(numbered_lines(path))


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "absent", "there is no such file"),
        (tmp_path, "is a folder, expected a file"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
        (Path("/proc/self/mem"), "cannot be read: Input/output error"),
    ]:
        with pytest.raises(DatasetInvalid, match=message):
            list(numbered_lines(path))


def test_a_path_of_the_options_takes_home_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("DATA", "/srv/data")
    context = Context(tmp_path)
    assert context.path("~/x") == Path("/home/ada/x")
    assert context.path("$DATA/x") == context.path("${DATA}/x") == Path("/srv/data/x")
    assert context.path("x") == tmp_path / "x"
    assert context.path("price-5$") == tmp_path / "price-5$"


def test_an_undefined_variable_in_a_path_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(InvalidOptions, match=r"the variable NOWHERE in the path \$NOWHERE/x is not set"):
        Context(tmp_path).path("$NOWHERE/x")
    with pytest.raises(InvalidOptions, match=r"there is no home folder for ~nobody-of-that-name"):
        Context(tmp_path).path("~nobody-of-that-name/x")


def test_a_pipe_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatasetInvalid, match="is a pipe"), open_text(tmp_path / "pipe"):
        pass
    with pytest.raises(DatasetInvalid, match="is a pipe"):
        next(numbered_lines(tmp_path / "pipe"))
