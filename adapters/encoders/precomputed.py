"""The vectors that the data set itself carries."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from adapters.base import (
    Consumes,
    Context,
    Encoded,
    Encoder,
    Identity,
    InvalidOptions,
    Options,
    Role,
    Similarity,
    TextRows,
)


class PrecomputedOptions(Options):
    """What the dataset does not tell about its vectors."""

    similarity: Similarity = Field(Similarity.COSINE, description="How the dataset's vectors are meant to be compared.")
    space: str | None = Field(
        None,
        description="Name of their vector space, to pair them with another encoder's vectors; left out, a space "
        "of their own.",
    )


class PrecomputedEncoder(Encoder):
    """Hands the data set's vectors on as they are."""

    name: ClassVar[str] = "precomputed"
    consumes: ClassVar[Consumes] = "vector"
    Options = PrecomputedOptions

    def __init__(self, options: PrecomputedOptions, context: Context = Context()) -> None:
        super().__init__(options, context)

    def check(self) -> None:
        super().check()
        _ = self.dimension

    @property
    def identity(self) -> Identity:
        return Identity("precomputed", self.options.space or "dataset")

    @property
    def space(self) -> str:
        return self.options.space or super().space

    @property
    def dimension(self) -> int:
        if self.context.vector_dimension is None:
            raise InvalidOptions(
                "The data set carries no vectors. Use a data set with vectors (adapter: vectors), or an encoder that "
                "makes them.",
                key="adapter",
            )
        return self.context.vector_dimension

    @property
    def similarity(self) -> Similarity:
        return Similarity(self.options.similarity)

    def _encode(self, rows: TextRows, role: Role) -> Encoded:
        if rows.vectors is None:
            raise InvalidOptions("These rows carry no vectors.", key="adapter")
        return Encoded(np.asarray(rows.vectors, dtype=np.float32))
