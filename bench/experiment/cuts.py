"""The keys of `dataset` that the harness reads itself: how many queries are used, and how splits are cut from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from adapters.base import Options
from bench.experiment.synthetic import Use


def _whole_from_one(size: float) -> float:
    if size >= 1 and size != int(size):
        raise ValueError(f"must be a whole number of queries from 1 on, or a share below 1, got {size}")
    return size


Size: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_whole_from_one)]
"""A number of queries from 1 on, a share of them below."""


class TrainingQueries(Options):
    """Synthetic queries train, and the collection's own are evaluated."""

    train: Literal["synthetic"] = Field(description="synthetic: models learn from synthetic queries.")


class Cuts(Options):
    """Splits are cut by a hash of the query: equal queries stay together, and with shares a query keeps its
    split when others are added."""

    sample: Size | None = Field(
        None,
        description="How many of the split's judged queries are used, or which share of them below 1, chosen by a hash "
        "of the query; left out, all.",
    )
    test_size: Size | None = Field(
        None,
        description="How many of the queries are evaluated, or which share of them below 1, chosen by a hash of the "
        "query; models are never trained on these. Left out, all of the split are evaluated.",
    )
    dev_size: Size | None = Field(
        None,
        description="How many queries decide between models as they are trained, or which share below 1; left out, the "
        "collection's own dev split, or a tenth of the training queries, 50 to 500.",
    )

    queries: Literal["synthetic"] | TrainingQueries | None = Field(
        None,
        description="synthetic: the queries are those that `synthetic` describes, in training and in evaluation; "
        "{train: synthetic}: models learn from these, and the collection's own queries are evaluated. Left out, the "
        "collection's own alone.",
    )

    @staticmethod
    def means_queries(value: Any) -> bool:
        """Whether a value of `queries` is meant for the harness, where an adapter has an option of that name too."""
        return value == "synthetic" or isinstance(value, Mapping)

    @property
    def synthetic(self) -> Use | None:
        """What synthetic queries are used for; None where there are none."""
        return None if self.queries is None else "all" if self.queries == "synthetic" else "train"

    @model_validator(mode="after")
    def _leaves_some(self) -> Self:
        test, dev = self.test_size or 0, self.dev_size or 0
        if test < 1 and dev < 1 and test + dev >= 1:
            raise ValueError(f"test_size {test:g} and dev_size {dev:g} leave no query to train on")
        return self
