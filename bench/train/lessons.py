"""What the models of an experiment learn from: pairs of the train split, pairs with a similarity, mined negatives."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa

from adapters.base import Encoder, Reranker, TrainingData
from bench.cache.artifacts import Cache
from bench.data.dataset import Dataset
from bench.data.normal import plain_query
from bench.experiment.parts import Experiment, TrainedPart
from bench.money.budget import Budget
from bench.quality.stages import Emit
from bench.train.collection import Splits, load_splits
from bench.train.documents import DocumentsReport, TrainingDocuments, training_documents
from bench.train.mining.mine import mine
from bench.train.mining.mined import Mined
from bench.train.pairs import PairsReport, TrainingPairs, training_pairs, with_columns
from bench.train.scored import ScoredPairs, scored_pairs

PAIR_COLUMNS = ("query_id", "document_id", "query", "positive")


class Lessons:
    """Loaded once for all models. test: the collection whose queries are evaluated, on which nobody learns."""

    def __init__(self, experiment: Experiment, test: Dataset, cache: Cache, emit: Emit, budget: Budget) -> None:
        self._experiment = experiment
        self.test = test
        self._cache = cache
        self._emit = emit
        self._budget = budget
        self._pairs: dict[tuple[str, int | None, tuple[str, ...]], TrainingPairs] = {}
        self._scored: dict[str, ScoredPairs] = {}
        self._documents: dict[str, TrainingDocuments] = {}

    @cached_property
    def splits(self) -> Splits:
        """The train and the dev split. Raises ConfigFaults where there is nothing to train on."""
        return load_splits(self._experiment, self._cache.folder, self._emit, evaluated=self.test)

    def pairs(self, model: TrainedPart) -> TrainingPairs:
        """The pairs of a model, without those whose query is evaluated."""
        columns = model.query_columns
        key = model.leaks, model.pairs, columns
        if key not in self._pairs:
            found = training_pairs(
                self.splits.train,
                [self.splits.dev, self.test],
                leaks=model.leaks,
                limit=model.pairs,
                seed=self._experiment.settings.seed,
            )
            self._pairs[key] = with_columns(found, self.splits.train, columns)
        return self._pairs[key]

    def scored(self, model: TrainedPart) -> ScoredPairs | None:
        """The pairs with a similarity that a model is given; None where it has none."""
        if model.scored is None:
            return None
        if model.name not in self._scored:
            self._scored[model.name] = scored_pairs(self._experiment, model)
        return self._scored[model.name]

    def documents(self, model: TrainedPart) -> TrainingDocuments | None:
        """The texts that a model learns from that needs no judgements; None of any other model."""
        if model.kind.learns_from != "documents":
            return None
        if model.leaks not in self._documents:
            self._documents[model.leaks] = training_documents(
                self.splits.train, [self.splits.dev, self.test], leaks=model.leaks
            )
        return self._documents[model.leaks]

    def source(self, model: TrainedPart) -> TrainingPairs | ScoredPairs | TrainingDocuments:
        """What a model learns from, but for its negatives."""
        return self.scored(model) or self.documents(model) or self.pairs(model)

    def report(self, model: TrainedPart) -> PairsReport | DocumentsReport:
        """What became of the texts that the data gives."""
        return self.source(model).report

    def notes(self, model: TrainedPart) -> tuple[str, ...]:
        """Sentences on where the data comes from and what was left out of it."""
        scored, documents = self.scored(model), self.documents(model)
        told = () if documents is None else (f"It learns from {documents.told}, and from no judgement.",)
        return (*(self.splits.notes if scored is None else scored.notes), *told, *self.report(model).notes)

    def digest(self, model: TrainedPart) -> str:
        """Digest of all that a model learns from, but for its negatives."""
        return self.source(model).digest

    def learned(self, model: TrainedPart) -> list[str]:
        """The queries that a model learns from, in the plain form by which leaks are found, here and elsewhere."""
        return list(self.source(model).plain_queries)

    def mined(self, model: TrainedPart, seed: int, miner: Encoder | None, judge: Reranker | None) -> Mined | None:
        """The negatives of a model; None where it learns without."""
        if model.negatives is None:
            return None
        return mine(
            model.negatives,
            self.pairs(model).table,
            self.splits.train,
            encoder=miner,
            judge=judge,
            seed=seed,
            cache=self._cache.folder,
            emit=self._emit,
            budget=self._budget,
        )

    def data(self, model: TrainedPart, mined: Mined | None) -> TrainingData:
        """What a trainer is given."""
        scored = self.scored(model)
        if scored is not None:
            return TrainingData(scored=scored.train)
        if (found := self.documents(model)) is not None:
            return TrainingData(documents=found.documents, queries=found.queries)
        if mined is not None:
            complete = mined.complete
            table = complete.select([*PAIR_COLUMNS, "negatives"])
            return TrainingData(pairs=table.append_column("judged", self._judged(complete)))
        pairs = self.pairs(model).table
        return TrainingData(pairs=pairs.append_column("negatives", _no_negatives(pairs.num_rows)))

    def _judged(self, mined: pa.Table) -> pa.Array:
        """Which negatives the train split's judgements know to be none, by the query or an equal one."""
        train = self.splits.train
        texts = dict(zip(train.query_ids, map(plain_query, train.query_texts), strict=True))
        known: dict[str, set[str]] = {}
        if train.qrels is not None:
            names = (train.qrels.column(name).to_pylist() for name in ("query_id", "document_id"))
            for query, document in zip(*names, strict=True):
                known.setdefault(texts[query], set()).add(document)
        asked = (known.get(plain_query(text), set()) for text in mined.column("query").to_pylist())
        found = [
            [name in those for name in names]
            for names, those in zip(mined.column("negative_ids").to_pylist(), asked, strict=True)
        ]
        return pa.array(found, pa.list_(pa.bool_()))

    def foreseen(self, model: TrainedPart) -> TrainingData:
        """As `data`, for a plan: documents drawn at random stand for negatives that are not mined yet."""
        if model.negatives is None or model.scored is not None:
            return self.data(model, None)
        pairs, texts = self.pairs(model).table, self.splits.train.document_texts
        rng = np.random.default_rng(self._experiment.settings.seed)
        drawn = rng.integers(0, len(texts), (pairs.num_rows, model.negatives.per_query))
        rows = [[texts[int(row)] for row in line] for line in drawn]
        return TrainingData(pairs=pairs.append_column("negatives", pa.array(rows, pa.list_(pa.string()))))


def _no_negatives(rows: int) -> pa.Array:
    return pa.array([[]] * rows, pa.list_(pa.string()))
