"""Texts as lines of a terminal: what a stranger wrote stays within its place and adds no line of its own."""

from __future__ import annotations

from bench.messages.fitting import width_of
from bench.messages.terminal import shown


def one_line(text: str, width: int) -> str:
    """The beginning of a text, in one line of at most so many columns."""
    return next(iter(wrapped(text, width, 1)), "")


def wrapped(text: str, width: int, lines: int) -> list[str]:
    """A text in at most so many lines of at most so many columns; `…` where it goes on. Line ends and blanks in a row
    are one blank; what a terminal would obey is written out."""
    found: list[str] = []
    rest = " ".join(shown(text).split())  # before the wrap, because a secret is told by its whole
    while rest:
        cut = _fitting(rest, width)
        if len(found) + 1 == lines and cut < len(rest):
            found.append(rest[: _fitting(rest, width - 1)].rstrip() + "…")
            return found
        found.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return found


def _fitting(text: str, width: int) -> int:
    """How many characters fit into so many columns, whole words where one ends in the line's second half."""
    taken = 0
    for at, char in enumerate(text):
        taken += width_of(char)
        if taken > width:
            blank = text.rfind(" ", at // 2, at + 1)
            return max(1, blank if blank > 0 else at)
    return len(text)
