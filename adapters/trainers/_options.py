"""The options that all recipes share: from what a training starts, how long it learns, and how it goes on."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from adapters.base import Options, PathText
from adapters.encoders.sentence_transformers import Prompts
from adapters.models import Device

Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
Schedule: TypeAlias = Literal["linear", "cosine", "constant"]

WITHOUT_WEIGHT = ("checkpoint_every", "gradient_checkpointing", "device")
"""Options that leave the weights as they are: they say how the work is done."""
OF_LAYERS = ("max_length", "frozen_layers", "gradient_checkpointing", "dropout")
"""Options that a table of vectors has no use for."""
LATER = ("dropout",)
"""Options that trainings of an earlier version did not know. Left out they are not named in what a training is, so that
those keep their key."""


class TrainingOptions(Options):
    """From what a training starts, how long it learns, and how it goes on."""

    base: PathText = Field(
        description="Model that the training starts from: a model of the file, trained:<name>, an id on the Hugging "
        "Face hub, a folder, or package:<distribution>/<path inside>."
    )
    revision: str | None = Field(
        None, description="Commit, branch or tag of the base on the hub; left out, the commit in the local cache."
    )
    trust_remote_code: bool = Field(
        False, description="Whether Python code that lies beside the base may run with your rights."
    )
    epochs: float = Field(1.0, gt=0, description="Passes over the training data; fractions count.")
    steps: int | None = Field(
        None, ge=1, description="Steps of the optimiser, instead of epochs; left out, as many as the epochs take."
    )
    batch_size: int = Field(64, ge=1, description="Examples that the model reads at once.")
    gradient_accumulation: int = Field(
        1, ge=1, description="Batches whose gradients are added up for one step, where a larger batch has no room."
    )
    learning_rate: float = Field(5e-5, gt=0, description="Size of a step once it has warmed up.")
    schedule: Schedule = Field("linear", description="How the learning rate falls after the warm-up.")
    warmup: float = Field(
        0.1, ge=0, description="Steps in which the learning rate rises: a share of all steps below 1, else their count."
    )
    weight_decay: float = Field(0.0, ge=0, description="Share by which weights shrink in a step, times learning rate.")
    max_length: int | None = Field(
        None,
        ge=4,
        description="Tokens that are read of a text in training; left out, as the base. The trained model reads as "
        "many as its base, or as many as these where they are more.",
    )
    precision: Precision = Field(
        "auto",
        description="Number format of the computation; the weights stay float32. auto takes bfloat16 where the device "
        "is fast with it, else float32.",
    )
    gradient_checkpointing: bool = Field(
        False, description="Whether activations are computed twice instead of kept: a third slower, far less memory."
    )
    frozen_layers: int = Field(
        0, ge=0, description="Layers of the transformer, from the lowest, that stay as in the base, embeddings too."
    )
    dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of activations that a step leaves out, wherever the base leaves some out; left out, as the "
        "base has it. On a processor 0 trains long texts more than twice as fast.",
    )
    evaluate_every: int | None = Field(
        None, ge=1, description="Steps between measurements on the dev split; left out, one at the end of each epoch."
    )
    patience: int | None = Field(
        None, ge=1, description="Measurements without a better one after which the training stops; left out, never."
    )
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        description="Steps between checkpoints, from which an interrupted training goes on; left out, one a minute, "
        "fewer where writing takes long.",
    )
    device: Device = Field("auto", description="Where the model trains; auto takes cuda, then mps, then cpu.")

    @field_validator("epochs", "learning_rate", "warmup", "weight_decay", "dropout")
    @classmethod
    def _is_finite(cls, value: float | None) -> float | None:
        if value is not None and not math.isfinite(value):
            raise ValueError("it must be a finite number")
        return value

    @field_validator("warmup")
    @classmethod
    def _is_a_share_or_a_count(cls, value: float) -> float:
        if value >= 1 and value != int(value):
            raise ValueError("give a share of all steps below 1, or a whole number of steps")
        return value

    @model_validator(mode="after")
    def _have_an_effect(self) -> TrainingOptions:
        self.refuse_idle("epochs", "steps left out", heeded=self.steps is None)
        return self


class EncoderTrainingOptions(TrainingOptions):
    """As all recipes, and the texts before queries and documents."""

    prompts: Prompts = Field(
        Prompts(),
        description="Texts put before queries and documents, in training and by the trained model; left out, those "
        "of the base.",
    )
