"""Cohere's chat models through ClientV2: Command A and Command R."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from adapters._cohere import KEY_ENV, Cohere
from adapters.base import Context, Ended, Message, Usage
from adapters.generators._managed import ManagedGenerator, ManagedGeneratorOptions, Written
from adapters.service import RequestRefused, counted

_NO_MORE = object()


class CohereGeneratorOptions(ManagedGeneratorOptions):
    """The model and how it writes."""

    model: str = Field(description="Name of Cohere's chat model, such as command-a-03-2025.")
    temperature: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How freely words are chosen: 0 takes the likeliest; left out, as it ships.",
    )


class CohereGenerator(ManagedGenerator):
    """A managed model. What is billed is what the answer calls billed: fewer tokens than the model reads."""

    name: ClassVar[str] = "cohere"
    requires: ClassVar[tuple[str, ...]] = ("cohere",)
    extra: ClassVar[str | None] = "cohere"
    key_env: ClassVar[str | None] = KEY_ENV
    Options = CohereGeneratorOptions

    def __init__(self, options: CohereGeneratorOptions, context: Context = Context()) -> None:
        self.service: Cohere = Cohere(options, context.own_addresses)
        super().__init__(options, context)

    def close(self) -> None:
        super().close()
        self.service.close()

    def _request(self, messages: Sequence[Message], max_tokens: int) -> dict[str, Any]:
        options = self.options
        chosen = {
            "temperature": options.temperature,
            "p": options.top_p,
            "stop_sequences": list(options.stop) or None,
        }
        return {
            "model": options.model,
            "messages": [{"role": message.role, "content": message.text} for message in messages],
            "max_tokens": max_tokens,
            "seed": self.seed,
            **{name: value for name, value in chosen.items() if value is not None},
        }

    def _send(self, messages: Sequence[Message], max_tokens: int) -> tuple[Written, Usage]:
        def call(client: Any, request: Mapping[str, Any]) -> tuple[Written, Usage]:
            answer = client.chat(**self._request(messages, max_tokens), request_options=request)
            # A reasoning model's thoughts are items of another type.
            items = [item for item in answer.message.content or () if item.type == "text"]
            text = "".join(self.text_of(item.text) for item in items)
            return Written(text, self._unfinished(answer.finish_reason)), _billed(answer.usage)

        return self.service.ask(call)

    def _open(self, messages: Sequence[Message]) -> Iterator[str | Ended]:
        def begin(client: Any, request: Mapping[str, Any]) -> Iterator[Any]:
            return iter(client.chat_stream(**self._request(messages, self.max_tokens), request_options=request))

        events: Any = self.service.ask(begin, streams=True)
        ended: Ended | None = None
        try:
            while ended is None:
                event = self.service.ask(lambda client, request: next(events, _NO_MORE), streams=True)
                if event is _NO_MORE:
                    raise self.service.broke_off()
                piece, ended = self._read(event)
                if piece:
                    yield piece
        finally:
            events.close()
        yield ended

    def _read(self, event: Any) -> tuple[str, Ended | None]:
        """The text of an event, and how the answer ended where the event says so."""

        def read(client: Any, request: Mapping[str, Any]) -> tuple[str, Ended | None]:
            if event.type == "content-delta":
                return self.text_of(event.delta.message.content.text), None
            if event.type == "message-end":
                if said := getattr(event.delta, "error", None):
                    raise self.service.broke_off(said)
                return "", Ended(_billed(event.delta.usage), self._unfinished(event.delta.finish_reason))
            return "", None

        return self.service.ask(read, streams=True)

    def _unfinished(self, reason: Any) -> bool:
        """Whether the model stopped at `max_tokens`. Raises RequestRefused, or Retryable, where it stopped for want of
        a text."""
        if reason == "ERROR_TOXIC":
            raise RequestRefused(f"{self.service.at} took the text away: its filter of contents objects.")
        if reason in ("ERROR", "TIMEOUT"):
            raise self.service.broke_off(reason)
        return bool(reason == "MAX_TOKENS")


def _billed(usage: Any) -> Usage:
    """Tokens that the answer says are billed, 0 where it says nothing."""
    units = getattr(usage, "billed_units", None)
    return Usage(
        tokens=counted(getattr(units, "input_tokens", None)),
        output_tokens=counted(getattr(units, "output_tokens", None)),
    )
