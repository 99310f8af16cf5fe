"""Numbers with the words that they count, and text that files and terminals can take."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Sequence

_PLURALS = {"index": "indexes", "query": "queries", "batch": "batches", "entry": "entries"}


def counted(count: int, *words: str) -> str:
    """`1 index built`, `2 indexes built`: the noun in its number, then what else is said of it."""
    noun, *rest = words
    return " ".join([f"{count:,}", noun if count == 1 else plural(noun), *rest])


def listed(names: Sequence[str], most: int = 3) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c and 4 more`."""
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def singular(noun: str) -> str:
    """The singular of a unit of work; events carry the plural."""
    return next((one for one, many in _PLURALS.items() if many == noun), noun.removesuffix("s"))


def plural(noun: str) -> str:
    """The plural, formed on the last word: `hard negative` becomes `hard negatives`."""
    first, _, last = noun.rpartition(" ")
    return f"{first} {_PLURALS.get(last, f'{last}s')}".lstrip()


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell. No cell adds a line or a column."""
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def pasted(path: object) -> str:
    """A path as a shell takes it for one word, and a command for no option."""
    word = str(path)
    return shlex.quote(f"./{word}" if word.startswith("-") else word)


def beginning(text: str, most: int, mark: str = "…") -> str:
    """A text on one line; of a longer one as many characters as `most`, and the mark."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}{mark}"


def writable(text: str) -> str:
    """Text of foreign origin, with half surrogate pairs and control characters written out as in Python (`\\ud83d`).
    No file takes the former, and a terminal obeys the latter. Line ends and tabs stay."""
    if text.isprintable():
        return text
    unsafe = {char for char in set(text) if unicodedata.category(char) in ("Cc", "Cs")} - set("\n\t")
    return text.translate({ord(char): char.encode("unicode_escape").decode() for char in unsafe})


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def no_formula(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like a formula gets an apostrophe before it."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
