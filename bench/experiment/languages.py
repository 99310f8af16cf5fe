"""Which tokenizer fits the language of some texts."""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Iterable

_SHARE = 0.2  # of the letters, from which a script without spaces decides
_SPACELESS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
_LETTERS = 20_000  # that are looked at


def tokenizer_for(texts: Iterable[str]) -> str | None:
    """`jieba` for Chinese where that is installed, `characters` for scripts without spaces, None for all others."""
    counts = dict.fromkeys(_SPACELESS, 0)
    letters = 0
    for text in texts:
        for char in text:
            if char.isalpha():
                letters += 1
                script = "" if char.isascii() else unicodedata.name(char, "").partition(" ")[0]
                if script in counts:
                    counts[script] += 1
        if letters >= _LETTERS:
            break
    if not letters or sum(counts.values()) < _SHARE * letters:
        return None
    chinese = counts["CJK"] == sum(counts.values())
    return "jieba" if chinese and importlib.util.find_spec("jieba") is not None else "characters"
