"""What a run records of every query: Parquet files for whoever computes a figure again, events for trackers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.base import QueryScored
from bench.cache.artifacts import write_atomically
from bench.cache.own_files import own_folder
from bench.quality.evaluation import Evaluated
from bench.quality.pipeline import Pipeline
from bench.quality.trec import write_run_file
from bench.results.per_query import PER_QUERY
from bench.results.rankings import run_file
from bench.results.texts import JUDGEMENTS, TEXTS
from bench.run.texts import write_judgements, write_texts
from bench.statistics.arrays import Labels

TABLES = (PER_QUERY, "timings.parquet", JUDGEMENTS, TEXTS)


class RunFiles:
    """The rankings of a run as files of its folder. written: those that were."""

    def __init__(self, folder: Path, pipeline: Pipeline) -> None:
        self._folder = folder
        self._pipeline = pipeline
        self.written: set[Path] = set()

    def write(self, evaluated: Evaluated) -> list[Path]:
        """Write a system's rankings that do not stand in the folder; their files."""
        system, written = evaluated.system, []
        for build, ranking in enumerate(evaluated.rankings):
            path = run_file(self._folder, system.name, build)
            if path not in self.written or not path.is_file():
                ids, query_ids = self._pipeline.materials.document_ids, self._pipeline.dataset.query_ids
                own_folder(path.parent)
                write_run_file(path, query_ids, ids, ranking.rows, ranking.scores, system.name)
                written.append(path)
        self.written.update(written)
        return written


def write_tables(
    folder: Path,
    pipeline: Pipeline,
    evaluated: Sequence[Evaluated],
    timings: Sequence[pa.Table],
    clusters: Labels | None,
) -> None:
    """per_query.parquet (a row per system, build and query), timings.parquet (a row per sample), and what is kept of
    the collection, where there is something to write. timings: tables of raw samples. clusters: int (n,), which queries
    are resampled together."""
    parts = [part for one in evaluated for part in _per_query(pipeline, one, clusters)]
    if parts:
        _write_parquet(pa.concat_tables(parts), folder / TABLES[0])
    if timings:
        _write_parquet(pa.concat_tables(timings, promote_options="default"), folder / TABLES[1])
    if parts:
        dataset, texts = pipeline.dataset, pipeline.experiment.settings.texts
        write_judgements(folder / JUDGEMENTS, dataset)
        write_texts(folder / TEXTS, dataset, [one.ranking.rows for one in evaluated], wanted=texts)


def _per_query(pipeline: Pipeline, evaluated: Evaluated, clusters: Labels | None) -> Iterator[pa.Table]:
    ids = pa.array(list(pipeline.dataset.query_ids), type=pa.string())
    for build in range(len(evaluated.rankings)):
        columns = {
            "system": pa.array([evaluated.system.name] * len(ids)),
            "build": pa.array(np.full(len(ids), build + 1, np.int32)),
            "query_id": ids,
            "cluster": pa.nulls(len(ids), pa.int64()) if clusters is None else pa.array(clusters, pa.int64()),
            "failed": pa.array(evaluated.rankings[build].failed),
        }
        for measure, values in evaluated.values.items():
            columns[str(measure)] = (
                pa.nulls(len(ids), pa.float64()) if values is None else pa.array(values[build], from_pandas=True)
            )  # from_pandas: NaN, which stands for a query without a defined measure, becomes null
        yield pa.table(columns)


def _write_parquet(table: pa.Table, path: Path) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    write_atomically(path, buffer.getvalue().to_pybytes())


def scored_queries(
    pipeline: Pipeline,
    evaluated: Evaluated,
    scores: Mapping[str, npt.NDArray[np.float64]],
    seconds: Mapping[int, Mapping[str, float]],
    usd_per_1000: float | None,
) -> Iterator[QueryScored]:
    """One event per query of a system.

    scores: by measure, one value per query, NaN where it is not defined. seconds: live seconds by query position and
    stage. usd_per_1000: what 1,000 queries cost, None where it is unknown.
    """
    dataset, names = pipeline.dataset, pipeline.materials.document_ids
    texts = dataset.has_text and pipeline.experiment.settings.texts
    expected: list[dict[str, int]] = [{} for _ in range(dataset.judged)]
    if dataset.qrels is not None:
        coded = dataset.qrels_coded()
        for query, row, grade in zip(*(column.tolist() for column in coded), strict=True):
            expected[query][names[row]] = grade
    money = {} if usd_per_1000 is None else {"usd": usd_per_1000 / 1000}
    ranking = evaluated.ranking
    for i, query_id in enumerate(dataset.query_ids):
        yield QueryScored(
            system=evaluated.system.name,
            query_id=query_id,
            query=dataset.query_texts[i] if texts else None,
            output=[names[row] for row in ranking.rows[i] if row >= 0],
            expected=expected[i],
            scores={measure: float(values[i]) for measure, values in scores.items() if not np.isnan(values[i])},
            metrics={**seconds.get(i, {}), **money},
            failed=bool(ranking.failed[i]),
        )
