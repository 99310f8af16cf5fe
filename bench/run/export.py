"""Training data for rerankers in the format that Cohere's fine-tuning took: query, relevant passages, hard negatives.

The service ended on 2025-09-15 (docs.cohere.com/changelog/2025-09-15-major-command-deprecations). The file remains
of use: cross-encoders train on the same three columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.cache.artifacts import write_atomically
from bench.data.dataset import Dataset
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.quality.collection import load_data
from bench.quality.stages import Emit
from bench.run.cache_use import using_cache
from bench.run.mining import MiningAhead, Wish, miners, miners_ahead
from bench.run.queries import left_alone, with_queries

MINIMUM_EXAMPLES = 256  # docs.cohere.com/docs/rerank-improving-the-results
SERVICE_IS_GONE = (
    "Cohere ended fine-tuning on 2025-09-15: no service takes this file any more. Train a cross-encoder on it instead "
    "(sentence-transformers: CrossEncoderTrainer), and use it here as `adapter: cross_encoder, model: FOLDER`."
)


class TrainingRow(BaseModel):
    """One line of the file. Every query has a relevant passage, and no passage is both relevant and negative."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1)
    relevant_passages: list[str] = Field(min_length=1)
    hard_negatives: list[str] = []

    @model_validator(mode="after")
    def _sound(self) -> TrainingRow:
        if not all(text.strip() for text in (self.query, *self.relevant_passages, *self.hard_negatives)):
            raise ValueError("a text is empty")
        if set(self.relevant_passages) & set(self.hard_negatives):
            raise ValueError("a passage is both relevant and a hard negative")
        return self


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. skipped: queries without a relevant passage that has text; notes: what a reader must know."""

    rows: int
    negatives: int
    skipped: int
    notes: tuple[str, ...]


def export_training(experiment: Experiment, output: Path, *, cache: Path, wish: Wish | None, emit: Emit) -> Exported:
    """Write the training file of an experiment's dataset split.

    wish: how hard negatives are found; None for none. Raises ConfigFaults when the data,
    the options or `max_cost` do not allow it, AdapterError when the encoder fails or its bill would pass `max_cost` on
    the way; what was paid for is kept.
    """
    with using_cache(experiment, cache, emit):
        experiment = with_queries(experiment, cache, emit)
        dataset = _loaded(experiment, cache)
        relevant = _relevant(dataset)
        negatives = {} if wish is None else _negatives(experiment, dataset, relevant, wish, cache, emit)
    rows, skipped = _rows(dataset, relevant, negatives)
    text = "".join(json.dumps(row.model_dump(), ensure_ascii=False) + "\n" for row in rows)
    write_atomically(output, text.encode("utf-8"))
    notes = [SERVICE_IS_GONE]
    if len(rows) < MINIMUM_EXAMPLES:
        notes.append(f"{len(rows):,} examples: the service asked for at least {MINIMUM_EXAMPLES}.")
    return Exported(len(rows), sum(len(row.hard_negatives) for row in rows), skipped, tuple(notes))


@contextmanager
def export_ahead(experiment: Experiment, *, cache: Path, wish: Wish, emit: Emit) -> Iterator[MiningAhead]:
    """What `export_training` would mine, checked. Nothing is billed, and nobody is asked. Raises ConfigFaults."""
    with left_alone(experiment, cache, emit) as (experiment, queries):
        dataset = _loaded(experiment, cache)
        pairs = _pairs(dataset, _relevant(dataset))
        with miners_ahead(experiment, wish, pairs, dataset, dataset.notes, cache, emit) as ahead:
            yield replace(ahead, queries=queries)


def _loaded(experiment: Experiment, cache: Path) -> Dataset:
    dataset = load_data(experiment, cache)
    if dataset.qrels is None or not dataset.has_text:
        raise ConfigFaults([f"{experiment.file}: dataset: training needs texts and judgements."])
    return dataset


def _relevant(dataset: Dataset) -> list[list[int]]:
    """Rows of the relevant documents of each query; judged documents outside the corpus have none."""
    found: list[list[int]] = [[] for _ in range(dataset.judged)]
    for query, row, grade in zip(*(column.tolist() for column in dataset.qrels_coded()), strict=True):
        if grade >= 1 and row < dataset.documents and dataset.document_texts[row].strip():
            found[query].append(row)
    return found


def _negatives(
    experiment: Experiment,
    dataset: Dataset,
    relevant: list[list[int]],
    wish: Wish,
    cache: Path,
    emit: Emit,
) -> dict[str, list[str]]:
    """Hard negatives by the query's id."""
    pairs = _pairs(dataset, relevant)
    with miners(experiment, wish, pairs, dataset, cache, emit) as ready:
        found = ready.mine(seed=experiment.settings.seed, cache=cache, emit=emit).table
    return dict(zip(pairs.column("query_id").to_pylist(), found.column("negatives").to_pylist(), strict=True))


def _pairs(dataset: Dataset, relevant: list[list[int]]) -> pa.Table:
    """Each query with the first of its relevant passages: it is mined for once, whatever number of them it has."""
    asked = [(i, rows[0]) for i, rows in enumerate(relevant) if rows]
    columns = {
        "query_id": [dataset.query_ids[query] for query, _ in asked],
        "document_id": [dataset.document_ids[row] for _, row in asked],
        "query": [dataset.query_texts[query] for query, _ in asked],
        "positive": [dataset.document_texts[row] for _, row in asked],
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _rows(
    dataset: Dataset, relevant: list[list[int]], negatives: Mapping[str, list[str]]
) -> tuple[list[TrainingRow], int]:
    rows: list[TrainingRow] = []
    for i, name in enumerate(dataset.query_ids):
        passages = _distinct(dataset.document_texts[row] for row in relevant[i])
        try:
            rows.append(
                TrainingRow(
                    query=dataset.query_texts[i], relevant_passages=passages, hard_negatives=negatives.get(name, [])
                )
            )
        except ValidationError:  # no relevant passage has text, or the query has none
            continue
    return rows, dataset.judged - len(rows)


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
