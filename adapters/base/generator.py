"""The contract of a generator: a model that writes text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator as Writing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel

from adapters.base.adapter import Adapter, NoOptions
from adapters.base.arrays import Context, Flags, Identity, Usage, returned
from adapters.base.errors import AdapterRejected, InvalidOptions, WrongAnswer


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of a conversation. role: `system` instructs, `user` asks, `assistant` is what the model said before."""

    role: Literal["system", "user", "assistant"]
    text: str


Prompt: TypeAlias = str | Sequence[Message]
"""What a model is asked: one text, or a conversation that ends with a `user` message."""

Manner: TypeAlias = Literal["conversation", "continuation", "passage"]
"""How a model wants to be asked: it follows instructions (conversation), it goes on with a text, whose beginning shows
what is wanted (continuation), or it turns a text into another as it was trained to (passage)."""


@dataclass(frozen=True, slots=True)
class Generated:
    """Texts in the order of their prompts. unfinished: which of them ended at `max_tokens`. truncated: of which prompts
    the model read only the beginning. failures: why a prompt has no text, by position; its text is empty then."""

    texts: Sequence[str]
    usage: Usage = field(default_factory=Usage)
    unfinished: Flags | None = None
    truncated: Flags | None = None
    failures: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a streamed text ended: what it used, and whether it ended at `max_tokens`."""

    usage: Usage = field(default_factory=Usage)
    unfinished: bool = False


class Stream(Iterator[str]):
    """The pieces of a text as they are written. `ended` is known once all pieces have come. Closing it early stops the
    model; what was written until then is paid for, and not every service tells how much that was."""

    def __init__(self, pieces: Writing[str, None, Ended]) -> None:
        self._pieces = pieces
        self.ended: Ended | None = None

    def __next__(self) -> str:
        try:
            return next(self._pieces)
        except StopIteration as end:
            self.ended = self.ended or returned(end.value, Ended, "Generator: _stream")
            raise StopIteration from None

    def close(self) -> None:
        """Stop writing."""
        self._pieces.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Generator(Adapter):
    """Writes texts: answers, questions for documents."""

    Options: ClassVar[type[BaseModel]] = NoOptions
    bills: bool = False  # as for an encoder
    samples: ClassVar[bool] = False  # whether `several` writes texts that differ, by drawing them

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @property
    def manner(self) -> Manner:
        """How the model wants to be asked. Known without loading it. The default follows instructions."""
        return "conversation"

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Everything that determines the texts, the seed too. Known without loading the model."""

    @property
    @abstractmethod
    def max_tokens(self) -> int:
        """Tokens that a text may have at most: what a call may cost is reckoned with it beforehand."""

    def generate(self, prompts: Sequence[Prompt]) -> Generated:
        """Write a text for each prompt.

        Returns n texts in the order of the prompts, with the usage. The same prompts in the same order give the same
        texts where the model's identity is the same, as far as its service keeps to the seed.
        Raises AdapterTimeout, AdapterUnavailable, AdapterRejected (also where just one of the prompts is refused).
        """
        generated = self._generate_some(prompts)
        if generated.failures:
            position, cause = min(generated.failures.items())
            raise AdapterRejected(f"{cause} The prompt: {prompt_text(prompts[position])[:80]!r}")
        return generated

    def _generate_some(self, prompts: Sequence[Prompt]) -> Generated:
        """As `generate`, but a prompt that has no text is listed among the failures."""
        if not len(prompts):
            return Generated([])
        asked = [conversation(prompt) for prompt in prompts]
        generated = returned(self._generate(asked), Generated, f"Generator {self.name}: _generate")
        return self._checked(generated, len(prompts))

    def _checked(self, generated: Generated, wanted: int) -> Generated:
        texts = list(generated.texts)
        if len(texts) != wanted:
            raise WrongAnswer(f"Generator {self.name} gave {len(texts)} texts where {wanted} were asked for.")
        if (odd := next((text for text in texts if not isinstance(text, str)), None)) is not None:
            raise WrongAnswer(f"Generator {self.name} gave {type(odd).__name__} instead of a text.")
        return replace(generated, texts=texts)

    def generate_each(self, prompts: Sequence[Prompt]) -> Iterator[tuple[Sequence[int], Generated]]:
        """As `generate`, in parts as they get ready: positions among the prompts, each once, with their texts. A prompt
        that the model's service refuses is among the failures of its part, and the others go on.

        A generator whose parts are paid for gives each as soon as it has come, as an encoder does. The default has one
        part.
        """
        yield range(len(prompts)), self._generate_some(prompts)

    def several(self, prompts: Sequence[Prompt], count: int) -> Generated:
        """As `generate`, with `count` texts for each prompt: those of the first prompt come first. A prompt that has no
        text is listed among the failures by the position of its first text, and its texts are empty.

        Which texts a prompt has depends on the prompts that are given with it, in their order. Of a generator that does
        not draw (`samples`), all texts of a prompt may be the same.
        """
        if count < 1:
            raise InvalidOptions(f"asks for {count} texts, and 1 is the fewest.")
        if not len(prompts):
            return Generated([])
        asked = [conversation(prompt) for prompt in prompts]
        generated = returned(self._several(asked, count), Generated, f"Generator {self.name}: _several")
        return self._checked(generated, len(prompts) * count)

    def _several(self, prompts: Sequence[Sequence[Message]], count: int) -> Generated:
        """The model's own way to write several texts. The default asks each prompt that many times."""
        generated = self._generate([prompt for prompt in prompts for _ in range(count)])
        firsts = {position - position % count: cause for position, cause in sorted(generated.failures.items())[::-1]}
        return replace(generated, failures=firsts)

    def stream(self, prompt: Prompt) -> Stream:
        """Write one text, and give its pieces as they are written. Nothing is asked before the first piece is taken.

        Raises, when pieces are taken, what `generate` raises.
        """
        return Stream(self._stream(conversation(prompt)))

    def _stream(self, messages: Sequence[Message]) -> Writing[str, None, Ended]:
        """The model's own streaming. The default gives the text in one piece, when it is whole."""
        generated = self.generate([messages])
        yield generated.texts[0]
        return Ended(generated.usage, bool(generated.unfinished is not None and generated.unfinished[0]))

    @abstractmethod
    def _generate(self, prompts: Sequence[Sequence[Message]]) -> Generated:
        """The model's own work, for at least one conversation."""


def conversation(prompt: Prompt) -> Sequence[Message]:
    """The prompt as messages. Raises WrongAnswer for a conversation that asks nothing."""
    messages = [Message("user", prompt)] if isinstance(prompt, str) else list(prompt)
    if not messages or messages[-1].role != "user":
        raise WrongAnswer("A conversation must end with a message of the user: there is nothing to answer.")
    return messages


def prompt_text(prompt: Prompt) -> str:
    """What is asked at the end of a prompt."""
    return prompt if isinstance(prompt, str) else prompt[-1].text if prompt else ""
