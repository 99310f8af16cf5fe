"""What came out of trainings, and what a result says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from bench.experiment.parts import TrainedPart, Variant
from bench.messages.failures import Failure
from bench.results.training import Leak, Leaks, MinedNegatives, TrainedModel, TrainedSeed, mean_over_seeds
from bench.results.training import Variant as VariantResult
from bench.train.job import SeedOutcome
from bench.train.lessons import Lessons
from bench.train.provenance import ModelProvenance, NegativeFacts

_EXAMPLES = 25  # leaks and near copies that a result lists


@dataclass(frozen=True, slots=True)
class VariantOutcome:
    """One member of a sweep, trained with every seed. dev: mean over the seeds of what decides."""

    variant: Variant
    seeds: tuple[SeedOutcome, ...]

    @property
    def dev(self) -> float | None:
        return mean_over_seeds([seed.dev for seed in self.seeds])

    @property
    def dev_base(self) -> float | None:
        """The same of what it started from."""
        return mean_over_seeds([seed.dev_base for seed in self.seeds])


@dataclass(frozen=True, slots=True)
class Outcome:
    """A model that was trained. kept: the variant that dev chose, one of all."""

    model: TrainedPart
    variants: tuple[VariantOutcome, ...]
    kept: VariantOutcome

    @property
    def chosen_seed(self) -> int:
        """The seed that is best on dev, from 1; the first of equals."""
        values = [known(seed.dev) for seed in self.kept.seeds]
        return values.index(max(values)) + 1

    @property
    def worse_than_base(self) -> bool | None:
        """Whether it is worse than what it started from, on dev and in the mean over its seeds; None where one of the
        two is not known."""
        dev, base = self.kept.dev, self.kept.dev_base
        return None if dev is None or base is None else dev < base


def known(value: float | None) -> float:
    """A value to choose by; one that is not defined is chosen last."""
    return -math.inf if value is None else value


def failed_model(model: TrainedPart, failure: Failure) -> TrainedModel:
    """A model that could not be trained."""
    return TrainedModel(
        name=model.name,
        makes=model.kind.makes,
        recipe=model.recipe,
        base=str(model.variants[0].options.base),
        options=_options(model.variants[0]),
        error=failure.cause,
    )


def trained_model(outcome: Outcome, lessons: Lessons) -> TrainedModel:
    """A model that was trained or found kept."""
    model, kept = outcome.model, outcome.kept
    first = kept.seeds[0].kept.provenance
    report = lessons.report(model)
    sweep = [
        VariantResult(options=dict(each.variant.swept), dev=each.dev, kept=each is kept)
        for each in outcome.variants
        if len(outcome.variants) > 1
    ]
    return TrainedModel(
        name=model.name,
        makes=model.kind.makes,
        recipe=model.recipe,
        base=str(model.variants[0].options.base),
        options=_options(kept.variant),
        measure=first.dev_measure,
        seeds=[_seed(each) for each in kept.seeds],
        chosen_seed=outcome.chosen_seed,
        worse_than_base=outcome.worse_than_base,
        pairs=first.data.rows,
        learns_from=first.data.learns_from,
        leaks=_leaks(report.leaks),
        near_copies=_leaks(report.near_copies),
        negatives=None if first.negatives is None else _mined(model, first.negatives),
        variants=sweep,
        notes=list(first.data.notes),
    )


def _options(variant: Variant) -> dict[str, Any]:
    values: dict[str, Any] = variant.options.model_dump(mode="json")
    return values


def _seed(outcome: SeedOutcome) -> TrainedSeed:
    found: ModelProvenance = outcome.kept.provenance
    return TrainedSeed(
        seed=outcome.number,
        key=found.key,
        dev=found.dev_after,
        dev_base=found.dev_before,
        kept_step=found.kept_step or 0,
        steps=found.steps or 0,
        seconds=found.seconds or 0.0,
        device=found.device or "unknown",
        precision=found.precision,
        reused=outcome.reused,
        resumed_from=found.resumed_from,
        before={each.measure: each.before for each in found.held_out},
        after={each.measure: each.after for each in found.held_out},
    )


def _leaks(found: Any) -> Leaks:
    examples = [
        Leak(training=each.training, evaluation=each.evaluation, split=each.split) for each in found[:_EXAMPLES]
    ]
    return Leaks(count=len(found), examples=examples)


def _mined(model: TrainedPart, found: NegativeFacts) -> MinedNegatives:
    assert model.negatives is not None
    return MinedNegatives(
        strategy=model.negatives.strategy,
        generator=found.generator,
        per_query=model.negatives.per_query,
        wanted=found.wanted or 0,
        found=found.found or 0,
        dropped=found.dropped,
        relevant_elsewhere=found.relevant_to_test,
    )
