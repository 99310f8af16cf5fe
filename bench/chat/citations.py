"""Citations in an answer: those that exist stay, others are taken out and told."""

from __future__ import annotations

import re

_OPENING, _CLOSING = "[【", "]】"
_CITATION = re.compile(
    r"([ \t]*)[\[【]\s*(?:passages?\s+)?(\d{1,4}(?:\s*(?:[,;–-]|and)\s*\d{1,4})*)\s*(?:†[^\]】]{0,40})?[\]】]",
    re.IGNORECASE,
)
_LONGEST = 80  # characters between the brackets of a citation


class Citations:
    """Reads an answer piece by piece. count: how many passages there are, numbered from 1.

    cited: the passages that the answer cites, in the order in which it does. invented: what it cited that does not
    exist, as it wrote it.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._held = ""
        self._last = ""  # character that was given
        self.cited: list[int] = []
        self.invented: list[str] = []

    def read(self, piece: str) -> str:
        """What of the answer is certain after one more piece: an open bracket is held until it closes."""
        self._held += piece
        place = max(self._held.rfind(bracket) for bracket in _OPENING)
        closed = place < 0 or any(bracket in self._held[place:] for bracket in _CLOSING)
        if closed or len(self._held) - place > _LONGEST:
            place = len(self._held)
        # A blank before a citation goes with it.
        certain = len(self._held[:place].rstrip())
        text, self._held = self._held[:certain], self._held[certain:]
        return self._given(text)

    def rest(self) -> str:
        """What was held when the answer ended."""
        text, self._held = self._held, ""
        return self._given(text).rstrip()

    def _given(self, text: str) -> str:
        given = _CITATION.sub(self._checked, text)
        self._last = (self._last + given)[-1:]
        return given

    def _checked(self, found: re.Match[str]) -> str:
        blank, numbers = found[1], _numbers(found[2])
        there = [number for number in numbers if 1 <= number <= self._count]
        if len(there) < len(numbers):
            self.invented += [f"[{number}]" for number in numbers if number not in there]
        self.cited += [number for number in there if number not in self.cited]
        if there:
            return blank + "".join(f"[{number}]" for number in there)
        # Between brackets, what is taken out would leave another citation behind: [[9]7].
        before = (self._last + found.string[: found.start()])[-1:]
        return "–" if before and before in _OPENING else ""


def without_citations(text: str) -> str:
    """An answer without its citations: their numbers mean nothing beside other passages."""
    return re.sub(r"[ \t]+([.,;:!?])", r"\1", _CITATION.sub("", text)).strip()


def _numbers(text: str) -> list[int]:
    """The numbers of a citation, each once: `1, 3` and `2-4`."""
    found: list[int] = []
    for part in re.split(r"\s*(?:[,;]|and)\s*", text, flags=re.IGNORECASE):
        first, *last = [int(number) for number in re.findall(r"\d+", part)]
        whole = last and first < last[-1] <= first + 20
        found += range(first, last[-1] + 1) if whole else [first, *last]
    return list(dict.fromkeys(found))
