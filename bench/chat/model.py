"""A generator as a chat model of LangChain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from adapters.base import Generator, Message, Usage, WrongAnswer

_ROLES: dict[str, Any] = {"system": "system", "human": "user", "ai": "assistant"}


class GeneratorChatModel(BaseChatModel):
    """Any generator of the registry, streamed where it streams."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    generator: Generator

    @property
    def _llm_type(self) -> str:
        return self.generator.name

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.generator.identity.as_dict()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        _refuse(stop)
        generated = self.generator.generate([_asked(messages)])
        unfinished = generated.unfinished is not None and bool(generated.unfinished[0])
        message = AIMessage(
            content=generated.texts[0],
            usage_metadata=_counts(generated.usage),
            response_metadata={"unfinished": unfinished},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        _refuse(stop)
        with self.generator.stream(_asked(messages)) as pieces:
            for piece in pieces:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                if run_manager is not None:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
        if pieces.ended is not None:
            yield ChatGenerationChunk(
                message=AIMessageChunk(
                    content="",
                    usage_metadata=_counts(pieces.ended.usage),
                    response_metadata={"unfinished": pieces.ended.unfinished},
                    chunk_position="last",
                )
            )


def _asked(messages: Sequence[BaseMessage]) -> list[Message]:
    found: list[Message] = []
    for message in messages:
        if message.type not in _ROLES:
            raise WrongAnswer(
                f"A generator reads messages of a system, a human and a model, not of type {message.type}."
            )
        found.append(Message(_ROLES[message.type], str(message.text)))
    return found


def _refuse(stop: Sequence[str] | None) -> None:
    if stop:
        raise WrongAnswer("Where a generator stops is an option of the generator: stop: [TEXT]")


def _counts(usage: Usage) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=usage.tokens, output_tokens=usage.output_tokens, total_tokens=usage.tokens + usage.output_tokens
    )
