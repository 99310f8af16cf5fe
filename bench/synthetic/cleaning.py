"""From what a generator wrote to questions: what stands around a question is taken off, and what is none is dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from bench.data.normal import plain_query

Drop: TypeAlias = Literal["refused", "empty", "unfinished", "too_long", "copied", "repeated", "of_several", "not_found"]
DROPS: dict[Drop, str] = {
    "refused": "the generator's service refused the document",
    "empty": "without a word",
    "unfinished": "cut off at the generator's max_tokens",
    "too_long": "longer than synthetic.longest",
    "copied": "copied from the document",
    "repeated": "written twice for one document",
    "of_several": "written for several documents: nothing says which is meant",
    "not_found": "whose document the round trip did not find",
}
"""Why questions are dropped, each as it stands after their number."""

_NUMBER = re.compile(r"^\s*(?:[-*•–—>#]+|\(?\d{1,3}\s*[.):、．]|\(?[a-zA-Z]\))\s+|^\s*\d{1,3}[、．]\s*")
_HEADING = re.compile(
    r"^\s*\**\s*(?:(?:search\s+)?(?:question|query)|frage|anfrage|pregunta|domanda|pergunta|requête|вопрос|q)"
    r"\s*\d*\s*\**\s*[:：]\s*\**|^\s*\**\s*(?:问题|問題|質問|질문)\s*\d*\s*\**\s*[:：]\s*\**",
    re.IGNORECASE,
)
_QUOTES = ('""', "''", "“”", "„“", "„”", "‘’", "«»", "»«", "「」", "『』", "``")
_MARKUP = ("**", "__", "*")
_FEWEST_COPIED = 5  # words in a row; fewer are a term that people search by
_FEWEST_COPIED_LETTERS = 12  # in a row, of a script without spaces


class Line(NamedTuple):
    """A question as it was written. unfinished: whether the text ended within it at the generator's limit."""

    text: str
    unfinished: bool


def lines_of(text: str, *, at_once: bool, count: int, unfinished: bool) -> list[Line]:
    """The questions in a text: its lines where it holds several, without what announces them, else its first line."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not at_once:
        return [Line(lines[0] if lines else "", unfinished and len(lines) < 2)]
    lines = [line for line in lines if not line.rstrip(" *").endswith((":", "："))]
    found = [Line(line, unfinished and i == len(lines) - 1) for i, line in enumerate(lines)]
    return found[:count] if found else [Line("", unfinished)]


def cleaned(text: str, heading: re.Pattern[str] = _HEADING) -> str:
    """A question, or another text, without numbering, headings and quotation marks around it, on one line."""
    before = None
    text = " ".join(text.split())
    while text != before:
        before = text
        text = heading.sub("", _NUMBER.sub("", text)).strip()
        for left, right in [*((pair[0], pair[1]) for pair in _QUOTES), *((mark, mark) for mark in _MARKUP)]:
            inner = text[len(left) : -len(right)] if len(text) > len(left) + len(right) else ""
            if inner and text.startswith(left) and text.endswith(right) and left not in inner and right not in inner:
                text = inner.strip()
    return text


def fault_of(question: str, passage: str, *, longest: int) -> Drop | None:
    """Why a cleaned question is none; None for one that is."""
    if not any(char.isalpha() for char in question):
        return "empty"
    if len(question) > longest:
        return "too_long"
    plain, whole = plain_query(question), plain_query(passage)
    if plain == whole or (_is_long(plain) and f" {plain} " in f" {whole} ") or (_spaceless(plain) and plain in whole):
        return "copied"
    if len(whole.split()) >= _FEWEST_COPIED and f" {whole} " in f" {plain} ":
        return "copied"
    return None


def _is_long(plain: str) -> bool:
    return len(plain.split()) >= _FEWEST_COPIED


def _spaceless(plain: str) -> bool:
    return " " not in plain and not plain.isascii() and len(plain) >= _FEWEST_COPIED_LETTERS


def told(dropped: Mapping[Any, int]) -> Iterator[str]:
    """The drops in words."""
    for reason, phrase in DROPS.items():
        if count := dropped.get(reason):
            yield f"{count:,} {phrase}"
