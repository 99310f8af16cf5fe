"""Counts the texts that a loaded transformer cuts, with a copy of its own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.base import Flags


class Lengths:
    """limit: tokens that the model reads, special ones included; None or far beyond any text: it has no limit.
    tokenizer: as transformers loads it. pairs: whether it reads two texts together."""

    def __init__(self, limit: float | None, tokenizer: Any, *, pairs: bool = False) -> None:
        # Tokenizers that know no limit say 1e30; static models say infinity.
        self._limit: int | None = int(limit) if limit is not None and limit < 1e9 else None
        self._tokenizer: Any = None
        self._special_tokens = 0
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if self._limit is None or backend is None:
            return
        from tokenizers import Tokenizer

        # A copy: changing the model's own tokenizer would race with a concurrent encode.
        self._tokenizer = Tokenizer.from_str(backend.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._special_tokens = self._tokenizer.num_special_tokens_to_add(is_pair=pairs)

    def cut(self, texts: Sequence[str | tuple[str, str]]) -> Flags | None:
        """Which texts or pairs were longer than the model reads; None where that cannot be told."""
        flags = np.zeros(len(texts), dtype=np.bool_)
        if self._limit is None:
            return flags
        if self._tokenizer is None:
            return None
        # No tokenizer makes more tokens than the text has bytes, so short texts need no count.
        room = self._limit - self._special_tokens
        long = [i for i, text in enumerate(texts) if _exceeds(text, room)]
        if long:
            counted = self._tokenizer.encode_batch_fast([texts[i] for i in long])
            flags[long] = [len(encoding) > self._limit for encoding in counted]
        return flags


def _exceeds(text: str | tuple[str, str], room: int) -> bool:
    """Whether a text or pair has more bytes than there is room for."""
    parts = (text,) if isinstance(text, str) else text
    return sum(map(len, parts)) * 4 > room and sum(len(part.encode()) for part in parts) > room
