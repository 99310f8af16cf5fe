"""Scores by words: the share of the words of query and document that both have."""

import re

import numpy as np
from pydantic import Field

from adapters.base import Identity, Options, Queries, Reranker, Rows, Scored


class MineOptions(Options):
    shortest: int = Field(1, ge=1, description="Letters of the shortest word that counts.")


class MineReranker(Reranker):
    """Replace `_score`, and name in `identity` whatever can change a score: model, revision, versions."""

    name = "mine"
    requires = ("numpy",)
    Options = MineOptions

    @property
    def identity(self) -> Identity:
        return Identity("mine", "words", settings={"shortest": self.options.shortest, "version": 1})

    def _score(self, queries: Queries, candidates: Rows) -> Scored:
        scores = np.full(candidates.shape, -np.inf, np.float32)
        for i, query in enumerate(queries.texts or []):
            asked = self._words(query)
            for place in np.flatnonzero(candidates[i] >= 0):  # -1 stands for no candidate
                found = self._words(self.corpus.texts[int(candidates[i, place])])
                scores[i, place] = len(asked & found) / max(1, len(asked | found))
        return Scored(scores)

    def _words(self, text: str) -> set[str]:
        return {word for word in re.findall(r"\w+", text.lower()) if len(word) >= self.options.shortest}
