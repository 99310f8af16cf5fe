"""Pairs of texts with a similarity, from which some recipes learn."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from adapters.base import FolderOrUri, Options


class ScoredData(Options):
    """Where pairs of texts with a similarity lie: columns sentence1, sentence2 and score."""

    path: FolderOrUri = Field(
        description="File of pairs with a similarity (.tsv, .csv, .jsonl, .parquet), or a folder with train, dev and "
        "test files of them."
    )
    lowest: float | None = Field(
        None, allow_inf_nan=False, description="Score of pairs that have nothing in common; left out, 0."
    )
    highest: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Score of pairs that mean the same; left out, 1, 5 or 100, whichever the scores fit.",
    )

    @model_validator(mode="after")
    def _is_a_scale(self) -> Self:
        if self.highest is not None and self.highest <= (self.lowest or 0.0):
            raise ValueError(f"highest ({self.highest:g}) is not above lowest ({self.lowest or 0.0:g})")
        return self
