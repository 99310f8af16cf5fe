"""Vectors that count words: a text's words are the places of its vector that are not zero."""

import re
import zlib

import numpy as np
from pydantic import Field

from adapters.base import Encoded, Encoder, Identity, Options, Role, Similarity, TextRows


class MineOptions(Options):
    dimension: int = Field(1024, ge=16, description="Length of a vector; words share its places.")


class MineEncoder(Encoder):
    """Replace `_encode`, and name in `identity` whatever can change a vector: model, revision, versions."""

    name = "mine"
    requires = ("numpy",)
    Options = MineOptions

    @property
    def identity(self) -> Identity:
        return Identity("mine", "words", settings={"dimension": self.dimension, "version": 1})

    @property
    def dimension(self) -> int:
        return int(self.options.dimension)

    @property
    def similarity(self) -> Similarity:
        return Similarity.COSINE

    def _encode(self, rows: TextRows, role: Role) -> Encoded:
        vectors = np.zeros((len(rows), self.dimension), np.float32)
        for vector, text in zip(vectors, rows.texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                vector[zlib.crc32(word.encode()) % self.dimension] += 1
        return Encoded(vectors)
