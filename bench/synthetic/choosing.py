"""Which documents questions are written for."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from bench.data.integrity import full_texts
from bench.data.normal import normalised
from bench.data.splits import hashed

_ALL = 2**64


class Chosen(NamedTuple):
    """A text that questions are written for. document_ids: of all documents with this text. share: where its hash lies
    among all, which decides its split, from 0 to 1."""

    text: str
    document_ids: tuple[str, ...]
    share: float


def chosen_documents(corpus: pa.Table, sample: int | None, seed: int) -> list[Chosen]:
    """The documents, in an order by a hash of their texts; only the first where a sample is asked for, so that a larger
    sample holds a smaller one. Documents with one text are one, and those without any are left out."""
    groups: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    for name, text in zip(corpus.column("id").to_pylist(), full_texts(corpus).to_pylist(), strict=True):
        if key := normalised(text):
            groups.setdefault(key, []).append(name)
            texts.setdefault(key, text)
    order = sorted(groups, key=lambda key: (hashed(f"{seed}\0{key}", "synthetic"), key))[:sample]
    return [Chosen(texts[key], tuple(groups[key]), hashed(key, "split") / _ALL) for key in order]
