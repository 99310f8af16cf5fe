"""One small real call per provider, where its key is there: pytest -m live"""

from __future__ import annotations

import os

import numpy as np
import pytest

from adapters.base import Corpus, Queries, TextRows
from adapters.encoders.cohere import CohereEncoder, CohereOptions
from adapters.encoders.openai import OpenAIEncoder, OpenAIOptions
from adapters.rerankers.cohere import CohereReranker, CohereRerankOptions


def real(key: str, address: str) -> pytest.MarkDecorator:
    away = not os.environ.get(key) or bool(os.environ.get(address))
    return pytest.mark.skipif(away, reason=f"needs {key} of the provider, and {address} unset")


TEXTS = ["Bread is baked from flour and water.", "Mars is the fourth planet."]


@pytest.mark.live
@real("CO_API_KEY", "CO_API_URL")
@pytest.mark.parametrize("kind", ["float", "int8", "binary"])
def test_cohere_embeds(kind: str) -> None:
    options = CohereOptions.model_validate(
        {"model": "embed-v4.0", "output_dimension": 256, "embedding_type": kind, "max_retries": 2}
    )
    with CohereEncoder(options) as encoder:
        documents = encoder.encode(TextRows(TEXTS), "document")
        query = encoder.encode(TextRows(["which planet is mars"]), "query")
    assert (documents.vectors @ query.vectors[0]).argmax() == 1
    assert documents.usage.tokens > 0


@pytest.mark.live
@real("CO_API_KEY", "CO_API_URL")
def test_cohere_reranks() -> None:
    with CohereReranker(CohereRerankOptions(model="rerank-v3.5", max_retries=2)) as reranker:
        reranker.prepare(Corpus(TEXTS))
        scored = reranker.score(Queries(None, ["which planet is mars"]), np.array([[0, 1]], dtype=np.int32))
    assert scored.scores.argmax() == 1
    assert scored.usage.search_units + scored.usage.tokens > 0


@pytest.mark.live
@real("OPENAI_API_KEY", "OPENAI_BASE_URL")
def test_openai_embeds() -> None:
    options = OpenAIOptions(model="text-embedding-3-small", dimensions=256, max_retries=2)
    with OpenAIEncoder(options) as encoder:
        vectors = encoder.encode(TextRows([*TEXTS, "which planet is mars"]), "document").vectors
    assert (vectors[:2] @ vectors[2]).argmax() == 1
