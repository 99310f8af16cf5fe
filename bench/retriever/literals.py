"""Values as Python source. Whatever a text holds, it stays a text: nothing breaks out of a literal or a docstring."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def literal(value: Any) -> str:
    """The source of a value: None, a truth value, a number, a text, or a list or mapping of these. Raises TypeError for
    any other."""
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, str):
        return repr(str(value))  # of an enumeration's member the text alone
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else f'float("{float(value)}")'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} cannot be written as a literal")


def in_docstring(text: str) -> str:
    """Foreign text within a docstring of three double quotes: one line, no character that ends it or cannot be seen."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character == "\\":
        return r"\\"
    if character == '"':
        return r"\""
    if character.isprintable():
        return character
    # Twice escaped: a reader of the docstring sees the escape, not what it stands for.
    return "\\" + character.encode("unicode_escape").decode("ascii")
