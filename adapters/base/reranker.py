"""The contract of a reranker."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from adapters.base.adapter import Adapter, Consumes, NoOptions
from adapters.base.arrays import (
    EMPTY_SCORE,
    Context,
    Corpus,
    Identity,
    Queries,
    Rows,
    Scored,
    Unmatched,
    numbers,
    returned,
)
from adapters.base.code import CodePiece, CorpusFiles, NoCode
from adapters.base.errors import AdapterRejected, InvalidVectors, WrongAnswer


class Reranker(Adapter):
    """Scores the candidates of a query."""

    Options: ClassVar[type[BaseModel]] = NoOptions
    needs: ClassVar[Consumes] = "text"  # "vector": `encoder_name` names the encoder whose vectors it gets
    depends_on_corpus: ClassVar[bool] = False  # a pair's score depends on other documents too (IDF)
    bills: bool = False  # as for an encoder

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Everything that determines the scores. Known without loading the model."""

    @property
    def encoder_name(self) -> str | None:
        """The encoder of the experiment whose vectors it gets, None where `needs` is "text". The default is the option
        `encoder`. Raises WrongAnswer where there is none."""
        if self.needs != "vector":
            return None
        name = getattr(self.options, "encoder", None)
        if not isinstance(name, str):
            raise WrongAnswer(
                f"Reranker {self.name} needs vectors and names no encoder. Give it an option `encoder`, or the "
                "property encoder_name."
            )
        return name

    def prepare(self, corpus: Corpus) -> None:
        """Take the corpus before the first search: texts by row, and vectors where `needs` is "vector". Untimed."""
        self.corpus = corpus

    def score(self, queries: Queries, candidates: Rows) -> Scored:
        """Score candidates.

        queries: n queries with texts, and vectors where `needs` is "vector". candidates: rows (n, depth), -1 for
        empty. Returns float32 (n, depth), -inf at empty places and where the model's service refuses just that pair,
        and the usage.
        Raises InvalidVectors for NaN, AdapterTimeout, AdapterUnavailable, AdapterRejected (also where all pairs of one
        query are refused).
        """
        scored = self._score_some(queries, candidates)
        for query in {query for query, _ in scored.failures}:
            if not (scored.scores[query] > EMPTY_SCORE).any():
                cause = next(cause for (of, _), cause in scored.failures.items() if of == query)
                raise AdapterRejected(f"{cause} All candidates of the query were refused.")
        return scored

    def _score_some(self, queries: Queries, candidates: Rows) -> Scored:
        """As `score`, also where everything was refused."""
        if not candidates.size or not (candidates >= 0).any():
            return Scored(np.full(candidates.shape, -np.inf, np.float32))
        scored = returned(self._score(queries, candidates), Scored, f"Reranker {self.name}: _score")
        scores = numbers(scored.scores, f"Reranker {self.name}: scores")
        if scores.shape != candidates.shape:
            raise WrongAnswer(f"Reranker {self.name} gave shape {scores.shape} for {candidates.shape}.")
        scores = np.where(candidates >= 0, scores, np.float32(-np.inf))
        expected = candidates >= 0
        for refused in scored.failures:
            expected[refused] = False
        if not np.isfinite(scores[expected]).all():
            raise InvalidVectors(f"Reranker {self.name} gave scores that are not finite.")
        return replace(scored, scores=scores)

    def score_each(self, queries: Queries, candidates: Rows) -> Iterator[tuple[Sequence[int], Scored]]:
        """As `score`, in parts as they get ready: positions of queries with scores (len(positions), depth), -inf also
        where another part has the score. Failures are by the place of the query in its part.

        A reranker whose parts are paid for gives each as soon as it has come, as an encoder does. The default has one
        part.
        """
        yield range(len(queries)), self._score_some(queries, candidates)

    def unmatched(self, texts: Sequence[str]) -> Unmatched | None:
        """Which queries hold no term of the prepared corpus; None for a reranker that does not compare terms."""
        return None

    @abstractmethod
    def _score(self, queries: Queries, candidates: Rows) -> Scored:
        """The model's own work, for at least one pair."""

    def export(self, corpus: CorpusFiles) -> CodePiece:
        """The code of a `CandidateScorer` that gives these scores without this project. Loads no model. Raises NoCode,
        which the default does."""
        raise NoCode(self.name)

    def export_build(self) -> CodePiece | None:
        """The code that makes what the scorer needs of other documents, as a `BuiltPart` of adapters/code/building
        without its encoder; None, which is the default, where it needs nothing of them."""
        return None
