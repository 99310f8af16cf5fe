"""The lexical reranker under the laws of every reranker."""

from __future__ import annotations

from adapters._bm25 import Bm25Options
from adapters.base import Reranker
from adapters.rerankers.bm25 import Bm25Reranker
from adapters.testing import RerankerConformance


class TestBm25Reranker(RerankerConformance):
    related = ("where did the cat sit", "A cat sat on the mat.", "Prime numbers have two divisors.")

    def reranker(self) -> Reranker:
        return Bm25Reranker(Bm25Options())


def test_options_that_change_scores_change_the_identity() -> None:
    options = [Bm25Options(), Bm25Options(k1=1.2), Bm25Options(method="bm25+"), Bm25Options(tokenizer="characters")]
    identities = [str(Bm25Reranker(option).identity.as_dict()) for option in options]
    assert len(set(identities)) == len(options)
