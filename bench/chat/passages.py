"""Passages that a retriever found, as a prompt holds them and as people read them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.messages.wording import writable

if TYPE_CHECKING:
    from langchain_core.documents import Document

LONGEST = 4000  # characters of a passage that are read
_SHOWN = 100  # characters of its first words
_TITLES = ("title", "meta.title", "name")


@dataclass(frozen=True, slots=True)
class Passage:
    """A document that was found. number: how answers cite it, from 1. cut: whether only its beginning is read."""

    number: int
    id: str
    text: str
    score: float | None = None
    title: str | None = None
    cut: bool = False

    @property
    def shown(self) -> str:
        """Its title or first words, on one line."""
        line = " ".join((self.title or self.text).split())
        return line if len(line) <= _SHOWN else f"{line[:_SHOWN].rstrip()} …"

    def as_dict(self) -> dict[str, Any]:
        return {"number": self.number, "id": self.id, "score": self.score, "title": self.title, "text": self.text}


def passages_of(documents: Sequence[Document]) -> list[Passage]:
    """Documents with a text as passages, best first."""
    found: list[Passage] = []
    for document in documents:
        text = document.page_content
        if not text.strip():
            continue
        about = document.metadata
        title = next((str(about[name]) for name in _TITLES if about.get(name)), None)
        score = about.get("score")
        found.append(
            Passage(
                number=len(found) + 1,
                id=str(document.id or about.get("id") or len(found) + 1),
                text=text[:LONGEST],
                score=float(score) if isinstance(score, int | float) else None,
                title=title,
                cut=len(text) > LONGEST,
            )
        )
    return found


def fenced(passages: Sequence[Passage]) -> str:
    """Passages as a prompt holds them. Their fence bears a digest of all of them, which no text can hold that is part
    of it: a passage cannot close its fence and go on as somebody else."""
    texts = [writable(passage.text) for passage in passages]
    mark = hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return "\n\n".join(
        f'<passage-{mark} number="{passage.number}">\n{text.strip()}\n</passage-{mark}>'
        for passage, text in zip(passages, texts, strict=True)
    )
