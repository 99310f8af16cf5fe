"""What encoders of managed services share: batches that fill the service's limits, sent at once, in input order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from ..base import (
    Context,
    Encoded,
    Encoder,
    Flags,
    Floats,
    InvalidVectors,
    Role,
    Similarity,
    TextRows,
    Usage,
    reckoned_tokens,
)
from ..service import CallOptions, Service
from ..transport import Job, Transport, batches


class ManagedEncoder(Encoder):
    """A subclass names its service and limits, and sends one batch.

    Answers of a call that failed half-way are remembered by this instance: given the same texts again, it sends only
    those that have no answer yet.
    """

    bills = True
    service: Service
    default_items_per_minute: ClassVar[float | None] = None  # the provider's published limit, at its own address

    def __init__(self, options: CallOptions, context: Context = Context()) -> None:
        super().__init__(options, context)
        limit = getattr(options, "texts_per_minute", None)
        if limit is None and self.service.address is None:
            limit = self.default_items_per_minute
        self._transport = Transport(options, seed=context.seed, items_per_minute=limit)
        self.service.leaving, self.service.answered = self._transport.leaving, self._transport.answered

    @property
    def similarity(self) -> Similarity:
        return Similarity.COSINE

    @property
    @abstractmethod
    def texts_per_request(self) -> int:
        """Texts that a request may hold."""

    @property
    @abstractmethod
    def tokens_per_request(self) -> int:
        """Estimated tokens that a request may hold; a longer text is sent alone."""

    def check(self) -> None:
        """Raises AdapterRejected without a key, InvalidOptions for what the model cannot do. Calls nobody."""
        super().check()
        self.service.check_key()
        _ = self.dimension

    def close(self) -> None:
        self._transport.close()

    def encode_each(self, rows: TextRows, role: Role) -> Iterator[tuple[Sequence[int], Encoded]]:
        texts, truncated = self._prepared(rows.texts)
        parts = self._parts(texts)
        for i, (vectors, usage) in self._transport.stream(self._jobs(texts, parts, role)):
            part = parts[i]
            yield part, Encoded(vectors, usage, None if truncated is None else truncated[part.start : part.stop])

    def _encode(self, rows: TextRows, role: Role) -> Encoded:
        texts, truncated = self._prepared(rows.texts)
        answers = self._transport.gather(self._jobs(texts, self._parts(texts), role))
        usage = sum((usage for _, usage in answers), Usage())
        return Encoded(np.concatenate([vectors for vectors, _ in answers]), usage, truncated)

    def _parts(self, texts: Sequence[str]) -> list[range]:
        tokens = min(self.tokens_per_request, int(self.options.tokens_per_minute or self.tokens_per_request))
        return batches(texts, items=self.texts_per_request, tokens=tokens)

    def _jobs(self, texts: Sequence[str], parts: Sequence[range], role: Role) -> list[Job[Floats]]:
        return [self._job(texts[part.start : part.stop], role) for part in parts]

    def _prepared(self, texts: Sequence[str]) -> tuple[list[str], Flags | None]:
        """Texts as they are sent. Services refuse an empty one; a space stands for it."""
        return [text or " " for text in texts], None

    def _job(self, texts: Sequence[str], role: Role) -> Job[Floats]:
        def send() -> tuple[Floats, Usage]:
            vectors, tokens = self._send(texts, role)
            return self._checked(vectors, len(texts)), Usage(tokens=tokens)

        return Job((role, *texts), send, sum(map(reckoned_tokens, texts)), len(texts))

    def _checked(self, vectors: Floats, count: int) -> Floats:
        """Raises Retryable for a wrong count and for NaN, InvalidVectors for a wrong dimension: no retry cures it."""
        if vectors.ndim != 2 or len(vectors) != count:
            raise self.service.malformed(f"{len(vectors)} vectors for {count} texts")
        if vectors.shape[1] != self.dimension:
            raise InvalidVectors(
                f"{self.service.at}: {self.identity.model} gives {vectors.shape[1]} dimensions, not {self.dimension}. "
                f"Set: dimension: {vectors.shape[1]}"
            )
        if not np.isfinite(vectors).all():
            raise self.service.malformed("vectors with NaN or infinity")
        return vectors

    @abstractmethod
    def _send(self, texts: Sequence[str], role: Role) -> tuple[Floats, int]:
        """One try of one request: vectors float32 (n, dimension) and the tokens it was billed.

        Raises Retryable or an AdapterError.
        """
