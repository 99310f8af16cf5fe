"""The managed adapters keep the laws of their roles, against real servers on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from adapters.base import Encoder, Reranker
from adapters.testing import EncoderConformance, RerankerConformance
from tests.managed import test_encoders, test_rerankers
from tests.standin import StandIn


class TestCohere(EncoderConformance):
    @pytest.fixture(autouse=True)
    def _available(self, standin: StandIn) -> None:
        return

    def encoder(self) -> Encoder:
        return test_encoders.cohere()

    def others(self) -> Sequence[Encoder]:
        return [
            test_encoders.cohere(model="embed-v5.0-fast"),
            test_encoders.cohere(embedding_type="int8"),
            test_encoders.cohere(output_dimension=512),
            test_encoders.cohere(truncate="START"),
            test_encoders.cohere(base_url="http://127.0.0.1:9"),
        ]


class TestOpenAI(EncoderConformance):
    long_text = "a long story " * 40

    @pytest.fixture(autouse=True)
    def _available(self, standin: StandIn) -> None:
        return

    def encoder(self) -> Encoder:
        return test_encoders.openai(truncate_characters=200)

    def others(self) -> Sequence[Encoder]:
        return [
            test_encoders.openai(truncate_characters=100),
            test_encoders.openai(truncate_characters=200, dimensions=128),
            test_encoders.openai(truncate_characters=200, model="text-embedding-3-large"),
        ]


class Closing(RerankerConformance):
    """Closes what a law has left open: connections are of this process."""

    def make(self, service: StandIn) -> Reranker:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _available(self, standin: StandIn) -> Iterator[None]:
        self.service = standin
        self.made: list[Reranker] = []
        yield
        for reranker in self.made:
            reranker.close()

    def reranker(self) -> Reranker:
        self.made.append(self.make(self.service))
        return self.made[-1]


class TestCohereReranker(Closing):
    def make(self, service: StandIn) -> Reranker:
        return test_rerankers.cohere(service)


class TestRerankApi(Closing):
    def make(self, service: StandIn) -> Reranker:
        return test_rerankers.rerank_api(service)
