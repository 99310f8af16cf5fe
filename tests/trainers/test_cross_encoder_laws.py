"""The recipe for cross-encoders under the laws of a trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from adapters.base import Context, Trained, Trainer
from adapters.testing import TrainerConformance, planted_base
from adapters.trainers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingOptions

PLAIN: dict[str, Any] = {"device": "cpu", "precision": "float32", "batch_size": 8, "learning_rate": 5e-3}
BRIEF: dict[str, Any] = {**PLAIN, "steps": 5, "checkpoint_every": 2, "evaluate_every": 2}


def prepared(folder: Path) -> Path:
    """The base of the task with five times its weights and without dropout. From those of the base, which are almost
    nothing, two texts read together take hundreds of steps to learn from."""
    if (folder / "config.json").is_file():
        return folder
    from transformers import AutoTokenizer, BertModel

    plain = planted_base(folder.with_name("plain"))
    model = BertModel.from_pretrained(str(plain))
    for name, weights in model.named_parameters():
        if "LayerNorm" not in name:
            weights.data *= 5
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
    AutoTokenizer.from_pretrained(str(plain)).save_pretrained(str(folder))
    model.save_pretrained(str(folder))
    return folder


class TestLists(TrainerConformance):
    negatives: ClassVar[int] = 7
    learns: ClassVar[dict[str, Any]] = {"epochs": 14}
    changes: ClassVar[Sequence[dict[str, Any]]] = (
        {"steps": 6},
        {"batch_size": 10},
        {"learning_rate": 1e-4},
        {"max_length": 9},
        {"frozen_layers": 1},
        {"head": "classifier"},
        {"loss": "binary_cross_entropy"},
        {"loss": "binary_cross_entropy", "pos_weight": 2.0},
        {"loss": "lambda"},
        {"loss": "lambda", "top": 2},
        {"loss": "multiple_negatives"},
        {"loss": "multiple_negatives", "in_batch_negatives": 2},
    )

    @pytest.mark.slow
    def test_a_killed_training_goes_on_to_the_same_weights(self, place: Path, briefly: Trained, tmp_path: Path) -> None:
        super().test_a_killed_training_goes_on_to_the_same_weights(place, briefly, tmp_path)

    def made(self, folder: Path, **options: Any) -> Trainer:
        base = str(prepared(folder / "base"))
        return CrossEncoderTrainer(CrossEncoderTrainingOptions(**{"base": base, **options}), Context())

    def trainer(self, folder: Path) -> Trainer:
        return self.made(folder, **{**PLAIN, **self.learns})

    def brief(self, folder: Path) -> Trainer:
        return self.made(folder, **BRIEF)

    def others(self, folder: Path) -> Sequence[Trainer]:
        return [self.made(folder, **{**BRIEF, **change}) for change in self.changes]

    def alike(self, folder: Path) -> Sequence[Trainer]:
        same = ({"checkpoint_every": 3}, {"gradient_checkpointing": True})
        return [self.made(folder, **{**BRIEF, **option}) for option in same]
