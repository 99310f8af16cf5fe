"""The code of the rerankers that run on this machine scores as their adapters do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from adapters.base import CodePiece, Context, Corpus, CorpusFiles, InvalidOptions, Queries, Reranker, Similarity
from adapters.code.contract import QueryEncoder, RetrieverError
from adapters.rerankers.bi_encoder import BiEncoderReranker
from adapters.rerankers.cross_encoder import CrossEncoderReranker
from tests.code.made import made
from tests.models import TOPICS, tiny_cross_encoder

DOCUMENTS = ["the apple of", "iron in the", "", "a violin and", "water with of the in a and with the of water iron"]
QUERIES = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
VECTORS = np.vstack([np.random.default_rng(2).standard_normal((4, 6)), np.zeros((1, 6))]).astype(np.float32)


class Known(QueryEncoder):
    """Gives the vectors of the four topics, by name."""

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = QUERIES[[list(TOPICS).index(text) for text in texts]]
        return found


def scores_of(reranker: Reranker, corpus: Corpus, rows: list[int]) -> list[list[float]]:
    reranker.prepare(corpus)
    candidates = np.array([rows] * len(TOPICS), np.int32)
    found: list[list[float]] = reranker.score(Queries(QUERIES, list(TOPICS)), candidates).scores.tolist()
    return found


def assert_scores(piece: CodePiece, wanted: list[list[float]], rows: list[int]) -> None:
    part = made(piece)
    texts = [DOCUMENTS[row] for row in rows]
    for query, scores in zip(TOPICS, wanted, strict=True):
        np.testing.assert_allclose(part.score(query, rows, texts), scores, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(asyncio.run(part.ascore(query, rows, texts)), scores, rtol=1e-5, atol=1e-6)
    assert part.score("fruit", [], []) == []
    part.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("cross-encoder"), train=False)


@pytest.mark.parametrize(
    "options", [{}, {"activation": "identity", "batch_size": 2}, {"activation": "sigmoid", "max_length": 6}]
)
def test_a_cross_encoder_scores_as_the_adapter(model: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    given = CrossEncoderReranker.Options(model=str(model), device="cpu", **options)
    with CrossEncoderReranker(given, Context()) as reranker:
        wanted = scores_of(reranker, Corpus(DOCUMENTS), [4, 0, 2, 1, 3])
        piece = reranker.export(CorpusFiles(tmp_path / "documents.parquet", tmp_path))
    assert (piece.exact, piece.files) == (True, {"model": model})
    assert_scores(piece, wanted, [4, 0, 2, 1, 3])


def test_a_model_that_is_gone_is_told(tmp_path: Path) -> None:
    piece = CodePiece("adapters.code.cross_encoder", "CrossEncoderScorer", {}, files={"model": tmp_path / "gone"})
    with pytest.raises(RetrieverError, match=r"no folder .*gone"):
        made(piece).score("fruit", [0], ["apple"])


@pytest.mark.parametrize("similarity", list(Similarity))
def test_a_bi_encoder_scores_as_the_adapter(tmp_path: Path, similarity: Similarity) -> None:
    np.save(tmp_path / "vectors.npy", VECTORS)
    encoder = CodePiece(__name__, "Known", exact=False)
    corpus = CorpusFiles(tmp_path / "d", tmp_path, tmp_path / "vectors.npy", encoder, str(similarity))
    with BiEncoderReranker(BiEncoderReranker.Options(encoder="known")) as reranker:
        wanted = scores_of(reranker, Corpus(DOCUMENTS, VECTORS, similarity), [4, 0, 2, 1, 3])
        piece = reranker.export(corpus)
        assert_scores(piece, wanted, [4, 0, 2, 1, 3])
        assert not piece.exact
        with pytest.raises(InvalidOptions, match="vectors of encoder 'known' are missing"):
            reranker.export(CorpusFiles(tmp_path / "d", tmp_path))
    (tmp_path / "vectors.npy").unlink()
    with pytest.raises(RetrieverError, match="vectors cannot be read"):
        made(piece).score("fruit", [0], ["apple"])
