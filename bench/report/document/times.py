"""How the times of queries are distributed, from the samples of the latency pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.report.document.source import Source

FEWEST = 20
"""Samples under which there is no distribution."""
_SHARES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
_COLUMNS = ("system", "load", "phase", "counted", "failed", "total_seconds")


def distributions(source: Source) -> list[Mapping[str, Any]]:
    """Of each system under its first load point: nearest-rank percentiles of the whole time as it was sent, in
    milliseconds, from the samples that count."""
    table = source.timings
    if table is None or any(name not in table.column_names for name in _COLUMNS):
        return []
    first = next((system.latency.load for system in source.systems if system.latency is not None), None)
    right = pc.and_(pc.equal(table["phase"], "measured"), pc.equal(table["load"], first or ""))
    right = pc.and_(right, pc.and_(table["counted"], pc.invert(table["failed"])))
    samples = table.filter(pc.fill_null(right, False)).select(["system", "total_seconds"])
    found: list[Mapping[str, Any]] = []
    for name in source.places:
        values = _sorted(samples, name)
        if len(values) >= FEWEST:
            ranks = {share: float(values[math.ceil(p * len(values)) - 1]) for share, p in _SHARES.items()}
            found.append({"system": name, "load": first, "samples": len(values), **ranks})
    return found


def _sorted(samples: pa.Table, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    column = samples.filter(pc.equal(samples["system"], name))["total_seconds"].drop_null()
    return np.sort(column.to_numpy()) * 1000.0
