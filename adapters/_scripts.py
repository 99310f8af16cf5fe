"""Detects writing that needs a special tokenizer: scripts without spaces, and names that contain other characters than
letters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

Writing: TypeAlias = Literal["Chinese", "Japanese", "Korean", "Thai, Lao, Khmer or Burmese", "names like C++, R or 3.5"]

_SCRIPTS: Mapping[Writing, re.Pattern[str]] = {
    "Japanese": re.compile(r"[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d]"),
    "Chinese": re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
    "Korean": re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]"),
    "Thai, Lao, Khmer or Burmese": re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"),
    # A lone letter or digit, a word that ends in + or #, one that begins with a dot, a number with one.
    "names like C++, R or 3.5": re.compile(r"(?<!\w)[A-Za-z0-9](?!\w)|\w[+#]+(?!\w)|(?<!\S)\.\w|\d\.\d"),
}


def advice(texts: Sequence[str], offered: Mapping[Writing, str], *, option: str) -> str | None:
    """A sentence that names tokenizers for the writing of these texts; None where none of the offered ones would help.
    offered: by kind of writing, the value or values of the option.
    """
    found = [writing for writing, pattern in _SCRIPTS.items() if any(map(pattern.search, texts))]
    if "Japanese" in found and "Chinese" in found and not _apart(texts):
        found.remove("Chinese")
    helps = [f"{offered[writing]} for {writing}" for writing in found if writing in offered]
    return f"Set {option}: {'; '.join(helps)}." if helps else None


def _apart(texts: Sequence[str]) -> bool:
    """Whether some text is Chinese alone: Japanese texts hold Chinese characters too."""
    japanese, chinese = _SCRIPTS["Japanese"], _SCRIPTS["Chinese"]
    return any(chinese.search(text) and not japanese.search(text) for text in texts)
