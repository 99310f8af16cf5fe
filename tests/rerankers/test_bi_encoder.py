"""Laws of the reranker that rescores with the vectors of a named encoder."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.base import Corpus, InvalidOptions, Queries, Similarity
from adapters.rerankers.bi_encoder import BiEncoderOptions, BiEncoderReranker

CORPUS = np.array([[1, 0], [0, 2], [3, 4]], dtype=np.float32)


def reranker(similarity: Similarity) -> BiEncoderReranker:
    made = BiEncoderReranker(BiEncoderOptions(encoder="mini"))
    made.prepare(Corpus(["a", "b", "c"], CORPUS, similarity))
    return made


@pytest.mark.parametrize(
    ("similarity", "expected"),
    [
        # query (1, 0) against (3, 4) and (0, 2)
        (Similarity.COSINE, [3 / 5, 0.0]),  # 3 / (1·5); 0
        (Similarity.DOT, [3.0, 0.0]),  # 1·3 + 0·4; 0
        (Similarity.L2, [-20.0, -5.0]),  # -(2² + 4²); -(1² + 2²)
    ],
)
def test_scores_are_the_exact_similarity(similarity: Similarity, expected: list[float]) -> None:
    queries = Queries(np.array([[1, 0]], dtype=np.float32), ["q"])
    scores = reranker(similarity).score(queries, np.array([[2, 1, -1]], dtype=np.int32)).scores
    np.testing.assert_allclose(scores, [[*expected, -np.inf]], rtol=1e-6)


def test_without_vectors_the_encoder_is_named() -> None:
    with pytest.raises(InvalidOptions, match="'mini'"):
        reranker(Similarity.DOT).score(Queries(None, ["q"]), np.array([[0]], dtype=np.int32))
