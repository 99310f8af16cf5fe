"""OpenAI's chat models, and any server that speaks their interface: vLLM, Ollama, llama.cpp, LM Studio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, ClassVar

from pydantic import Field

from adapters._openai import KEY_ENV, OpenAI
from adapters.base import Context, Ended, Message, Usage
from adapters.generators._managed import ManagedGenerator, ManagedGeneratorOptions, Written
from adapters.service import MISSHAPEN, RequestRefused, counted

_PATH = "/chat/completions"


class OpenAIGeneratorOptions(ManagedGeneratorOptions):
    """base_url: of a compatible server, with the path that its chat stands below (often /v1). Given without
    api_key_env, the server gets no key and is one's own: its work is local and nobody bills it. One that bills needs
    api_key_env."""

    model: str = Field(description="Name of the chat model as the service knows it, such as gpt-5-mini.")


class OpenAIGenerator(ManagedGenerator):
    """A managed model, or one behind the same interface."""

    name: ClassVar[str] = "openai"
    requires: ClassVar[tuple[str, ...]] = ("openai",)
    extra: ClassVar[str | None] = "openai"
    key_env: ClassVar[str | None] = KEY_ENV
    Options = OpenAIGeneratorOptions

    def __init__(self, options: OpenAIGeneratorOptions, context: Context = Context()) -> None:
        self.service: OpenAI = OpenAI(options, context.own_addresses)
        super().__init__(options, context)
        self.bills = not self.service.own

    def close(self) -> None:
        super().close()
        self.service.close()

    def _body(self, messages: Sequence[Message], max_tokens: int) -> dict[str, Any]:
        options = self.options
        # OpenAI's newer models refuse the older name, and some servers do not know the newer one.
        limit = "max_completion_tokens" if self.service.address is None else "max_tokens"
        chosen = {"temperature": options.temperature, "top_p": options.top_p, "stop": list(options.stop) or None}
        return {
            "model": options.model,
            "messages": [{"role": message.role, "content": message.text} for message in messages],
            limit: max_tokens,
            "seed": self.seed,
            **{name: value for name, value in chosen.items() if value is not None},
        }

    def _send(self, messages: Sequence[Message], max_tokens: int) -> tuple[Written, Usage]:
        content = self.service.ask(_PATH, self._body(messages, max_tokens))
        try:
            choice = content["choices"][0]
            message = choice["message"]
            text = self.text_of(message.get("content") or message.get("refusal"))
            return Written(text, self._unfinished(choice.get("finish_reason"))), _billed(content.get("usage"))
        except MISSHAPEN as error:
            raise self.service.misshapen(f"not the promised form ({type(error).__name__})", error) from error

    def _open(self, messages: Sequence[Message]) -> Iterator[str | Ended]:
        body = {**self._body(messages, self.max_tokens), "stream": True, "stream_options": {"include_usage": True}}
        reason: Any = None
        usage = Usage()
        with closing(self.service.stream(_PATH, body)) as events:  # type: ignore[type-var]
            for event in events:
                try:
                    usage = _billed(event["usage"]) if event.get("usage") else usage
                    choices = event.get("choices") or [{}]  # the event with the usage has none
                    delta = choices[0].get("delta") or {}
                    piece = self.text_of(delta.get("content") or delta.get("refusal"))
                    reason = choices[0].get("finish_reason") or reason
                except MISSHAPEN as error:
                    raise self.service.misshapen(f"not the promised form ({type(error).__name__})", error) from error
                if piece:
                    yield piece
        if reason is None:
            raise self.service.broke_off()
        yield Ended(usage, self._unfinished(reason))

    def _unfinished(self, reason: Any) -> bool:
        """Whether the model stopped at `max_tokens`. Raises RequestRefused where the service took the text away."""
        if reason == "content_filter":
            raise RequestRefused(f"{self.service.at} took the text away: its filter of contents objects.")
        return bool(reason == "length")


def _billed(usage: Any) -> Usage:
    """Tokens that an answer tells, 0 where it tells nothing: not every compatible server counts them."""
    told = usage or {}
    return Usage(
        tokens=counted(told.get("prompt_tokens")),
        output_tokens=counted(told.get("completion_tokens")),
    )
