"""What texts have in common that differ in nothing but their spelling."""

from __future__ import annotations

import unicodedata


def normalised(text: str) -> str:
    """A text in NFKC, without cases, with single spaces: two texts that agree in it say the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
