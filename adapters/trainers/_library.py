"""The library's trainer, made to follow a plan: its arguments, and a subclass that leaves out what costs time and tells
nobody anything (model cards, logs, progress bars)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from adapters.base import InvalidOptions
from adapters.trainers._batches import Batches, sampler
from adapters.trainers._checkpoints import WEIGHTS
from adapters.trainers._options import Precision, TrainingOptions
from adapters.trainers._rows import Rows
from adapters.trainers._task import Follower, Task


def check_precision(precision: Precision, device: str) -> None:
    """Raise InvalidOptions for what no processor can train in."""
    if precision == "float16" and device == "cpu":
        raise InvalidOptions("A processor cannot train in float16. Take bfloat16 or float32.", key="precision")


def resolve_precision(precision: Precision, device: str, *, transformer: bool) -> str:
    """The number format of the computation. transformer: whether the model has one; a table of vectors gains nothing
    from short numbers. Raises InvalidOptions for one that the device cannot train in."""
    import torch

    check_precision(precision, device)
    if device == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        if precision == "bfloat16" and not fast:
            raise InvalidOptions("This GPU has no bfloat16. Take float16 or float32.", key="precision")
    else:
        able = torch.cpu.get_capabilities() if device == "cpu" else {}
        fast = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    if precision != "auto":
        return precision
    return "bfloat16" if transformer and fast else "float32"


def arguments(task: Task, options: TrainingOptions, batches: Batches, folder: Path, seed: int) -> Any:
    """The arguments of the library's trainer. folder: for its checkpoints."""
    import sentence_transformers

    kind = getattr(sentence_transformers, f"{task.library}TrainingArguments")
    made = kind(
        output_dir=str(folder),
        num_train_epochs=1,  # one pass over the planned batches, which hold all epochs
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.gradient_accumulation,
        batch_sampler=sampler(batches),
        prompts=dict(task.rows.prompts) or None,
        learning_rate=options.learning_rate,
        lr_scheduler_type=options.schedule if options.schedule != "constant" else "constant_with_warmup",
        warmup_steps=_warmup(options.warmup, batches.steps),
        weight_decay=options.weight_decay,
        bf16=task.precision == "bfloat16",
        fp16=task.precision == "float16",
        seed=seed,
        use_cpu=task.device == "cpu",
        dataloader_pin_memory=task.device == "cuda",
        save_strategy="no",  # the follower says when
        logging_strategy="no",
        eval_strategy="no",
        disable_tqdm=True,
        report_to="none",
    )
    _ = made.device  # resolves how many devices there are
    made._n_gpu = min(made.n_gpu, 1)  # with several the library would spread each batch, and in-batch negatives with it
    return made


_OF_LOSS = "loss.pt"


def own_parameters(loss: Any, model: Any) -> dict[str, Any]:
    """What learns beside the model and is thrown away at the end: a second model, a decoder. By name."""
    theirs = {id(each) for each in model.parameters()}
    return {name: each for name, each in loss.named_parameters() if each.requires_grad and id(each) not in theirs}


def _warmup(warmup: float, steps: int) -> int:
    return int(warmup) if warmup >= 1 else round(warmup * steps)


def dataset(rows: Rows) -> Any:
    """The examples as the library takes them."""
    from datasets import Dataset

    return Dataset(pa.table({name: pa.array(values) for name, values in rows.columns.items()}))


def library_trainer(task: Task, made: Any, follower: Follower) -> Any:
    """The library's trainer for a task. made: its arguments."""
    import sentence_transformers
    from transformers import PrinterCallback

    kind = type(
        "Trainer", (_Followed, getattr(sentence_transformers, f"{task.library}Trainer")), {"follower": follower}
    )
    trainer = kind(model=task.model, args=made, train_dataset=dataset(task.rows), loss=task.loss)
    trainer.add_callback(_steps(trainer, follower))
    trainer.remove_callback(PrinterCallback)
    return trainer


def _steps(trainer: Any, follower: Follower) -> Any:
    from transformers import TrainerCallback

    class Steps(TrainerCallback):  # type: ignore[misc]
        rate = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.rate = float(more["optimizer"].param_groups[0]["lr"])  # the schedule changes it before the step ends

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> Any:
            save, stop = follower.step_ended(trainer, state.global_step, self.rate)
            control.should_save, control.should_training_stop = save, stop or control.should_training_stop
            return control

    return Steps()


class _Followed:
    """What is put before the library's trainer, whose methods it changes."""

    follower: ClassVar[Follower]
    model: Any
    loss: Any
    args: Any
    state: Any

    def add_model_card_callback(self, default_args_dict: Any) -> None:
        return  # it reads the data and asks the hub

    def training_step(self, *given: Any, **named: Any) -> Any:
        loss = super().training_step(*given, **named)  # type: ignore[misc]
        self.follower.add_loss(loss)
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        with self.follower.save_begins(step):
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
        self.follower.saved(step)

    def _save(self, output_dir: str, state_dict: Any = None) -> None:
        folder = Path(output_dir)
        folder.mkdir(exist_ok=True)
        self.write_weights(folder / WEIGHTS)
        if own := own_parameters(self.loss, self.model):
            import torch

            torch.save({name: value.data for name, value in own.items()}, folder / _OF_LOSS)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        self.read_weights(Path(checkpoint_path) / WEIGHTS)
        if own := own_parameters(self.loss, self.model):
            import torch

            values = torch.load(Path(checkpoint_path) / _OF_LOSS, map_location="cpu", weights_only=True)
            with torch.no_grad():
                for name, parameter in own.items():
                    parameter.copy_(values[name])

    def write_weights(self, path: Path) -> None:
        import torch

        torch.save(self.model.state_dict(), path)

    def read_weights(self, path: Path) -> None:
        import torch

        self.model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    @contextmanager
    def as_in_use(self) -> Iterator[None]:
        """Inside, the model computes as when it is used: no dropout, and none of the short numbers of training."""
        training, mixed = self.model.training, self.model.__dict__.pop("forward", None)
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)
            if mixed is not None:
                self.model.forward = mixed
