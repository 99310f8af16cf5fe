"""Writes the words of a prompt backwards."""

from collections.abc import Sequence

from pydantic import Field

from adapters.base import Generated, Generator, Identity, Message, Options, Usage


class MineOptions(Options):
    max_tokens: int = Field(64, ge=1, description="Words of a text at most.")


class MineGenerator(Generator):
    """Replace `_generate`, and name in `identity` whatever can change a text: model, revision, seed, versions."""

    name = "mine"
    Options = MineOptions

    @property
    def identity(self) -> Identity:
        return Identity("mine", "words", settings={"max_tokens": self.max_tokens, "version": 1})

    @property
    def max_tokens(self) -> int:
        return int(self.options.max_tokens)

    def _generate(self, prompts: Sequence[Sequence[Message]]) -> Generated:
        asked = [messages[-1].text.split() for messages in prompts]  # the last message asks
        texts = [words[::-1][: self.max_tokens] for words in asked]
        usage = Usage(tokens=sum(map(len, asked)), output_tokens=sum(map(len, texts)))
        return Generated([" ".join(words) for words in texts], usage)
