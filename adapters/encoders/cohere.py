"""Cohere's embedding models through ClientV2: embed v3, v4 and v5."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from adapters._cohere import KEY_ENV, Cohere, check_not_retired
from adapters.base import CodePiece, Context, Floats, Identity, InvalidOptions, Role, Value
from adapters.encoders._managed import ManagedEncoder, float_vectors
from adapters.service import CallOptions, counted

EmbeddingType = Literal["float", "int8", "uint8", "binary", "ubinary"]

_INPUT_TYPES: Mapping[Role, str] = {"query": "search_query", "document": "search_document"}


class _Model(NamedTuple):
    dimension: int
    sizes: tuple[int, ...]  # what output_dimension may be; empty where the model has one size
    space: str


# Source: docs.cohere.com/docs/cohere-embed and /changelog/embed-v5, read in November 2026. Pro and Fast of v5 share
# one vector space; all others stand alone.
_V5 = (2048, 1536, 1024, 768, 512, 256)
MODELS: Mapping[str, _Model] = {
    "embed-v5.0-pro": _Model(2048, _V5, "embed-v5.0"),
    "embed-v5.0-fast": _Model(2048, _V5, "embed-v5.0"),
    "embed-v4.0": _Model(1536, (1536, 1024, 512, 256), "embed-v4.0"),
    "embed-english-v3.0": _Model(1024, (), "embed-english-v3.0"),
    "embed-multilingual-v3.0": _Model(1024, (), "embed-multilingual-v3.0"),
    "embed-english-light-v3.0": _Model(384, (), "embed-english-light-v3.0"),
    "embed-multilingual-light-v3.0": _Model(384, (), "embed-multilingual-light-v3.0"),
}


class CohereOptions(CallOptions):
    """embedding_type: what the service sends. All become float32 vectors that are compared by cosine: int8 as the
    whole numbers they are, uint8 less 128 (the two differ by that offset), binary and ubinary as +1 for a set bit
    and -1 for a clear one, whose cosine orders as the Hamming distance does.

    Cohere does not tell which texts it cut.
    """

    model: str = Field(description="Name of Cohere's embedding model, such as embed-v5.0-pro.")
    embedding_type: EmbeddingType = Field(
        "float",
        description="What the service sends of each vector; int8, uint8, binary and ubinary become float32 "
        "numbers that are compared by cosine.",
    )
    output_dimension: int | None = Field(
        None,
        ge=1,
        description="Dimension to ask the service for, of a model with a choice of sizes; left out, the model's own.",
    )
    dimension: int | None = Field(
        None,
        ge=1,
        description="Dimension of the vectors of a model that this adapter does not know; nothing is asked of the"
        " service.",
    )
    truncate: Literal["NONE", "START", "END"] = Field(
        "END", description="End that the service cuts from a text that is too long; with NONE such a text fails."
    )
    batch_size: int = Field(96, ge=1, le=96, description="Texts in a request, 1 to 96.")
    tokens_per_request: int = Field(
        128_000, ge=1, description="Estimated tokens in a request at most; a longer text is sent alone."
    )
    texts_per_minute: float | None = Field(
        None,
        gt=0,
        description="Texts sent in a minute at most; left out, 2,000 at Cohere's own address and no limit elsewhere.",
    )
    transfer: Literal["base64", "list"] = Field(
        "base64",
        description="How float vectors travel: base64 spares the SDK a second of work for each full request of lists.",
    )

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        self.refuse_idle("transfer", "embedding_type: float", heeded=self.embedding_type == "float")
        return self


class CohereEncoder(ManagedEncoder):
    """A managed model; documents and queries are told apart by their input type."""

    name: ClassVar[str] = "cohere"
    requires: ClassVar[tuple[str, ...]] = ("cohere",)
    extra: ClassVar[str | None] = "cohere"
    key_env: ClassVar[str | None] = KEY_ENV
    # docs.cohere.com/docs/rate-limits, 2026: inputs per minute, trial and production alike
    default_items_per_minute: ClassVar[float | None] = 2000
    Options = CohereOptions

    def __init__(self, options: CohereOptions, context: Context = Context()) -> None:
        self.service: Cohere = Cohere(options, context.own_addresses)
        super().__init__(options, context)

    def check(self) -> None:
        check_not_retired(self.options.model)
        super().check()
        if self.dimension % 8 and self.options.embedding_type in ("binary", "ubinary"):
            raise InvalidOptions("packed bits need a dimension divisible by 8.", key="output_dimension")

    @property
    def identity(self) -> Identity:
        settings = {
            "embedding_type": self.options.embedding_type,
            "output_dimension": self.dimension,
            "truncate": self.options.truncate,
        }
        return Identity("cohere", self.options.model, self.service.address, settings)

    @property
    def dimension(self) -> int:
        options = self.options
        known = MODELS.get(options.model)
        if known is None:
            given: int | None = options.output_dimension or options.dimension
            if given is None:
                raise InvalidOptions(
                    f"{options.model} is none of {', '.join(MODELS)}. If Cohere has it, say how long its vectors are: "
                    "dimension: N",
                    key="model",
                )
            return given
        if options.output_dimension not in (None, known.dimension, *known.sizes):
            sizes = ", ".join(map(str, known.sizes)) or f"{known.dimension} only"
            raise InvalidOptions(f"{options.model} has {sizes}.", key="output_dimension")
        if options.dimension not in (None, options.output_dimension or known.dimension):
            raise InvalidOptions(
                f"{options.model} gives {options.output_dimension or known.dimension} dimensions. A choice of sizes is "
                "output_dimension.",
                key="dimension",
            )
        return options.output_dimension or known.dimension

    @property
    def space(self) -> str:
        known = MODELS.get(self.options.model)
        place = f"@{self.service.address}" if self.service.address else ""
        return f"cohere:{known.space if known else self.options.model}{place}"

    def role_settings(self, role: Role) -> Mapping[str, Any]:
        """The input type, which changes the vector."""
        return {"input_type": _INPUT_TYPES[role]}

    @property
    def cuts(self) -> Literal["start", "end"] | None:
        """As the service would."""
        ends: dict[str, Literal["start", "end"] | None] = {"START": "start", "END": "end", "NONE": None}
        return ends[self.options.truncate]

    @property
    def texts_per_request(self) -> int:
        size: int = self.options.batch_size
        return size

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
            "input_type": _INPUT_TYPES[role],
            "embedding_type": self._sent_as,
            "dimension": self.dimension,
            "output_dimension": self._asked_dimension,
            "truncate": self.options.truncate,
            **self.service.called(),
        }
        keys = () if self.service.key_variable is None else (self.service.key_variable,)
        module, name = "adapters.code.cohere_models", "CohereQueryEncoder"
        return CodePiece(module, name, arguments, requires=("cohere", "httpx"), keys=keys, exact=False)

    @property
    def _sent_as(self) -> str:
        """The embedding type of the API."""
        options = self.options
        return (
            "base64" if options.embedding_type == "float" and options.transfer == "base64" else options.embedding_type
        )

    @property
    def _asked_dimension(self) -> int | None:
        """What the service is asked for; None of a model without a choice."""
        known = MODELS.get(self.options.model)
        asked: int | None = self.options.output_dimension if known is None or known.sizes else None
        return asked

    def _send(self, texts: Sequence[str], role: Role) -> tuple[Floats, int]:
        options, kind, size = self.options, self._sent_as, self._asked_dimension

        def call(client: Any, request: Mapping[str, Any]) -> tuple[Floats, int]:
            answer = client.embed(
                texts=list(texts),
                model=options.model,
                input_type=_INPUT_TYPES[role],
                embedding_types=[kind],
                truncate=options.truncate,
                request_options=request,
                **({} if size is None else {"output_dimension": size}),
            )
            found = getattr(answer.embeddings, "float_" if kind == "float" else kind)
            return decoded(found, kind), _billed(answer)

        return self.service.ask(call)


def decoded(found: Sequence[Any], kind: str) -> Floats:
    """Vectors of an embedding type of the API as float32 (n, dimension). Raises ValueError for what is none."""
    if kind == "base64":
        try:
            rows = [np.frombuffer(binascii.a2b_base64(item, strict_mode=True), dtype="<f4") for item in found]
        except binascii.Error as error:
            raise ValueError("not base64") from error
        return np.stack(rows).astype(np.float32, copy=False)
    if kind == "float":
        return float_vectors(found)
    whole = np.array(found)
    low, high = (0, 255) if kind in ("uint8", "ubinary") else (-128, 127)
    if whole.dtype.kind not in "iu" or (whole.size and not low <= whole.min() <= whole.max() <= high):
        raise ValueError(f"values that are no {kind}")
    whole = whole.astype(np.int16)
    if kind == "int8":
        return whole.astype(np.float32)
    if kind == "uint8":
        return (whole - 128).astype(np.float32)
    packed = (whole + 128 if kind == "binary" else whole).astype(np.uint8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def _billed(answer: Any) -> int:
    """Tokens that the answer says are billed, 0 where it says nothing."""
    units = getattr(answer.meta, "billed_units", None)
    return counted(getattr(units, "input_tokens", None), getattr(units, "text_tokens", None))
