"""Finds queries that are nearly the same: those that share a long run of words, or nearly all of their words."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

RUN = 8  # words in a row that two queries rarely share by chance
LETTERS = 16  # the same of letters, in scripts without spaces
LEAST_ALIKE = 0.8  # of the words that stand in either query, those that stand in both
FEWEST_WORDS = 4  # of a query that is compared by its words
_COMMON_RUN = 10  # queries with the same run, from which on it is their template, and nothing that they copy
# Scripts without spaces, in which a letter stands for a word: Thai and Lao, Burmese, Khmer, kana, Han.
_ALONE = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_LETTER = re.compile(rf"[{_ALONE}]")
_WORD = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")


class Near(NamedTuple):
    """The text that another one nearly copies. shared: how many of the `of` distinct words that either holds stand in
    both; where only a run of words tells, its length, and `of` is None."""

    text: str
    shared: int
    of: int | None = None


def near_copies(texts: Sequence[str], others: Sequence[str]) -> dict[str, Near]:
    """Those of some texts that nearly copy one of others, each with the nearest. Both are in plain form, and no text
    stands among the others. The time grows with what the texts share, not with their product."""
    words = [_words(text) for text in texts]
    other_words = [_words(text) for text in others]
    runs = _index(other_words)
    found: dict[str, Near] = {}
    alike = _Alike(words, other_words)
    for place, text in enumerate(texts):
        if (nearest := alike.nearest(place)) is not None:
            at, shared, of = nearest
            found[text] = Near(others[at], shared, of)
        elif (other := _by_run(words[place], runs)) is not None:
            found[text] = Near(others[other], _run_length(words[place]))
    return found


def nearly_alike(one: str, other: str) -> bool:
    """Whether two texts, in plain form, have nearly all their words in common."""
    words, others = set(_words(one)), set(_words(other))
    return len(words & others) >= LEAST_ALIKE * max(1, len(words | others))


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _run_length(words: Sequence[str]) -> int:
    letters = sum(_LETTER.fullmatch(word) is not None for word in words)
    return LETTERS if 2 * letters > len(words) else RUN


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    length = _run_length(words)
    return (tuple(words[start : start + length]) for start in range(len(words) - length + 1))


def _index(texts: Sequence[Sequence[str]]) -> dict[tuple[str, ...], list[int]]:
    """The texts that hold each run of words, without the runs that are a template of many."""
    found: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, words in enumerate(texts):
        for run in dict.fromkeys(_runs(words)):
            found[run].append(place)
    return {run: places for run, places in found.items() if len(places) < _COMMON_RUN}


def _by_run(words: Sequence[str], runs: Mapping[tuple[str, ...], Sequence[int]]) -> int | None:
    """The other text that shares most runs."""
    shared = Counter(place for run in dict.fromkeys(_runs(words)) for place in runs.get(run, ()))
    return min(shared, key=lambda place: (-shared[place], place)) if shared else None


class _Alike:
    """Finds the text with the most words in common, at least LEAST_ALIKE of the words of either.

    Two such sets share one of the rarest words of each: of m words the m - ⌈m · LEAST_ALIKE⌉ + 1 rarest. Source:
    prefix filtering, Chaudhuri, Ganti and Kaushik, ICDE 2006.
    """

    def __init__(self, texts: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> None:
        frequency = Counter(word for words in (*texts, *others) for word in set(words))
        self._texts = [self._rarest_first(words, frequency) for words in texts]
        self._others = [self._rarest_first(words, frequency) for words in others]
        self._sets = [frozenset(words) for words in self._others]
        self._holding: defaultdict[str, list[int]] = defaultdict(list)
        for place, words in enumerate(self._others):
            for word in _prefix(words):
                self._holding[word].append(place)

    @staticmethod
    def _rarest_first(words: Sequence[str], frequency: Counter[str]) -> list[str]:
        return sorted(set(words), key=lambda word: (frequency[word], word))

    def nearest(self, place: int) -> tuple[int, int, int] | None:
        """The place of the nearest other, how many words both hold, and how many either does."""
        words = frozenset(self._texts[place])
        best: tuple[float, int, int, int] | None = None
        fewest, most = LEAST_ALIKE * len(words), len(words) / LEAST_ALIKE
        for other in {at for word in _prefix(self._texts[place]) for at in self._holding.get(word, ())}:
            if not fewest <= len(self._sets[other]) <= most:
                continue
            shared = len(words & self._sets[other])
            either = len(words) + len(self._sets[other]) - shared
            if shared >= LEAST_ALIKE * either:
                candidate = (-shared / either, other, shared, either)
                best = candidate if best is None else min(best, candidate)
        return None if best is None else best[1:]


def _prefix(rarest_first: Sequence[str]) -> Sequence[str]:
    count = len(rarest_first)
    return rarest_first[: count - math.ceil(LEAST_ALIKE * count) + 1] if count >= FEWEST_WORDS else ()
