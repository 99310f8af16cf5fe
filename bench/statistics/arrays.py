"""The types of the arrays that figures are computed from.

They have names of their own, because this room imports numpy alone: `adapters.base` has `Rows` and `Floats` for what
crosses a contract, and loads pydantic.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ranked: TypeAlias = npt.NDArray[np.int32]
"""Documents by place, -1 for an empty place: (queries, width)."""

Scores: TypeAlias = npt.NDArray[np.float32]
"""Their scores, -inf for an empty place."""

Values: TypeAlias = npt.NDArray[np.float64]
"""Figures: of queries, of builds and queries, or of samples."""

Labels: TypeAlias = npt.NDArray[np.integer]
"""A group's number for every query."""
