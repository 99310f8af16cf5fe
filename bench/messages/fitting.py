"""Text that fits: names cut to a width and still different, and sentences broken into lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

ELLIPSIS = "…"


def width_of(text: str) -> int:
    """Columns that a text takes on a terminal: Chinese, Japanese and Korean ones take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, width: int) -> str:
    """The text with blanks behind it."""
    return text + " " * (width - width_of(text))


def cut(text: str, width: int, *, tail: int = 0) -> str:
    """The text where it fits, else its beginning and its last `tail` columns with an ellipsis between."""
    if width_of(text) <= width:
        return text
    end = _within(text[::-1], tail)[::-1]
    return f"{_within(text, width - 1 - width_of(end))}{ELLIPSIS}{end}"


def shortened(names: Sequence[str], width: int) -> Mapping[str, str]:
    """Names by their short forms of at most this width, all different: what tells two apart stays."""
    names = list(dict.fromkeys(names))
    for tail in (0, width // 3, width // 2, *range(width // 2 + 1, width - 1)):
        found = {name: cut(name, width, tail=tail) for name in names}
        if len({*found.values()}) == len(names):
            return found
    numbers = {name: f" {i}" for i, name in enumerate(names, 1)}
    return {name: cut(name, width - len(numbers[name])) + numbers[name] for name in names}


def wrapped(text: str, width: int, *, first: str = "", then: str | None = None) -> list[str]:
    """Words in lines of at most this width; a word that is longer is broken. first: what the first line begins with;
    then: the others, blanks of the same width where it is left out."""
    then = " " * width_of(first) if then is None else then
    room = max(1, width - max(width_of(first), width_of(then)))
    lines, line = list[str](), first
    for word in (piece for whole in text.split() for piece in _pieces(whole, room)):
        head = line in (first, then)
        grown = line + word if head else f"{line} {word}"
        if not head and width_of(grown) > width:
            lines.append(line)
            grown = then + word
        line = grown
    return [*lines, line]


def _pieces(word: str, width: int) -> Iterator[str]:
    while width_of(word) > width:
        piece = _within(word, width) or word[0]
        yield piece
        word = word[len(piece) :]
    yield word


def _within(text: str, width: int) -> str:
    used = 0
    for place, char in enumerate(text):
        used += width_of(char)
        if used > width:
            return text[:place]
    return text
