"""The contract of an encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel

from adapters.base.adapter import Adapter, Consumes, NoOptions
from adapters.base.arrays import Context, Encoded, Identity, Role, Similarity, TextRows, check_vectors, returned
from adapters.base.code import CodePiece, NoCode
from adapters.base.errors import AdapterRejected, WrongAnswer


class Encoder(Adapter):
    """Turns texts into vectors."""

    Options: ClassVar[type[BaseModel]] = NoOptions
    consumes: ClassVar[Consumes] = "text"  # "vector": hands on the dataset's own vectors
    bills: bool = False  # every call costs money: budgets apply

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Everything that determines the vectors in both roles. Known without loading the model."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length of a vector. Known without loading the model."""

    @property
    @abstractmethod
    def similarity(self) -> Similarity:
        """How this model's vectors are meant to be compared."""

    @property
    def space(self) -> str:
        """Name of the vector space. Two encoders share it only if their vectors may be compared."""
        identity = self.identity
        return f"{identity.provider}:{identity.model}"

    def role_settings(self, role: Role) -> Mapping[str, Any]:
        """What the role changes (prompt, input type): part of the cache key beside the identity."""
        return {"role": role}

    def encode(self, rows: TextRows, role: Role) -> Encoded:
        """Turn texts into vectors.

        rows: n texts, or vectors where `consumes` is "vector". role: asymmetric models need it.
        Returns float32 (n, dimension), rows in input order, finite, with the usage.
        Raises InvalidVectors, AdapterTimeout, AdapterUnavailable, AdapterRejected (also where just one of the texts is
        refused).
        """
        encoded = self._encode_some(rows, role)
        if encoded.failures:
            position, cause = min(encoded.failures.items())
            raise AdapterRejected(f"{cause} The text: {rows.texts[position][:80]!r}")
        return encoded

    def _encode_some(self, rows: TextRows, role: Role) -> Encoded:
        """As `encode`, but a text that has no vector is listed among the failures."""
        if not len(rows):
            return Encoded(np.empty((0, self.dimension), np.float32))
        encoded = returned(self._encode(rows, role), Encoded, f"Encoder {self.name}: _encode")
        vectors = check_vectors(encoded.vectors, dimension=self.dimension, where=f"Encoder {self.identity.model}")
        if len(vectors) != len(rows):
            raise WrongAnswer(f"Encoder {self.identity.model} gave {len(vectors)} vectors for {len(rows)} texts.")
        return replace(encoded, vectors=vectors)

    def encode_each(self, rows: TextRows, role: Role) -> Iterator[tuple[Sequence[int], Encoded]]:
        """As `encode`, in parts as they get ready: positions in `rows`, each once, with their vectors. A text that the
        model's service refuses is among the failures of its part, and the others go on.

        An encoder whose parts are paid for yields each as soon as it has arrived. Before it raises it also yields the
        parts that were under way, so that a caller that keeps every part loses nothing. The default has one part.
        """
        yield range(len(rows)), self._encode_some(rows, role)

    @abstractmethod
    def _encode(self, rows: TextRows, role: Role) -> Encoded:
        """The model's own work, for at least one row."""

    def export(self, role: Role) -> CodePiece:
        """The code of a `QueryEncoder` that gives the vectors of this role without this project. Loads no model.
        Raises NoCode, which the default does."""
        raise NoCode(self.name)
