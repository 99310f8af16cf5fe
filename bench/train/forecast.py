"""What the training of an experiment's models would take, told before it begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.base import RECKONING_ERROR, Trainer, TrainingData, TrainingPlan
from bench.experiment.parts import TrainedPart
from bench.messages.failures import failure_of
from bench.messages.wording import counted
from bench.train.mining.written import Written
from bench.train.training import Training
from bench.train.writing_ahead import writing_ahead

_CHINCHILLA = 20  # training tokens for each parameter (Hoffmann et al. 2022, arXiv 2203.15556)
_LEARNT = {"pairs": "training pair", "scored": "training pair", "documents": "query", "structure": "training pair"}


def forecast(training: Training, models: Sequence[TrainedPart]) -> list[str]:
    """Lines on every model: what it learns from, and the time and memory that it takes."""
    lines: list[str] = []
    for model in models:
        try:
            lines += _of_model(training, model)
        except BaseException as error:
            lines.append(f"  {model.name}: not foreseen: {failure_of(error).where}")
    return lines


def _of_model(training: Training, model: TrainedPart) -> Iterator[str]:
    waiting = [needed for needed in model.needed() if trainings_missing(training, training.experiment.models[needed])]
    trainings = len(model.variants) * model.seeds
    missing = trainings if waiting else trainings_missing(training, model)
    how = f"recipe {model.recipe} from {model.base.options.model}, {counted(model.seeds, 'seed')}"
    how += f" × {counted(len(model.variants), 'set')} of options" if len(model.variants) > 1 else ""
    if not missing:
        yield f"  {model.name}: {how}: kept"
        return
    yield f"  {model.name}: {how}: {missing} of {counted(trainings, 'training')} to do"
    for sentence in training.lessons.notes(model):
        yield f"    {sentence}"
    if leaks := training.lessons.report(model).leaks:
        yield f"    {counted(len(leaks), _LEARNT[model.kind.learns_from], 'left out')}: the query is evaluated"
    for warning in training.lessons.report(model).warnings:
        yield f"    ! {warning}"
    for variant in model.variants:
        trainer, data = training.trainer(model, variant, 1), training.lessons.foreseen(model)
        plan = trainer.plan(data, timed=True)
        swept = ", ".join(f"{name}={value}" for name, value in variant.swept.items())
        yield f"    {f'{swept}: ' if swept else ''}{_plan(plan)}"
        yield f"    {_tokens(plan)}"
        if plan.asked:
            yield f"    {_teacher(training, trainer, data, known=model.negatives is None)}"
    if model.negatives is not None:
        what = "document" if model.writer is None else "text"
        of = "" if model.negatives.system is None else f" {model.negatives.system}"
        wanted = counted(model.negatives.per_query, what)
        yield f"    negatives: {wanted} for each pair, {model.negatives.strategy}{of}"
    written = training.to_write(model)
    if written is not None and model.writer is not None:
        yield from (f"    {line}" for line in of_writing(written, model.writer.name))


def of_writing(written: Written, by: str) -> Iterator[str]:
    """Lines on what a generator will write for negatives, and what that takes. by: its name in the file. The generator
    is closed afterwards."""
    ahead = writing_ahead(written, timed=True)
    if not ahead.missing:
        yield f"{by}: {counted(ahead.prompts, 'pair')}, all written for already"
        return
    took = "" if ahead.seconds is None else f", about {_duration(ahead.seconds)} here"
    texts = counted(ahead.missing * ahead.each, "text")
    calls = "" if ahead.usage is None else f" in {counted(ahead.usage.requests, 'request')}"
    yield f"{by}: {texts} to write{calls} for {ahead.missing:,} of {counted(ahead.prompts, 'pair')}{took}"
    if ahead.usage is not None:
        usd = "price unknown" if ahead.usd is None else f"{ahead.usd:,.4f} USD, ± {RECKONING_ERROR:.0%}"
        yield f"  {ahead.usage.tokens:,} tokens read, {ahead.usage.output_tokens:,} written: {usd}"


def trainings_missing(training: Training, model: TrainedPart) -> int:
    """How many of a model's trainings are to be done."""
    seeds = range(1, model.seeds + 1)
    return sum(training.find(model, variant, seed) is None for variant in model.variants for seed in seeds)


def _plan(plan: TrainingPlan) -> str:
    time = "time not known" if plan.seconds is None else f"about {_duration(plan.seconds)} a training on {plan.device}"
    return (
        f"{counted(plan.examples, 'example')}, {plan.tokens:,} tokens a pass, {counted(plan.steps, 'step')} "
        f"({plan.epochs:g} epochs), {time}, {plan.memory_bytes / 2**20:,.0f} MiB without activations"
    )


def _tokens(plan: TrainingPlan) -> str:
    share = plan.tokens * plan.epochs / max(1, plan.trainable_parameters)
    return (
        f"{plan.trainable_parameters:,} of {plan.parameters:,} parameters learn, {share:.2g} tokens for each; "
        f"Chinchilla's {_CHINCHILLA} was found for pre-training and says little of fine-tuning"
    )


def _teacher(training: Training, trainer: Trainer, data: TrainingData, *, known: bool) -> str:
    """What the teacher is asked for. known: whether the texts are those that it will be asked for, so that it can be
    told which it was asked before."""
    teacher, questions = trainer.teacher, trainer.questions(data)
    assert teacher is not None
    what = counted(questions.count, "text" if questions.texts else "pair")
    told = f"teacher {teacher.identity.model}: asked for {what}, once for all seeds and runs"
    if not known:
        return told
    missing = training.teaching(teacher).missing(questions)
    return told if missing else f"{told}; all are kept"


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
