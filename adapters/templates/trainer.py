"""Contrast in all directions: each query finds its text, each text its query, and neither another of its own kind.

Source: Li et al. 2023, https://arxiv.org/abs/2308.03281.
"""

from typing import Any

import pyarrow as pa
from pydantic import Field

from adapters.recipes import EncoderTrainer, EncoderTrainingOptions, Rows, losses, pairs_in_batch


class MineOptions(EncoderTrainingOptions):
    temperature: float = Field(0.05, gt=0, description="Divides the similarities.")


class MineTrainer(EncoderTrainer):
    """Replace `_loss`, and `_rows` where the loss wants other columns. Every option that changes weights must count in
    `recipe`, which holds them all by itself."""

    name = "mine"
    learns_from = "pairs"
    takes_negatives = True
    Options = MineOptions

    def _rows(self, table: pa.Table) -> Rows:
        return pairs_in_batch(table, self._prompts)

    def _loss(self, model: Any, rows: Rows) -> Any:
        return losses().MultipleNegativesRankingLoss(
            model,
            scale=1 / self.options.temperature,
            directions=("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"),
        )
