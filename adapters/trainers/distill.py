"""Distillation: a small encoder learns the vectors of a large one, of queries and documents or of queries alone.

Sources. Vectors as what is learnt: Reimers and Gurevych 2020, https://arxiv.org/abs/2004.09813. The query side alone,
before documents that the large model embedded: Kim et al. 2023, EmbedDistill, https://arxiv.org/abs/2301.12005.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from adapters.base import (
    Answers,
    Floats,
    InvalidOptions,
    LearnsFrom,
    PathText,
    Questions,
    Role,
    Similarity,
    TrainingData,
)
from adapters.encoders.sentence_transformers import SentenceTransformersEncoder
from adapters.trainers._encoder import EncoderTrainer, as_option
from adapters.trainers._options import EncoderTrainingOptions
from adapters.trainers._projection import fitted, projected
from adapters.trainers._recipe import keep_layers
from adapters.trainers._rows import LABEL, Rows, check_documents
from adapters.trainers._task import Task
from adapters.trainers._teacher import Teacher

_OPENING = 32  # words of a document that stand for a query, which is as short
_FITTED = 4_096  # texts by which a projection is begun, evenly over all
_ENDS = ".?!。？！"

_NAMES = {Similarity.COSINE: "cosine", Similarity.DOT: "dot", Similarity.L2: "euclidean"}


class DistillOptions(EncoderTrainingOptions):
    """Whose vectors are learnt, of which texts, and by what measure."""

    teacher: PathText = Field(
        description="Encoder whose vectors are learnt: an encoder of the file, trained:<name>, an id on the Hugging "
        "Face hub, a folder, or package:<distribution>/<path inside>."
    )
    side: Literal["both", "query"] = Field(
        "both",
        description="What is learnt: both, the vectors of documents and queries; query, those of queries alone, so "
        "that documents stay embedded by the teacher.",
    )
    layers: int | None = Field(
        None,
        ge=1,
        description="Layers of the base's transformer that are kept, evenly from the first to the last, which makes a "
        "small model of a large one; left out, all.",
    )
    loss: Literal["mse", "cosine"] = Field(
        "mse",
        description="How far a vector is from the teacher's: mse, by the mean square of the differences; cosine, by "
        "the angle.",
    )
    projection: bool | None = Field(
        None,
        description="Whether a linear layer at the end brings the vectors into the teacher's space; it stays in the "
        "model. Left out, where the dimensions differ.",
    )


class DistillTrainer(EncoderTrainer):
    """The vectors of a teacher."""

    name: ClassVar[str] = "distill"
    learns_from: ClassVar[LearnsFrom] = "documents"
    references: ClassVar[tuple[str, ...]] = ("base", "teacher")
    Options = DistillOptions

    _vectors: Floats | None = None

    def check(self) -> None:
        super().check()
        with as_option("teacher"):
            self._teacher.check(encodes=True)
        if self._base.static:
            self._refuse_idle("layers", f"{self.options.base} is a table of vectors")
        own, wanted = self._base.dimension, self._taught_by.dimension
        if self.options.projection is False and own != wanted:
            raise InvalidOptions(
                f"{self.options.base} gives {own} dimensions and {self.options.teacher} {wanted}, so that the vectors "
                "of one cannot be those of the other. Leave projection out: a layer brings them there.",
                key="projection",
            )
        if self.options.loss == "cosine" and self._similarity is not Similarity.COSINE:
            raise InvalidOptions(
                f"{self.options.teacher} is compared by {self._similarity}, for which lengths count, and cosine does "
                "not learn them. Take loss: mse.",
                key="loss",
            )

    @property
    def starts_from_base(self) -> bool:
        return not self._projects and self.options.layers is None

    @property
    def queries_alone(self) -> bool:
        return bool(self.options.side == "query")

    @property
    def teacher(self) -> SentenceTransformersEncoder:
        return self._teacher.encoder()

    @cached_property
    def _teacher(self) -> Teacher:
        return Teacher(
            self.options.teacher,
            self.context,
            device=self.options.device,
            trusted=self.options.trust_remote_code,
        )

    @cached_property
    def _taught_by(self) -> SentenceTransformersEncoder:
        """The teacher, asked for what its files say."""
        return self._teacher.encoder()

    @property
    def _similarity(self) -> Similarity:
        return self._taught_by.similarity

    @property
    def _projects(self) -> bool:
        if self.options.projection is not None:
            return bool(self.options.projection)
        return self._base.dimension != self._taught_by.dimension

    # -- what it learns from -------------------------------------------------------------------------------------------

    def _table(self, data: TrainingData) -> pa.Table:
        """Columns role and text: queries first, then documents, or what stands for queries in them."""
        documents = data.of("documents")
        check_documents(documents)
        queries: list[str] = [] if data.queries is None else data.queries.column("text").to_pylist()
        texts = documents.column("text").to_pylist()
        role: Role = "document"
        if self.queries_alone:
            role, known = "query", set(queries)
            texts = [text for text in dict.fromkeys(map(_opening, texts)) if text not in known]
        roles = ["query"] * len(queries) + [role] * len(texts)
        return pa.table({"role": pa.array(roles, pa.string()), "text": pa.array([*queries, *texts], pa.string())})

    def _rows(self, table: pa.Table) -> Rows:
        prompts = self._prompts
        roles, texts = table.column("role").to_pylist(), table.column("text").to_pylist()
        nothing = [0.0] * self._taught_by.dimension  # what stands for the vectors that the teacher is yet to give
        # Both roles stand in one column, which has one prompt for all.
        prompted = [prompts[role] + text for role, text in zip(roles, texts, strict=True)]
        return Rows({"text": prompted, LABEL: [nothing] * len(texts)})

    def questions(self, data: TrainingData) -> Questions:
        return Questions(_by_role(self._table(data)))

    def _complete(self, rows: Rows, answers: Answers) -> Rows:
        # Queries stand before documents in the examples, as they do in `_table`.
        vectors = np.concatenate([answers.vectors[role] for role in ("query", "document") if role in answers.vectors])
        if self._similarity is Similarity.COSINE:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        self._vectors = vectors.astype(np.float32)
        labels = pa.FixedSizeListArray.from_arrays(pa.array(self._vectors.ravel()), vectors.shape[1])
        return Rows({**rows.columns, LABEL: labels}, prompts=rows.prompts)

    # -- the model -----------------------------------------------------------------------------------------------------

    def _model(self, seed: int, device: str) -> Any:
        model = super()._model(seed, device)
        if self.options.layers is not None:
            keep_layers(model, self.options.layers, self.options.base)
        cosine = self._similarity is Similarity.COSINE
        width = self._taught_by.dimension if self._projects else None
        made = projected(model, width, unit_length=cosine, seed=seed)
        made.similarity_fn_name = _NAMES[self._similarity]
        return made.to(device)

    def _task(self, rows: Rows, seed: int) -> Task:
        task = super()._task(rows, seed)
        if self._projects and self._vectors is not None:
            places = range(0, len(rows), max(1, -(-len(rows) // _FITTED)))
            fitted(task.model, [rows.columns["text"][place] for place in places], self._vectors[list(places)])
        return task

    def _loss(self, model: Any, rows: Rows) -> Any:
        from sentence_transformers.sentence_transformer import losses

        return losses.EmbedDistillLoss(model, distance_metric=self.options.loss)

    @property
    def _notes(self) -> tuple[str, ...]:
        side = f" It encodes queries; documents are embedded by {self.options.teacher}." if self.queries_alone else ""
        return (f"It learnt the vectors of {self.options.teacher} and gives vectors in its space.{side}",)


def _by_role(table: pa.Table) -> dict[Role, list[str]]:
    """The texts of each role that is there."""
    found: dict[Role, list[str]] = {}
    for role, text in zip(table.column("role").to_pylist(), table.column("text").to_pylist(), strict=True):
        found.setdefault(role, []).append(text)
    return found


def _opening(text: str) -> str:
    """The beginning of a document, about as long as a query: its first sentence, or its first words."""
    words = text.split()[:_OPENING]
    for count, word in enumerate(words, start=1):
        if count >= 4 and word[-1] in _ENDS:
            return " ".join(words[:count])
    return " ".join(words)
