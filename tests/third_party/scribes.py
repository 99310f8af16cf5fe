"""Generators that write questions of the words of a document, and note what they are asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from adapters.base import Contact, Generated, Generator, Identity, Message, Options, Usage


class ScribeOptions(Options):
    model: str = "scribe"
    log: str = Field("scribe.log", description="File that gets a line for each document.")
    die_after: int | None = Field(None, description="Documents after which the process ends at once.")
    writes: str = Field("words", description="words: of the document; copy: all of it; same: one question for all.")


class Scribe(Generator):
    """Draws: its texts are four words of the document each, in an order of their own."""

    name: ClassVar[str] = "scribe"
    samples: ClassVar[bool] = True
    Options = ScribeOptions

    @property
    def identity(self) -> Identity:
        return Identity(self.name, self.options.model, settings={"writes": self.options.writes})

    @property
    def max_tokens(self) -> int:
        return 20

    def contacts(self) -> Sequence[Contact]:
        return []

    def _several(self, prompts: Sequence[Sequence[Message]], count: int) -> Generated:
        texts = [self._question(prompt, i) for prompt in prompts for i in range(count)]
        for prompt in prompts:
            self._note(prompt)
        return Generated(texts, Usage(tokens=10 * len(prompts), output_tokens=4 * len(texts)))

    def _generate(self, prompts: Sequence[Sequence[Message]]) -> Generated:
        return self._several(prompts, 1)

    def _question(self, prompt: Sequence[Message], number: int) -> str:
        passage = prompt[-1].text.partition(": ")[2] or prompt[-1].text
        if self.options.writes == "copy":
            return passage
        if self.options.writes == "same":
            return "what is it"
        words = sorted(set(passage.split()), key=lambda word: hashlib.sha256(f"{number}{word}".encode()).digest())
        return f'{number + 1}. "{" ".join(words[:4])}"'

    def _note(self, prompt: Sequence[Message]) -> None:
        path = Path(self.context.path(self.options.log))
        asked = path.read_text().count("\n") if path.exists() else 0
        if self.options.die_after is not None and asked >= self.options.die_after:
            import os

            os._exit(9)
        with path.open("a") as file:
            file.write(f"{prompt[-1].text.splitlines()[-1][:80]}\n")


class PaidScribe(Scribe):
    """Follows instructions, and bills a request for each document: all its questions stand in one text."""

    name: ClassVar[str] = "paid_scribe"
    samples: ClassVar[bool] = False
    bills = True

    @property
    def max_tokens(self) -> int:
        return 100

    def _generate(self, prompts: Sequence[Sequence[Message]]) -> Generated:
        texts = ["Here are three questions:\n" + "\n".join(self._question(p, i) for i in range(3)) for p in prompts]
        for prompt in prompts:
            self._note(prompt)
        return Generated(texts, Usage(requests=len(prompts), tokens=100 * len(prompts), output_tokens=30 * len(texts)))

    def generate_each(self, prompts: Sequence[Any]) -> Iterator[tuple[Sequence[int], Generated]]:
        for i, prompt in enumerate(prompts):
            yield [i], self.generate([prompt])
