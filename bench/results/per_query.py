"""What a result's files hold of every query, as plain data to compare systems by."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.results.model import Result, ResultUnreadable, SystemResult
from bench.statistics.arrays import Labels
from bench.statistics.comparison import SystemFigures
from bench.statistics.measures import Measure
from bench.statistics.per_query import PerQuery, QueryFlags

PER_QUERY = "per_query.parquet"


class KeptFigures(NamedTuple):
    """systems: by name, those that were measured. clusters: int (n,), None where queries are resampled one by one."""

    query_ids: list[str]
    measures: list[Measure]
    systems: dict[str, SystemFigures]
    clusters: Labels | None


def read_figures(folder: Path, result: Result) -> KeptFigures:
    """The figures of a result folder. result: as read from it. Raises ResultUnreadable."""
    table = _table(folder)
    measures = [Measure.parse(text) for text in _measures(result)]
    entries = {entry.name: entry for entry in result.systems}
    first = table.filter(pc.and_(pc.equal(table["system"], table["system"][0]), pc.equal(table["build"], 1)))
    clusters = None
    if "cluster" in table.column_names and not first["cluster"].null_count:
        clusters = first["cluster"].to_numpy()
    systems = {
        name: _figures(table.filter(pc.equal(table["system"], name)), measures, entries[name])
        for name in pc.unique(table["system"]).to_pylist()
    }
    return KeptFigures(first["query_id"].to_pylist(), measures, systems, clusters)


def _table(folder: Path, columns: list[str] | None = None) -> pa.Table:
    path = folder / PER_QUERY
    try:
        return pq.read_table(path, columns=columns)
    except FileNotFoundError as error:
        raise ResultUnreadable(
            f"{path}: there is no such file; a run writes it at its end. Run the experiment to its end."
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise ResultUnreadable(f"{path}: cannot be read: {error}") from error


def read_failures(folder: Path) -> dict[str, QueryFlags]:
    """Which queries failed, by system that was measured: bool (n,), whether in any of its builds. Raises
    ResultUnreadable."""
    table = _table(folder, ["system", "build", "failed"])
    found = {}
    for name in pc.unique(table["system"]).to_pylist():
        rows = table.filter(pc.equal(table["system"], name))
        found[name] = rows["failed"].to_numpy().reshape(pc.max(rows["build"]).as_py(), -1).any(axis=0)
    return found


def _measures(result: Result) -> list[str]:
    """By the first system that was measured: all systems have the experiment's measures, the first of which decides."""
    return next(list(entry.measures) for entry in result.systems if entry.measures)


def _figures(rows: pa.Table, measures: list[Measure], entry: SystemResult) -> SystemFigures:
    """rows: build by build, of the same queries in the same order."""
    builds = pc.max(rows["build"]).as_py()
    index = entry.index
    return SystemFigures(
        values={measure: _values(rows, str(measure), builds) for measure in measures},
        partial=entry.status == "partial" if entry.incomplete is None else entry.incomplete,
        reproducible=index is None or index.reproducible or index.flat,
        filter=entry.pipeline.filter,
    )


def _values(rows: pa.Table, measure: str, builds: int) -> PerQuery | None:
    """float64 (builds, n), NaN where the measure is not defined; None where it is for no query."""
    column = rows[measure]
    if column.null_count == len(column):
        return None
    values: PerQuery = column.to_numpy().astype(np.float64).reshape(builds, -1)
    return values
