"""What it costs that a search returns texts: a system beside the same system without them."""

from __future__ import annotations

import json

from bench.report.cells import DASH, mebibytes, without_unknown
from bench.report.latency import own_p50
from bench.results.model import Latency, Result, SystemResult


def table(result: Result) -> list[list[str]]:
    """A row for each system that returns texts and stands beside one that differs in nothing else."""
    without = {_pipeline(system): system for system in result.systems if not _returns_texts(system)}
    header = ["system", "beside", "own p50 ms", "without ms", "×", "disk MiB", "without MiB"]
    rows = [header]
    for system in result.systems:
        other = without.get(_pipeline(system)) if _returns_texts(system) else None
        if other is not None:
            times = [own_p50(system.latency), own_p50(other.latency), _ratio(system.latency, other.latency)]
            rows.append([system.name, other.name, *times, mebibytes(system.index_bytes), mebibytes(other.index_bytes)])
    known = without_unknown(rows, *header[2:])
    return known if len(rows) > 1 and len(known[0]) > 2 else []


def _returns_texts(system: SystemResult) -> bool:
    return system.pipeline.payload == "text"


def _pipeline(system: SystemResult) -> str:
    return json.dumps(system.pipeline.model_dump(mode="json", exclude={"payload"}), sort_keys=True)


def _ratio(latency: Latency | None, other: Latency | None) -> str:
    own, without = (None if one is None or one.own is None else one.own.p50_ms for one in (latency, other))
    return DASH if own is None or not without else f"{own / without:.2f}"
