"""The language of some texts, and which options of BM25 fit it."""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

_SHARE = 0.2  # of the letters, from which a script decides
_LETTERS = 20_000  # that are looked at
_CLEAR = 1.2  # times as many frequent words as of any other language
_LEAST = 0.1  # of the words: lists of names and figures have no language

# Scripts without spaces, and the Korean one, whose words carry their endings.
_BY_CHARACTER = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR")
_SCRIPTS = (("HANGUL", "ko"), ("CJK", "zh"), ("THAI", "th"), ("ARABIC", "ar"), ("CYRILLIC", "ru"))

# The commonest words of languages, with those of questions.
_COMMON = {
    "en": "the of and to in is that for with as on are this be it by or from which can how what do i my you",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch werden wie ich wo",
    "fr": "le la les des et est un une dans pour que qui sur par au pas plus avec ce sont aux comment je où mon",
    "es": "el la los las de y en que un una es por con para del se no su al como más cómo dónde mi qué puedo",
    "it": "il la di che e un una per in con non sono del della le dei si da al come più dove mi gli quando posso è",
    "pt": "o a os as de e que um uma em para com não do da no na por mais como dos onde meu você posso são é",
    "nl": "de het een van en in is dat op te met voor zijn niet aan er ook door als bij ik mijn hoe wat waar kan",
    "sv": "och att det är en ett som för på med inte jag av till den hur mitt var kan om",
    "da": "og at det er en et som for på med ikke jeg af til den hvordan mit hvor kan om",
    "no": "og at det er en et som for på med ikke jeg av til den hvordan mitt hvor kan om",
    "fi": "ja on ei se että oli hän mutta kun niin kuin mitä miten minun voin ovat tai myös",
    "hu": "a az és hogy nem is egy van ez meg hogyan mit kell vagy csak mint lehet",
    "ro": "și de la în nu este cu pe un o care pentru sunt din mai cum ce să unde",
    "tr": "ve bir bu için ne de da mı nasıl çok ile olarak var daha değil nerede",
}
# By the names of stemmers and of lists of stop words.
_NAMES: Mapping[str, str] = {
    "en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian", "pt": "portuguese",
    "nl": "dutch", "sv": "swedish", "da": "danish", "no": "norwegian", "fi": "finnish", "hu": "hungarian",
    "ro": "romanian", "tr": "turkish", "ru": "russian", "ar": "arabic",
}  # fmt: skip
_WITHOUT_STOP_WORDS = ("english", "finnish", "hungarian", "romanian", "arabic")  # of English they are the default


class Language(NamedTuple):
    """What texts are written in. name: None where no language stands out. bm25: options of its index."""

    name: str | None
    bm25: Mapping[str, Any]

    @property
    def english(self) -> bool:
        """Whether a model made for English fits, as far as can be told."""
        return self.name == "english" or (self.name is None and "tokenizer" not in self.bm25)


def lexical_language(texts: Iterable[str]) -> Language:
    """The language of texts, and BM25's options for it: words of Chinese where that is installed, characters for
    scripts without spaces, stems where the stemmer is installed, else the language's stop words."""
    sample = _sample(texts)
    scripts = _scripts(sample)
    by_character = {name for name in _BY_CHARACTER if scripts[name]}
    if sum(scripts[name] for name in by_character) >= _SHARE * max(1, scripts.total()):
        words = by_character == {"CJK"} and importlib.util.find_spec("jieba") is not None
        return Language(None, {"tokenizer": "jieba" if words else "characters"})
    name = _NAMES.get(language_of(sample) or "")
    if name is None:
        return Language(None, {})
    if importlib.util.find_spec("Stemmer") is not None:
        return Language(name, {"tokenizer": "stem", **({} if name == "english" else {"language": name})})
    return Language(name, {} if name in _WITHOUT_STOP_WORDS else {"stopwords": name})


def language_of(texts: Iterable[str]) -> str | None:
    """The language of some texts, as ISO 639 has it in two letters: by its script, or by its commonest words. None
    where neither says."""
    sample = _sample(texts)
    scripts = _scripts(sample)
    letters = scripts.total()
    if letters and scripts["HIRAGANA"] + scripts["KATAKANA"] >= _SHARE / 2 * letters:
        return "ja"
    for script, language in _SCRIPTS:
        if letters and scripts[script] >= _SHARE * letters:
            return language
    words = Counter(word for text in sample for word in re.findall(r"[^\W\d_]+", text.casefold()))
    counts = Counter({language: sum(words[word] for word in common.split()) for language, common in _COMMON.items()})
    (best, most), (_, second) = counts.most_common(2)
    several = sum(words[word] > 0 for word in _COMMON[best].split()) > 1
    return best if several and most >= max(_LEAST * words.total(), _CLEAR * second) else None


def _sample(texts: Iterable[str]) -> Sequence[str]:
    found, letters = [], 0
    for text in texts:
        found.append(text[:_LETTERS])
        letters += len(text)
        if letters >= _LETTERS:
            break
    return found


def _scripts(texts: Iterable[str]) -> Counter[str]:
    """How many letters of each script there are."""
    letters = (char for text in texts for char in text if char.isalpha())
    return Counter("LATIN" if char.isascii() else unicodedata.name(char, "").partition(" ")[0] for char in letters)
