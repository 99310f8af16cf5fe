"""What may happen to a file: by a disk, by a program that ended early, by a user, by whoever copies caches about."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Harm = Callable[[Path], object]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, min(len(data), len(data) // 2 + 20)):
        data[place] ^= 0xFF
    path.write_bytes(data)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_link(path: Path) -> None:
    """Links of one folder then lead to the same file: what is whole may be another's."""
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


HARMS: dict[str, Harm] = {
    "flip": flip,
    "truncate": lambda path: os.truncate(path, path.stat().st_size // 2),
    "zero": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "empty": lambda path: path.write_bytes(b""),
    "remove": Path.unlink,
    "append": lambda path: path.write_bytes(path.read_bytes() + b"\0more"),
    "folder": replace_by_folder,
    "link": replace_by_link,
}


def change_a_digit(path: Path) -> None:
    """One digit of a text is another: it is read as well as before. Of other files one bit in the middle."""
    data = bytearray(path.read_bytes()) or bytearray(b"0")
    digits = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    place = digits[len(digits) // 2] if digits and b"\0" not in data else len(data) // 2
    data[place] ^= 1
    path.write_bytes(data)


# A thread's own rights, as Linux keeps them. Source: capset(2); CAP_DAC_OVERRIDE is 1, CAP_DAC_READ_SEARCH 2.
_VERSION = 0x20080522
_PAST_MODES = (1 << 1) | (1 << 2)


@contextmanager
def held_to_modes() -> Iterator[None]:
    """The modes of files bind this thread, and those that it starts, even where it is root's."""
    if os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("root passes over modes, and only Linux lets it give that up for a while")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    rights = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, of the first 32 and the second
    if libc.capget(header, rights):
        pytest.skip("this system does not tell the rights of a thread")
    before = rights[0]
    rights[0] = before & ~_PAST_MODES
    assert libc.capset(header, rights) == 0
    try:
        yield
    finally:
        rights[0] = before
        assert libc.capset(header, rights) == 0
