"""The round trip: whether a system finds the document that a question was written for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.base import DatasetSource, Flags, Tables
from bench.cache.artifacts import Cache
from bench.data.dataset import Dataset, load_dataset
from bench.data.written import EVALUATING, WrittenSource
from bench.experiment.parts import Experiment, Node, System
from bench.money.budget import Budget
from bench.quality.pipeline import Pipeline
from bench.quality.stages import Emit


def over_questions(source: DatasetSource, tables: Tables, questions: pa.Table) -> Dataset:
    """The collection with all questions as its queries, in their order."""
    written = WrittenSource(source, tables, questions, EVALUATING, title="synthetic")
    return load_dataset(
        written, name="synthetic", split=written.judged_split, needs_judgements=True, exclude_self=False
    )


def alone(experiment: Experiment, finder: System) -> Experiment:
    """The experiment with that system alone, and without a latency pass."""
    return replace(
        experiment, systems=(experiment.at(finder, 0),), baseline=None, models={}, loads=(), targets={}, trackers={}
    )


def found(
    experiment: Experiment, finder: System, top: int, dataset: Dataset, *, cache: Path, emit: Emit, budget: Budget
) -> Flags:
    """Which questions lead a system to one of their documents within its first `top`, bool (questions,). Raises what
    the system raises."""
    experiment = alone(experiment, finder)
    pipeline = Pipeline(experiment, dataset, Cache(cache), emit, budget)
    try:
        ranking = pipeline.ranking(Node(experiment.systems[0], top))
    finally:
        pipeline.close()
    coded = dataset.qrels_coded()
    flags = np.zeros(dataset.judged, np.bool_)
    for query, row in zip(coded.query_rows.tolist(), coded.document_rows.tolist(), strict=True):
        flags[query] |= row in ranking.rows[query]
    return flags
