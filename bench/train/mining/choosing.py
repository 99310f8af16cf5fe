"""Walks each pair's ranking and keeps the documents that no rule leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adapters.base import EMPTY_ROW, Floats, Rows
from bench.experiment.negatives import Negatives
from bench.train.mining.asked import Asked
from bench.train.mining.mined import Example, Tally

Positions = npt.NDArray[np.int64]


class Candidate(NamedTuple):
    """A document, or a text that was written, that may become a negative. score: NaN where none decided."""

    row: int
    score: float


class Dropped(NamedTuple):
    """A document that a rule left out."""

    rule: str
    row: int
    score: float


@dataclass(slots=True)
class Walk:
    """What a pair's ranking gave. ended: whether no further place is asked for."""

    valid: list[Candidate] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    ended: bool = False


class Choosing:
    """The rules of one mining. positive_scores: float32 (pairs,) by what ranks, None where nothing does."""

    def __init__(self, spec: Negatives, asked: Asked, positive_scores: Floats | None) -> None:
        self._spec = spec
        self._asked = asked
        self._positive_scores = None if positive_scores is None else positive_scores.tolist()
        self._values = None if spec.not_same is None else asked.values(spec.not_same).tolist()
        self._shared: dict[int, set[int]] = {}
        self.tally = Tally()

    def walk(self, pair: int, rows: Rows, scores: Floats, wanted: int | None) -> Walk:
        """Walk down a ranking of a pair, rows and scores (depth,), best first, -1 where it ended. wanted: how many
        candidates are enough, None where all places that are taken are looked at."""
        walk, seen, place = Walk(), set[str](), 0
        last = None if self._spec.strategy == "random" else self._spec.last_place
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
            if row == EMPTY_ROW:
                walk.ended = True
                break
            if (rule := self.barred(pair, row, seen)) is None:
                seen.add(self._asked.text(row))
                place += 1
                rule = self._left_out(pair, row, score, place)
            if rule is None:
                walk.valid.append(Candidate(row, score))
            else:
                walk.dropped.append(Dropped(rule, row, score))
            if place == last or len(walk.valid) == wanted:
                walk.ended = True
                break
        return walk

    def filled(self, pair: int, taken: Sequence[Candidate], drawn: Rows) -> list[Candidate]:
        """What fills up the negatives of a pair: documents drawn at random, without those that it must not have."""
        seen = {self._asked.text(candidate.row) for candidate in taken}
        more: list[Candidate] = []
        for row in drawn.tolist():
            if len(taken) + len(more) == self._spec.per_query:
                break
            if self.barred(pair, row, seen) is None and not self._shares_value(pair, row):
                seen.add(self._asked.text(row))
                more.append(Candidate(row, np.nan))
        return more

    def barred(self, pair: int, row: int, seen: set[str]) -> str | None:
        """The rule that bars a document from a ranking altogether: it has no place in it."""
        group = int(self._asked.groups[pair])
        if row in self._asked.positives_of[group]:
            return "positive"
        if row in self._asked.own_of[group]:
            return "own_document"
        text = self._asked.text(row)
        if not text:
            return "empty"
        if text in self._asked.barred_texts[group]:
            return "positive_text"
        if text in self._asked.query_texts[group]:
            return "query_text"
        return "repeated_text" if text in seen else None

    def _left_out(self, pair: int, row: int, score: float, place: int) -> str | None:
        """The rule that leaves out a document at its place."""
        spec = self._spec
        if place < spec.range_min and spec.strategy != "random":
            return "before_range"
        if self._shares_value(pair, row):
            return "not_same"
        return self.by_score(pair, score)

    def by_score(self, pair: int, score: float) -> str | None:
        """The rule that leaves out a document for its score by the mining model."""
        spec = self._spec
        if not spec.by_vectors:
            return None
        if score == -np.inf:
            return "no_score"
        if spec.min_score is not None and score < spec.min_score:
            return "min_score"
        if spec.max_score is not None and score > spec.max_score:
            return "max_score"
        return self._too_near(pair, score)

    def _too_near(self, pair: int, score: float) -> str | None:
        spec = self._spec
        if self._positive_scores is None or (spec.absolute_margin is None and spec.relative_margin is None):
            return None
        positive = self._positive_scores[pair]
        if positive == -np.inf:
            return "no_score"
        if spec.absolute_margin is not None and score > positive - spec.absolute_margin:
            return "absolute_margin"
        # Not as a ratio, which turns over where scores are below zero.
        if spec.relative_margin is not None and score > positive - spec.relative_margin * abs(positive):
            return "relative_margin"
        return None

    def _shares_value(self, pair: int, row: int) -> bool:
        """Whether a document has the value of one of the pair's positives in the column not_same."""
        if self._values is None:
            return False
        group = int(self._asked.groups[pair])
        if group not in self._shared:
            self._shared[group] = {self._values[each] for each in self._asked.positives_of[group]} - {EMPTY_ROW}
        return self._values[row] in self._shared[group]

    def count(self, pair: int, dropped: Sequence[Dropped]) -> None:
        """Count what was left out for a pair, and keep some of it as examples."""
        for rule, row, score in dropped:
            self.tally.counts[rule] += 1
            if self.tally.wants_example(rule):
                self.tally.example(rule, self._example(pair, row, score))

    def _example(self, pair: int, row: int, score: float) -> Example:
        asked = self._asked
        return Example(
            query=asked.texts[asked.query_of[pair]],
            positive=asked.positives[pair],
            document_id=asked.document_id(row),
            text=asked.document_text(row),
            score=score if np.isfinite(score) else None,
        )
