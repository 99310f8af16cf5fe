"""How text is fitted into the columns of a terminal, where a letter may be two columns wide, or none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from bench.messages.terminal import shown

CUT = "…"
_FEWEST = 8  # columns of a name that was cut


class Span(NamedTuple):
    """A piece of a line, and how a terminal shows it: `bold`, `dim`, `good`, `bad`, `warn`, or plainly."""

    text: str
    style: str = ""


Line = Sequence[Span]


def cleaned(text: str) -> str:
    """Text of foreign origin on one line, without what a terminal would obey, so that its width is known."""
    return " ".join(shown(text).split())


def width(text: str) -> int:
    """Columns that a text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, columns: int) -> str:
    """With blanks behind it."""
    return text + " " * max(0, columns - width(text))


def wrapped(text: str, columns: int | None, *, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most so many columns, broken at blanks, and within a word that is longer than a line. first, rest:
    what stands before the first line and before the others. columns: None for one line of any length."""
    if columns is None:
        return [first + text]
    lines: list[str] = []
    line, start = first, first
    for word in text.split(" "):
        if line != start and width(line) + 1 + width(word) > columns:
            lines.append(line)
            line = start = rest
        line += word if line == start else f" {word}"
        while width(line) > columns and width(start) < columns:
            fits = _fitting(line, columns)
            lines.append(line[:fits])
            line, start = rest + line[fits:], rest
    return [*lines, line]


def _fitting(text: str, columns: int) -> int:
    """How many letters from the front take at most so many columns; one at least."""
    taken = 0
    for index, char in enumerate(text):
        taken += _columns(char)
        if taken > columns:
            return max(1, index)
    return len(text)


def _ending(text: str, columns: int) -> str:
    """As much of the end as takes at most so many columns."""
    taken = 0
    for index in range(len(text) - 1, -1, -1):
        taken += _columns(text[index])
        if taken > columns:
            return text[index + 1 :]
    return text


def shortened(names: Sequence[str], columns: int) -> dict[str, str]:
    """Each name as it is shown in at most so many columns: cut in the middle, and no two alike. Names that fit stay as
    they are; names that would be alike carry a number."""
    columns = max(columns, _FEWEST)
    found = {name: name for name in names if width(name) <= columns}
    taken = set(found.values())
    for name in names:
        if name in found:
            continue
        found[name] = next(short for short in _cuts(name, columns) if short not in taken)
        taken.add(found[name])
    return found


def _cuts(name: str, columns: int) -> Iterator[str]:
    """Ways to cut a name, the best first: half of it from either end, more from one of them, and then by number."""
    room = columns - 1
    for end in (room // 2, room // 3, 2 * room // 3, room // 5, 4 * room // 5):
        yield name[: _fitting(name, room - end)] + CUT + _ending(name, end)
    for number in count(2):
        mark = f"{CUT}#{number}"
        yield name[: _fitting(name, columns - len(mark))] + mark


def common_part(names: Sequence[str]) -> str:
    """What stands before each of the names up to a `+`, such as the encoder that all systems have; empty where there is
    none."""
    first = names[0] if len(names) > 1 else ""
    ends = [index + 1 for index, char in enumerate(first) if char == "+"]
    shared = [first[:end] for end in ends if all(name.startswith(first[:end]) and len(name) > end for name in names)]
    return shared[-1] if shared else ""
