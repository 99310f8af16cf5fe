"""Text files as people have them: UTF-8 or UTF-16, with or without a byte order mark, compressed by gzip or not, lines
that end as on any system. Whatever reads a user's text file reads it through here."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tokenize
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import numpy as np
import numpy.typing as npt

from adapters.base.errors import DatasetInvalid

_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_HEAD_BYTES = 1 << 16
LARGEST_TEXT = 1 << 30
"""Bytes of a line, and characters of a file that is one text: a few megabytes of gzip can hold all that memory can."""
# What gzip raises for a file that is cut off or damaged.
_NOT_WHOLE = (EOFError, zlib.error)
# What numpy raises for a header that is no header: it is parsed as Python's text.
_NO_MATRIX = (
    ValueError, TypeError, EOFError, OverflowError, MemoryError, RecursionError, SyntaxError, KeyError, AttributeError,
    tokenize.TokenError,
)  # fmt: skip


@contextmanager
def open_text(path: Path, encoding: str | None = None) -> Iterator[TextIO]:
    """The text of a file without its byte order mark, line ends as they stand there. encoding: None for UTF-8,
    or UTF-16 with its mark.

    Raises DatasetInvalid when the file cannot be read, when it is read as well; UnicodeDecodeError is left to the
    caller, who knows the line (`numbered_lines` names it).
    """
    with _open_bytes(path) as (file, head), io.TextIOWrapper(file, encoding or _encoding(head), newline="") as text:
        yield text


def read_text(path: Path) -> str:
    """All the text of a file. Raises as `open_text` does, and DatasetInvalid for more than a text may hold."""
    with _open_bytes(path) as (file, head):
        data = file.read(LARGEST_TEXT + 1)
    _bound(str(path), len(data))
    return data.decode(_encoding(head))  # whole: an error then knows all that stands before it


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1, without line ends or byte order mark.

    Raises DatasetInvalid when the file cannot be read or a line is no text.
    """
    with _open_bytes(path) as (file, head):
        newline = _newline(file, head)
        if newline == "\r" or head.startswith(_UTF16):
            lines = _decoded_whole(path, file, _encoding(head), newline)
        else:
            lines = _decoded_by_line(path, file)
        for number, text in lines:
            line = text.rstrip("\r\n")
            if "\0" in line:
                raise DatasetInvalid(
                    f"{path}:{number}", "holds a null byte, which no text has. Save the file as UTF-8."
                )
            if line and not line.isspace():
                yield number, line


def open_matrix(path: Path) -> npt.NDArray[Any]:
    """The matrix (rows, dimension) of numbers in a .npy file, mapped from it. Raises DatasetInvalid."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files that Python 2 wrote
            # Never pickled objects: they could run code.
            values: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise DatasetInvalid(str(path), "there is no such file.") from error
    except (*_NO_MATRIX, OSError) as error:
        raise DatasetInvalid(str(path), f"is no readable .npy file of numbers: {error}") from error
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DatasetInvalid(
            str(path), f"holds {values.dtype} of shape {values.shape}, expected a matrix of numbers (rows, dimension)."
        )
    if not values.shape[1]:
        raise DatasetInvalid(str(path), "its vectors have dimension 0.")
    return values


def _decoded_by_line(path: Path, file: BinaryIO) -> Iterator[tuple[int, str]]:
    # Binary, because text mode would also end lines at a lone carriage return.
    for number, raw in enumerate(iter(partial(file.readline, LARGEST_TEXT + 1), b""), start=1):
        _bound(f"{path}:{number}", len(raw))
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DatasetInvalid(
                f"{path}:{number}", f"is not UTF-8 (byte {error.start + 1} of the line). Save the file as UTF-8."
            ) from error


def _decoded_whole(path: Path, file: BinaryIO, encoding: str, newline: str) -> Iterator[tuple[int, str]]:
    """Lines of a file whose bytes cannot be split at line feeds: UTF-16, or lines that end with a carriage return."""
    number = 0
    with io.TextIOWrapper(file, encoding=encoding, newline=newline) as text:
        try:
            for number, line in enumerate(iter(partial(text.readline, LARGEST_TEXT + 1), ""), start=1):
                _bound(f"{path}:{number}", len(line))
                yield number, line
        except UnicodeDecodeError as error:
            name = encoding.removesuffix("-sig").upper()
            raise DatasetInvalid(
                str(path), f"is not {name} somewhere after line {number}. Save the file as UTF-8."
            ) from error


def _bound(where: str, size: int) -> None:
    if size > LARGEST_TEXT:
        raise DatasetInvalid(where, f"is larger than {LARGEST_TEXT >> 30} GiB. Split it.")


@contextmanager
def _open_bytes(path: Path) -> Iterator[tuple[BinaryIO, bytes]]:
    """A file's bytes, decompressed, and the first of them."""
    try:
        # Without blocking, because opening a pipe would wait for a writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as raw:
            if not raw.seekable():
                raise DatasetInvalid(str(path), "is a pipe or a device, and is read more than once. Save it as a file.")
            if stat.S_ISCHR(os.fstat(raw.fileno()).st_mode):  # some, such as /dev/zero, never end
                raise DatasetInvalid(str(path), "is a device, expected a file.")
            packed = raw.read(len(_GZIP)) == _GZIP
            raw.seek(0)
            # By its first bytes, not by its name: a download often loses or keeps the ending wrongly.
            file = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
            head = file.read(_HEAD_BYTES)
            file.seek(0)
            yield file, head
    except FileNotFoundError as error:
        raise DatasetInvalid(str(path), "there is no such file.") from error
    except IsADirectoryError as error:
        raise DatasetInvalid(str(path), "is a folder, expected a file.") from error
    except _NOT_WHOLE as error:
        raise DatasetInvalid(str(path), f"is compressed by gzip and damaged or cut off: {error}.") from error
    except gzip.BadGzipFile as error:
        raise DatasetInvalid(str(path), f"is compressed by gzip and damaged: {error}.") from error
    except OSError as error:
        raise DatasetInvalid(str(path), f"cannot be read: {error.strerror or error}.") from error


def _newline(file: BinaryIO, head: bytes) -> str:
    """What ends a line: a carriage return where the file holds one and no line feed, as old Macs wrote, else a line
    feed. Both are single bytes of UTF-16 too."""
    if b"\r" not in head or b"\n" in head:
        return "\n"
    fed = any(b"\n" in part for part in iter(lambda: file.read(_HEAD_BYTES), b""))
    file.seek(0)
    return "\n" if fed else "\r"


def _encoding(head: bytes) -> str:
    return "utf-16" if head.startswith(_UTF16) else "utf-8-sig"
