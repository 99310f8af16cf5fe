"""Who helps to find negatives."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import Encoder, Generator, Reranker
from bench.experiment.negatives import WRITTEN, Negatives
from bench.train.mining.candidates import FromSystem


@dataclass(frozen=True, slots=True)
class Helpers:
    """encoder: the mining model. judge: the reranker that throws out what may be relevant. writer: the generator that
    writes negatives. candidates: the system whose candidates they are. None where nobody of the kind is asked."""

    encoder: Encoder | None = None
    judge: Reranker | None = None
    writer: Generator | None = None
    candidates: FromSystem | None = None

    def of(self, spec: Negatives) -> Helpers:
        """Those that a strategy and its filter ask."""
        return Helpers(
            encoder=self.encoder if spec.by_vectors else None,
            judge=None if spec.filter is None else self.judge,
            writer=self.writer if spec.strategy == WRITTEN else None,
            candidates=None if spec.system is None else self.candidates,
        )
