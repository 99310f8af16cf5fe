"""Makes text of foreign origin safe for a terminal: names, ids, texts and errors may come from a stranger's data."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

# Control characters, half surrogate pairs, invisible characters (bidirectional overrides, zero widths), and separators
# of lines and paragraphs: a terminal obeys them, or shows something else than the text.
_CATEGORIES = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})


def _as_python(char: str) -> str:
    return char.encode("unicode_escape").decode()


def printable(text: str, *, keep: str = "\n\t", escape: Callable[[str], str] = _as_python) -> str:
    """The text with each such character written as Python does (`\\x1b`, `\\u202e`). keep: such characters that
    stay."""
    if text.isprintable():
        return text
    return text.translate({ord(char): escape(char) for char in unprintable(text).difference(keep)})


def unprintable(text: str) -> set[str]:
    """The characters of a text that `printable` writes out."""
    if text.isprintable():
        return set()
    return {char for char in set(text) if unicodedata.category(char) in _CATEGORIES}
