"""Widths of vectors, as the configuration files of models tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def hidden_size(config: Mapping[str, Any]) -> int | None:
    """Width of a transformer's hidden states under the names that architectures give it."""
    for part in (config, config.get("text_config") or {}):
        for key in ("hidden_size", "d_model", "dim", "n_embd"):
            if isinstance(part.get(key), int):
                return int(part[key])
    return None


def pooled_width(config: Mapping[str, Any]) -> int | None:
    """Width after pooling: several modes at once are concatenated."""
    width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    mode = config.get("pooling_mode")
    if mode is not None:
        modes = 1 if isinstance(mode, str) else len(mode)
    else:
        modes = sum(bool(value) for key, value in config.items() if key.startswith("pooling_mode_"))
    return None if width is None else int(width) * max(1, modes)
