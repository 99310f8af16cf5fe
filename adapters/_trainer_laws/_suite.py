"""The laws that every trainer inherits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from adapters import registry
from adapters._trainer_laws._killed import killed_training
from adapters._trainer_laws._planted import planted_data, share_found
from adapters.base import (
    AdapterRejected,
    Context,
    Corpus,
    EncodesTexts,
    Evaluate,
    Floats,
    InvalidOptions,
    ModelNotFound,
    Queries,
    ScoresPairs,
    TextRows,
    Trained,
    Trainer,
    TrainingData,
    TrainingStep,
)

_ASKED = ("ask1 of the in", "ask2 a and with", "the of ask3 in")
_TOLD = ("tell1 of the in", "a tell2 and with", "the of tell3 in")


def _nobody(step: TrainingStep) -> None:
    return


class TrainerConformance:
    """The laws of a trainer. Fill in `trainer` and `brief`, and `others` and `alike` where they apply."""

    found_before: ClassVar[float] = 0.5  # the largest share of answers that the untrained model may find
    found_after: ClassVar[float] = 0.9  # the smallest share that the trained one must find
    tolerance: ClassVar[float] = 1e-5  # between a model in training and the same model read from its folder
    negatives: ClassVar[int] = 2  # of each pair, where the recipe takes negatives

    def trainer(self, folder: Path) -> Trainer:
        """A new adapter that learns the planted task. `planted_base(folder / "base")` writes a transformer that knows
        the words of the task."""
        raise NotImplementedError

    def brief(self, folder: Path) -> Trainer:
        """The same for four to ten steps, with a checkpoint after at least every second one."""
        raise NotImplementedError

    def others(self, folder: Path) -> Sequence[Trainer]:
        """Trainers that differ from `brief` in one option each that changes the weights."""
        return ()

    def alike(self, folder: Path) -> Sequence[Trainer]:
        """Trainers that differ from `brief` in options that do not."""
        return ()

    def unavailable(self) -> str | None:
        """Why this trainer cannot be tried here, if it cannot."""
        return None

    @pytest.fixture(autouse=True)
    def _available(self, tmp_path: Path) -> None:
        if reason := self.unavailable():
            pytest.skip(reason)
        if missing := self.trainer(tmp_path).missing():
            pytest.skip(str(missing))

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A folder for what several laws look at."""
        return tmp_path_factory.mktemp("trainer")

    @pytest.fixture(scope="class")
    @classmethod
    def briefly(cls, place: Path) -> Trained:
        """The short training, once for all laws; its model is in `place / "model"`."""
        return cls().train_briefly(place)

    def train_briefly(
        self,
        folder: Path,
        *,
        trainer: Trainer | None = None,
        data: TrainingData | None = None,
        seed: int = 1,
        evaluate: Evaluate | None = None,
        tell: Callable[[TrainingStep], None] = _nobody,
    ) -> Trained:
        """Train `brief` into `folder / "model"`, with checkpoints in `folder / "checkpoints"`."""
        folder.mkdir(parents=True, exist_ok=True)
        trainer = trainer or self.brief(folder)
        with trainer:
            return trainer.train(
                self.answered(trainer, data or self._data(trainer)),
                folder=folder / "model",
                checkpoints=folder / "checkpoints",
                seed=seed,
                evaluate=evaluate,
                tell=tell,
            )

    # -- what it learns ------------------------------------------------------------------------------------------------

    def test_it_learns_a_planted_task(self, place: Path) -> None:
        trainer = self.trainer(place)
        shares: list[float] = []

        def evaluate(model: EncodesTexts | ScoresPairs) -> float:
            shares.append(share_found(model))
            return shares[-1]

        trainer.initial(place / "untrained", 1)
        before = share_found(_opened(trainer, place / "untrained"))
        self.train_briefly(place / "learnt", trainer=trainer, evaluate=evaluate)
        after = share_found(_opened(trainer, place / "learnt" / "model"))
        assert before <= self.found_before, f"The untrained model finds {before:.2f} of the answers already."
        assert after >= self.found_after, f"It finds {after:.2f} of the answers, {before:.2f} before: {shares}"

    def test_it_learns_from_negatives_too(self, place: Path) -> None:
        trainer = self.trainer(place)
        if not trainer.takes_negatives:
            pytest.skip("the recipe takes no negatives")
        data = planted_data(negatives=self.negatives)
        self.train_briefly(place / "negatives", trainer=trainer, data=data, evaluate=share_found)
        after = share_found(_opened(trainer, place / "negatives" / "model"))
        assert after >= self.found_after, f"With {self.negatives} negatives it finds {after:.2f} of the answers."

    # -- what decides the weights --------------------------------------------------------------------------------------

    def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before(
        self, place: Path, briefly: Trained, tmp_path: Path
    ) -> None:
        import torch

        np.random.seed(5)
        torch.manual_seed(99)
        drawn = str(np.random.get_state()), torch.random.get_rng_state().tolist()
        self.train_briefly(tmp_path, trainer=self.brief(place))
        assert _weights(tmp_path) == _weights(place)
        now = str(np.random.get_state()), torch.random.get_rng_state().tolist()
        assert now == drawn, "A training changes what others draw at random."

    def test_another_seed_gives_other_weights(self, place: Path, briefly: Trained, tmp_path: Path) -> None:
        self.train_briefly(tmp_path, trainer=self.brief(place), seed=2)
        assert _weights(tmp_path) != _weights(place)

    def test_columns_go_by_their_names_and_not_by_their_places(
        self, place: Path, briefly: Trained, tmp_path: Path
    ) -> None:
        data = self._data(self.brief(place))
        tables = {name: getattr(data, name) for name in ("pairs", "scored", "documents", "queries")}
        turned = replace(
            data, **{name: None if t is None else t.select(t.column_names[::-1]) for name, t in tables.items()}
        )
        self.train_briefly(tmp_path, trainer=self.brief(place), data=turned)
        assert _weights(tmp_path) == _weights(place)

    def test_measuring_leaves_no_trace_in_the_weights(self, place: Path, briefly: Trained, tmp_path: Path) -> None:
        values = iter(range(1_000))
        self.train_briefly(
            tmp_path, trainer=self.brief(place), evaluate=lambda model: share_found(model) + next(values)
        )
        assert _weights(tmp_path) == _weights(place)

    def test_what_changes_the_weights_changes_the_recipe_and_nothing_else_does(self, place: Path) -> None:
        first = _written(self.brief(place))
        others = [_written(other) for other in self.others(place)]
        assert len({first, *others}) == 1 + len(others)
        assert {_written(other) for other in self.alike(place)} <= {first}

    def test_an_option_that_the_recipe_leaves_out_leaves_the_weights_as_they_are(
        self, place: Path, briefly: Trained, tmp_path: Path
    ) -> None:
        for number, other in enumerate(self.alike(place)):
            self.train_briefly(tmp_path / str(number), trainer=other)
            assert _weights(tmp_path / str(number)) == _weights(place)

    # -- how it goes on ------------------------------------------------------------------------------------------------

    def test_an_interrupted_training_goes_on_to_the_same_weights(
        self, place: Path, briefly: Trained, tmp_path: Path
    ) -> None:
        def interrupt(told: TrainingStep) -> None:
            if told.step >= max(3, briefly.steps - 1):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.train_briefly(tmp_path, trainer=self.brief(place), tell=interrupt)
        self._check_that_it_goes_on(place, briefly, tmp_path)

    def test_a_killed_training_goes_on_to_the_same_weights(self, place: Path, briefly: Trained, tmp_path: Path) -> None:
        killed_training(self, tmp_path, step=max(3, briefly.steps - 1))
        self._check_that_it_goes_on(place, briefly, tmp_path)

    def _check_that_it_goes_on(self, place: Path, briefly: Trained, folder: Path) -> None:
        assert not (folder / "model").exists() or not any((folder / "model").iterdir())
        told: list[TrainingStep] = []
        ended = self.train_briefly(folder, trainer=self.brief(place), tell=told.append)
        assert ended.resumed_from is not None and 0 < ended.resumed_from < briefly.steps, "It begins anew."
        assert told[0].step > ended.resumed_from
        assert _weights(folder) == _weights(place)
        curves = [[replace(step, seconds=0) for step in each.curve] for each in (ended, briefly)]
        assert curves[0] == curves[1]

    def test_the_steps_are_told_in_order_with_finite_losses(self, place: Path, tmp_path: Path) -> None:
        told: list[TrainingStep] = []
        ended = self.train_briefly(tmp_path, trainer=self.brief(place), tell=told.append)
        assert tuple(told) == tuple(ended.curve)
        steps = [step.step for step in told]
        assert steps == sorted(set(steps)) and steps[-1] == ended.steps == told[-1].steps
        losses = [step.loss for step in told if step.loss is not None]
        assert losses and np.isfinite(losses).all()
        assert told[-1].epoch > told[0].epoch > 0
        assert [step.seconds for step in told] == sorted(step.seconds for step in told)

    def test_the_weights_with_the_best_measure_are_kept(self, place: Path, tmp_path: Path) -> None:
        """Each measure is worse than the one before, so the first counts."""
        seen: list[Floats] = []

        def evaluate(model: EncodesTexts | ScoresPairs) -> float:
            seen.append(_answers(model))
            return -float(len(seen))

        ended = self.train_briefly(tmp_path, trainer=self.brief(place), evaluate=evaluate)
        measured = [step for step in ended.curve if step.dev is not None]
        assert [step.dev for step in measured] == [-float(i + 1) for i in range(len(seen))]
        assert measured and ended.kept_step == measured[0].step
        kept = _answers(_opened(self.brief(place), tmp_path / "model"))
        assert np.abs(kept - seen[0]).max() <= self.tolerance, (
            "Another model was kept than the best, or in other numbers."
        )

    # -- what it makes -------------------------------------------------------------------------------------------------

    def test_the_untrained_model_is_the_same_at_each_call(self, place: Path, tmp_path: Path) -> None:
        for name in ("one", "two"):
            self.brief(place).initial(tmp_path / name / "model", 3)
        assert _weights(tmp_path / "one") == _weights(tmp_path / "two")
        found = _answers(_opened(self.brief(place), tmp_path / "one" / "model"))
        assert np.isfinite(found).all()

    def test_the_plan_says_what_the_training_takes(self, place: Path) -> None:
        trainer = self.brief(place)
        data = self._data(trainer)
        plan = trainer.plan(data, timed=True)
        assert plan.examples == self.examples(trainer, data)
        assert plan.steps >= 1 and plan.epochs > 0 and plan.tokens > plan.examples
        assert 0 < plan.trainable_parameters <= plan.parameters
        assert plan.memory_bytes >= 4 * plan.parameters
        assert plan.seconds is not None and plan.seconds > 0
        assert trainer.plan(data, timed=False) == replace(plan, seconds=None)

    def test_it_tells_what_it_was(self, place: Path, briefly: Trained) -> None:
        plan = self.brief(place).plan(self._data(self.brief(place)), timed=False)
        assert (briefly.parameters, briefly.trainable_parameters) == (plan.parameters, plan.trainable_parameters)
        assert (briefly.steps, briefly.tokens, briefly.device) == (plan.steps, plan.tokens, plan.device)
        assert briefly.resumed_from is None and briefly.versions

    # -- what it refuses -----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("fault", ["none", "one", "alike", "empty first", "blank second", "null", "outside"])
    def test_data_that_nothing_can_be_learnt_from_is_refused(self, place: Path, tmp_path: Path, fault: str) -> None:
        trainer = self.brief(place)
        data = self._data(trainer)
        spoilt = _spoilt(data.of(trainer.learns_from), trainer.learns_from, fault)
        if spoilt is None:
            pytest.skip("there is no similarity that could lie outside its range")
        where = trainer.learns_from if trainer.learns_from in ("scored", "documents") else "pairs"
        with pytest.raises(InvalidOptions) as refused:
            self.train_briefly(tmp_path, trainer=trainer, data=TrainingData(**{where: spoilt}, answers=data.answers))
        assert len(str(refused.value).split()) > 6, "The message does not say what to do."
        assert not (tmp_path / "model").exists() or not any((tmp_path / "model").iterdir())

    def test_data_of_another_kind_is_refused(self, place: Path, tmp_path: Path) -> None:
        with pytest.raises(InvalidOptions, match="learns from"):
            self.train_briefly(tmp_path, trainer=self.brief(place), data=TrainingData())

    def test_a_base_without_weights_is_refused(self, place: Path, tmp_path: Path) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        (empty / "config.json").write_text("{}")
        with pytest.raises(ModelNotFound, match="weights"):
            self._changed(self.brief(place), base=str(empty)).check()

    def test_a_loss_that_is_not_finite_ends_the_training(self, place: Path, tmp_path: Path) -> None:
        trainer = self._changed(self.brief(place), learning_rate=3e38)  # near float32's largest number
        with pytest.raises(AdapterRejected, match="learning_rate"):
            self.train_briefly(tmp_path, trainer=trainer)

    def answered(self, trainer: Trainer, data: TrainingData) -> TrainingData:
        """The data with a teacher's answers, where they are not to come from the trainer's own."""
        return data

    def examples(self, trainer: Trainer, data: TrainingData) -> int:
        """How many rows the recipe learns from, of this data."""
        return len(data.of(trainer.learns_from))

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _data(self, trainer: Trainer) -> TrainingData:
        return planted_data(negatives=self.negatives if trainer.needs_negatives else 0)

    def _changed(self, trainer: Trainer, **options: Any) -> Trainer:
        """The trainer with other options; skips the law where the recipe has none of these names."""
        if not set(options) <= set(type(trainer.options).model_fields):
            pytest.skip(f"the recipe has no option {', '.join(options)}")
        return type(trainer)(trainer.options.model_copy(update=options), trainer.context)


def _written(trainer: Trainer) -> str:
    return json.dumps(trainer.recipe, sort_keys=True)


def _weights(folder: Path) -> dict[str, str]:
    """Hashes of the weight files of `folder / "model"`."""
    files = sorted((folder / "model").rglob("*.safetensors"))
    assert files, "There are no weights (*.safetensors) in the model's folder."
    return {path.relative_to(folder).as_posix(): hashlib.blake2b(path.read_bytes()).hexdigest() for path in files}


def _opened(trainer: Trainer, folder: Path) -> EncodesTexts | ScoresPairs:
    """The model of a folder as the harness reads it, with its own adapters."""
    role, name = ("encoders", "sentence_transformers") if trainer.makes == "encoder" else ("rerankers", "cross_encoder")
    kind = registry.load(role, name)  # type: ignore[arg-type]
    adapter = kind(kind.Options(model=str(folder), device="cpu"), Context())
    adapter.check()
    return _Encoder(adapter) if trainer.makes == "encoder" else _Reranker(adapter)


class _Encoder:
    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def encode(self, texts: Sequence[str], role: Any) -> Floats:
        vectors: Floats = self._adapter.encode(TextRows(list(texts)), role).vectors
        return vectors


class _Reranker:
    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        queries, texts = zip(*pairs, strict=True)
        self._adapter.prepare(Corpus(list(texts)))
        rows = np.arange(len(pairs), dtype=np.int32)[:, None]
        scores: Floats = self._adapter.score(Queries(None, list(queries)), rows).scores[:, 0]
        return scores


def _answers(model: EncodesTexts | ScoresPairs) -> Floats:
    """What a model says of a few texts."""
    if isinstance(model, EncodesTexts):
        return np.vstack([model.encode(_ASKED, "query"), model.encode(_TOLD, "document")])
    return model.score([(asked, told) for asked in _ASKED for told in _TOLD])


def _spoilt(table: pa.Table, kind: str, fault: str) -> pa.Table | None:
    """Training data with one fault; None where it cannot have it."""
    first, second = {"scored": ("first", "second"), "documents": ("text", "text")}.get(kind, ("query", "positive"))
    if fault in ("none", "one"):
        return table.slice(0, int(fault == "one"))
    if fault == "outside":
        return _with(table, "score", 4, np.float32(1.5)) if kind == "scored" else None
    if fault == "alike":
        return _all(table, "score", np.float32(0.5)) if kind == "scored" else _all(table, second, "the same text")
    value = {"empty first": "", "blank second": " \n", "null": None}[fault]
    return _with(table, second if fault == "blank second" else first, 4, value)


def _with(table: pa.Table, column: str, place: int, value: Any) -> pa.Table:
    values = table[column].to_pylist()
    values[place] = value
    return _set(table, column, values)


def _all(table: pa.Table, column: str, value: Any) -> pa.Table:
    return _set(table, column, [value] * len(table))


def _set(table: pa.Table, column: str, values: list[Any]) -> pa.Table:
    at = table.column_names.index(column)
    return table.set_column(at, column, pa.array(values, table.schema.field(column).type))
