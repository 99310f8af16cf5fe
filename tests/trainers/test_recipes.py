"""Every recipe for encoders under the laws of a trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from adapters import registry
from adapters._trainer_laws._planted import TOPICS, share_found
from adapters.base import Answers, Context, Trained, Trainer, TrainingData
from adapters.testing import TrainerConformance, planted_base, planted_data, planted_teacher
from tests.models import tiny_cross_encoder

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


class _Taught(_Recipe):
    """A recipe with a cross-encoder. What the laws have it say is the truth of the planted task."""

    def made(self, folder: Path, **options: Any) -> Trainer:
        judge = folder / "judge"
        if not judge.exists():
            tiny_cross_encoder(judge, train=False)
        return super().made(folder, **{"teacher": str(judge), **options})

    def answered(self, trainer: Trainer, data: TrainingData) -> TrainingData:
        questions = trainer.questions(data)
        scores = [
            np.array([5.0 if topic_of(query) == topic_of(text) else -5.0 for text in texts], np.float32)
            for query, texts in zip(questions.queries, questions.documents, strict=True)
        ]
        return replace(data, answers=Answers(scores=scores))


def topic_of(text: str) -> str:
    """The number of the topic that a text of the planted task speaks of."""
    return next(word.removeprefix("ask").removeprefix("tell") for word in text.split() if word[-1].isdigit())


class TestGpl(_Taught):
    recipe = "gpl"
    learns: ClassVar[dict[str, Any]] = {"epochs": 8, "batch_size": 16, "learning_rate": 6e-3}
    changes = (
        *OF_TRANSFORMERS,
        {"form": "mean"},
        {"temperature": 0.1},
        {"teacher_temperature": 2.0},
    )

    def examples(self, trainer: Trainer, data: TrainingData) -> int:
        return 96 * 2  # pairs, each with two documents

    def test_margins_are_the_teachers(self, place: Path) -> None:
        """5 for what answers and -5 for what does not: a margin of 10, over a temperature of 2."""
        trainer: Any = self.made(place, teacher_temperature=2.0)
        data = self.answered(trainer, planted_data(negatives=2))
        for form, examples in (("each", 192), ("mean", 96)):
            trainer = self.made(place, teacher_temperature=2.0, form=form)
            labels = trainer._complete(trainer._rows(data.pairs), data.answers).columns["label"]
            assert labels == [5.0] * examples

    def test_the_mean_form_learns_too(self, place: Path, tmp_path: Path) -> None:
        seen: list[float] = []

        def evaluate(model: Any) -> float:
            seen.append(share_found(model))
            return seen[-1]

        trainer = self.made(place, **{**self.learns, "form": "mean", "epochs": 12})
        self.train_briefly(tmp_path, trainer=trainer, data=planted_data(negatives=2), evaluate=evaluate)
        assert max(seen) >= self.found_after, seen


class TestAugmentedSbert(_Taught):
    recipe = "augmented_sbert"
    learns: ClassVar[dict[str, Any]] = {"epochs": 9, "batch_size": 16, "learning_rate": 6e-3}
    changes = (*OF_TRANSFORMERS, {"loss": "cosent"}, {"loss": "cosent", "temperature": 0.1}, {"balance": 1.0})

    def examples(self, trainer: Trainer, data: TrainingData) -> int:
        assert data.pairs is not None
        rows = data.pairs.to_pylist()
        return len({(row["query"], text) for row in rows for text in (row["positive"], *row["negatives"])})

    def test_a_judged_pair_keeps_its_judgement(self, place: Path) -> None:
        """Of 96 pairs with two documents each, the first document of each is judged not to answer."""
        trainer: Any = self.made(place)
        pairs = planted_data(negatives=2).pairs
        assert pairs is not None
        judged = pairs.append_column("judged", pa.array([[True, False]] * 96))
        found = trainer._pairs(judged)
        rows = pairs.to_pylist()
        assert all(found.gold[row["query"], row["positive"]] == 1.0 for row in rows)
        assert all(found.gold[row["query"], row["negatives"][0]] == 0.0 for row in rows)
        assert not set(found.gold) & set(found.silver)

    def test_both_kinds_are_balanced_and_what_was_dropped_is_told(self, place: Path) -> None:
        trainer: Any = self.made(place, balance=1.0)
        data = self.answered(trainer, planted_data(negatives=3))
        labels = np.array(trainer._complete(trainer._rows(data.pairs), data.answers).columns["label"])
        assert (labels >= 0.5).sum() == (labels < 0.5).sum()
        gold, silver = len(trainer._pairs(data.pairs).gold), len(trainer._pairs(data.pairs).silver)
        assert f"{gold:,} judged pairs and {silver:,} that" in trainer._notes[0]
        assert f"{silver - gold:,} pairs were dropped" in trainer._notes[0]


class TestContrastivePretrain(_Recipe):
    recipe = "contrastive_pretrain"
    learns: ClassVar[dict[str, Any]] = {"epochs": 5, "batch_size": 8, "learning_rate": 6e-3}
    changes = (*OF_TRANSFORMERS, *IN_BATCH, {"both_directions": False})

    @pytest.mark.slow
    def test_it_learns_from_negatives_too(self, place: Path) -> None:
        super().test_it_learns_from_negatives_too(place)


class TestContrastiveTension(_Recipe):
    """Of each topic one document, of its words alone: documents of one topic would be the nearest wrong texts of each
    other, and what else stands in them would tell them apart."""

    recipe = "contrastive_tension"
    learns: ClassVar[dict[str, Any]] = {"epochs": 40, "batch_size": 8, "learning_rate": 0.01}
    changes = (*OF_TRANSFORMERS, {"temperature": 0.1}, {"contrast": "pairs"}, {"contrast": "pairs", "negatives": 3})

    def trainer(self, folder: Path) -> Trainer:
        """A table of vectors: which words stand together tells a small transformer too little in so few steps."""
        return self.made(folder, base=str(planted_table(folder)), **self.learns)

    def _data(self, trainer: Trainer) -> TrainingData:
        words = [f"ask{topic} tell{topic}" for topic in range(TOPICS)]
        documents = pa.table({"document_id": [f"d{topic}" for topic in range(TOPICS)], "text": words})
        return replace(super()._data(trainer), documents=documents)


class TestContrastiveTensionOfPairs(_Recipe):
    recipe = "contrastive_tension"
    learns: ClassVar[dict[str, Any]] = {"epochs": 20, "batch_size": 16, "learning_rate": 5e-3, "contrast": "pairs"}

    def trainer(self, folder: Path) -> Trainer:
        return self.made(folder, base=str(planted_table(folder)), **self.learns)


class TestTsdae(_Recipe):
    recipe = "tsdae"
    learns: ClassVar[dict[str, Any]] = {"epochs": 20, "batch_size": 16, "learning_rate": 6e-3, "deletion": 0.8}
    changes = (*OF_TRANSFORMERS, {"deletion": 0.5})


def planted_table(folder: Path) -> Path:
    """A table of vectors for the words of the planted task, drawn at random and so short that what is learnt counts."""
    place = folder / "table"
    if not place.exists():
        kind = registry.load("trainers", "static")
        options = {**PLAIN, "base": str(planted_base(folder / "base")), "dimension": 32}
        trainer = kind(kind.Options.model_validate(options), Context())
        table = trainer._model(1, "cpu")
        table[0].embedding.weight.data *= 0.01
        trainer._write(table, place)
    return place
