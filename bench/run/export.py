"""Training data for rerankers in the format that Cohere's fine-tuning took: query, relevant passages, hard negatives.

The service ended on 2025-09-15 (docs.cohere.com/changelog/2025-09-15-major-command-deprecations). The file remains
of use: cross-encoders train on the same three columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adapters import registry
from adapters.base import EMPTY_ROW, Rows, Warned
from bench.cache.artifacts import write_atomically
from bench.cache.mark import cache_in_use
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import EncoderPair, Experiment, Searched, StoreChoice, System
from bench.messages.suggestions import suggestion
from bench.quality.collection import load_data
from bench.quality.pipeline import Pipeline
from bench.quality.stages import Emit
from bench.run.preflight import prepare_over

Negatives: TypeAlias = Literal["random", "bm25", "cosine"]

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


def export_training(
    experiment: Experiment,
    output: Path,
    *,
    cache: Path,
    negatives: Negatives,
    per_query: int,
    encoder: str | None,
    emit: Emit,
) -> Exported:
    """Write the training file of an experiment's dataset split.

    negatives: drawn at random, or the best-ranked documents by BM25 or by an encoder's vectors that are not judged
    relevant. Raises ConfigFaults when the data, the options or `max_cost` do not allow it, AdapterError when the
    encoder fails or its bill would pass `max_cost` on the way; what was paid for is kept.
    """
    system = _system(experiment, negatives, encoder)
    exported = replace(
        experiment,
        systems=() if system is None else (system,),
        loads=(),
        targets={},
        settings=experiment.settings.model_copy(update={"cluster": None}),
    )
    with cache_in_use(cache) as unmarked:
        if unmarked:
            emit(Warned("cache", unmarked))
        dataset = load_data(experiment, cache)
        if dataset.qrels is None or not dataset.has_text:
            raise ConfigFaults([f"{experiment.file}: dataset: training needs texts and judgements."])
        pipeline, _ = prepare_over(dataset, exported, cache, emit)
        try:
            candidates = _candidates(pipeline, system, per_query)
            rows, skipped = _rows(pipeline, candidates, per_query)
        finally:
            pipeline.close()
    text = "".join(json.dumps(row.model_dump(), ensure_ascii=False) + "\n" for row in rows)
    write_atomically(output, text.encode("utf-8"))
    notes = [SERVICE_IS_GONE]
    if len(rows) < MINIMUM_EXAMPLES:
        notes.append(f"{len(rows):,} examples: the service asked for at least {MINIMUM_EXAMPLES}.")
    return Exported(len(rows), sum(len(row.hard_negatives) for row in rows), skipped, tuple(notes))


def _system(experiment: Experiment, negatives: Negatives, encoder: str | None) -> System | None:
    """What finds the negatives, None where they are drawn. Raises ConfigFaults for an encoder that is not there."""
    if negatives == "random":
        return None
    if negatives == "bm25":
        return System("bm25", "--negatives", Searched(_choice("bm25"), None))
    known = experiment.encoders
    name = encoder or next(iter(known), None)
    if name is None or name not in known:
        wanted = name or "an encoder"
        raise ConfigFaults([f"{experiment.file}: encoders: {wanted} is not there. {suggestion(wanted, known)}"])
    return System("cosine", "--negatives", Searched(_choice("exact"), EncoderPair(name, name)))


def _candidates(pipeline: Pipeline, system: System | None, per_query: int) -> Rows:
    """Documents by query (n, depth). Those judged relevant are left out later."""
    dataset = pipeline.dataset
    coded = dataset.qrels_coded()
    relevant = int(np.bincount(coded.query_rows).max(initial=0))
    itself = 0 if system is not None or dataset.own_rows is None else 1  # a search leaves it out
    depth = min(per_query + relevant + itself, dataset.documents)
    if system is None:
        rng = np.random.default_rng(pipeline.experiment.settings.seed)
        rows = [rng.choice(dataset.documents, depth, replace=False) for _ in range(dataset.judged)]
        return np.array(rows, dtype=np.int32)
    return pipeline.candidates(system, depth).rows


def _choice(name: str) -> StoreChoice:
    kind = registry.load("stores", name)
    return StoreChoice(name, name, kind, kind.Index(), kind.Query(), kind.Connection(), "")


def _rows(pipeline: Pipeline, candidates: Rows, per_query: int) -> tuple[list[TrainingRow], int]:
    dataset = pipeline.dataset
    judged: list[dict[int, int]] = [{} for _ in range(dataset.judged)]
    for query, row, grade in zip(*(column.tolist() for column in dataset.qrels_coded()), strict=True):
        judged[query][row] = grade
    rows: list[TrainingRow] = []
    skipped = 0
    own = dataset.own_rows
    found = np.where(candidates == own[:, None], EMPTY_ROW, candidates) if own is not None else candidates
    for i, grades in enumerate(judged):
        passages = _distinct(pipeline, (row for row, grade in grades.items() if grade >= 1))
        known = set(passages)
        negatives = [
            text
            for text in _distinct(pipeline, (row for row in found[i].tolist() if grades.get(row, 0) < 1))
            if text not in known
        ]
        try:
            rows.append(
                TrainingRow(
                    query=dataset.query_texts[i], relevant_passages=passages, hard_negatives=negatives[:per_query]
                )
            )
        except ValidationError:
            skipped += 1
    return rows, skipped


def _distinct(pipeline: Pipeline, rows: Iterator[int]) -> list[str]:
    """The texts of rows, without empty ones and repetitions; judged documents outside the corpus have none."""
    documents, texts = pipeline.dataset.documents, pipeline.dataset.document_texts
    found = (texts[row] for row in rows if 0 <= row < documents)
    return list(dict.fromkeys(text for text in found if text.strip()))
