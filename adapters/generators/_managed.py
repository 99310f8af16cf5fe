"""The common base of generators of managed services. Each prompt is one request; requests are sent at the same time,
and texts return to their places."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator as Writing
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from adapters.base import (
    AdapterRejected,
    Contact,
    Context,
    Ended,
    Generated,
    Generator,
    Identity,
    Message,
    Usage,
    conversation,
    reckoned_tokens,
)
from adapters.service import CallOptions, Retryable, Service, shown
from adapters.transport import PROBE, Answer, Job, Transport
from adapters.writing import WritingOptions

_PROBE_TOKENS = 16


class ManagedGeneratorOptions(WritingOptions, CallOptions):
    """What every managed generator takes."""

    model: str = Field(description="Name of the model as the service knows it.")
    timeout_seconds: float = Field(
        180.0, gt=0, description="Seconds after which the answer of one try must have come whole."
    )


class Written(NamedTuple):
    """A text, and whether it ended at `max_tokens`."""

    text: str
    unfinished: bool


class ManagedGenerator(Generator):
    """A subclass names its service, and sends one conversation.

    A prompt that the service refuses for what it holds has failed, and the others go on. It is not cut where it is too
    long: its end says what is asked.
    """

    bills = True
    service: Service

    def __init__(self, options: ManagedGeneratorOptions, context: Context = Context()) -> None:
        super().__init__(options, context)
        self._transport = Transport(options, self.service.slots, seed=context.seed, probe=self._probe)

    def _probe(self) -> Job[Written]:
        return self._job([Message("user", PROBE)], 0, _PROBE_TOKENS)

    @property
    def identity(self) -> Identity:
        options = self.options
        settings = {name: getattr(options, name) for name in ("max_tokens", "temperature", "top_p", "stop", "system")}
        return Identity(self.name, options.model, self.service.address, {**settings, "seed": self.seed})

    @property
    def seed(self) -> int:
        """The seed that is sent."""
        given: int | None = self.options.seed
        return self.context.seed % 2**31 if given is None else given

    @property
    def max_tokens(self) -> int:
        tokens: int = self.options.max_tokens
        return tokens

    def check(self) -> None:
        """Raises AdapterRejected without a key. Calls nobody."""
        super().check()
        self.service.check_key()

    def contacts(self) -> Sequence[Contact]:
        return [self.service.contact()]

    def check_alone(self) -> None:
        self.check()

    def close(self) -> None:
        self._transport.close()

    def generate_each(self, prompts: Sequence[Any]) -> Iterator[tuple[Sequence[int], Generated]]:
        for answer in self._transport.stream(self._jobs([conversation(prompt) for prompt in prompts])):
            yield [answer.job.place], _generated([answer], 1)

    def _generate(self, prompts: Sequence[Sequence[Message]]) -> Generated:
        answers = self._transport.gather(self._jobs(prompts))
        return _generated(sorted(answers, key=lambda answer: int(answer.job.place)), len(prompts))

    def _jobs(self, prompts: Sequence[Sequence[Message]]) -> list[Job[Written]]:
        return [self._job(messages, place, self.max_tokens) for place, messages in enumerate(prompts)]

    def _job(self, messages: Sequence[Message], place: int, max_tokens: int) -> Job[Written]:
        asked = self.options.instructed(messages)

        def send() -> tuple[Written, Usage]:
            return self._send(asked, max_tokens)

        return Job(_parts(asked), send, _reckoned(asked, max_tokens), 1, place)

    def _stream(self, messages: Sequence[Message]) -> Writing[str, None, Ended]:
        """Tries that fail before the first piece are repeated; what fails after it ends the text."""
        asked = self.options.instructed(messages)

        def begin() -> tuple[tuple[str | Ended, Iterator[str | Ended]], Usage]:
            pieces = self._open(asked)
            return (next(pieces), pieces), Usage()

        (answer,) = self._transport.stream([Job(_parts(asked), begin, _reckoned(asked, self.max_tokens), 1)])
        if answer.value is None:
            raise AdapterRejected(str(answer.refusal))
        piece, pieces = answer.value
        with closing(pieces):  # type: ignore[type-var]
            try:
                while not isinstance(piece, Ended):
                    yield piece
                    piece = next(pieces)
            except Retryable as failure:
                raise failure.error from failure.cause
        return Ended(answer.usage + piece.usage, piece.unfinished)

    @abstractmethod
    def _send(self, messages: Sequence[Message], max_tokens: int) -> tuple[Written, Usage]:
        """One try of one request: the text and what was billed. Raises Retryable or an AdapterError."""

    @abstractmethod
    def _open(self, messages: Sequence[Message]) -> Iterator[str | Ended]:
        """One try of one streamed request: pieces of the text, then how it ended. Raises Retryable or an AdapterError,
        also for an answer that ends without its end."""

    def text_of(self, found: Any) -> str:
        """A piece of an answer as text; none stands for an empty one. Raises AdapterRejected for what is no text."""
        if found is None:
            return ""
        if not isinstance(found, str):
            raise self.service.misshapen(f"{shown(found)} in the place of a text")
        return found


def _generated(answers: Sequence[Answer[Written]], count: int) -> Generated:
    """Answers in the order of their prompts, one for each of `count`."""
    texts, unfinished, usage = [""] * count, np.zeros(count, np.bool_), Usage()
    failures: dict[int, str] = {}
    for i, answer in enumerate(answers):
        usage += answer.usage
        if answer.value is None:
            failures[i] = str(answer.refusal)
        else:
            texts[i], unfinished[i] = answer.value
    return Generated(texts, usage, unfinished, failures=failures)


def _parts(messages: Sequence[Message]) -> list[str]:
    return [part for message in messages for part in (message.role, message.text)]


def _reckoned(messages: Sequence[Message], max_tokens: int) -> int:
    return sum(reckoned_tokens(message.text) for message in messages) + max_tokens
