"""The common base of encoders of managed services. Batches fill the service's limits and are sent at the same time;
results are in input order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from adapters.base import (
    Contact,
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
from adapters.service import CallOptions, RequestRefused, Service
from adapters.transport import PROBE, Answer, Job, Transport, batches, shortened


class ManagedEncoder(Encoder):
    """A subclass names its service and limits, and sends one batch.

    A batch that the service refuses for what it holds is halved, down to the text: one that is too long is cut to what
    the service takes and counts as cut; any other that is refused has failed, and the rest go on.

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
        self._transport = Transport(
            options, self.service.slots, seed=context.seed, items_per_minute=limit, probe=self._probe
        )

    def _probe(self) -> Job[Floats]:
        return self._job([PROBE], range(1), "document")

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

    def contacts(self) -> Sequence[Contact]:
        return [self.service.contact()]

    def check_alone(self) -> None:
        """As `check`, without a key: a bill is foreseen without one."""
        super().check()
        _ = self.dimension

    def close(self) -> None:
        self._transport.close()

    @property
    def cuts(self) -> Literal["start", "end"] | None:
        """Which end is cut from a text that the service refuses as too long; None where such a text fails instead."""
        return "end"

    def remarks(self) -> Sequence[str]:
        return [self._transport.remark] if self._transport.remark else []

    def encode_each(self, rows: TextRows, role: Role) -> Iterator[tuple[Sequence[int], Encoded]]:
        texts, truncated = self._prepared(rows.texts)
        for answer in self._transport.stream(self._jobs(texts, role)):
            yield answer.job.place, self._encoded(answer, truncated)

    def _encode(self, rows: TextRows, role: Role) -> Encoded:
        texts, truncated = self._prepared(rows.texts)
        answers = self._transport.gather(self._jobs(texts, role))
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        usage = Usage()
        failures: dict[int, str] = {}
        for answer in answers:
            place, part = answer.job.place, self._encoded(answer, truncated)
            vectors[place.start : place.stop] = part.vectors
            usage += part.usage
            failures |= {place.start + i: cause for i, cause in part.failures.items()}
            if part.truncated is not None:
                truncated = np.zeros(len(texts), np.bool_) if truncated is None else truncated
                truncated[place.start : place.stop] = part.truncated
        return Encoded(vectors, usage, truncated, failures)

    def _encoded(self, answer: Answer[Floats], truncated: Flags | None) -> Encoded:
        """The part of the texts that an answer belongs to. truncated: for all texts, None where that is not known."""
        place: range = answer.job.place
        cut = None if truncated is None else truncated[place.start : place.stop]
        if answer.value is None:
            missing = np.zeros((len(place), self.dimension), np.float32)
            return Encoded(missing, answer.usage, cut, {0: str(answer.refusal)})
        return Encoded(answer.value, answer.usage, np.ones(len(place), np.bool_) if answer.job.cut else cut)

    def _parts(self, texts: Sequence[str]) -> list[range]:
        tokens = min(self.tokens_per_request, int(self.options.tokens_per_minute or self.tokens_per_request))
        return batches(texts, items=self.texts_per_request, tokens=tokens)

    def _jobs(self, texts: Sequence[str], role: Role) -> list[Job[Floats]]:
        return [self._job(texts[part.start : part.stop], part, role) for part in self._parts(texts)]

    def _prepared(self, texts: Sequence[str]) -> tuple[list[str], Flags | None]:
        """Texts as they are sent. Services refuse an empty one; a space stands for it."""
        return [text or " " for text in texts], None

    def _job(self, texts: Sequence[str], place: range, role: Role, *, cut: bool = False) -> Job[Floats]:
        def send() -> tuple[Floats, Usage]:
            vectors, tokens = self._send(texts, role)
            return self._checked(vectors, len(texts)), Usage(tokens=tokens)

        def smaller(refusal: RequestRefused) -> list[Job[Floats]]:
            if (half := len(texts) // 2) > 0:
                return [self._job(texts[:half], place[:half], role), self._job(texts[half:], place[half:], role)]
            if self.cuts is None or (shorter := shortened(texts[0], refusal, self.cuts)) is None:
                return []
            return [self._job([shorter], place, role, cut=True)]

        tokens = sum(map(reckoned_tokens, texts))
        return Job((role, *texts), send, tokens, len(texts), place, smaller, cut)

    def _checked(self, vectors: Floats, count: int) -> Floats:
        """Raises Retryable for a wrong count and for NaN, AdapterRejected for what are no rows of vectors, and
        InvalidVectors for a wrong dimension: no retry cures those."""
        if vectors.ndim != 2:
            raise self.service.misshapen(f"vectors of {vectors.ndim} dimensions, not rows")
        if len(vectors) != count:
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


def answer_bytes(dimension: int) -> int:
    """The most bytes that a vector takes in an answer, numbers written out with sign, 17 digits and exponent."""
    return 32 * dimension


def float_vectors(found: Any) -> Floats:
    """Lists of numbers as float32. Raises ValueError, TypeError or OverflowError for what is none."""
    values = np.array(found)
    if values.dtype.kind not in "fiu":
        raise ValueError(f"vectors of type {values.dtype}")
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
