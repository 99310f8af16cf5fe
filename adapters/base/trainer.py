"""The contract of a trainer: one recipe by which a model learns from texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from adapters.base.adapter import Adapter, NoOptions
from adapters.base.arrays import EMPTY_ROW, Context, Floats, Role, Rows
from adapters.base.encoder import Encoder
from adapters.base.errors import AdapterRejected, InvalidOptions
from adapters.base.reranker import Reranker

Makes: TypeAlias = Literal["encoder", "reranker"]
LearnsFrom: TypeAlias = Literal["pairs", "scored", "documents", "structure"]
"""pairs: of the judgements. scored: pairs of texts with a similarity. documents: texts alone. structure: pairs that the
structure of the documents gives, such as a title and its text; they come as pairs do."""

TRAINED = "trained:"
"""How options name a model that the experiment trains: `trained:NAME`, and within a run `trained:NAME#SEED`."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What a recipe asks its teacher before it trains.

    texts: by role, of which an encoder gives vectors. queries, documents: of which a reranker gives scores, each query
    with documents of its own; an encoder's similarities are taken where it is one.
    """

    texts: Mapping[Role, Sequence[str]] = field(default_factory=dict)
    queries: Sequence[str] = ()
    documents: Sequence[Sequence[str]] = ()

    @property
    def count(self) -> int:
        """How many texts or pairs are asked for."""
        return sum(map(len, self.texts.values())) + sum(map(len, self.documents))

    def candidates(self) -> tuple[Rows, list[str]]:
        """The documents of each query as rows of a list of distinct texts, int32 (queries, most documents), -1 where a
        query has fewer than others."""
        places: dict[str, int] = {}
        lines = [[places.setdefault(text, len(places)) for text in texts] for texts in self.documents]
        rows = np.full((len(lines), max(map(len, lines), default=0)), EMPTY_ROW, dtype=np.int32)
        for i, line in enumerate(lines):
            rows[i, : len(line)] = line
        return rows, list(places)

    def answers(self, vectors: Mapping[Role, Floats], scores: Floats | None, teacher: str) -> Answers:
        """Answers to them. scores: of `candidates`, None where none were asked for. Raises AdapterRejected for what is
        no number."""
        lines = [] if scores is None else [s[: len(each)] for s, each in zip(scores, self.documents, strict=True)]
        if not all(np.isfinite(each).all() for each in (*vectors.values(), *lines)):
            raise AdapterRejected(f"the teacher {teacher} gives answers that are no numbers. Take another one.")
        return Answers(vectors, lines)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a teacher says, in the order of the questions: vectors float32 (n, dimension) by role, scores float32 (n,)
    of each query's documents. All are finite, as `Questions.answers` sees to."""

    vectors: Mapping[Role, Floats] = field(default_factory=dict)
    scores: Sequence[Floats] = ()


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a model learns from, each table in an order that depends on its content alone.

    pairs: columns query_id, document_id (string), query, positive (string), negatives (list of string, the same number
        in each row, none where no negatives were asked for); None where the data has no judgements. Perhaps a
        column group (string): pairs of one group speak of the same thing, and no text of one is a negative of another.
        Perhaps a column judged (list of bool): which negatives are judged to be none, and not only found.
        Perhaps columns of the queries that the recipe asks for (`query_columns`), by their names.
    scored: columns first, second (string), score (float32 in 0..1); None where the data has no pairs with a similarity.
    documents: columns document_id, text (string), each text once; None where the data has no documents.
    queries: columns query_id, text (string), of the train split, each text once and none of an evaluated query; None
        where there are none.
    answers: the teacher's to the trainer's `questions`; None: the trainer asks it itself.
    """

    pairs: pa.Table | None = None
    scored: pa.Table | None = None
    documents: pa.Table | None = None
    queries: pa.Table | None = None
    answers: Answers | None = None

    def of(self, kind: LearnsFrom) -> pa.Table:
        """The table that a recipe learns from. Raises InvalidOptions where the data lacks it."""
        table = {"scored": self.scored, "documents": self.documents}.get(kind, self.pairs)
        if table is None:
            needs = {
                "pairs": "queries with relevant documents (judgements of the train split)",
                "scored": "pairs of texts with a similarity. Name such a file: data: {path: FILE.tsv}",
                "documents": "documents, without any labels",
                "structure": "pairs that the structure of the documents gives, such as a title and its text",
            }
            raise InvalidOptions(f"this recipe learns from {needs[kind]}; the data has none.", key="recipe")
        return table


@runtime_checkable
class EncodesTexts(Protocol):
    """An encoder as it stands during its training."""

    def encode(self, texts: Sequence[str], role: Role) -> Floats:
        """Vectors float32 (n, dimension)."""
        ...


@runtime_checkable
class ScoresPairs(Protocol):
    """A reranker as it stands during its training."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Scores float32 (n,) of (query, document), larger is better."""
        ...


Evaluate: TypeAlias = Callable[[EncodesTexts | ScoresPairs], float]
"""The measure on the dev split that decides, of a model as it stands; larger is better."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """How far a training is. loss: mean since the step told before; dev: what `evaluate` gave here; None where there is
    none at this step. seconds: since the training began, those of an interrupted run before included."""

    step: int
    steps: int
    epoch: float
    loss: float | None = None
    dev: float | None = None
    learning_rate: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training takes, known before it. examples: rows that it learns from; tokens: of one pass over them, as the
    model reads them (cut at its maximum length); seconds: None where `timed` was not asked for; memory_bytes: the
    weights, gradients and the optimiser's state, without activations. asked: pairs or texts that a teacher is asked
    for; 0 without one."""

    examples: int
    tokens: int
    steps: int
    epochs: float
    parameters: int
    trainable_parameters: int
    memory_bytes: int
    device: str
    seconds: float | None = None
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that ended. steps: taken; kept_step: the step whose weights were kept; curve: all that was told, in
    order; tokens: of one pass over the data; resumed_from: the step of the checkpoint that it went on from;
    versions: of the libraries that trained. notes: sentences on what it learnt from, for whoever uses the model."""

    steps: int
    kept_step: int
    curve: Sequence[TrainingStep]
    seconds: float
    device: str
    precision: str
    parameters: int
    trainable_parameters: int
    tokens: int
    resumed_from: int | None = None
    versions: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()


class Trainer(Adapter):
    """One recipe. The option `base` names the model that it starts from, as encoders name models."""

    Options: ClassVar[type[BaseModel]] = NoOptions
    makes: ClassVar[Makes]
    learns_from: ClassVar[LearnsFrom]
    takes_negatives: ClassVar[bool] = False  # learns from negatives of its pairs where there are some
    references: ClassVar[tuple[str, ...]] = ("base",)  # options that name models

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @property
    def needs_negatives(self) -> bool:
        """Whether this recipe, with its options, cannot learn without negatives."""
        return False

    @property
    def teacher(self) -> Encoder | Reranker | None:
        """The model whose answers are learnt, as an adapter of its own; None where the recipe has none."""
        return None

    def questions(self, data: TrainingData) -> Questions:
        """What `teacher` is asked of this data. Whoever asks it keeps its answers, so that nothing is asked twice, and
        gives them with the data. Raises InvalidOptions for data that nothing can be learnt from."""
        return Questions()

    @property
    def queries_alone(self) -> bool:
        """Whether the model encodes queries alone: documents stay embedded by `teacher`, an encoder, in whose space the
        queries are."""
        return False

    @property
    def query_columns(self) -> tuple[str, ...]:
        """Columns of the queries, `meta.<name>`, that this recipe, with its options, learns from beside their texts."""
        return ()

    @property
    @abstractmethod
    def recipe(self) -> Mapping[str, Any]:
        """All that decides the weights beside data and seed, as plain values: options, and the identity (hash of the
        weights) of every model that the options name. Known without loading a model. Neither library versions nor the
        device stand in it."""

    @property
    @abstractmethod
    def starts_from_base(self) -> bool:
        """Whether the untrained model is the base itself, and not one with parts of its own yet to be learned."""

    @abstractmethod
    def initial(self, folder: Path, seed: int) -> None:
        """Write the untrained model into an empty folder, whole, as sentence-transformers saves it. Raises
        ModelNotFound, InvalidOptions for a base that this recipe cannot start from."""

    @abstractmethod
    def plan(self, data: TrainingData, *, timed: bool) -> TrainingPlan:
        """What the training would take. timed: take a few real steps, thrown away, to foresee the time."""

    @abstractmethod
    def train(
        self,
        data: TrainingData,
        *,
        folder: Path,
        checkpoints: Path,
        seed: int,
        evaluate: Evaluate | None,
        tell: Callable[[TrainingStep], None],
    ) -> Trained:
        """Train a model and write it into an empty folder, whole.

        checkpoints: folder of its own, kept between runs: an interrupted training goes on from its last whole
            checkpoint and ends in the same weights as an undisturbed one. The caller deletes it afterwards.
        evaluate: asked as often as the options say; the weights with the best value are kept. None: the last ones.
        Raises InvalidOptions (data or options that this recipe cannot work with), OutOfMemory, AdapterRejected (a loss
        that is not finite).
        """
