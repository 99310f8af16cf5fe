"""The rerank call of text-embeddings-inference, as its router words it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tests.standin.meaning import meaning
from tests.standin.wire import Answer, Refusal, Request

if TYPE_CHECKING:
    from tests.standin.server import StandIn

MODEL = "rerank-v5.0-fast"  # a server has one
TEXTS_PER_CALL = 32
TOKENS_PER_PAIR = 512


def rerank(standin: StandIn, request: Request) -> Answer:
    """Scores by index, best first, as a bare list."""
    asked = request.json()
    for field in ("query", "texts"):
        if field not in asked:
            said = (
                f"Failed to deserialize the JSON body into the target type: missing field `{field}` at line 1 column 9"
            )
            raise Refusal(422, said)
    query, texts = asked["query"], asked["texts"]
    if len(texts) > TEXTS_PER_CALL:
        raise Refusal(422, f"batch size {len(texts)} > maximum allowed batch size {TEXTS_PER_CALL}")
    (of_query,) = (len(ids) for ids in meaning().tokens([query]))
    longest = max(len(ids) + of_query for ids in meaning().tokens(texts))
    if not asked.get("truncate") and longest > TOKENS_PER_PAIR:
        raise Refusal(
            413, f"Input validation error: `inputs` must have less than {TOKENS_PER_PAIR} tokens. Given: {longest}"
        )
    scores = meaning().scores(MODEL, query, texts)
    if asked.get("raw_scores"):
        scores = [math.log((score + 1e-6) / (1 - score + 1e-6)) for score in scores]
    order = sorted(range(len(texts)), key=lambda i: (-scores[i], i))
    results = [{"index": i, "score": scores[i]} for i in order]
    return Answer(results, [(request.path, MODEL, query, text) for text in texts])


ROUTES = (("POST", r"/rerank", rerank),)
