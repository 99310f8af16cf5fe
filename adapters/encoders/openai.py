"""OpenAI's embedding models, and any server that speaks its interface: vLLM, TEI, Ollama."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from adapters._openai import KEY_ENV, OpenAI
from adapters.answers import LARGEST
from adapters.base import CodePiece, Context, Flags, Floats, Identity, InvalidOptions, Role, Value
from adapters.encoders._managed import ManagedEncoder, answer_bytes, float_vectors
from adapters.service import MISSHAPEN, CallOptions, counted, shown

# Source: developers.openai.com/api/docs/models and /guides/embeddings, 2026.
MODELS: Mapping[str, int] = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_ONE_SIZE = frozenset({"text-embedding-ada-002"})


class OpenAIOptions(CallOptions):
    """base_url: of a compatible server, with the path that its embeddings stand below (often /v1). Given without
    api_key_env, the server gets no key and is one's own: its work is local and nobody bills it. One that bills needs
    api_key_env.

    A text that the service refuses as too long is cut to the length that it takes, and counts as cut. The 32 texts of a
    request elsewhere are what TEI takes as it comes.
    """

    model: str = Field(
        description="Name of the embedding model as the service knows it, such as text-embedding-3-small."
    )
    dimensions: int | None = Field(
        None,
        ge=1,
        description="Dimension to ask the service for, of a model whose vectors can be shortened; left out, the "
        "model's own.",
    )
    dimension: int | None = Field(
        None,
        ge=1,
        description="Dimension of the vectors of a model that this adapter does not know; nothing is asked of the"
        " service.",
    )
    batch_size: int | None = Field(
        None, ge=1, le=2048, description="Texts in a request, 1 to 2,048; left out, 2,048 at OpenAI and 32 elsewhere."
    )
    tokens_per_request: int = Field(
        250_000,
        ge=1,
        le=300_000,
        description="Estimated tokens in a request, at most 300,000; a longer text is sent alone.",
    )
    truncate_characters: int | None = Field(
        None,
        ge=1,
        description="Characters that a text is cut to before it is sent; left out, only what the service refuses "
        "as too long is cut.",
    )


class OpenAIEncoder(ManagedEncoder):
    """A managed model, or one behind the same interface."""

    name: ClassVar[str] = "openai"
    requires: ClassVar[tuple[str, ...]] = ("openai",)
    extra: ClassVar[str | None] = "openai"
    key_env: ClassVar[str | None] = KEY_ENV
    Options = OpenAIOptions

    def __init__(self, options: OpenAIOptions, context: Context = Context()) -> None:
        self.service: OpenAI = OpenAI(options, context.own_addresses)
        super().__init__(options, context)
        self.bills = not self.service.own

    @property
    def identity(self) -> Identity:
        settings = {"dimensions": self.dimension, "truncate_characters": self.options.truncate_characters}
        return Identity("openai", self.options.model, self.service.address, settings)

    @property
    def dimension(self) -> int:
        options = self.options
        full: int | None = MODELS.get(options.model, options.dimension)
        if options.dimensions is None:
            if full is None:
                raise InvalidOptions(
                    f"{options.model} is none of {', '.join(MODELS)}. Say how long its vectors are: dimension: N",
                    key="model",
                )
            if options.dimension not in (None, full):
                raise InvalidOptions(
                    f"{options.model} gives {full} dimensions. To have them shortened: dimensions: {options.dimension}",
                    key="dimension",
                )
            return full
        if options.model in _ONE_SIZE:
            raise InvalidOptions(f"{options.model} cannot be shortened.", key="dimensions")
        if full is not None and options.dimensions > full:
            raise InvalidOptions(f"{options.model} gives at most {full} dimensions.", key="dimensions")
        shortened: int = options.dimensions
        return shortened

    @property
    def space(self) -> str:
        place = f"@{self.service.address}" if self.service.address else ""
        return f"openai:{self.options.model}{place}"

    def role_settings(self, role: Role) -> Mapping[str, Any]:
        """Nothing: these models embed queries and documents alike."""
        return {}

    @property
    def texts_per_request(self) -> int:
        return self.options.batch_size or (2048 if self.service.address is None else 32)

    @property
    def tokens_per_request(self) -> int:
        tokens: int = self.options.tokens_per_request
        return tokens

    def close(self) -> None:
        super().close()
        self.service.close()

    def export(self, role: Role) -> CodePiece:
        arguments: dict[str, Value] = {
            "model": self.options.model,
            "dimension": self.dimension,
            "dimensions": self.options.dimensions,
            "truncate_characters": self.options.truncate_characters,
            **self.service.called(),
        }
        keys = () if self.service.key_variable is None else (self.service.key_variable,)
        module, name = "adapters.code.openai_models", "OpenAIQueryEncoder"
        return CodePiece(module, name, arguments, requires=("openai",), keys=keys, exact=False)

    def _prepared(self, texts: Sequence[str]) -> tuple[list[str], Flags | None]:
        sent, _ = super()._prepared(texts)
        limit = self.options.truncate_characters
        if limit is None:
            return sent, None
        return [text[:limit] for text in sent], np.array([len(text) > limit for text in sent], dtype=np.bool_)

    def _send(self, texts: Sequence[str], role: Role) -> tuple[Floats, int]:
        content = self._ask(texts)
        try:
            found = {_index(item["index"]): item["embedding"] for item in content["data"]}
            if len(found) < len(content["data"]) or not set(found) <= set(range(len(texts))):
                raise self.service.misshapen(f"vectors whose indexes are not 0 to {len(texts) - 1}, each of them once")
            if len(found) != len(texts):
                raise self.service.malformed(f"{len(found)} vectors for {len(texts)} texts")
            vectors = np.stack([_vector(found[i]) for i in range(len(texts))])
            # Not every compatible server counts tokens.
            tokens = counted((content.get("usage") or {}).get("prompt_tokens"))
        except MISSHAPEN as error:
            raise self.service.misshapen(f"not the promised form ({type(error).__name__})", error) from error
        return vectors, tokens

    def _ask(self, texts: Sequence[str]) -> Any:
        """The JSON of an answer. Raises Retryable or an AdapterError."""
        options = self.options
        sized = {} if options.dimensions is None else {"dimensions": options.dimensions}
        body = {"input": list(texts), "model": options.model, "encoding_format": "base64", **sized}
        largest = max(LARGEST, self.texts_per_request * answer_bytes(self.dimension))
        return self.service.ask("/embeddings", body, largest=largest)


def _index(found: Any) -> int:
    """The place of a text among those sent. Raises ValueError for what is no whole number."""
    if type(found) is not int:
        raise ValueError(f"the index {shown(found)}")
    return found


def _vector(found: Any) -> Floats:
    """A vector as base64 of little-endian float32, or as a list of numbers from a server that knows no base64."""
    if isinstance(found, str):
        return np.frombuffer(binascii.a2b_base64(found, strict_mode=True), dtype="<f4").astype(np.float32, copy=False)
    return float_vectors(found)
