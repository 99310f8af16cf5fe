"""OpenAI's embeddings."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.standin.meaning import EMBEDDING_MODELS, Floats, meaning
from tests.standin.wire import Answer, Refusal, Request

if TYPE_CHECKING:
    from tests.standin.server import StandIn

INPUTS_PER_CALL = 2048
TOKENS_PER_CALL = 300_000


def embeddings(standin: StandIn, request: Request) -> Answer:
    """Embeddings in the order of the inputs."""
    asked = request.json()
    name = str(asked.get("model"))
    if name not in EMBEDDING_MODELS or name.startswith("embed-"):
        raise Refusal(404, f"The model `{name}` does not exist")
    model = EMBEDDING_MODELS[name]
    given = asked.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise Refusal(400, "'$.input' is invalid: expected texts that are not empty")
    if len(texts) > INPUTS_PER_CALL:
        raise Refusal(400, f"'$.input' is invalid: array must have at most {INPUTS_PER_CALL} items")
    size = asked.get("dimensions") or model.dimension
    if size != model.dimension and size not in model.sizes:
        raise Refusal(400, f"This model does not support dimensions={size}")
    tokens = meaning().tokens(texts)
    longest, total = max(len(ids) for ids in tokens), sum(len(ids) for ids in tokens)
    if longest > model.tokens:
        raise Refusal(400, f"This model's maximum context length is {model.tokens} tokens, your input has {longest}")
    if total > TOKENS_PER_CALL:
        raise Refusal(400, f"Requested {total} tokens, max {TOKENS_PER_CALL} tokens per request")
    vectors = meaning().embed(name, tokens, size)
    packed = asked.get("encoding_format") == "base64"

    def spoilt(fault: str) -> dict[str, Any]:
        nan = vectors.copy()
        nan[0, 0] = np.nan
        return _content(name, vectors[:-1] if fault == "count" else nan, total, packed=packed)

    content = _content(name, vectors, total, packed=packed)
    return Answer(content, [(request.path, name, "", text) for text in texts], spoilt)


def _content(name: str, vectors: Floats, total: int, *, packed: bool) -> dict[str, Any]:
    data = [
        {
            "object": "embedding",
            "index": i,
            "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode() if packed else vector.tolist(),
        }
        for i, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": total, "total_tokens": total}
    return {"object": "list", "data": data, "model": name, "usage": usage}


ROUTES = (("POST", r"/v1/embeddings", embeddings),)
