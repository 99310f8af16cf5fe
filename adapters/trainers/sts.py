"""Pairs of texts with a similarity: the cosine of two vectors learns to be as large as the texts are alike, or to order
pairs as their similarities do.

Sources: cosine: Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084; cosent: Huang et al. 2024, CoSENT,
https://penghao-bdsc.github.io/papers/CoSENT_TASLP2024.pdf; angle: Li and Li 2023, https://arxiv.org/abs/2309.12871.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from adapters.base import LearnsFrom
from adapters.trainers._encoder import EncoderTrainer
from adapters.trainers._options import EncoderTrainingOptions
from adapters.trainers._rows import Rows, scored_pairs
from adapters.trainers._similarities import similarity_loss


class StsOptions(EncoderTrainingOptions):
    """How the similarities are learnt."""

    batch_size: int = Field(32, ge=1, description="Pairs that the model reads at once.")
    loss: Literal["cosent", "cosine", "angle"] = Field(
        "cosent",
        description="What is learnt: cosine, the similarity itself; cosent, the order of the pairs of a batch; angle, "
        "the same order by an angle that still teaches where the cosine is near 1.",
    )
    temperature: float = Field(
        0.05, gt=0, description="Divides the differences of similarities; a smaller one cares more for close pairs."
    )

    @model_validator(mode="after")
    def _orders(self) -> StsOptions:
        self.refuse_idle("temperature", "loss: cosent or loss: angle", heeded=self.loss != "cosine")
        return self


class StsTrainer(EncoderTrainer):
    """Similarities of pairs."""

    name: ClassVar[str] = "sts"
    learns_from: ClassVar[LearnsFrom] = "scored"
    Options = StsOptions

    def _rows(self, table: pa.Table) -> Rows:
        return scored_pairs(table, self._prompts)

    def _loss(self, model: Any, rows: Rows) -> Any:
        return similarity_loss(model, self.options.loss, self.options.temperature)
