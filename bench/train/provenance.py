"""Where a trained model comes from: what `provenance.json` in its folder says, and its model card after it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.base.trainer import TRAINED

FORMAT = 1
_SEED_OF = re.compile(rf"({TRAINED}[a-z0-9_-]+)#\d+")
IMPORTED = "imported"
"""The recipe of a model that was trained elsewhere."""


class _Model(BaseModel):
    """Readers ignore what they do not know: a later version may add fields."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class BaseModelOf(_Model):
    """The model that a training started from."""

    reference: str = Field(description="As the experiment names it.")
    identity: dict[str, str] = Field(
        {}, description="Its commit on the hub, or the hashes of its weights and of its settings."
    )


class SplitFacts(_Model):
    """One part of the data."""

    split: str | None = Field(None, description="Its name in the collection; null where it has none.")
    fingerprint: str = Field(description="Digest of its corpus, queries and judgements.")
    queries: int | None = Field(None, description="Queries with judgements.")
    documents: int | None = Field(None, description="Documents of the corpus.")


class DataFacts(_Model):
    """What the model learnt from, and what was kept from it."""

    name: str | None = Field(None, description="Name of the collection.")
    fingerprint: str | None = Field(None, description="Digest of the rows that the model learnt from.")
    train: SplitFacts | None = None
    dev: SplitFacts | None = Field(None, description="Decided when to stop and which weights to keep.")
    test: SplitFacts | None = Field(None, description="Decided nothing.")
    rows: int | None = Field(
        None, description="Rows that the model learnt from: pairs, pairs with a similarity, or documents."
    )
    learns_from: Literal["pairs", "scored", "documents", "structure"] | None = Field(
        None, description="What these rows are; structure: pairs that the structure of the documents gives."
    )
    leaks: int | None = Field(None, description="Pairs left out because their query is one of dev or test.")
    near_copies: int | None = Field(None, description="Training queries that share long runs of words with such a one.")
    notes: tuple[str, ...] = Field((), description="Sentences on the data for whoever uses the model.")


class NegativeFacts(_Model):
    """The hard negatives that were mined for the training."""

    options: dict[str, Any] = Field({}, description="Strategy and options as the experiment names them.")
    key: str | None = Field(None, description="Their key in the cache.")
    generator: str | None = Field(None, description="Provider and model of who wrote them; null where nobody did.")
    prompt: str | None = Field(
        None, description="What it was asked, with {query} and {passage} where the texts of a pair stood."
    )
    per_query: int | None = None
    wanted: int | None = Field(None, description="How many were wanted for all pairs.")
    found: int | None = Field(None, description="How many of them were found.")
    dropped: dict[str, int] = Field({}, description="Candidates that a rule threw out, by rule.")
    relevant_to_test: int | None = Field(None, description="Negatives that are relevant to some evaluation query.")


class HeldOut(_Model):
    """One measure on data that the training did not see."""

    measure: str
    split: str | None = None
    count: int | None = Field(None, description="How many queries, triplets or pairs it is the mean of.")
    before: float | None = Field(None, description="Of the untrained base; null where it was not measured.")
    after: float | None = Field(None, description="Of the trained model; null where it was not measured.")


class FileDigest(_Model):
    """A file of the model, as it was when the model was kept."""

    bytes: int = Field(ge=0)
    blake2b: str = Field(pattern="^[0-9a-f]{32}$")


class ModelProvenance(_Model):
    """Everything about a trained model that its weights do not say."""

    format: int = FORMAT
    key: str = Field(
        pattern="^[0-9a-f]{32}$", description="Digest of data, recipe, base and seed: its place in the cache."
    )
    name: str = Field(description="As the experiment names it, without the seed.")
    makes: Literal["encoder", "reranker"]
    recipe: str
    options: dict[str, Any] = Field({}, description="All options of the recipe, the defaults too.")
    base: BaseModelOf | None = None
    data: DataFacts = DataFacts()
    negatives: NegativeFacts | None = None
    seed: int | None = Field(None, description="Seed of this training; null for a model trained elsewhere.")
    seed_number: int | None = Field(None, ge=1, description="Which of the seeds of its name it is, from 1.")
    experiment: str | None = None
    created_at: str = Field(description="When the training ended, UTC, as ISO 8601 writes it.")
    seconds: float | None = Field(None, description="Wall time of the training, interrupted runs before included.")
    device: str | None = None
    precision: str | None = None
    versions: dict[str, str] = Field({}, description="Versions of the libraries that trained.")
    steps: int | None = None
    kept_step: int | None = Field(None, description="The step whose weights were kept.")
    epochs: float | None = None
    tokens: int | None = Field(None, description="Tokens of one pass over the data, as the model reads them.")
    parameters: int | None = None
    trainable_parameters: int | None = None
    resumed_from: int | None = Field(
        None, description="Step of the checkpoint that an interrupted training went on from."
    )
    dev_measure: str | None = Field(None, description="What dev decides by.")
    dev_before: float | None = Field(None, description="That measure of the untrained base.")
    dev_after: float | None = Field(None, description="That measure of the model.")
    held_out: tuple[HeldOut, ...] = Field((), description="Measures on data that the training did not see.")
    notes: tuple[str, ...] = Field((), description="Sentences for whoever uses the model.")
    files: dict[str, FileDigest] = Field({}, description="The files of the model's folder but this one.")

    @property
    def reference(self) -> str:
        """How commands name it: the name, and the seed's number where there is one."""
        return self.name if self.seed_number is None else f"{self.name}#{self.seed_number}"

    @property
    def family(self) -> tuple[str, ...]:
        """What the seeds of one model have in common. A base that is trained in the same run has seeds too, and rows
        that it chose differ with them."""
        options = _SEED_OF.sub(r"\1", json.dumps(self.options, sort_keys=True))
        base = _SEED_OF.sub(r"\1", self.base.reference) if self.base else ""
        train = self.data.train.fingerprint if self.data.train else ""
        return (self.name, self.recipe, options, base, train)


def read_provenance(text: str | bytes) -> ModelProvenance | None:
    """The provenance that a file holds; None where it is none of this program's."""
    try:
        return ModelProvenance.model_validate_json(text)
    except (ValidationError, RecursionError):
        return None


def options_as_columns(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options as one flat row: those of a mapping inside are named `outer.inner`."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            flat |= options_as_columns(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
