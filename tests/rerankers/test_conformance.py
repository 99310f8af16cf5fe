"""The local rerankers of this project under the laws that every reranker obeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import Reranker
from adapters.rerankers.bi_encoder import BiEncoderOptions, BiEncoderReranker
from adapters.rerankers.cross_encoder import CrossEncoderOptions, CrossEncoderReranker
from adapters.testing import RerankerConformance
from tests.models import tiny_cross_encoder


class TestCrossEncoder(RerankerConformance):
    folder: Path

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _built(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.folder = tiny_cross_encoder(tmp_path_factory.mktemp("cross"), train=False)

    def reranker(self) -> Reranker:
        return CrossEncoderReranker(CrossEncoderOptions(model=str(self.folder)))


class TestBiEncoder(RerankerConformance):
    def reranker(self) -> Reranker:
        return BiEncoderReranker(BiEncoderOptions(encoder="mini"))
