"""Makes what an adapter exports, as a generated retriever does, and compares what two engines found."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.base import CodePiece, Filter, Floats, IndexRef, Queries, Store
from adapters.code.contract import Hit, SearchEngine


def made(piece: CodePiece) -> Any:
    """The exported class, made with its arguments; a piece among them is made first."""
    arguments = {
        name: made(value) if isinstance(value, CodePiece) else value for name, value in piece.arguments.items()
    }
    return getattr(importlib.import_module(piece.module), piece.class_name)(**arguments, **piece.files)


def expected(
    store: Store,
    ref: IndexRef,
    query: Any,
    texts: Sequence[str],
    vectors: Floats | None,
    limit: int,
    condition: Filter | None = None,
    *,
    payload: bool = False,
) -> list[list[Hit]]:
    """What a session of the adapter finds for each query, asked alone as an application does."""
    found = []
    with store.session(ref, payload=payload) as session:
        session.configure(query)
        for i, text in enumerate(texts):
            asked = Queries(None if vectors is None else vectors[i : i + 1], [text])
            hits = session.search(asked, limit, condition)
            kept = hits.rows[0] >= 0
            told = hits.texts[0] if hits.texts is not None else [None] * int(kept.sum())
            found.append(
                [
                    Hit(row, score, text)
                    for row, score, text in zip(
                        hits.rows[0][kept].tolist(), hits.scores[0][kept].tolist(), told, strict=True
                    )
                ]
            )
    return found


def assert_finds(
    engine: SearchEngine, wanted: Sequence[Sequence[Hit]], texts: Sequence[str], vectors: Floats | None, limit: int
) -> None:
    """The engine finds just that for each query, called in both ways."""

    async def all_found() -> list[list[Hit]]:
        try:
            return [
                await engine.asearch(text, None if vectors is None else vectors[i], limit)
                for i, text in enumerate(texts)
            ]
        finally:
            await engine.aclose()

    plain = [engine.search(text, None if vectors is None else vectors[i], limit) for i, text in enumerate(texts)]
    for found in (plain, asyncio.run(all_found())):
        for hits, best in zip(found, wanted, strict=True):
            assert [(hit.document, hit.text) for hit in hits] == [(hit.document, hit.text) for hit in best]
            np.testing.assert_allclose([hit.score for hit in hits], [hit.score for hit in best], rtol=1e-6, atol=1e-6)
