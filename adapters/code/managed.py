"""What managed services have in common: which refusals a smaller request cures, and the exchanges around them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Any

from adapters.code.contract import RetrieverError
from adapters.code.exchange import Exchange

# Statuses that say that the service objects to what a request holds; 424 is how text-embeddings-inference tells that
# its model failed.
_ABOUT_CONTENT = frozenset({400, 413, 422, 424, 451})
_TOO_LARGE = re.compile(
    r"too (large|long|many|big)|exceed|maximum|\bmax\b|at most|less than|longer than|larger than|reduce|context length",
    re.IGNORECASE,
)
_A_NUMBER = r"\D{0,20}?(\d[\d,]*)"
_ASKED_FOR = re.compile(
    r"(?:requested|batch size|given|input has|you have|has|resulted in|too many tokens|got)" + _A_NUMBER, re.IGNORECASE
)
_AT_MOST = re.compile(
    r"(?:\bmax(?:imum)?\b[a-z' ]{0,40}|less than|at most|\blimit|shorter than|exceeds?[a-z' ]{0,40}?)" + _A_NUMBER,
    re.IGNORECASE,
)
_SHORTEST_CUT = 64  # characters; no model is meant for less


class ServiceRefusal(Exception):
    """A service refuses a request for what it holds. too_large: it says that there is too much. share: of a text that
    it would take."""

    def __init__(self, message: str, *, too_large: bool, share: float) -> None:
        super().__init__(message)
        self.too_large = too_large
        self.share = share


def refusal_of(service: str, status: int | None, answer: object, key: str | None) -> RetrieverError | ServiceRefusal:
    """What an answer with an error status means. key: the variable of the key, None where none was sent."""
    said = one_line(answer, key)
    told = f"{service} refused the request ({status}): {said}"
    if status in _ABOUT_CONTENT:
        asked, most = _amounts(said)
        share = 0.5 if asked is None or most is None else max(0.97 * most / asked, 0.05)
        large = status == 413 or asked is not None or _TOO_LARGE.search(said) is not None
        return ServiceRefusal(told, too_large=large, share=share)
    if status in (401, 403):
        where = f"Check the key in {key}." if key else "It was sent no key: name the key's variable in this file."
        return RetrieverError(f"{told} {where}")
    if status == 429:
        return RetrieverError(f"{told} Ask less often, or have the account's limit raised.")
    return RetrieverError(told)


def _amounts(said: str) -> tuple[int, int] | tuple[None, None]:
    """How much a refusal says was asked for and may be, where it tells both."""
    found = _ASKED_FOR.search(said), _AT_MOST.search(said)
    if found[0] is None or found[1] is None:
        return None, None
    asked, most = int(found[0][1].replace(",", "")), int(found[1][1].replace(",", ""))
    return (asked, most) if asked > most > 0 else (None, None)


def one_line(error: object, key: str | None = None) -> str:
    """A message on one line, without the key in that variable, cut to what a reader takes in."""
    line = " ".join(str(error).split())
    if secret := _secret(key):
        line = line.replace(secret, "[key]")
    return line if len(line) <= 300 else f"{line[:300]} …"


def showable(error: Exception, key: str | None) -> Exception | None:
    """The client's exception, unless it shows the key: a service may repeat what it was sent."""
    secret = _secret(key)
    return None if secret and secret in f"{error}{error!r}{getattr(error, 'body', '')}" else error


def _secret(key: str | None) -> str:
    return os.environ.get(key, "").strip() if key else ""


def encode_exchange(texts: Sequence[str], *, per_request: int, cut: str | None) -> Exchange[list[Any]]:
    """Asks for the vectors of texts, so many in a request. A request that is refused for what it holds is halved, down
    to the text. cut: the end, start or end, that is cut from a text that is too long; None where such a text fails."""
    vectors: list[Any] = [None] * len(texts)
    sent = [text or " " for text in texts]  # services refuse an empty text
    waiting = [list(range(start, min(start + per_request, len(texts)))) for start in range(0, len(texts), per_request)]
    while waiting:
        places = waiting.pop(0)
        try:
            found = yield [sent[place] for place in places]
        except ServiceRefusal as refusal:
            text, half = sent[places[0]], len(places) // 2
            if half:
                waiting[:0] = [places[:half], places[half:]]
                continue
            if cut is None or not refusal.too_large or len(text) < _SHORTEST_CUT:
                raise RetrieverError(str(refusal)) from refusal
            length = max(1, int(len(text) * refusal.share))
            sent[places[0]] = text[:length] if cut == "end" else text[-length:]
            waiting.insert(0, places)
        else:
            for place, vector in zip(places, found, strict=True):
                vectors[place] = vector
    return vectors


def score_exchange(query: str, texts: Sequence[str], *, per_request: int) -> Exchange[list[float]]:
    """Asks for the scores of documents, so many in a request. A request that is refused for what it holds is halved,
    down to the document: one that is too long is cut, any other that is refused scores minus infinity."""
    scores = [-math.inf] * len(texts)
    sent = [text or " " for text in texts]  # services refuse an empty text
    last: ServiceRefusal | None = None
    waiting = [list(range(start, min(start + per_request, len(texts)))) for start in range(0, len(texts), per_request)]
    while waiting:
        places = waiting.pop(0)
        try:
            found = yield query or " ", [sent[place] for place in places]
        except ServiceRefusal as refusal:
            last = refusal
            text = sent[places[0]]
            if (half := len(places) // 2) > 0:
                waiting[:0] = [places[:half], places[half:]]
            elif refusal.too_large and len(text) >= _SHORTEST_CUT:
                sent[places[0]] = text[: max(1, int(len(text) * refusal.share))]
                waiting.insert(0, places)
        else:
            for place, score in zip(places, found, strict=True):
                scores[place] = score
    if last is not None and all(map(math.isinf, scores)):
        raise RetrieverError(str(last)) from last
    return scores


def scores_by_document(service: str, found: Sequence[tuple[int, float | None]], count: int) -> list[float]:
    """Scores from pairs (document, score) in any order. Raises RetrieverError unless every document has one that is
    finite."""
    scores = {index: math.nan if score is None else float(score) for index, score in found}
    if len(found) != count or set(scores) != set(range(count)) or not all(map(math.isfinite, scores.values())):
        raise RetrieverError(f"{service} did not answer with one finite score for each of {count} documents.")
    return [scores[index] for index in range(count)]
