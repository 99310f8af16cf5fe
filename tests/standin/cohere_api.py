"""Cohere's embed and rerank, second version and first."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.standin.meaning import EMBEDDING_MODELS, RERANK_MODELS, Floats, meaning
from tests.standin.wire import Answer, Refusal, Request

if TYPE_CHECKING:
    from tests.standin.server import StandIn

TEXTS_PER_CALL = 96
DOCUMENTS_PER_CALL = 10_000
DOCUMENTS_PER_SEARCH_UNIT = 100
TYPES = ("float", "base64", "int8", "uint8", "binary", "ubinary")
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering")
RETIRED = ("embed-english-v2.0", "embed-multilingual-v2.0", "rerank-english-v2.0", "rerank-multilingual-v2.0")


def embed(standin: StandIn, request: Request) -> Answer:
    """Embeddings by type."""
    asked = request.json()
    name = _model(asked, EMBEDDING_MODELS)
    if not name.startswith("embed-"):
        raise Refusal(404, f"model '{name}' not found")
    model = EMBEDDING_MODELS[name]
    texts, role = _texts(asked), asked.get("input_type")
    if role not in INPUT_TYPES:
        raise Refusal(400, "invalid request: input_type must be one of " + ", ".join(INPUT_TYPES))
    types = asked.get("embedding_types") or ["float"]
    if unknown := set(types) - set(TYPES):
        raise Refusal(400, f"invalid request: embedding_types {sorted(unknown)}")
    size = asked.get("output_dimension") or model.dimension
    if size != model.dimension and size not in model.sizes:
        raise Refusal(400, f"invalid request: output_dimension {size} is not supported by {name}")
    tokens = meaning().tokens(texts)
    longest = max(len(ids) for ids in tokens)
    truncate = asked.get("truncate", "END")
    if truncate == "NONE" and longest > model.tokens:
        raise Refusal(400, f"invalid request: too many tokens: {longest}, the maximum is {model.tokens}")
    tokens = [ids[-model.tokens :] if truncate == "START" else ids[: model.tokens] for ids in tokens]
    vectors = meaning().embed(name, tokens, size)
    content = _embed_content(request, texts, {kind: listed(vectors, kind) for kind in types}, tokens)

    def spoilt(fault: str) -> dict[str, Any]:
        if fault == "nan" and types in (["float"], ["base64"]):  # whole numbers have no NaN
            bad = vectors.copy()
            bad[0, 0] = np.nan
        else:
            bad = vectors[:-1]
        return _embed_content(request, texts, {kind: listed(bad, kind) for kind in types}, tokens)

    return Answer(content, [(request.path, name, role, text) for text in texts], spoilt)


def listed(vectors: Floats, kind: str) -> list[Any]:
    """Unit vectors (n, size) as the JSON of a type of the API."""
    if kind == "base64":
        return [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    return quantized(vectors, kind).tolist()


def quantized(vectors: Floats, kind: str) -> np.ndarray[Any, Any]:
    """Unit vectors (n, size) in a type of the API: bytes for int8 and uint8, packed signs for binary and ubinary."""
    if kind == "float":
        return vectors
    if kind in ("binary", "ubinary"):
        packed = np.packbits(vectors > 0, axis=1)
        return packed if kind == "ubinary" else (packed.astype(np.int16) - 128).astype(np.int8)
    reach = 4 / math.sqrt(vectors.shape[1])  # four standard deviations of a component of a random unit vector
    whole = np.clip(np.rint(vectors / reach * 127), -128, 127).astype(np.int16)
    return whole + 128 if kind == "uint8" else whole


def rerank(standin: StandIn, request: Request) -> Answer:
    """Relevance scores, best first."""
    asked = request.json()
    name = _model(asked, RERANK_MODELS)
    query, documents = asked.get("query"), asked.get("documents")
    if not isinstance(query, str) or not query:
        raise Refusal(400, "invalid request: query must be a text that is not empty")
    if not isinstance(documents, list) or not documents or not all(isinstance(text, str) for text in documents):
        raise Refusal(400, "invalid request: documents must be texts")
    if len(documents) > DOCUMENTS_PER_CALL:
        raise Refusal(400, f"invalid request: at most {DOCUMENTS_PER_CALL} documents")
    scores = meaning().scores(name, query, documents)
    order = sorted(range(len(documents)), key=lambda i: (-scores[i], i))[: asked.get("top_n") or len(documents)]
    results = [{"index": i, "relevance_score": scores[i]} for i in order]
    if RERANK_MODELS[name].units == "tokens":
        counts = [len(ids) for ids in meaning().tokens([query, *documents])]
        billed = {"input_tokens": counts[0] * len(documents) + sum(counts[1:])}
    else:
        billed = {"search_units": math.ceil(len(documents) / DOCUMENTS_PER_SEARCH_UNIT)}
    content = {"id": "standin", "results": results, "meta": {"api_version": {"version": "2"}, "billed_units": billed}}

    def spoilt(fault: str) -> dict[str, Any]:
        nan = [{**results[0], "relevance_score": math.nan}, *results[1:]]
        return {**content, "results": results[:-1] if fault == "count" else nan}

    return Answer(content, [(request.path, name, query, text) for text in documents], spoilt)


def _model(asked: dict[str, Any], known: dict[str, Any]) -> str:
    name = str(asked.get("model"))
    if name in RETIRED:
        raise Refusal(404, f"model '{name}' was removed")
    if name not in known:
        raise Refusal(404, f"model '{name}' not found")
    return name


def _texts(asked: dict[str, Any]) -> list[str]:
    texts = asked.get("texts")
    if texts is None and "inputs" in asked:
        texts = [" ".join(part.get("text", "") for part in item["content"]) for item in asked["inputs"]]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise Refusal(400, "invalid request: texts must be a list of texts")
    if len(texts) > TEXTS_PER_CALL:
        raise Refusal(400, f"invalid request: at most {TEXTS_PER_CALL} texts")
    return texts


def _embed_content(request: Request, texts: list[str], embeddings: dict[str, Any], tokens: list[Any]) -> dict[str, Any]:
    billed = {"input_tokens": sum(len(ids) for ids in tokens)}
    return {
        "id": "standin",
        "texts": texts,
        "embeddings": embeddings,
        "response_type": "embeddings_by_type",
        "meta": {"api_version": {"version": request.path[2]}, "billed_units": billed},
    }


ROUTES = (
    ("POST", r"/v[12]/embed", embed),
    ("POST", r"/v[12]/rerank", rerank),
)
