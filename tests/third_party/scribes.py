"""Generators that write questions of the words of a document, or texts that look like answers, and note what they are
asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from adapters.base import Contact, Generated, Generator, Identity, Manner, Message, Options, Usage


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


class ForgerOptions(ScribeOptions):
    script: dict[str, list[str]] = Field({}, description="By query, the texts that are written for it.")
    max_tokens: int = Field(20, description="Limit that is told.")
    cut: bool = Field(False, description="Whether the last text of each answer ends at max_tokens.")
    refuses: str | None = Field(None, description="A query that the service refuses.")
    manner: Literal["conversation", "continuation", "passage"] = "conversation"


class Forger(Scribe):
    """Writes texts that look like answers: as its script says, else the first word of the positive in another text."""

    name: ClassVar[str] = "forger"
    Options = ForgerOptions

    @property
    def identity(self) -> Identity:
        return Identity(self.name, self.options.model, settings={"script": str(self.options.script)})

    @property
    def manner(self) -> Manner:
        found: Manner = self.options.manner
        return found

    @property
    def max_tokens(self) -> int:
        tokens: int = self.options.max_tokens
        return tokens

    def _several(self, prompts: Sequence[Sequence[Message]], count: int) -> Generated:
        written = [self._texts(prompt, count) for prompt in prompts]
        for prompt in prompts:
            self._note(prompt)
        texts = [text for each in written for text in [*each, *[""] * (count - len(each))][:count]]
        flags = np.zeros(len(texts), np.bool_)
        flags[count - 1 :: count] = self.options.cut
        return Generated(texts, Usage(tokens=100 * len(prompts), output_tokens=30 * len(texts)), flags)

    def _texts(self, prompt: Sequence[Message], count: int) -> list[str]:
        query, passage = (line.partition(": ")[2] for line in prompt[-1].text.strip().splitlines()[-2:])
        near = [f"{passage.split()[0]} of another kind, number {i} {query.split()[-1]}" for i in range(count)]
        found: list[str] = self.options.script.get(query, near)
        return found


class PaidForger(Forger):
    """The same as a service that bills: all texts of a pair in one answer, a line each."""

    name: ClassVar[str] = "paid_forger"
    samples: ClassVar[bool] = False
    bills = True

    def generate_each(self, prompts: Sequence[Any]) -> Iterator[tuple[Sequence[int], Generated]]:
        for i, prompt in enumerate(prompts):
            text = prompt if isinstance(prompt, str) else prompt[-1].text
            if self.options.refuses is not None and f": {self.options.refuses}\n" in text:
                yield [i], Generated([""], failures={0: "The service refused it."})
            else:
                yield [i], self.generate([prompt])

    def _generate(self, prompts: Sequence[Sequence[Message]]) -> Generated:
        texts = []
        for prompt in prompts:
            self._note(prompt)
            lines = self._texts(prompt, 2)
            texts.append("\n".join(["Here they are:", *(f"{i + 1}. {line}" for i, line in enumerate(lines))]))
        cut = np.full(len(texts), self.options.cut)
        return Generated(texts, Usage(len(texts), 100 * len(texts), output_tokens=30 * len(texts)), cut)
