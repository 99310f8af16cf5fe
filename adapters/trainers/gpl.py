"""Generative pseudo labelling: an encoder learns by how much a teacher prefers a query's document to others that were
found for it. Queries may be written by a model, so that documents alone suffice.

Sources: Wang et al. 2022, GPL, https://arxiv.org/abs/2112.07577; margins: Hofstätter et al. 2020,
https://arxiv.org/abs/2010.02666.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from adapters.base import Answers, PathText, Questions, Similarity, TrainingData
from adapters.trainers._margins import mean_margins, pair_margins
from adapters.trainers._rows import LABEL, Column, Rows, negatives_by_place
from adapters.trainers._scored_by_teacher import TaughtOptions, TaughtTrainer

_COSINES = 0.05  # brings similarities of -1 to 1 to the scale of a cross-encoder's logits


class GplOptions(TaughtOptions):
    """How margins are learnt."""

    teacher: PathText = Field(
        description="Cross-encoder whose scores are learnt, or encoder whose similarities are: a reranker or an "
        "encoder of the file, trained:<name>, an id on the Hugging Face hub, a folder, or "
        "package:<distribution>/<path inside>."
    )
    batch_size: int = Field(32, ge=1, description="Examples that the model reads at once.")
    form: Literal["each", "mean"] = Field(
        "each",
        description="What is learnt: each, the margin between the relevant document and each other one, an example for "
        "each of them; mean, the margin between it and the mean of all others, an example for each pair.",
    )
    temperature: float | None = Field(
        None,
        gt=0,
        description="Divides the model's similarities, so that they reach the teacher's scale; left out, .05 where "
        "vectors are compared by cosine, else 1.",
    )
    teacher_temperature: float | None = Field(
        None,
        gt=0,
        description="Divides the teacher's scores; left out, 1 for a cross-encoder, whose logits count, and .05 for an "
        "encoder, whose similarities count.",
    )


class GplTrainer(TaughtTrainer):
    """Margins of a cross-encoder, or of another encoder."""

    name: ClassVar[str] = "gpl"
    encoders_teach: ClassVar[bool] = True
    Options = GplOptions

    _above = 0  # documents that the teacher prefers to the relevant one
    _asked = 0

    @property
    def recipe(self) -> Mapping[str, Any]:
        return {**super().recipe, "teacher_temperature": self._warmth}

    @property
    def _warmth(self) -> float:
        """What the teacher's scores are divided by."""
        given: float | None = self.options.teacher_temperature
        return self._teacher.temperature if given is None else given

    def _rows(self, table: pa.Table) -> Rows:
        self._check_pairs(table)
        columns: dict[str, Column] = {name: table.column(name).to_pylist() for name in ("query", "positive")}
        others = negatives_by_place(table)
        if self.options.form == "each":
            count = len(others)
            columns = {name: [text for text in texts for _ in range(count)] for name, texts in columns.items()}
            columns["negative"] = [text for texts in zip(*others.values(), strict=True) for text in texts]
        else:
            columns |= others
        columns[LABEL] = [0.0] * len(columns["query"])  # until the teacher says more
        prompts = {name: self._prompts["query" if name == "query" else "document"] for name in columns if name != LABEL}
        return Rows(columns, prompts={name: text for name, text in prompts.items() if text})

    def questions(self, data: TrainingData) -> Questions:
        table = self._table(data)
        self._check_pairs(table)
        positives, negatives = table.column("positive").to_pylist(), table.column("negatives").to_pylist()
        documents = [[positive, *others] for positive, others in zip(positives, negatives, strict=True)]
        return Questions(queries=table.column("query").to_pylist(), documents=documents)

    def _complete(self, rows: Rows, answers: Answers) -> Rows:
        margins = [(each[0] - each[1:]) / self._warmth for each in answers.scores]
        self._above, self._asked = sum(int((each < 0).sum()) for each in margins), sum(map(len, margins))
        wanted = [float(each.mean()) for each in margins] if self.options.form == "mean" else np.concatenate(margins)
        return replace(rows, columns={**rows.columns, LABEL: [float(margin) for margin in wanted]})

    def _loss(self, model: Any, rows: Rows) -> Any:
        by_cosine = self._base.similarity is Similarity.COSINE
        temperature = self.options.temperature or (_COSINES if by_cosine else 1.0)
        return (mean_margins if self.options.form == "mean" else pair_margins)(model, temperature)

    @property
    def _notes(self) -> tuple[str, ...]:
        return (
            f"It learnt margins of {self.options.teacher}, which prefers {self._above:,} of {self._asked:,} documents "
            "that were found for a query to its relevant one.",
        )
