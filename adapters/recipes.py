"""What a recipe of training is made of, for recipes in packages of their own.

`EncoderTrainer` trains an encoder by sentence-transformers: write `_rows`, the examples with their columns in the order
of the loss, and `_loss`. `LocalTrainer` is what it shares with recipes for rerankers. Both bring the order of examples,
measurements on the dev split, checkpoints, seeds and what is refused; `adapters.trainers._loop` says how.
"""

from __future__ import annotations

from typing import Any

from adapters.trainers._encoder import EncoderTrainer
from adapters.trainers._options import EncoderTrainingOptions, TrainingOptions
from adapters.trainers._recipe import LocalTrainer
from adapters.trainers._rows import LABEL, Rows, pairs_in_batch, scored_pairs

__all__ = [
    "LABEL",
    "EncoderTrainer",
    "EncoderTrainingOptions",
    "LocalTrainer",
    "Rows",
    "TrainingOptions",
    "losses",
    "pairs_in_batch",
    "scored_pairs",
]


def losses() -> Any:
    """The module of sentence-transformers' losses for encoders, imported when it is asked for."""
    from sentence_transformers.sentence_transformer import losses as module

    return module
