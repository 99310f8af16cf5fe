"""What the models of an experiment learn from: pairs of the train split, pairs with a similarity, mined negatives."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pyarrow as pa

from adapters.base import Generator, InvalidOptions, TrainingData
from bench.cache.artifacts import Cache
from bench.data.dataset import Dataset
from bench.data.normal import plain_query
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment, TrainedPart
from bench.messages.wording import counted
from bench.money.budget import Budget
from bench.quality.stages import Emit
from bench.train.collection import Splits, load_splits
from bench.train.documents import DocumentsReport, TrainingDocuments, training_documents
from bench.train.mining.asked import Asked
from bench.train.mining.helpers import Helpers
from bench.train.mining.mine import mine
from bench.train.mining.mined import Mined
from bench.train.mining.written import Written, answering, writer_of
from bench.train.pairs import FEWEST_PAIRS, PairsReport, TrainingPairs, training_pairs, with_columns
from bench.train.scored import ScoredPairs, scored_pairs
from bench.train.structure import StructurePairs, structure_pairs


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
        self._structure: dict[str, StructurePairs] = {}

    @cached_property
    def _splits(self) -> Splits:
        return load_splits(self._experiment, self._cache.folder, self._emit, evaluated=self.test, labels=False)

    def splits(self, model: TrainedPart) -> Splits:
        """The train and the dev split. Raises ConfigFaults where a model that learns from judgements finds none."""
        if self._splits.lacks is not None and not model.unlabelled:
            raise ConfigFaults([f"{self._experiment.file}: dataset: {self._splits.lacks}"])
        return self._splits

    def undecided(self, model: TrainedPart) -> bool:
        """Whether nothing decides while a model learns: no judged queries are a dev split."""
        return model.scored is None and self.splits(model).dev is None

    def mined_in(self, model: TrainedPart) -> Dataset:
        """The collection in which the negatives of a model are found."""
        found = self.structure(model)
        return self.splits(model).train if found is None else found.collection

    def pairs(self, model: TrainedPart) -> TrainingPairs:
        """The pairs of a model, without those whose query is evaluated."""
        columns = model.query_columns
        key = model.leaks, model.pairs, columns
        if key not in self._pairs:
            splits = self.splits(model)
            found = training_pairs(
                splits.train,
                splits.evaluated(self.test),
                leaks=model.leaks,
                limit=model.pairs,
                seed=self._experiment.settings.seed,
            )
            self._pairs[key] = with_columns(found, splits.train, columns)
        return self._pairs[key]

    def scored(self, model: TrainedPart) -> ScoredPairs | None:
        """The pairs with a similarity that a model is given; None where it has none."""
        if model.scored is None:
            return None
        if model.name not in self._scored:
            self._scored[model.name] = scored_pairs(self._experiment, model)
        return self._scored[model.name]

    def structure(self, model: TrainedPart) -> StructurePairs | None:
        """The pairs that the structure of the documents gives; None of a model that does not learn from them."""
        if model.pairs_from is None:
            return None
        if model.name not in self._structure:
            splits = self.splits(model)
            self._structure[model.name] = structure_pairs(
                splits.train,
                splits.evaluated(self.test),
                pairs_from=model.pairs_from,
                passages_of=model.passages_of,
                leaks=model.leaks,
                limit=model.pairs,
                seed=self._experiment.settings.seed,
            )
        return self._structure[model.name]

    def documents(self, model: TrainedPart) -> TrainingDocuments | None:
        """The texts that a model learns from that needs no judgements; None of any other model."""
        if model.kind.learns_from != "documents":
            return None
        if model.leaks not in self._documents:
            splits = self.splits(model)
            self._documents[model.leaks] = training_documents(
                splits.train, splits.evaluated(self.test), leaks=model.leaks
            )
        return self._documents[model.leaks]

    def source(self, model: TrainedPart) -> TrainingPairs | ScoredPairs | TrainingDocuments:
        """What a model learns from, but for its negatives."""
        return self.scored(model) or self.documents(model) or self.learnt_pairs(model)

    def learnt_pairs(self, model: TrainedPart) -> TrainingPairs:
        """The pairs of a model: those of the documents' structure, or those that are judged."""
        return self.structure(model) or self.pairs(model)

    def report(self, model: TrainedPart) -> PairsReport | DocumentsReport:
        """What became of the texts that the data gives."""
        return self.source(model).report

    def notes(self, model: TrainedPart) -> tuple[str, ...]:
        """Sentences on where the data comes from and what was left out of it."""
        scored, documents, structure = self.scored(model), self.documents(model), self.structure(model)
        of_splits = self.splits(model).notes if scored is None else scored.notes
        if model.unlabelled and (dev := self.splits(model).dev) is not None:
            of_splits = (f"{counted(dev.judged, 'query')} of dev {'decides' if dev.judged == 1 else 'decide'}.",)
        told: tuple[str, ...] = () if structure is None else structure.notes
        if documents is not None:
            told = (f"It learns from {documents.told}, and from no judgement.",)
        return (*of_splits, *told, *self.report(model).notes)

    def digest(self, model: TrainedPart) -> str:
        """Digest of all that a model learns from, but for its negatives."""
        return self.source(model).digest

    def learned(self, model: TrainedPart) -> list[str]:
        """The queries that a model learns from, in the plain form by which leaks are found, here and elsewhere."""
        return list(self.source(model).plain_queries)

    def mined(self, model: TrainedPart, seed: int, helpers: Helpers) -> Mined | None:
        """The negatives of a model; None where it learns without."""
        if model.negatives is None:
            return None
        return mine(
            model.negatives,
            self.learnt_pairs(model).table,
            self.mined_in(model),
            helpers=helpers,
            seed=seed,
            cache=self._cache.folder,
            emit=self._emit,
            budget=self._budget,
        )

    def to_write(self, model: TrainedPart, generator: Generator) -> Written | None:
        """What a generator writes, or has written, for the negatives of a model; None where it learns from none that
        are written."""
        if model.negatives is None or model.writer is None:
            return None
        asked, dataset = Asked(self.learnt_pairs(model).table, self.mined_in(model)), self.mined_in(model)
        writer, services = writer_of(model.negatives, generator, dataset), (self._emit, self._budget)
        return Written(asked, writer, answering(self._cache.folder, *services))

    def data(self, model: TrainedPart, mined: Mined | None) -> TrainingData:
        """What a trainer is given."""
        scored = self.scored(model)
        if scored is not None:
            return TrainingData(scored=scored.train)
        if (found := self.documents(model)) is not None:
            return TrainingData(documents=found.documents, queries=found.queries)
        pairs = self.learnt_pairs(model).table
        if mined is not None:
            complete = mined.complete
            if complete.num_rows < min(FEWEST_PAIRS, pairs.num_rows):
                raise InvalidOptions(_lacking(model, complete.num_rows, pairs.num_rows), key="negatives")
            table = complete.select([*pairs.column_names, "negatives"])
            return TrainingData(pairs=table.append_column("judged", self._judged(model, complete)))
        return TrainingData(pairs=pairs.append_column("negatives", _no_negatives(pairs.num_rows)))

    def _judged(self, model: TrainedPart, mined: pa.Table) -> pa.Array:
        """Which negatives the train split's judgements know to be none, by the query or an equal one."""
        train = self.mined_in(model)
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
        pairs, texts = self.learnt_pairs(model).table, self.mined_in(model).document_texts
        rng = np.random.default_rng(self._experiment.settings.seed)
        drawn = rng.integers(0, len(texts), (pairs.num_rows, model.negatives.per_query))
        rows = [[texts[int(row)] for row in line] for line in drawn]
        return TrainingData(pairs=pairs.append_column("negatives", pa.array(rows, pa.list_(pa.string()))))


def _no_negatives(rows: int) -> pa.Array:
    return pa.array([[]] * rows, pa.list_(pa.string()))


def _lacking(model: TrainedPart, found: int, wanted: int) -> str:
    assert model.negatives is not None
    return (
        f"{found:,} of {wanted:,} pairs have {counted(model.negatives.per_query, 'negative')}, and {FEWEST_PAIRS} "
        "are the fewest. Lower per_query, loosen the rules of negatives, or write lacking: random, which fills up."
    )
