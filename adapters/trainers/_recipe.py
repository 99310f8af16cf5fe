"""What all recipes of this package share: the contract of a trainer, filled in around the loop."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from adapters.base import (
    Answers,
    EncodesTexts,
    Evaluate,
    InvalidOptions,
    Questions,
    ScoresPairs,
    Trained,
    Trainer,
    TrainingData,
    TrainingPlan,
    TrainingStep,
)
from adapters.cross_encoders import layer_count, transformer_config
from adapters.inference import release
from adapters.models import library_versions, locate, resolve_device
from adapters.trainers._batches import plan_batches
from adapters.trainers._library import check_precision, own_parameters, resolve_precision
from adapters.trainers._loop import parameters, seconds_per_step, train
from adapters.trainers._options import LATER, WITHOUT_WEIGHT, TrainingOptions
from adapters.trainers._rows import Rows
from adapters.trainers._task import Library, Task
from adapters.trainers._teacher import answered
from adapters.versions import version

SAMPLED = 2_000
"""Examples whose tokens are counted, evenly over the data; the others are taken to be like them."""

_TIMED_QUESTIONS = 9


class LocalTrainer(Trainer):
    """A recipe that trains on this machine, by sentence-transformers. An author fills in the methods with `_`."""

    requires: ClassVar[tuple[str, ...]] = ("sentence_transformers", "torch", "transformers", "datasets", "accelerate")
    extra: ClassVar[str | None] = "train"
    figures_from: ClassVar[tuple[str, ...] | None] = ("sentence_transformers", "torch", "transformers")
    Options: ClassVar[type[TrainingOptions]] = TrainingOptions
    library: ClassVar[Library] = "SentenceTransformer"
    organization: ClassVar[str] = "sentence-transformers"  # where the hub looks for a base without one

    def check(self) -> None:
        super().check()
        check_precision(self.options.precision, resolve_device(self.options.device))

    def _check_frozen(self) -> None:
        """Raise InvalidOptions where no layer of the base would learn. The base has been checked."""
        options = self.options
        if options.frozen_layers:
            files = locate(options.base, self.context, revision=options.revision, organization=self.organization)
            count = layer_count(transformer_config(files))
            if count is not None and options.frozen_layers >= count:
                raise InvalidOptions(_all_frozen(options.base, count), key="frozen_layers")

    @property
    def _notes(self) -> tuple[str, ...]:
        """Sentences on what it learnt from, once it has."""
        return ()

    @property
    def recipe(self) -> Mapping[str, Any]:
        chosen = self.options.model_dump(mode="json", exclude={*WITHOUT_WEIGHT, *self.references, "revision"})
        chosen = {name: value for name, value in chosen.items() if value is not None or name not in LATER}
        named = {name: self._fingerprint(name) for name in self.references if getattr(self.options, name) is not None}
        return {"recipe": self.name, **chosen, **named}

    def _fingerprint(self, option: str) -> Mapping[str, str]:
        revision = self.options.revision if option == "base" else None
        reference = getattr(self.options, option)
        try:
            model = locate(reference, self.context, revision=revision, organization=self.organization)
        except InvalidOptions as error:
            raise InvalidOptions(str(error), key=error.key if error.key == "revision" else option) from error
        return model.fingerprint()

    def rest(self) -> None:
        release(self.options.device)

    def initial(self, folder: Path, seed: int) -> None:
        self._write(self._model(seed, "cpu"), folder)

    def plan(self, data: TrainingData, *, timed: bool) -> TrainingPlan:
        rows = self._rows(self._table(data))
        batches = plan_batches(rows, self.options, seed=0)
        task = self._task(rows, seed=0)
        total, learning = parameters(task.model)
        beside = sum(each.numel() for each in own_parameters(task.loss, task.model).values())
        tokens = self._tokens(task.model, rows)
        questions = self.questions(data)
        seconds = None
        if timed:
            with tempfile.TemporaryDirectory() as folder:
                seconds = batches.steps * seconds_per_step(task, self.options, batches, Path(folder), seed=0)
            seconds += self._asking_seconds(questions) if questions.count else 0.0
        return TrainingPlan(
            examples=len(rows),
            tokens=tokens,
            steps=batches.steps,
            epochs=batches.epoch_at[-1],
            parameters=total,
            trainable_parameters=learning,
            # float32: weights; gradients and two moments of what learns
            memory_bytes=4 * (total + beside) + 12 * (learning + beside),
            device=task.device,
            seconds=seconds,
            asked=questions.count,
        )

    def train(
        self,
        data: TrainingData,
        *,
        folder: Path,
        checkpoints: Path,
        seed: int,
        evaluate: Evaluate | None,
        tell: Callable[[TrainingStep], None],
    ) -> Trained:
        table = self._table(data)
        rows = self._complete(self._rows(table), self._answers(data))
        batches = plan_batches(rows, self.options, seed)
        task = self._task(rows, seed)
        total, learning = parameters(task.model)
        progress, resumed = train(
            task,
            self.options,
            batches,
            checkpoints=checkpoints,
            about=self._about(table, task, seed),
            seed=seed,
            evaluate=evaluate,
            tell=tell,
        )
        with task.in_use():
            self._write(task.model, folder)
        return Trained(
            steps=progress.curve[-1].step,
            kept_step=progress.best_step or progress.curve[-1].step,
            curve=tuple(progress.curve),
            seconds=progress.seconds,
            device=task.device,
            precision=task.precision,
            parameters=total,
            trainable_parameters=learning,
            tokens=self._tokens(task.model, rows),
            resumed_from=resumed,
            versions=_versions(),
            notes=self._notes,
        )

    @abstractmethod
    def _model(self, seed: int, device: str) -> Any:
        """The untrained model in memory, float32. The seed is that of parts that the base lacks."""

    @abstractmethod
    def _rows(self, table: pa.Table) -> Rows:
        """The examples, checked. Raises InvalidOptions."""

    def _table(self, data: TrainingData) -> pa.Table:
        """The table that the examples are made of. Raises InvalidOptions."""
        return data.of(self.learns_from)

    def _complete(self, rows: Rows, answers: Answers) -> Rows:
        """The examples with what the teacher says of them."""
        return rows

    def _answers(self, data: TrainingData) -> Answers:
        """The teacher's answers: those that come with the data, else it is asked here."""
        if data.answers is not None:
            return data.answers
        teacher = self.teacher
        return Answers() if teacher is None else answered(teacher, self.questions(data))

    def _asking_seconds(self, questions: Questions) -> float:
        """How long the teacher takes for its answers, from some; loading it is no part of what grows with them."""
        taken = []
        for count in (1, _TIMED_QUESTIONS):
            some = Questions(
                {role: texts[:count] for role, texts in questions.texts.items()},
                questions.queries[:count],
                questions.documents[:count],
            )
            teacher = self.teacher
            assert teacher is not None
            started = time.monotonic()
            answered(teacher, some)
            taken.append((time.monotonic() - started, some.count))
        (once, one), (longer, several) = taken
        return once + max(0.0, longer - once) / max(1, several - one) * questions.count

    @abstractmethod
    def _loss(self, model: Any, rows: Rows) -> Any:
        """The library's loss. Raises InvalidOptions for examples that it cannot take."""

    def _drawn_loss(self, model: Any, rows: Rows, seed: int) -> Any:
        """The loss; parts of it that are drawn at random are drawn by the seed."""
        import torch

        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            return self._loss(model, rows).to(model.device)

    @abstractmethod
    def _view(self, model: Any) -> EncodesTexts | ScoresPairs:
        """The model as the measure on the dev split asks it, whatever it stands in."""

    @abstractmethod
    def _tokens_of(self, model: Any, rows: Rows, places: Sequence[int]) -> int:
        """Tokens that the model reads of these examples in one pass."""

    def _in_training(self, model: Any) -> None:
        """Set the model up for training: what stays as it is, what a step leaves out, what it computes twice."""
        options = self.options
        if options.frozen_layers:
            freeze(model, options.frozen_layers, options.base)
        if options.dropout is not None:
            set_dropout(model, options.dropout)
        if options.gradient_checkpointing:
            model[0].auto_model.activation_checkpointing_enable()

    def _in_use(self, model: Any) -> AbstractContextManager[None]:
        """Inside it the model is as it will be used."""
        return nullcontext()

    def _write(self, model: Any, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(str(folder), create_model_card=False)

    def _task(self, rows: Rows, seed: int) -> Task:
        device = resolve_device(self.options.device)
        model = self._model(seed, device)
        self._in_training(model)
        return Task(
            model=model,
            rows=rows,
            loss=self._drawn_loss(model, rows, seed),
            view=self._view(model),
            library=self.library,
            precision=resolve_precision(self.options.precision, device, transformer=has_transformer(model)),
            in_use=lambda: self._in_use(model),
        )

    def _about(self, table: pa.Table, task: Task, seed: int) -> str:
        """What a checkpoint must agree in with this training, as text."""
        content = hashlib.blake2b(digest_size=16)
        for column in table.columns:
            content.update(repr(column.to_pylist()).encode())
        return json.dumps([self.recipe, seed, content.hexdigest(), task.device, task.precision], sort_keys=True)

    def _tokens(self, model: Any, rows: Rows) -> int:
        step = max(1, -(-len(rows) // SAMPLED))
        places = range(0, len(rows), step)
        return round(self._tokens_of(model, rows, places) * len(rows) / len(places))


def has_transformer(model: Any) -> bool:
    """Whether a model is a transformer, and not a table of vectors."""
    from transformers import PreTrainedModel

    return any(isinstance(module, PreTrainedModel) for module in model.modules())


def freeze(model: Any, layers: int, base: str) -> None:
    """Keep the lowest layers of the model's transformer, and its embeddings, as they are. Raises InvalidOptions."""
    transformer, stack = _layers(model)
    if transformer is None or stack is None:
        raise InvalidOptions(f"{base} has no layers that could stay as they are.", key="frozen_layers")
    if layers >= len(stack):
        raise InvalidOptions(_all_frozen(base, len(stack)), key="frozen_layers")
    embeddings = getattr(transformer.base_model, "embeddings", None) or transformer.get_input_embeddings()
    for module in (embeddings, *stack[:layers]):
        module.requires_grad_(False)


def _all_frozen(base: str, layers: int) -> str:
    return f"{base} has {layers} layers; at least one must learn."


_DROPOUTS = ("dropout", "attention_dropout")  # what attention calls its share where it has no module for it


def set_dropout(model: Any, share: float) -> None:
    """Leave out this share of the activations in each step, wherever the model leaves some out. What is written of the
    model stays as it was: its configuration names the share that its base had."""
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        for name in _DROPOUTS:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)


def keep_layers(model: Any, count: int, base: str) -> None:
    """Keep so many layers of the model's transformer, evenly from the first to the last. Raises InvalidOptions."""
    transformer, stack = _layers(model)
    if transformer is None or stack is None or not hasattr(transformer.config, "num_hidden_layers"):
        raise InvalidOptions(f"{base} has no layers of which some could be kept.", key="layers")
    if count > len(stack):
        raise InvalidOptions(f"{base} has {len(stack)} layers, fewer than {count}.", key="layers")
    last = len(stack) - 1
    kept = [stack[round(place * last / max(1, count - 1))] for place in range(count)]
    del stack[:]
    stack.extend(kept)
    transformer.config.num_hidden_layers = count


def _layers(model: Any) -> tuple[Any, Any]:
    """The model's transformer and the list of its layers; None where there is none."""
    from torch import nn
    from transformers import PreTrainedModel

    transformer = next((module for module in model.modules() if isinstance(module, PreTrainedModel)), None)
    stacks = [] if transformer is None else [m for m in transformer.modules() if isinstance(m, nn.ModuleList)]
    return transformer, max(stacks, key=len) if stacks else None


def _versions() -> Mapping[str, str]:
    return {**library_versions(), **{name: version(name) for name in ("accelerate", "datasets")}}
