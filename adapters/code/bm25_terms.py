"""How texts become terms for BM25."""

from __future__ import annotations

import importlib
import logging
import re
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class Terms(ABC):
    """Turns a text into its terms, in order, repeats kept. stopwords: the name of a list, or words."""

    def __init__(self, *, stopwords: str | Sequence[str] = ()) -> None:
        self._stopwords = _stopwords(stopwords) if isinstance(stopwords, str) else frozenset(stopwords)

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """The words of a text in lower case."""

    def __call__(self, text: str) -> list[str]:
        return [term for term in self.split(text.lower()) if term not in self._stopwords]


class WordTerms(Terms):
    """Words of two letters or more."""

    _words = re.compile(r"(?u)\b\w\w+\b")  # bm25s.tokenize, token_pattern

    def split(self, text: str) -> list[str]:
        """The words."""
        return self._words.findall(text)


class StemmedTerms(WordTerms):
    """Words of two letters or more, stemmed. language: of the Snowball algorithm."""

    def __init__(self, *, language: str, stopwords: str | Sequence[str] = ()) -> None:
        super().__init__(stopwords=stopwords)
        self._language = language
        self._local = threading.local()  # a PyStemmer object can serve only one thread at a time

    def __call__(self, text: str) -> list[str]:
        if not hasattr(self._local, "stem"):
            stemmers: Any = importlib.import_module("Stemmer")
            self._local.stem = stemmers.Stemmer(self._language).stemWords
        stemmed: list[str] = self._local.stem(super().__call__(text))
        return stemmed


class JiebaTerms(Terms):
    """Chinese words."""

    def __init__(self, *, stopwords: str | Sequence[str] = ()) -> None:
        super().__init__(stopwords=stopwords)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its source holds escapes that current Python versions warn about
            jieba: Any = importlib.import_module("jieba")
        jieba.setLogLevel(logging.WARNING)
        self._cut: Any = jieba.Tokenizer().lcut

    def split(self, text: str) -> list[str]:
        """The words."""
        return [part for part in self._cut(text) if re.search(r"\w", part)]


class CharacterTerms(Terms):
    """Character n-grams, for scripts without spaces."""

    def __init__(self, *, n: int, stopwords: str | Sequence[str] = ()) -> None:
        super().__init__(stopwords=stopwords)
        self._n = n

    def split(self, text: str) -> list[str]:
        """The n-grams of each run of letters."""
        n = self._n
        runs: list[str] = re.findall(r"\w+", text)
        return [run[i : i + n] for run in runs for i in range(max(1, len(run) - n + 1))]


class CodeTerms(Terms):
    """Words of any length with what belongs to names, such as C++, C#, .NET, R and 3.5."""

    _words = re.compile(r"(?:(?<![\w.])\.)?\w+(?:\.\w+)*(?:\+\+|[#+])*")

    def split(self, text: str) -> list[str]:
        """The words and names."""
        return self._words.findall(text)


def _stopwords(name: str) -> frozenset[str]:
    """A list of the library bm25s."""
    lists: Any = importlib.import_module("bm25s.stopwords")
    constant = {"english": "EN", "english_plus": "EN_PLUS"}.get(name, name.upper())
    return frozenset(getattr(lists, f"STOPWORDS_{constant}"))
