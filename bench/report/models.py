"""What the experiment trained: what that bought on dev and on held-out data, how far seeds differ, and what a reader
must know of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from bench.messages.wording import beginning, counted
from bench.report.cells import DASH, number, section
from bench.results.model import Leaks, MinedNegatives, Result, SystemResult, TrainedModel, mean_over_seeds

ONE_SEED = " (this model; training again not tried)"
_SHOWN_SEEDS = 6  # one by one; of more the lowest and the highest
_SHOWN_TEXT = 60  # characters of a query
_DECIDED = ("better", "worse", "not_worse")


def title(models: Sequence[TrainedModel]) -> str:
    """Of the table of models."""
    measures = dict.fromkeys(model.measure for model in models if model.measure is not None)
    return f"models, by {' and '.join(measures)} on dev" if measures else "models"


def table(models: Sequence[TrainedModel]) -> list[list[str]]:
    """A row for each model: the base on dev, the model on dev, and what it learned from."""
    if not models:
        return []
    learnt = Learnt.of(models)
    rows = [["model", "recipe", "base", "trained", "change", "by seed", learnt.head, "leaks"]]
    for model in models:
        devs = [seed.dev for seed in model.seeds if seed.dev is not None]
        rows.append(
            [
                model.name,
                model.recipe,
                number(model.dev_base),
                number(model.dev),
                _change(model.dev_base, model.dev),
                _each(devs) if len(devs) > 1 else DASH,
                learnt.cell(model),
                DASH if model.pairs is None else f"{model.leaks.count:,}",
            ]
        )
    return rows


class Learnt(NamedTuple):
    """What models learnt from: pairs, texts alone, or both kinds. head: of the column that counts them."""

    head: str
    mixed: bool

    @classmethod
    def of(cls, models: Sequence[TrainedModel]) -> Self:
        kinds = {_unit(model) for model in models if model.pairs is not None} or {"pair"}
        mixed = len(kinds) > 1
        return cls("learnt from" if mixed else f"{kinds.pop()}s", mixed)

    def cell(self, model: TrainedModel) -> str:
        """How many of them a model learnt from, with their kind where the head does not say it."""
        if model.pairs is None:
            return DASH
        return counted(model.pairs, _unit(model)) if self.mixed else f"{model.pairs:,}"

    def unit(self, model: TrainedModel) -> str:
        """What stands after a number where the head does not say it; empty where it does."""
        return f" {_unit(model)}s" if self.mixed and model.pairs is not None else ""


def _unit(model: TrainedModel) -> str:
    return "text" if model.learns_from == "documents" else "pair"


def held_out(models: Sequence[TrainedModel]) -> list[list[str]]:
    """A row for each model and measure: before the training and after it, on held-out data, as means over the seeds."""
    rows = [["model", "measure", "before", "after", "change"]]
    for model in models:
        names = dict.fromkeys(name for seed in model.seeds for name in (*seed.before, *seed.after))
        for name in names:
            before = mean_over_seeds([seed.before.get(name) for seed in model.seeds])
            after = mean_over_seeds([seed.after.get(name) for seed in model.seeds])
            if before is not None or after is not None:
                rows.append([model.name, name, number(before), number(after), _change(before, after)])
    return rows if len(rows) > 1 else []


def seeds(result: Result) -> list[list[str]]:
    """A row for each system whose models have several seeds: the primary measure by seed, and whose its latency is."""
    timed = any(system.latency is not None for system in result.systems)
    rows = [["system", "by seed", *(["latency of"] if timed else [])]]
    for system in result.systems:
        found = by_seed(system, result.primary)
        if len(found) > 1:
            chosen = system.chosen_seed
            of = DASH if chosen is None or system.latency is None else f"seed {chosen} ({number(found.get(chosen))})"
            rows.append([system.name, _each(list(found.values())), *([of] if timed else [])])
    return rows if len(rows) > 1 else []


def by_seed(system: SystemResult, measure: str) -> dict[int, float]:
    """A measure's mean by the seed of the system's models; empty where it was not measured or there are not several."""
    means = {seed: build.get(measure) for seed, build in zip(system.seeds, system.builds, strict=False)}
    return {seed: mean for seed, mean in means.items() if mean is not None}


def of_seed(system: SystemResult) -> str:
    """A system's name where what follows is of the seed that dev chose alone."""
    return system.name if len(system.seeds) < 2 else f"{system.name}, seed {system.chosen_seed}"


def trained_once(system: SystemResult) -> bool:
    """Whether a verdict is on this very model: it was trained by one seed."""
    return bool(system.models) and len(system.seeds) == 1


def of_one_seed(system: SystemResult, verdict: str | None) -> str:
    """What is added to a verdict where it is on this very model."""
    return ONE_SEED if verdict in _DECIDED and trained_once(system) else ""


def notes(result: Result) -> Iterator[str]:
    """What a reader must know of the models and of the systems that use them."""
    yield from of_models(result.models)
    worse = {model.name for model in result.models if model.worse_than_base}
    for system in result.systems:
        for part, name in system.models.items():
            if name in worse:
                yield f"! {system.name}: not to be proposed: {part} uses {name}, which is worse than its base on dev"
        if system.name == result.baseline and trained_once(system):
            yield f"· {system.name}: one seed, so verdicts compare with this very model; training again was not tried"


def of_models(models: Sequence[TrainedModel]) -> Iterator[str]:
    """What a reader must know of the models themselves."""
    for model in models:
        yield from _of_model(model)


def of_training(models: Sequence[TrainedModel]) -> str:
    """What `bench train` prints: the models and what their training changed, ending in a line break."""
    blocks = [
        section(title(models), table(models)),
        section("what training changed, on held-out data", held_out(models)),
        "\n".join(of_models(models)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _of_model(model: TrainedModel) -> Iterator[str]:
    where = f"models.{model.name}"
    if model.error is not None:
        yield f"! {where}: not trained: {model.error}"
    if model.worse_than_base:
        on_dev = f"{number(model.dev)} against {number(model.dev_base)} {model.measure}"
        yield f"! {where}: worse than its base on dev: {on_dev}; it is kept, and not proposed"
    yield from (f"· {where}: {note}" for note in model.notes)
    if model.near_copies.count:
        count = f"{model.near_copies.count:,}"
        yield f"! {where}: training queries that are nearly evaluation queries: {count}{_example(model.near_copies)}"
    if model.leaks.count:
        why = "left out, because an evaluation query is the same"
        left_out = counted(model.leaks.count, f"training {_unit(model)}", why)
        yield f"· {where}: {left_out}{_example(model.leaks)}"
    if model.negatives is not None:
        yield f"· {where}: {_mined(model.negatives)}"
    chosen = [variant for variant in model.variants if variant.kept]
    others = [variant for variant in model.variants if not variant.kept]
    if chosen and others:
        told = "; ".join(f"{_options(variant.options)} {number(variant.dev)}" for variant in others)
        yield f"· {where}: dev chose {_options(chosen[0].options)} {number(chosen[0].dev)} over {told}"
    resumed = [str(seed.seed) for seed in model.seeds if seed.resumed_from is not None]
    if resumed:
        yield f"· {where}: interrupted, and went on from a checkpoint: seed {', '.join(resumed)}"


def _mined(negatives: MinedNegatives) -> str:
    by = "" if negatives.generator is None else f", written by {negatives.generator}"
    text = f"{negatives.found:,} of {negatives.wanted:,} negatives found ({negatives.strategy}{by})"
    if dropped := {rule: count for rule, count in negatives.dropped.items() if count}:
        text += f"; thrown out: {', '.join(f'{count:,} by {rule}' for rule, count in dropped.items())}"
    if negatives.relevant_elsewhere:
        text += f"; {negatives.relevant_elsewhere:,} of them relevant to some test query, which chooses none"
    return text


def _example(leaks: Leaks) -> str:
    if not leaks.examples:
        return ""
    first = leaks.examples[0]
    training, evaluation = beginning(first.training, _SHOWN_TEXT), beginning(first.evaluation, _SHOWN_TEXT)
    return f', such as "{training}" and "{evaluation}" ({first.split})'


def _options(options: dict[str, object]) -> str:
    return ",".join(f"{name}={value}" for name, value in options.items())


def _each(values: Sequence[float]) -> str:
    if len(values) <= _SHOWN_SEEDS:
        return " ".join(map(number, values))
    return f"{number(min(values))} to {number(max(values))} ({len(values)})"


def _change(before: float | None, after: float | None) -> str:
    """In per cent of what was before."""
    return DASH if after is None or not before else f"{100 * (after - before) / before:+.1f} %"
