"""A teacher: a model whose scores of pairs are what a reranker learns to give."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from adapters.base import AdapterRejected, Context, Corpus, Floats, Queries, Rows, TextRows, exact_scores
from adapters.cross_encoders import is_cross_encoder
from adapters.models import Device, Model, locate

if TYPE_CHECKING:
    from adapters.encoders.sentence_transformers import SentenceTransformersEncoder
    from adapters.rerankers.cross_encoder import CrossEncoderReranker

_COSINES = 0.05  # similarities differ by some tenths; a twentieth is what encoders are trained with
_LOGITS = 1.0


class Teacher:
    """A cross-encoder, whose logits count, or an encoder, whose similarities count. It runs as its folder says, in
    float32."""

    def __init__(self, reference: str, context: Context, *, device: Device) -> None:
        self._reference = reference
        self._context = context
        self._device: Device = device

    @cached_property
    def files(self) -> Model:
        return locate(self._reference, self._context, organization="cross-encoder")

    @property
    def temperature(self) -> float:
        """What its scores are divided by where the options do not say."""
        return _LOGITS if is_cross_encoder(self.files) else _COSINES

    def check(self) -> None:
        """Raises ModelNotFound, or InvalidOptions for a model that can neither score pairs nor encode."""
        (self._reranker() if is_cross_encoder(self.files) else self._encoder()).check()

    def scores(self, queries: Sequence[str], documents: Sequence[Sequence[str]]) -> list[Floats]:
        """Its scores of each query's documents."""
        places: dict[str, int] = {}
        rows = [[places.setdefault(text, len(places)) for text in texts] for texts in documents]
        candidates = np.full((len(rows), max(map(len, rows))), -1, dtype=np.int32)
        for i, row in enumerate(rows):
            candidates[i, : len(row)] = row
        score = self._logits if is_cross_encoder(self.files) else self._similarities
        found = score(list(queries), list(places), candidates)
        if not np.isfinite(found[candidates >= 0]).all():
            raise AdapterRejected(f"the teacher {self._reference} gives scores that are no numbers. Take another one.")
        return [found[i, : len(row)] for i, row in enumerate(rows)]

    def _logits(self, queries: list[str], documents: list[str], candidates: Rows) -> Floats:
        model = self._reranker()
        model.prepare(Corpus(documents))
        try:
            return model.score(Queries(texts=queries), candidates).scores
        finally:
            model.close()

    def _similarities(self, queries: list[str], documents: list[str], candidates: Rows) -> Floats:
        model = self._encoder()
        try:
            asked = model.encode(TextRows(queries), "query").vectors
            known = model.encode(TextRows(documents), "document").vectors
            return exact_scores(asked, known, candidates, model.similarity)
        finally:
            model.close()

    def _reranker(self) -> CrossEncoderReranker:
        from adapters.rerankers.cross_encoder import CrossEncoderOptions, CrossEncoderReranker

        # A sigmoid would bring scores that matter to ties at 1.
        options = CrossEncoderOptions(model=self._reference, device=self._device, activation="identity")
        return CrossEncoderReranker(options, self._context)

    def _encoder(self) -> SentenceTransformersEncoder:
        from adapters.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersOptions

        options = SentenceTransformersOptions(model=self._reference, device=self._device)
        return SentenceTransformersEncoder(options, self._context)
