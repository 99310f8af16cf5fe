"""Multiple negatives ranking: each query is to find its own relevant text among all texts of its batch.

Source: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748; both directions: Günther et al. 2024,
https://arxiv.org/abs/2310.19923; large batches: Gao et al. 2021, https://arxiv.org/abs/2101.06983; the first dimensions
alone: Kusupati et al. 2022, https://arxiv.org/abs/2205.13147.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, model_validator

from adapters.base import InvalidOptions, LearnsFrom
from adapters.trainers._encoder import EncoderTrainer
from adapters.trainers._options import EncoderTrainingOptions
from adapters.trainers._rows import Rows, pairs_in_batch


class InBatchOptions(EncoderTrainingOptions):
    """How queries are told from the texts of their batch."""

    temperature: float = Field(
        0.05, gt=0, description="Divides the similarities; a smaller one gives more weight to the nearest wrong texts."
    )
    cached: bool = Field(
        False, description="Whether a batch is read in parts, so that a large one fits in memory; a fifth slower."
    )
    mini_batch: int = Field(32, ge=1, description="Texts that are read at once of a batch in parts.")
    matryoshka: tuple[int, ...] | None = Field(
        None, description="Numbers of first dimensions that must do alone as well, such as [256, 128, 64]."
    )

    @model_validator(mode="after")
    def _batch_in_parts(self) -> InBatchOptions:
        self.refuse_idle("mini_batch", "cached: true", heeded=self.cached)
        return self


class InBatchTrainer(EncoderTrainer):
    """A recipe that takes the other texts of a batch for negatives."""

    learns_from: ClassVar[LearnsFrom] = "pairs"
    takes_negatives: ClassVar[bool] = True

    def _rows(self, table: pa.Table) -> Rows:
        return pairs_in_batch(table, self._prompts)


class MnrlOptions(InBatchOptions):
    """As told from the texts of a batch, and in which direction."""

    both_directions: bool = Field(
        False, description="Whether each relevant text must find its query as well, among the queries of the batch."
    )


class MnrlTrainer(InBatchTrainer):
    """Multiple negatives ranking."""

    name: ClassVar[str] = "mnrl"
    Options = MnrlOptions

    def _loss(self, model: Any, rows: Rows) -> Any:
        from sentence_transformers.sentence_transformer import losses

        options = self.options
        settings: dict[str, Any] = {"scale": 1 / options.temperature}
        if options.both_directions:
            settings |= {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
        if options.cached:
            settings |= {"mini_batch_size": options.mini_batch}
            loss = losses.CachedMultipleNegativesRankingLoss(model, **settings)
        else:
            loss = losses.MultipleNegativesRankingLoss(model, **settings)
        return matryoshka(model, loss, options.matryoshka)


def matryoshka(model: Any, loss: Any, dimensions: tuple[int, ...] | None) -> Any:
    """A loss that holds for the first dimensions alone too. Raises InvalidOptions for numbers that do not fit."""
    from sentence_transformers.sentence_transformer import losses

    if dimensions is None:
        return loss
    full = int(model.get_embedding_dimension())
    if not dimensions or max(dimensions) > full or min(dimensions) < 1:
        raise InvalidOptions(f"Give numbers from 1 to {full}, the model's dimensions.", key="matryoshka")
    # The whole vector is always among them, largest first.
    wanted = sorted({full, *dimensions}, reverse=True)
    return losses.MatryoshkaLoss(model, loss, matryoshka_dims=wanted)
