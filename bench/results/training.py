"""What a result holds of the models that its experiment trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from bench.results.fields import Fields, Options


class TrainedSeed(Fields):
    """One training of a model: the same data and recipe, with what is drawn at random by one seed.

    The measures `before` and `after` are of held-out data, named as they are shown: `nDCG@10`, `triplet accuracy`,
    `Spearman`.
    """

    seed: int = Field(description="Seed by which this training drew, counted from 1.")
    key: str = Field(description="Digest of data, recipe, base and seed, by which the trained model is kept.")
    dev: float | None = Field(
        None, description="The measure that decides, on the dev split, of the weights that were kept; null where none."
    )
    dev_base: float | None = Field(
        None,
        description="The measure that decides, on the dev split, of the model before its training; null where it has "
        "none because parts of it were yet to be learned.",
    )
    kept_step: int = Field(description="Step whose weights were kept.")
    steps: int = Field(description="Steps that the training took.")
    seconds: float = Field(description="Seconds that the training took, in whatever run it was made.")
    device: str = Field(description="Device that trained it.")
    precision: str | None = Field(None, description="Number format that it was trained in; null where not known.")
    reused: bool = Field(False, description="Whether the trained model was there before this run.")
    resumed_from: int | None = Field(
        None, description="Step of the checkpoint that an interrupted training went on from; null where it was not."
    )
    before: dict[str, float | None] = Field({}, description="Measures on held-out data before the training.")
    after: dict[str, float | None] = Field({}, description="Measures on held-out data after the training.")


class Leak(Fields):
    """A text that stands in the training data and, the same or nearly, among the queries that models are judged by."""

    training: str = Field(description="Query as the training data has it.")
    evaluation: str = Field(description="Query as the evaluation has it.")
    split: str = Field(description="Split of the evaluation that has it: `dev` or `test`.")


class Leaks(Fields):
    """How many there were, and some of them."""

    count: int = Field(0, description="How many there were in all.")
    examples: list[Leak] = Field([], description="Some of them, the first ones.")


class MinedNegatives(Fields):
    """The negatives that were looked for."""

    strategy: str = Field(description="How they were looked for, such as `top` or `hybrid`.")
    generator: str | None = Field(
        None, description="Provider and model of who wrote them; null where they are documents of the collection."
    )
    per_query: int = Field(description="How many each pair was to have.")
    wanted: int = Field(description="How many were wanted for all pairs.")
    found: int = Field(description="How many of them were found.")
    dropped: dict[str, int] = Field({}, description="How many candidates were thrown out, by the rule that did.")
    relevant_elsewhere: int | None = Field(
        None,
        description="How many of those found are relevant to some query of the test split, whose judgements choose "
        "none; null where not known.",
    )


class Variant(Fields):
    """One member of a sweep."""

    options: Options = Field(description="What it has of the options that the sweep multiplies.")
    dev: float | None = Field(description="Mean over its seeds of the measure that decides on dev; null where none.")
    kept: bool = Field(description="Whether dev chose it.")


class TrainedModel(Fields):
    """A model of the experiment's `models`, over all its seeds."""

    name: str = Field(description="Name of the model in the experiment, used as `trained:NAME`.")
    makes: Literal["encoder", "reranker"] = Field(description="What it is trained to be: `encoder` or `reranker`.")
    recipe: str = Field(description="Name of the recipe that trained it.")
    base: str = Field(description="Model that it started from, as the experiment names it.")
    options: Options = Field({}, description="The recipe's options as they took effect, as the recipe names them.")
    measure: str | None = Field(None, description="Measure on dev that decides; null where there is no dev split.")
    seeds: list[TrainedSeed] = Field([], description="One entry for each seed, in order.")
    chosen_seed: int | None = Field(
        None,
        description="Seed that dev chose, which latency and a generated retriever use; null where there is none.",
    )
    worse_than_base: bool | None = Field(
        None,
        description="Whether it is worse than its base on dev, by the mean over its seeds, so that it is never "
        "proposed; null where that is not known.",
    )
    pairs: int | None = Field(
        None,
        description="How many pairs, or texts where `learns_from` is `documents`, it learned from, leaks left out; "
        "null where it was not trained.",
    )
    learns_from: Literal["pairs", "scored", "documents", "structure"] | None = Field(
        None,
        description="What `pairs` counts: pairs of the judgements, pairs with a similarity, documents (and queries) "
        "without labels, or pairs that the structure of the documents gives; null where not known.",
    )
    leaks: Leaks = Field(
        Leaks(), description="Training pairs that were left out because an evaluation query equals theirs."
    )
    near_copies: Leaks = Field(
        Leaks(), description="Training pairs whose query is nearly one of the evaluation; they were kept."
    )
    negatives: MinedNegatives | None = Field(
        None, description="The negatives that were looked for; null where it learned without."
    )
    variants: list[Variant] = Field([], description="Members of the sweep that it comes from; empty without a sweep.")
    error: str | None = Field(None, description="Why it could not be trained; null where it could.")
    notes: list[str] = Field([], description="What a reader must know of this model, a sentence each.")

    @property
    def dev(self) -> float | None:
        """Mean over the seeds on dev; None where a seed has none."""
        return mean_over_seeds([seed.dev for seed in self.seeds])

    @property
    def dev_base(self) -> float | None:
        """The same before the training."""
        return mean_over_seeds([seed.dev_base for seed in self.seeds])


def mean_over_seeds(values: Sequence[float | None]) -> float | None:
    """None where a seed has no value, or there is no seed."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
