"""The encoders of this project under the laws that every encoder obeys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Context, Encoder
from adapters.encoders.precomputed import PrecomputedEncoder, PrecomputedOptions
from adapters.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersOptions
from adapters.testing import EncoderConformance
from tests.models import tiny_bert


def local(folder: Path, **options: Any) -> Encoder:
    return SentenceTransformersEncoder(SentenceTransformersOptions(model=str(folder), **options))


class TestTransformer(EncoderConformance):
    long_text = "sort " * 40
    folder: Path

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _built(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.folder = tiny_bert(tmp_path_factory.mktemp("bert"))

    def encoder(self) -> Encoder:
        return local(self.folder)

    def others(self) -> Sequence[Encoder]:
        changes: list[dict[str, Any]] = [
            {"dtype": "bfloat16"}, {"normalize": True}, {"truncate_dim": 8}, {"max_length": 4},
        ]  # fmt: skip
        return [local(self.folder, **change) for change in changes]


class TestStaticEmbedding(EncoderConformance):
    related = ("where did the cat sit", "A cat sat on the mat.", "Prime numbers have two divisors.")
    folder: Path

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _built(cls, static_model: Path) -> None:
        cls.folder = static_model

    def encoder(self) -> Encoder:
        return local(self.folder)


class TestPrecomputed(EncoderConformance):
    def encoder(self) -> Encoder:
        return PrecomputedEncoder(PrecomputedOptions(), Context(vector_dimension=5))


class TestTransformerWithPrompts(TestTransformer):
    asymmetric = True

    def encoder(self) -> Encoder:
        return local(self.folder, prompts={"query": "sort by: "})

    def others(self) -> Sequence[Encoder]:
        return ()
