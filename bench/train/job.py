"""One training: a model of the file with one set of options and one seed, made, checked and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adapters.base import (
    Encoder,
    Trained,
    Trainer,
    TrainingData,
    TrainingStep,
    Warned,
    WrongAnswer,
)
from bench.cache.artifacts import Cache
from bench.cache.machine_lock import at_work, pause
from bench.data.dataset import Dataset
from bench.experiment.parts import Experiment, TrainedPart, Variant
from bench.machine.clock import utc_now
from bench.money.budget import Budget
from bench.quality.stages import Advance, Emit, Stage, waiting
from bench.train.board import TrainingLog
from bench.train.deciding import After, Deciding, Loader, OnScoredPairs, Undecided, on_queries, split_of
from bench.train.dev import Measured
from bench.train.kept import KeptModel, KeptModels
from bench.train.lessons import Lessons
from bench.train.mining.helpers import Helpers
from bench.train.mining.mined import Mined, relevant_elsewhere
from bench.train.provenance import (
    BaseModelOf,
    DataFacts,
    HeldOut,
    ModelProvenance,
    NegativeFacts,
    SplitFacts,
)
from bench.train.teaching import Teaching
from bench.train.watching import Watched

_SAME_OUTPUT = 1e-3  # between the model in memory and the one loaded back, of vectors of length 1 or of a score
_SAME_MEASURE = 2e-3  # a tie that rounding decides may move a document by a place


@dataclass(frozen=True, slots=True)
class SeedOutcome:
    """A model of one seed. number: which seed of its name it is, from 1."""

    number: int
    kept: KeptModel
    reused: bool

    @property
    def dev(self) -> float | None:
        """What decides, on dev, after the training; None where it is not defined."""
        return self.kept.provenance.dev_after

    @property
    def dev_base(self) -> float | None:
        """The same of what it started from."""
        return self.kept.provenance.dev_before


@dataclass(frozen=True, slots=True)
class Job:
    """One training that is to be done. seed: what it draws by. base: the encoder or reranker that it starts from,
    helpers: those that find its negatives."""

    model: TrainedPart
    variant: Variant
    number: int
    seed: int
    key: str
    trainer: Trainer
    base: Any
    helpers: Helpers
    experiment: Experiment

    @property
    def label(self) -> str:
        """How progress names it."""
        swept = ", ".join(f"{name}={value}" for name, value in self.variant.swept.items())
        seed = f" seed {self.number}" if self.model.seeds > 1 else ""
        return f"{self.model.name}{f' ({swept})' if swept else ''}{seed}"

    def run(
        self, lessons: Lessons, mined: Mined | None, kept: KeptModels, cache: Cache, emit: Emit, budget: Budget
    ) -> SeedOutcome:
        """Train, check that the model is kept as it was trained, measure it beside its base, and keep it. mined: its
        negatives, None where it learns without."""
        services = cache, emit, budget
        deciding = self._deciding(lessons, services)
        data, asked = self._taught(lessons.data(self.model, mined), services)
        watched = Watched(deciding, emit, self.label)
        draft = kept.draft(self.key)
        curve: list[TrainingStep] = []
        with (
            TrainingLog(kept, name=self.model.name, key=self.key, seed_number=self.number) as log,
            _Told(emit, self.label, curve, log.step) as tell,
            at_work(waiting(emit)),
        ):
            trained = self.trainer.train(
                data,
                folder=draft,
                checkpoints=kept.checkpoints(self.key),
                seed=self.seed,
                evaluate=None if deciding.measure is None else watched,
                tell=tell,
            )
        if log.fault is not None and self.number == 1:
            emit(Warned(self.model.key_path, f"{log.fault}."))
        after = deciding.after(draft)
        self._check(watched, deciding.measure, after)
        written = () if mined is None else (f"Of its negatives: {told}" for told in mined.report.of_writing)
        trained = replace(trained, notes=(*trained.notes, *asked, *written))
        found = self._provenance(lessons, mined, trained, deciding.before, after.measured, deciding.measure)
        whole = kept.keep(self.key, draft, found, curve=trained.curve, queries=lessons.learned(self.model))
        kept.drop_checkpoints(self.key)
        return SeedOutcome(self.number, whole, reused=False)

    def _taught(self, data: TrainingData, services: tuple[Cache, Emit, Budget]) -> tuple[TrainingData, tuple[str, ...]]:
        """The data with what the recipe's teacher says of it, and sentences on how much it was asked."""
        teacher = self.trainer.teacher
        if teacher is None:
            return data, ()
        teaching = Teaching(teacher, f"{self.label} (teacher)", *services)
        return replace(data, answers=teaching.answers(self.trainer.questions(data))), (teaching.told,)

    def _deciding(self, lessons: Lessons, services: tuple[Cache, Emit, Budget]) -> Deciding:
        loader = Loader(self.model.reference(self.number), self.trainer.context)
        if (scored := lessons.scored(self.model)) is not None:
            return OnScoredPairs(scored.dev, scored.test, self.base, loader)
        reranks = self.trainer.makes == "reranker"
        dev, seed = lessons.splits(self.model).dev, self.experiment.settings.seed
        if dev is None:
            return Undecided(lessons.test, loader, reranks=reranks)
        teacher = self.trainer.teacher
        return on_queries(
            dev,
            self.base,
            self.helpers.encoder,
            loader,
            reranks=reranks,
            seed=seed,
            services=services,
            teacher=teacher if isinstance(teacher, Encoder) and not reranks else None,
            queries_alone=self.trainer.queries_alone,
        )

    def _check(self, watched: Watched, measure: str | None, after: After) -> None:
        """Raise WrongAnswer where the model that was written is not the one that was trained."""
        if watched.output is None:
            return
        apart = float(np.abs(after.outputs - watched.output).max(initial=0.0))
        if apart > _SAME_OUTPUT or abs(after.value - watched.value) > _SAME_MEASURE:
            raise WrongAnswer(
                f"the model that was written is not the one that was trained: {measure} is {after.value:.4f}, "
                f"and was {watched.value:.4f}; its outputs differ by up to {apart:.2g}. It is not used."
            )

    def _provenance(
        self,
        lessons: Lessons,
        mined: Mined | None,
        trained: Trained,
        before: Measured,
        after: Measured,
        measure: str | None,
    ) -> ModelProvenance:
        first = next(iter(after.values), "")  # the deciding measure comes first
        return ModelProvenance(
            key=self.key,
            name=self.model.name,
            makes=self.trainer.makes,
            recipe=self.model.recipe,
            options=self.variant.options.model_dump(mode="json"),
            base=BaseModelOf(reference=_reference(self.model), identity=_identity(self.base)),
            data=self._data(lessons, trained.notes),
            negatives=None if mined is None else _negatives(self.model, mined, lessons.test),
            seed=self.seed,
            seed_number=self.number,
            experiment=self.experiment.name,
            created_at=utc_now(),
            seconds=trained.seconds,
            device=trained.device,
            precision=trained.precision,
            versions=dict(trained.versions or {}),
            steps=trained.steps,
            kept_step=trained.kept_step,
            epochs=trained.curve[-1].epoch if trained.curve else None,
            tokens=trained.tokens,
            parameters=trained.parameters,
            trainable_parameters=trained.trainable_parameters,
            resumed_from=trained.resumed_from,
            dev_measure=measure,
            dev_before=before.values.get(first),
            dev_after=after.values.get(first),
            held_out=tuple(
                HeldOut(
                    measure=name,
                    split=split_of(name),
                    count=after.counts.get(name),
                    before=before.values.get(name),
                    after=value,
                )
                for name, value in after.values.items()
            ),
        )

    def _data(self, lessons: Lessons, more: tuple[str, ...]) -> DataFacts:
        """more: notes of the training itself."""
        scored = lessons.scored(self.model)
        test, report, notes = _split(lessons.test), lessons.report(self.model), (*lessons.notes(self.model), *more)
        if scored is not None:
            return DataFacts(
                name=scored.name,
                fingerprint=scored.digest,
                test=test,
                rows=scored.train.num_rows,
                leaks=len(report.leaks),
                notes=notes,
            )
        source, splits = lessons.source(self.model), lessons.splits(self.model)
        return DataFacts(
            name=lessons.test.name,
            fingerprint=source.digest,
            train=_split(splits.train),
            dev=None if splits.dev is None else _split(splits.dev),
            test=test,
            rows=source.rows,
            learns_from=self.model.learns_from,
            leaks=len(report.leaks),
            near_copies=len(report.near_copies),
            notes=notes,
        )


class _Told:
    """Turns what a training tells into progress, with the loss and the measure on dev; curve: takes all of it."""

    def __init__(self, emit: Emit, label: str, curve: list[TrainingStep], log: Callable[[TrainingStep], None]) -> None:
        self._emit = emit
        self._label = label
        self._curve = curve
        self._log = log
        self._stage: Stage | None = None
        self._advance: Advance | None = None
        self._done = 0
        self._loss: float | None = None
        self._dev: float | None = None

    def __enter__(self) -> Callable[[TrainingStep], None]:
        self._began = time.monotonic()
        return self._tell

    def __exit__(self, *raised: object) -> None:
        if self._stage is not None:
            self._stage.__exit__(*raised)

    def _tell(self, step: TrainingStep) -> None:
        if self._advance is None:
            self._stage = Stage(self._emit, "train", self._label, step.steps, "steps")
            self._advance = self._stage.__enter__()
        self._curve.append(step)
        self._log(step)
        self._loss = self._loss if step.loss is None else step.loss
        self._dev = self._dev if step.dev is None else step.dev
        told = [f"loss {self._loss:.3f}"] if self._loss is not None else []
        told += [f"dev {self._dev:.3f}"] if self._dev is not None else []
        self._advance(step.step - self._done, ", ".join(told) or None)
        self._done = step.step
        pause(waiting(self._emit))


def _reference(model: TrainedPart) -> str:
    return str(model.variants[0].options.base)


def _identity(base: Any) -> dict[str, str]:
    identity: Mapping[str, Any] = base.identity.settings
    return {name: str(identity[name]) for name in ("commit", "weights", "files") if name in identity}


def _split(dataset: Dataset) -> SplitFacts:
    return SplitFacts(
        split=dataset.split, fingerprint=dataset.fingerprint, queries=dataset.judged, documents=dataset.documents
    )


def _negatives(model: TrainedPart, mined: Mined, test: Dataset) -> NegativeFacts:
    assert model.negatives is not None
    return NegativeFacts(
        options=model.negatives.model_dump(mode="json", exclude_unset=True),
        key=mined.key,
        per_query=model.negatives.per_query,
        generator=mined.report.writer,
        prompt=mined.report.prompt,
        wanted=mined.report.wanted,
        found=mined.report.found,
        dropped=dict(mined.report.dropped),
        relevant_to_test=relevant_elsewhere(mined, test),
    )
