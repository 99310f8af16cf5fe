"""Contrastive tension: it needs documents and nothing else. Two copies of the base are to give the same text the same
vector, and other texts others; the copy that began as the base and reads as it does is kept, the other thrown away.

Source: Carlsson et al. 2021, https://openreview.net/forum?id=Ov_sMNau-PF.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from adapters.base import LearnsFrom
from adapters.trainers._encoder import EncoderTrainer
from adapters.trainers._options import EncoderTrainingOptions
from adapters.trainers._rows import Rows, single_texts
from adapters.trainers._tension import by_pairs


class ContrastiveTensionOptions(EncoderTrainingOptions):
    """Which other texts a text is told from."""

    learning_rate: float = Field(1e-5, gt=0, description="Size of a step once it has warmed up.")
    contrast: Literal["batch", "pairs"] = Field(
        "batch",
        description="What a text is told from: batch, all other texts of its batch, by the cosine; pairs, as many as "
        "negatives says, by the dot product, as the paper has it.",
    )
    negatives: int = Field(7, ge=1, description="Other texts that a text is told from with contrast: pairs.")
    temperature: float = Field(
        0.05, gt=0, description="Divides the similarities with contrast: batch at the start; it is learnt itself."
    )

    @model_validator(mode="after")
    def _contrasts(self) -> ContrastiveTensionOptions:
        self.refuse_idle("negatives", "contrast: pairs", heeded=self.contrast == "pairs")
        self.refuse_idle("temperature", "contrast: batch", heeded=self.contrast == "batch")
        return self


class ContrastiveTensionTrainer(EncoderTrainer):
    """Contrastive tension."""

    name: ClassVar[str] = "contrastive_tension"
    learns_from: ClassVar[LearnsFrom] = "documents"
    Options = ContrastiveTensionOptions

    def _rows(self, table: pa.Table) -> Rows:
        return single_texts(table, self._prompts)

    def _loss(self, model: Any, rows: Rows) -> Any:
        from sentence_transformers.sentence_transformer import losses

        if self.options.contrast == "pairs":
            return by_pairs(model, self.options.negatives)
        # Its `model2` is the model itself, `model1` the copy.
        return losses.ContrastiveTensionLossInBatchNegatives(model, scale=1 / self.options.temperature)
