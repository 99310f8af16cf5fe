"""Raw samples as a table: timings.parquet, for whoever computes a figure again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from bench.experiment.file import LoadPoint
from bench.latency import ingest
from bench.latency.loops import COLUMNS
from bench.latency.samples import Samples


def samples_table(query_ids: Sequence[str], name: str, load: LoadPoint, samples: Samples, occasion: str) -> pa.Table:
    """One row per query that was sent. counted: whether figures come from it. disturbed: whether something disturbed
    its round. Beside the seconds of each stage stand the seconds of every encoder: encode_seconds.<encoder>."""
    n = len(samples.query)
    ids = pa.array(list(query_ids), type=pa.string())
    disturbed = np.isin(samples.round, samples.turn_round[samples.disturbed])
    columns = {
        "system": pa.array([name] * n, type=pa.string()),
        "load": pa.array([load.label] * n, type=pa.string()),
        "occasion": pa.array([occasion] * n, type=pa.string()),
        "phase": pa.array(np.where(samples.measured, "measured", "warm-up")),
        "round": pa.array(samples.round + 1),
        "repeated": pa.array(samples.round >= load.planned_rounds),
        "disturbed": pa.array(disturbed),
        "counted": pa.array(samples.counted),
        "query_id": ids.take(pa.array(samples.query)),
        "started_seconds": pa.array(samples.started),
        "failed": pa.array(samples.failed),
        "overlap": pa.array(samples.overlap),
    }
    for column, stage in enumerate(COLUMNS):
        columns[f"{stage}_seconds"] = pa.array(samples.seconds[:, column], from_pandas=True)
    for column, encoder in enumerate(samples.encoders):
        columns[f"encode_seconds.{encoder}"] = pa.array(samples.encoding[:, column], from_pandas=True)
    return pa.table(columns)


def written_table(name: str, load: LoadPoint, written: ingest.Written, occasion: str) -> pa.Table:
    """The batches that were written while queries ran, as further rows: phase `insert`, no query."""
    batches = written.batches
    text = {"system": name, "load": load.label, "occasion": occasion, "phase": "insert"}
    columns = {key: pa.array([value] * len(batches), type=pa.string()) for key, value in text.items()}
    columns["round"] = pa.array([batch.round + 1 for batch in batches], type=pa.int16())
    columns["failed"] = pa.array([batch.failed for batch in batches], type=pa.bool_())
    seconds = {
        "started_seconds": [batch.started for batch in batches],
        "wait_seconds": [batch.waited for batch in batches],
        "total_seconds": [batch.waited + batch.lasted for batch in batches],
    }
    return pa.table(columns | {key: pa.array(values, type=pa.float64()) for key, values in seconds.items()})
