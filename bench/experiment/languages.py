"""The language of some texts, and which tokenizer fits it."""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections import Counter
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


_COMMON = {
    "en": "the of and to in is that for with as on are this be it by or from which can",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch werden",
    "fr": "le la les des et est un une dans pour que qui sur par au pas plus avec ce sont aux",
    "es": "el la los las de y en que un una es por con para del se no su al como más",
    "it": "il la di che e un una per in con non sono del della le dei si da al come più",
    "pt": "o a os as de e que um uma em para com não do da no na por mais como dos",
    "nl": "de het een van en in is dat op te met voor zijn niet aan er ook door als bij",
}
"""The commonest words of languages in Latin letters."""
_SAMPLED_WORDS = 5_000
_LEAST_COMMON = 0.1  # of the words: lists of names and figures have no language


def language_of(texts: Iterable[str]) -> str | None:
    """The language of some texts, as ISO 639 has it in two letters: by its script, or by its commonest words. None
    where neither says."""
    scripts: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for text in texts:
        for char in text:
            if char.isalpha():
                scripts["LATIN" if char.isascii() else unicodedata.name(char, "").partition(" ")[0]] += 1
        words.update(re.findall(r"[^\W\d_]+", text.casefold()))
        if words.total() >= _SAMPLED_WORDS or scripts.total() >= _LETTERS:
            break
    letters = scripts.total()
    if not letters:
        return None
    if scripts["HIRAGANA"] + scripts["KATAKANA"] >= _SHARE / 2 * letters:
        return "ja"
    for script, language in (("HANGUL", "ko"), ("CJK", "zh"), ("CYRILLIC", "ru"), ("THAI", "th"), ("ARABIC", "ar")):
        if scripts[script] >= _SHARE * letters:
            return language
    counts = {language: sum(words[word] for word in common.split()) for language, common in _COMMON.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= _LEAST_COMMON * words.total() and counts[best] else None
