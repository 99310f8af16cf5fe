"""A teacher: a model whose scores or vectors are what another one learns to give."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from adapters.base import (
    Answers,
    Context,
    Corpus,
    Encoder,
    Floats,
    InvalidOptions,
    Queries,
    Questions,
    Reranker,
    Rows,
    TextRows,
    exact_scores,
)
from adapters.cross_encoders import is_cross_encoder
from adapters.models import Device, Model, locate

if TYPE_CHECKING:
    from adapters.encoders.sentence_transformers import SentenceTransformersEncoder
    from adapters.rerankers.cross_encoder import CrossEncoderReranker

_COSINES = 0.05  # similarities differ by some tenths; a twentieth is what encoders are trained with
_LOGITS = 1.0


class Teacher:
    """A cross-encoder, whose logits count, or an encoder, whose similarities count. It runs as its folder says, in
    float32. trusted: whether code that lies beside it may run."""

    def __init__(self, reference: str, context: Context, *, device: Device, trusted: bool = False) -> None:
        self._reference = reference
        self._context = context
        self._device: Device = device
        self._trusted = trusted

    @cached_property
    def files(self) -> Model:
        return locate(self._reference, self._context, organization="cross-encoder")

    @property
    def temperature(self) -> float:
        """What its scores are divided by where the options do not say."""
        return _LOGITS if is_cross_encoder(self.files) else _COSINES

    def check(self, *, encodes: bool | None = None) -> None:
        """Raises ModelNotFound, or InvalidOptions for a model that can neither score pairs nor encode. encodes: whether
        it must be an encoder, or must be a cross-encoder; None: either will do."""
        if encodes and is_cross_encoder(self.files):
            raise InvalidOptions(
                f"{self._reference} is a cross-encoder, which has no vectors to learn. Name an encoder, or take the "
                "recipe gpl, which learns a cross-encoder's scores.",
                key="teacher",
            )
        if encodes is False and not is_cross_encoder(self.files):
            raise InvalidOptions(
                f"{self._reference} is no cross-encoder. Name one, such as a model of the file with recipe: "
                "cross_encoder, or take the recipe distill, which learns an encoder's vectors.",
                key="teacher",
            )
        self.adapter().check()

    def adapter(self) -> SentenceTransformersEncoder | CrossEncoderReranker:
        """A new adapter of it."""
        return self._reranker() if is_cross_encoder(self.files) else self.encoder()

    def _reranker(self) -> CrossEncoderReranker:
        from adapters.rerankers.cross_encoder import CrossEncoderOptions, CrossEncoderReranker

        # A sigmoid would bring scores that matter to ties at 1.
        options = CrossEncoderOptions(
            model=self._reference, device=self._device, activation="identity", trust_remote_code=self._trusted
        )
        return CrossEncoderReranker(options, self._context)

    def encoder(self) -> SentenceTransformersEncoder:
        """A new adapter of a teacher that encodes."""
        from adapters.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersOptions

        options = SentenceTransformersOptions(
            model=self._reference, device=self._device, trust_remote_code=self._trusted
        )
        return SentenceTransformersEncoder(options, self._context)


def answered(teacher: Encoder | Reranker, questions: Questions) -> Answers:
    """What a model answers, asked at once and kept nowhere. Raises AdapterRejected for what is no number."""
    with teacher:
        vectors, scores = {}, None
        if isinstance(teacher, Encoder):
            vectors = {role: teacher.encode(TextRows(texts), role).vectors for role, texts in questions.texts.items()}
        if questions.queries:
            rows, texts = questions.candidates()
            scores = _scored(teacher, list(questions.queries), texts, rows)
    return questions.answers(vectors, scores, teacher.identity.model)


def _scored(teacher: Encoder | Reranker, queries: list[str], documents: list[str], rows: Rows) -> Floats:
    if isinstance(teacher, Encoder):
        asked = teacher.encode(TextRows(queries), "query").vectors
        known = teacher.encode(TextRows(documents), "document").vectors
        return exact_scores(asked, known, rows, teacher.similarity)
    teacher.prepare(Corpus(documents))
    return teacher.score(Queries(texts=queries), rows).scores
