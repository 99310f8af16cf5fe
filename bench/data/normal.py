"""What texts have in common that differ in nothing but their spelling."""

from __future__ import annotations

import re
import unicodedata

_SIGN = re.compile(r"[^\w\s]|_")


def normalised(text: str) -> str:
    """A text in NFKC, without cases, with single spaces: two texts that agree in it say the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def plain_query(text: str) -> str:
    """What the spellings of one query have in common: as `normalised`, and without punctuation (Unicode's P), which
    searchers set or leave out. Symbols stay: C++ is not C. A text of punctuation alone is as `normalised` gives it."""
    folded = normalised(text)
    return " ".join(_SIGN.sub(_spaced, folded).split()) or folded


def _spaced(sign: re.Match[str]) -> str:
    return " " if unicodedata.category(sign[0]).startswith("P") else sign[0]
