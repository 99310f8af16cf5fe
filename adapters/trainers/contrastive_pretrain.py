"""Multiple negatives ranking on pairs that the structure of the documents gives: it needs no labels.

Such pairs, a title and its text or neighbouring passages, are what encoders are pre-trained on: Wang et al. 2022, E5,
https://arxiv.org/abs/2212.03533; Izacard et al. 2021, https://arxiv.org/abs/2112.09118.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from adapters.base import LearnsFrom
from adapters.trainers.mnrl import MnrlOptions, MnrlTrainer


class ContrastivePretrainOptions(MnrlOptions):
    """As multiple negatives ranking, in both directions: neither text of such a pair asks the other."""

    both_directions: bool = Field(
        True, description="Whether each second text must find its first one as well, among the first ones of the batch."
    )


class ContrastivePretrainTrainer(MnrlTrainer):
    """Pairs of the documents' own structure."""

    name: ClassVar[str] = "contrastive_pretrain"
    learns_from: ClassVar[LearnsFrom] = "structure"
    Options = ContrastivePretrainOptions
