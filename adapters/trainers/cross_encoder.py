"""Cross-encoders: a transformer learns to score a query and a document that it reads together.

Sources. Lists: Cao et al. 2007, ListNet; Gao et al. 2021, https://arxiv.org/abs/2101.08751 (the relevant document
against hard negatives). LambdaLoss: Wang et al. 2018, https://marc.najork.org/papers/cikm2018.pdf. Margins of a
teacher: Hofstätter et al. 2020, https://arxiv.org/abs/2010.02666.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias

import pyarrow as pa
from pydantic import Field, model_validator

from adapters.base import (
    Answers,
    Context,
    Encoder,
    Floats,
    LearnsFrom,
    Makes,
    PathText,
    Questions,
    Reranker,
    ScoresPairs,
    TrainingData,
    TrainingPlan,
)
from adapters.cross_encoders import is_cross_encoder
from adapters.models import Model, locate, resolve_device
from adapters.trainers._encoder import as_option
from adapters.trainers._list_losses import WHOLE, of_probabilities, pair_by_pair
from adapters.trainers._options import TrainingOptions
from adapters.trainers._ranking import check_negatives, mixed, outnumbered, ranked_lists, shares, tuples
from adapters.trainers._recipe import LocalTrainer
from adapters.trainers._rows import LABEL, Rows, check_pairs, negatives_by_place, pairs_in_batch
from adapters.trainers._task import Library
from adapters.trainers._teacher import Teacher
from adapters.trainers._untrained import Head, check_base, untrained

Loss: TypeAlias = Literal["list_net", "binary_cross_entropy", "lambda", "multiple_negatives", "margin_mse"]

_READ_AT_ONCE = 32  # pairs, where the model is asked for scores


class CrossEncoderTrainingOptions(TrainingOptions):
    """From what a cross-encoder starts, and by what it learns to rank."""

    batch_size: int = Field(
        16, ge=1, description="Queries, each with its relevant documents and negatives, that the model reads at once."
    )
    max_length: int | None = Field(
        None,
        ge=8,
        description="Tokens that are read of query and document together, in training and by the trained model; left "
        "out, as many as the base's transformer reads.",
    )
    loss: Loss = Field(
        "list_net",
        description="What is learnt: list_net, the order of a query's documents; binary_cross_entropy, relevant or "
        "not, pair by pair; lambda, the measure nDCG; multiple_negatives, the relevant document among others of the "
        "batch; margin_mse, by how much a teacher prefers it.",
    )
    head: Head | None = Field(
        None,
        description="What makes a score where the base has no head: mean, a layer on the mean of all tokens, or "
        "classifier, the architecture's own on the first token; left out, mean.",
    )
    pos_weight: float | None = Field(
        None,
        gt=0,
        description="Weight of a relevant pair in binary_cross_entropy; left out, as many as there are negatives to a "
        "relevant document.",
    )
    top: int | None = Field(
        None, ge=1, description="First places that lambda cares for, such as 10; left out, the whole list."
    )
    in_batch_negatives: int = Field(
        4, ge=1, description="Documents of other queries of the batch that multiple_negatives draws for each query."
    )
    cached: bool = Field(
        False, description="Whether multiple_negatives reads a batch in parts, so that a large one fits in memory."
    )
    mini_batch: int = Field(32, ge=1, description="Pairs that are read at once of a batch in parts.")
    teacher: PathText | None = Field(
        None,
        description="Model whose scores are learnt, named as the base: a cross-encoder, or an encoder, whose "
        "similarities count. For margin_mse, or list_net, which learns a mixture of them and the judgements.",
    )
    teacher_share: float = Field(
        0.5, gt=0, le=1, description="Share of the teacher in what list_net learns; the rest is the judgements'."
    )
    teacher_temperature: float | None = Field(
        None,
        gt=0,
        description="What the teacher's scores are divided by; left out, 1 for a cross-encoder and .05 for an encoder.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> CrossEncoderTrainingOptions:
        loss = self.loss
        if loss == "margin_mse" and self.teacher is None:
            raise ValueError("loss: margin_mse needs a teacher, such as teacher: trained:<name>")
        taught = self.teacher is not None
        self.refuse_idle("pos_weight", "loss: binary_cross_entropy", heeded=loss == "binary_cross_entropy")
        self.refuse_idle("top", "loss: lambda", heeded=loss == "lambda")
        for option in ("in_batch_negatives", "cached"):
            self.refuse_idle(option, "loss: multiple_negatives", heeded=loss == "multiple_negatives")
        self.refuse_idle("mini_batch", "cached: true", heeded=self.cached)
        self.refuse_idle("teacher", "loss: list_net or margin_mse", heeded=loss in ("list_net", "margin_mse"))
        self.refuse_idle("teacher_share", "loss: list_net and a teacher", heeded=loss == "list_net" and taught)
        self.refuse_idle("teacher_temperature", "a teacher", heeded=taught)
        return self


class CrossEncoderTrainer(LocalTrainer):
    """Reads a query and a document together, and learns which document answers it better."""

    name: ClassVar[str] = "cross_encoder"
    makes: ClassVar[Makes] = "reranker"
    learns_from: ClassVar[LearnsFrom] = "pairs"
    takes_negatives: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("base", "teacher")
    Options = CrossEncoderTrainingOptions
    library: ClassVar[Library] = "CrossEncoder"

    def __init__(self, options: CrossEncoderTrainingOptions, context: Context = Context()) -> None:
        super().__init__(options, context)

    def check(self) -> None:
        """Raises ModelNotFound, or InvalidOptions for a base or teacher that cannot serve. Loads nothing."""
        super().check()
        options = self.options
        check_base(
            self._base,
            head=options.head,
            max_length=options.max_length,
            trust_remote_code=options.trust_remote_code,
        )
        self._check_frozen()
        if self._teacher is not None:
            with as_option("teacher"):
                self._teacher.check()
        resolve_device(options.device)

    @property
    def needs_negatives(self) -> bool:
        return bool(self.options.loss != "multiple_negatives")

    @property
    def starts_from_base(self) -> bool:
        return is_cross_encoder(self._base)

    @cached_property
    def _base(self) -> Model:
        with as_option("base"):
            return locate(
                self.options.base, self.context, revision=self.options.revision, organization=self.organization
            )

    @cached_property
    def _teacher(self) -> Teacher | None:
        options = self.options
        if options.teacher is None:
            return None
        trusted = options.trust_remote_code
        return Teacher(options.teacher, self.context, device=options.device, trusted=trusted)

    def _model(self, seed: int, device: str) -> Any:
        self.check()
        options = self.options
        model = untrained(
            self._base,
            head=options.head,
            max_length=options.max_length,
            trust_remote_code=options.trust_remote_code,
            seed=seed,
        )
        return model.to(device)

    def plan(self, data: TrainingData, *, timed: bool) -> TrainingPlan:
        plan = super().plan(data, timed=timed)
        return replace(plan, examples=len(data.of(self.learns_from)))  # pairs; several may stand in one list

    @property
    def teacher(self) -> Encoder | Reranker | None:
        return None if self._teacher is None else self._teacher.adapter()

    def questions(self, data: TrainingData) -> Questions:
        if self._teacher is None:
            return Questions()
        rows = self._rows(data.of(self.learns_from))
        return Questions(queries=rows.columns["query"], documents=_documents(rows))

    def _rows(self, table: pa.Table) -> Rows:
        if self.options.loss == "multiple_negatives":
            return pairs_in_batch(table, {})
        check_pairs(table)
        lists = ranked_lists(table)
        check_negatives(lists)
        if self.options.loss == "margin_mse":
            rows = tuples(table)
            negatives = negatives_by_place(table)
            columns = {"query": [row.query for row in rows], "positive": [row.positive for row in rows]}
            return Rows({**columns, **negatives, LABEL: [[1.0] * len(negatives)] * len(rows)})
        labels = [shares(each) if self.options.loss == "list_net" else each.grades.tolist() for each in lists]
        queries, documents = [each.query for each in lists], [list(each.documents) for each in lists]
        return Rows({"query": queries, "documents": documents, LABEL: labels})

    def _complete(self, rows: Rows, answers: Answers) -> Rows:
        if self._teacher is None:
            return rows
        options = self.options
        scores = answers.scores
        warmth = options.teacher_temperature or self._teacher.temperature
        if options.loss == "margin_mse":
            labels = [((each[0] - each[1:]) / warmth).tolist() for each in scores]
        else:
            known = zip(rows.columns[LABEL], scores, strict=True)
            labels = [mixed(label, each / warmth, options.teacher_share) for label, each in known]
        return replace(rows, columns={**rows.columns, LABEL: labels})

    def _loss(self, model: Any, rows: Rows) -> Any:
        import torch
        from sentence_transformers.cross_encoder import losses

        options = self.options
        if options.loss == "multiple_negatives":
            if options.cached:
                return losses.CachedMultipleNegativesRankingLoss(
                    model, num_negatives=options.in_batch_negatives, mini_batch_size=options.mini_batch
                )
            return losses.MultipleNegativesRankingLoss(model, num_negatives=options.in_batch_negatives)
        if options.loss == "margin_mse":
            return losses.MarginMSELoss(model)
        if options.loss == "lambda":
            return losses.LambdaLoss(model, k=options.top, mini_batch_size=WHOLE)
        if options.loss == "list_net":
            return of_probabilities(losses.ListNetLoss(model, mini_batch_size=WHOLE))
        weight = options.pos_weight or outnumbered(rows.columns[LABEL])
        return pair_by_pair(losses.BinaryCrossEntropyLoss(model, pos_weight=torch.tensor(weight)))

    def _view(self, model: Any) -> ScoresPairs:
        return Asked(model)

    def _tokens_of(self, model: Any, rows: Rows, places: Sequence[int]) -> int:
        documents = _documents(rows)
        pairs = [(rows.columns["query"][place], text) for place in places for text in documents[place]]
        read = (model.preprocess(pairs[at : at + _READ_AT_ONCE]) for at in range(0, len(pairs), _READ_AT_ONCE))
        own = sum(int(some["attention_mask"].sum()) for some in read)
        if self.options.loss != "multiple_negatives":
            return own
        drawn = min(self.options.in_batch_negatives, (self.options.batch_size - 1) * len(documents[0]))
        times: float = 1 + drawn / len(documents[0])
        return round(own * times)


class Asked:
    """A model in memory as a reranker."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Scores float32 (n,)."""
        scores = self.model.predict(
            list(pairs), batch_size=_READ_AT_ONCE, show_progress_bar=False, convert_to_tensor=True
        )
        found: Floats = scores.float().cpu().numpy()
        return found


def _documents(rows: Rows) -> Sequence[Sequence[str]]:
    """The documents of each query, of lists and of columns alike."""
    if "documents" in rows.columns:
        return rows.columns["documents"]
    return list(zip(*(texts for name, texts in rows.texts() if name != "query"), strict=True))
