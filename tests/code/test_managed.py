"""The code of managed services does what their adapters do, with the real clients against servers on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import CodePiece, Corpus, CorpusFiles, Encoder, Queries, Reranker, Role, TextRows
from adapters.code.contract import RetrieverError
from adapters.encoders.cohere import CohereEncoder, CohereOptions
from adapters.encoders.openai import OpenAIEncoder, OpenAIOptions
from adapters.rerankers.cohere import CohereReranker, CohereRerankOptions
from adapters.rerankers.http_rerank import RerankApiOptions, RerankApiReranker
from tests.code.made import made
from tests.managed.conftest import standin
from tests.standin import StandIn

__all__ = ["standin"]

TEXTS = ["how hot must a furnace for iron be", "baking bread", "", 'the strings\nof a "violin" {0} \\']
DOCUMENTS = ["iron melts at great heat", "a violin has four strings", "bread needs flour and water", "mars is red", ""]
QUICK: dict[str, Any] = {"backoff_seconds": 0.001, "timeout_seconds": 10.0, "max_retries": 1}


def cohere(**options: Any) -> CohereEncoder:
    return CohereEncoder(CohereOptions(**{"model": "embed-v5.0-pro", "output_dimension": 256, **QUICK, **options}))


def openai(**options: Any) -> OpenAIEncoder:
    return OpenAIEncoder(OpenAIOptions(**{"model": "text-embedding-3-small", "dimensions": 256, **QUICK, **options}))


def both_ways(piece: CodePiece, method: str, *arguments: Any) -> list[Any]:
    """What the piece gives when it is called, and when it is awaited, twice: a program may run several loops."""
    part = made(piece)

    async def awaited() -> Any:
        return await getattr(part, f"a{method}")(*arguments)

    found = [getattr(part, method)(*arguments), asyncio.run(awaited()), asyncio.run(awaited())]
    part.close()
    return found


@pytest.mark.parametrize(
    "encoder",
    [
        lambda: cohere(),
        lambda: cohere(transfer="list"),
        lambda: cohere(model="embed-english-v3.0", output_dimension=None),
        *(lambda kind=kind: cohere(embedding_type=kind) for kind in ("int8", "uint8", "binary", "ubinary")),
        lambda: openai(),
        lambda: openai(truncate_characters=8),
    ],
)
@pytest.mark.parametrize("role", ["query", "document"])
def test_vectors_are_those_of_the_adapter(encoder: Callable[[], Encoder], role: Role, standin: StandIn) -> None:
    with encoder() as adapter:
        wanted = adapter.encode(TextRows(TEXTS), role).vectors
        piece = adapter.export(role)
    assert not piece.exact
    for vectors in both_ways(piece, "encode", TEXTS):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, wanted, atol=1e-6)


def rerankers(standin: StandIn) -> list[Reranker]:
    keyed = {"model": "rerank-v5.0-pro", **QUICK}
    server = {"base_url": standin.url, "api_key_env": "CO_API_KEY", **keyed}
    return [
        CohereReranker(CohereRerankOptions(**keyed)),
        CohereReranker(CohereRerankOptions(max_tokens_per_doc=3, documents_per_request=2, **keyed)),
        RerankApiReranker(RerankApiOptions(**server)),
        RerankApiReranker(RerankApiOptions(documents_per_request=2, **server)),
        RerankApiReranker(RerankApiOptions(interface="tei", raw_scores=True, **server)),
    ]


def wanted_scores(reranker: Reranker, query: str) -> list[float]:
    reranker.prepare(Corpus(DOCUMENTS))
    scores = reranker.score(Queries(None, [query]), np.arange(len(DOCUMENTS), dtype=np.int32)[None]).scores[0]
    found: list[float] = scores.tolist()
    return found


@pytest.mark.parametrize("number", range(5))
def test_scores_are_those_of_the_adapter(number: int, standin: StandIn, tmp_path: Path) -> None:
    with rerankers(standin)[number] as adapter:
        wanted = [wanted_scores(adapter, query) for query in TEXTS]
        piece = adapter.export(CorpusFiles(tmp_path / "documents.parquet", tmp_path))
    assert not piece.exact
    for query, scores in zip(TEXTS, wanted, strict=True):
        for found in both_ways(piece, "score", query, range(len(DOCUMENTS)), DOCUMENTS):
            np.testing.assert_allclose(found, scores, rtol=1e-6)


@pytest.mark.parametrize("number", [0, 2])
def test_a_document_that_the_service_refuses_scores_below_all(number: int, standin: StandIn, tmp_path: Path) -> None:
    standin.objects_to = ("mars",)
    standin.most_texts = 3
    with rerankers(standin)[number] as adapter:
        wanted = wanted_scores(adapter, TEXTS[0])
        piece = adapter.export(CorpusFiles(tmp_path / "documents.parquet", tmp_path))
    assert wanted[3] == -math.inf
    for found in both_ways(piece, "score", TEXTS[0], range(len(DOCUMENTS)), DOCUMENTS):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("make", [cohere, openai])
def test_a_query_that_the_service_refuses_says_why(make: Callable[..., Encoder], standin: StandIn) -> None:
    standin.objects_to = ("furnace",)
    part = made(make().export("query"))
    with pytest.raises(RetrieverError, match="refused the request"):
        part.encode(TEXTS)
    part.close()


def pieces(standin: StandIn, folder: Path) -> list[CodePiece]:
    corpus = CorpusFiles(folder / "documents.parquet", folder)
    return [cohere().export("query"), openai().export("query"), *(each.export(corpus) for each in rerankers(standin))]


def called(part: Any) -> Any:
    if hasattr(part, "encode"):
        return part.encode(["a"])
    return part.score("a", [0], ["a"])


def test_a_missing_key_is_told_with_its_variable(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = pieces(standin, tmp_path)
    for name in ("CO_API_KEY", "OPENAI_API_KEY", "CO_API_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name)
    for piece in exported:
        (variable,) = piece.keys
        with pytest.raises(RetrieverError, match=f"export {variable}="):
            called(made(piece))


def test_a_key_that_is_refused_is_told_with_its_variable_and_not_shown(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = pieces(standin, tmp_path)
    for name in ("CO_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "a-wrong-secret")
    for piece in exported:
        part = made(piece)
        with pytest.raises(RetrieverError, match=f"Check the key in {piece.keys[0]}") as refused:
            called(part)
        assert "a-wrong-secret" not in str(refused.value)
        part.close()


def test_a_server_that_is_away_is_told_with_its_address(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = "http://127.0.0.1:9"
    exported = pieces(standin, tmp_path)
    for name in ("CO_API_URL", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, away)
    for piece in exported:
        changed = {**piece.arguments, "max_retries": 0, **({"url": away} if "url" in piece.arguments else {})}
        part = made(dataclasses.replace(piece, arguments=changed))
        with pytest.raises(RetrieverError, match=rf"{away}.* cannot be reached"):
            called(part)
        part.close()


def test_a_passing_failure_of_a_rerank_server_is_tried_again(standin: StandIn, tmp_path: Path) -> None:
    from tests.standin import Faults

    (piece,) = [each for each in pieces(standin, tmp_path) if each.arguments.get("interface") == "tei"]
    part = made(dataclasses.replace(piece, arguments={**piece.arguments, "max_retries": 20}))
    wanted = part.score("iron", range(5), DOCUMENTS)
    standin.faults = Faults(0.4, ("429",), retry_after="0.01")
    assert [part.score("iron", range(5), DOCUMENTS) for _ in range(5)] == [wanted] * 5
    assert standin.seen.faults["429"] > 0
    part.close()


def test_an_address_that_the_file_names_gets_no_key_that_it_does_not_name(standin: StandIn) -> None:
    with StandIn(keys=frozenset({"none"})) as own:  # what the client sends where it has none
        piece = openai(base_url=f"{own.url}/v1").export("query")
        assert (piece.arguments["key"], piece.keys) == (None, ())
        assert os.environ["OPENAI_API_KEY"]
        part = made(piece)
        assert part.encode(["iron"]).shape == (1, 256)
        part.close()
