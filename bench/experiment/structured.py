"""Structured examples with a label: texts such as the lines of a bank statement, made of a template and its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from adapters.base import Options

_PLACE = re.compile(r"\{([^{}]*)\}")


class NumberRange(Options):
    """Numbers that are drawn evenly."""

    lowest: float = Field(allow_inf_nan=False, description="The smallest number.")
    highest: float = Field(allow_inf_nan=False, description="The largest number.")
    decimals: int = Field(0, ge=0, le=9, description="Digits behind the point.")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.highest < self.lowest:
            raise ValueError(f"highest ({self.highest:g}) is below lowest ({self.lowest:g})")
        return self


def _kind(value: Any) -> str:
    return "dict" if isinstance(value, Mapping | NumberRange) else "list"


Values: TypeAlias = Annotated[
    Annotated[list[str | int | float], Field(min_length=1), Tag("list")] | Annotated[NumberRange, Tag("dict")],
    Discriminator(_kind),
]
"""What a field may hold: one of a list, or a number of a range."""


class Structured(Options):
    """Labelled examples, drawn by a seed."""

    template: str = Field(
        description="An example, with fields in braces, such as {merchant} {amount} {city}.", min_length=1
    )
    labels: dict[str, dict[str, Values]] = Field(
        min_length=2,
        description="The labels, each with the fields that are its own: a list of values, or {lowest, highest, "
        "decimals}. In the template, {label} is the label itself.",
    )
    fields: dict[str, Values] = Field({}, description="Fields that all labels share, in the same form.")
    per_label: int = Field(50, ge=1, le=100_000, description="Examples of each label.")
    seed: int | None = Field(None, ge=0, description="Seed of what is drawn; left out, the experiment's.")

    @property
    def places(self) -> Sequence[str]:
        """The fields of the template, in its order."""
        return _PLACE.findall(self.template)

    def fields_of(self, label: str) -> dict[str, Values]:
        """All fields of a label; its own come before shared ones of the same name."""
        return {"label": [label], **self.fields, **self.labels[label]}

    @model_validator(mode="after")
    def _is_filled(self) -> Self:
        if not self.places:
            raise ValueError("the template has no field, so that all examples would be the same")
        for label in self.labels:
            known = self.fields_of(label)
            if missing := [name for name in self.places if name not in known]:
                raise ValueError(f"the template has {{{missing[0]}}}, and label {label} has no field of that name")
            if idle := [name for name in self.labels[label] if name not in self.places]:
                raise ValueError(f"label {label} has a field {idle[0]}, which the template does not use")
        if idle := [name for name in self.fields if name not in self.places]:
            raise ValueError(f"fields has {idle[0]}, which the template does not use")
        return self
