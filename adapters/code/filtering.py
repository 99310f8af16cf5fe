"""Filters over the columns that an index keeps of its documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.code.comparing import Comparison, comparable, passed


def passing(table: pa.Table, conditions: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.bool_]:
    """Which rows pass all conditions: bool (rows,). A condition names its column and how values are compared."""
    result = np.ones(table.num_rows, np.bool_)
    for condition in conditions:
        asked = Comparison(condition["operator"], tuple(condition["values"]), condition["as_time"])
        result &= passed(asked, comparable(table.column(condition["column"])))
    return result
