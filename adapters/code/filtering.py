"""Filters over the columns that an index keeps of its documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.code.comparing import Comparison, comparable, passed


class Conditions:
    """Tells which rows of a table pass all conditions. A condition names its column and how values are compared."""

    def __init__(self, *, conditions: Sequence[Mapping[str, Any]]) -> None:
        self._conditions = conditions

    def __call__(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Which rows pass: bool (rows,)."""
        result = np.ones(table.num_rows, np.bool_)
        for condition in self._conditions:
            asked = Comparison(condition["operator"], tuple(condition["values"]), condition["as_time"])
            result &= passed(asked, comparable(table.column(condition["column"])))
        return result
