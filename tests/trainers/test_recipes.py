"""Every recipe for encoders under the laws of a trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from adapters import registry
from adapters.base import Context, Trained, Trainer, TrainingData
from adapters.testing import TrainerConformance, planted_base, planted_data, planted_teacher

# Few steps, float32 and one device, so that the laws hold on every machine in seconds.
PLAIN: dict[str, Any] = {"device": "cpu", "precision": "float32"}


class _Recipe(TrainerConformance):
    recipe: ClassVar[str]
    learns: ClassVar[dict[str, Any]]  # options with which it learns the planted task
    changes: ClassVar[Sequence[dict[str, Any]]] = ()  # options that change the weights, one or few at a time

    def made(self, folder: Path, **options: Any) -> Trainer:
        kind = registry.load("trainers", self.recipe)
        base = str(planted_base(folder / "base"))
        trainer: Trainer = kind(kind.Options.model_validate({**PLAIN, "base": base, **options}), Context())
        return trainer

    def trainer(self, folder: Path) -> Trainer:
        return self.made(folder, **self.learns)

    def brief(self, folder: Path) -> Trainer:
        return self.made(folder, **self._brief)

    @property
    def _brief(self) -> dict[str, Any]:
        kept = {key: value for key, value in self.learns.items() if key not in ("epochs", "steps")}
        return {**kept, "steps": 5, "checkpoint_every": 2, "evaluate_every": 2}

    def others(self, folder: Path) -> Sequence[Trainer]:
        return [self.made(folder, **{**self._brief, **change}) for change in (*SHARED, *self.changes)]

    def alike(self, folder: Path) -> Sequence[Trainer]:
        return [self.made(folder, **{**self._brief, **change}) for change in ({"checkpoint_every": 3}, *self.same)]

    same: ClassVar[Sequence[dict[str, Any]]] = ({"gradient_checkpointing": True},)

    @pytest.mark.slow
    def test_a_killed_training_goes_on_to_the_same_weights(self, place: Path, briefly: Trained, tmp_path: Path) -> None:
        super().test_a_killed_training_goes_on_to_the_same_weights(place, briefly, tmp_path)


SHARED = (
    {"steps": 6},
    {"batch_size": 10},
    {"gradient_accumulation": 2},
    {"learning_rate": 1e-4},
    {"schedule": "cosine"},
    {"warmup": 3},
    {"weight_decay": 0.1},
    {"precision": "bfloat16"},
    {"prompts": {"query": "the "}},
    {"evaluate_every": 3},
    {"patience": 1},
)
OF_TRANSFORMERS = ({"max_length": 5}, {"frozen_layers": 1})
IN_BATCH = ({"temperature": 0.1}, {"cached": True}, {"cached": True, "mini_batch": 4}, {"matryoshka": [8]})


class TestMnrl(_Recipe):
    recipe = "mnrl"
    learns: ClassVar[dict[str, Any]] = {"epochs": 5, "batch_size": 8, "learning_rate": 6e-3}
    changes = (*OF_TRANSFORMERS, *IN_BATCH, {"both_directions": True})


class TestSts(_Recipe):
    recipe = "sts"
    learns: ClassVar[dict[str, Any]] = {"epochs": 12, "batch_size": 16, "learning_rate": 8e-3}
    changes = (*OF_TRANSFORMERS, {"temperature": 0.1}, {"loss": "cosine"}, {"loss": "angle"})


class TestGist(_Recipe):
    recipe = "gist"
    # The guide knows nothing and hides texts by chance, so that it takes longer.
    learns: ClassVar[dict[str, Any]] = {"epochs": 12, "batch_size": 8, "learning_rate": 6e-3}
    changes = (*OF_TRANSFORMERS, *IN_BATCH, {"margin": 0.1}, {"margin_strategy": "relative"})

    def made(self, folder: Path, **options: Any) -> Trainer:
        return super().made(folder, **{"guide": str(planted_base(folder / "base")), **options})

    @pytest.mark.slow
    def test_it_learns_from_negatives_too(self, place: Path) -> None:
        super().test_it_learns_from_negatives_too(place)


class TestStatic(_Recipe):
    recipe = "static"
    learns: ClassVar[dict[str, Any]] = {"epochs": 8, "batch_size": 32, "learning_rate": 0.2, "dimension": 16}
    changes = (*IN_BATCH, {"both_directions": True}, {"dimension": 12})
    same = ()


class TestRankedList(_Recipe):
    recipe = "ranked_list"
    learns: ClassVar[dict[str, Any]] = {"epochs": 8, "batch_size": 16, "learning_rate": 6e-3}
    changes = (
        *OF_TRANSFORMERS,
        {"boundary": 1.0},
        {"margin": 0.2},
        {"negative_temperature": 0},
        {"negative_share": 0.3},
        {"label": "meta.topic"},
        {"with_documents": False},
        {"per_class": 2},
    )


class TestDistill(_Recipe):
    recipe = "distill"
    learns: ClassVar[dict[str, Any]] = {"epochs": 4, "batch_size": 16, "learning_rate": 6e-3}
    changes = (*OF_TRANSFORMERS, {"loss": "cosine"}, {"side": "query"}, {"projection": True}, {"layers": 1})

    def made(self, folder: Path, **options: Any) -> Trainer:
        return super().made(folder, **{"teacher": str(planted_teacher(folder / "teacher")), **options})

    def examples(self, trainer: Trainer, data: TrainingData) -> int:
        return 96 + 96  # documents and queries

    def test_it_asks_its_teacher_for_each_text_and_tells_how_many(self, place: Path) -> None:
        trainer = self.brief(place)
        questions = trainer.questions(planted_data())
        assert {role: len(texts) for role, texts in questions.texts.items()} == {"query": 96, "document": 96}
        assert trainer.plan(planted_data(), timed=False).asked == 192

    def test_a_base_that_lost_layers_is_kept_as_small_as_it_is(self, place: Path, tmp_path: Path) -> None:
        import json

        trainer = self.made(place, layers=1, steps=2)
        self.train_briefly(tmp_path, trainer=trainer)
        config = json.loads(next((tmp_path / "model").rglob("config.json")).read_text())
        assert config["num_hidden_layers"] == 1
