"""What the models of a result have in common."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

Options: TypeAlias = dict[str, Any]
"""An open mapping: its keys are those of an adapter, of a dataset or of an experiment file, and any may come."""

Interval: TypeAlias = tuple[float, float]
Payload: TypeAlias = Literal["none", "text"]
"""Low and high end."""


class Fields(BaseModel):
    """Whoever makes one names fields that there are. A reader of files leaves out what it does not know: see
    `read_result`."""

    model_config = ConfigDict(extra="forbid")
