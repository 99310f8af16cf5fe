"""What the stages of a run share: its data, the models that were made, vectors, and what was computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base import (
    Encoder,
    Filter,
    Flags,
    Hits,
    Reranker,
    Role,
    Rows,
    Similarity,
    Store,
    id_order,
    without_direction,
)
from bench.cache.artifacts import Cache
from bench.cache.digests import Digests, content_key
from bench.data.dataset import Dataset
from bench.data.own_documents import left_out
from bench.data.tables import table_digest
from bench.experiment.parts import EncoderPair, Experiment, Part, Searched, StoreChoice, System, models_named
from bench.messages.failures import Failed, Failure, closing, failure_of
from bench.money.budget import Budget
from bench.quality.embedding import Embedding, Vectors
from bench.quality.ranking import Ranking
from bench.quality.stages import Emit, Work
from bench.quality.trec import read_run_file
from bench.results.training import TrainedModel
from bench.statistics.order import canonical

T = TypeVar("T")


class Models(Protocol):
    """The models that an experiment trains. folders: by how options name them, as far as they are there."""

    @property
    def folders(self) -> Mapping[str, Path]: ...

    def need(self, part: Part) -> None:
        """Make the models that a part's options name. Raises whatever their training does."""

    def chosen(self, system: System) -> int:
        """The build of a system that a user would take: the seed of its models that the dev split chose."""

    def begin(self) -> None:
        """From now on models are trained where they are needed; until then untrained ones stand in for them."""

    def results(self) -> list[TrainedModel]:
        """What a result says of the models, in the order of the file."""

    def described(self, name: str) -> dict[str, Any]:
        """All that decides a model of the file, as plain values."""

    def close(self) -> None:
        """Delete what only stood in."""


class NoModels:
    """Of an experiment that trains none."""

    def __init__(self) -> None:
        self.folders: Mapping[str, Path] = {}  # travels to other processes, which a read-only view of it does not

    def need(self, part: Part) -> None:
        """Nothing is to be made."""

    def chosen(self, system: System) -> int:
        """The first build: they differ by chance alone."""
        return 0

    def begin(self) -> None:
        """Nothing stands in."""

    def results(self) -> list[TrainedModel]:
        """None."""
        return []

    def described(self, name: str) -> dict[str, Any]:
        """There is no model of any name."""
        raise KeyError(name)

    def close(self) -> None:
        """Nothing is there."""


ROLES: tuple[Role, ...] = ("document", "query")


class Materials:
    """The materials of one experiment over one dataset. Results are remembered, and so are failures that the same work
    would meet again."""

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        cache: Cache,
        emit: Emit,
        budget: Budget,
        models: Models = NoModels(),
    ) -> None:
        self.trained = models
        self.experiment = experiment
        self.dataset = dataset
        self.cache = cache
        self.emit = emit
        self.budget = budget
        self.work = Work()
        self.context = experiment.context(dataset.vector_dimension, models.folders)
        self.embedding = Embedding(dataset, cache, self.work.texts_embedded, emit, budget)
        self._encoders: dict[str, Encoder] = {}
        self._stores: dict[str, Store] = {}
        self._rerankers: dict[str, Reranker] = {}
        self._memo: dict[tuple[Any, ...], object] = {}
        self._failed: dict[tuple[Any, ...], Failure] = {}
        self._worked: Encoder | Reranker | None = None

    @cached_property
    def id_order(self) -> Rows:
        """The place of every document's id in ascending order, which decides between equal scores. Documents that only
        run files name are among them."""
        return id_order(self.document_ids)

    @cached_property
    def dataset_ids(self) -> list[str]:
        """Ids by row: the corpus, then judged documents outside it."""
        ids = list(self.dataset.document_ids)
        if self.dataset.qrels is not None:
            rows = self.dataset.qrels_coded().document_rows
            outside = np.flatnonzero(rows >= self.dataset.documents)
            names = self.dataset.qrels.column("document_id").take(pa.array(outside)).to_pylist()
            ids += [name for _, name in sorted(set(zip(rows[outside].tolist(), names, strict=True)))]
        return ids

    @cached_property
    def document_ids(self) -> list[str]:
        """Ids by row: those of the dataset, then those that only run files name."""
        runs = [file for system in self.experiment.systems if (file := system.run_file) is not None]
        known = frozenset(self.dataset_ids if runs else ())
        further = dict.fromkeys(
            name for run in runs for name in read_run_file(run).documents_as(known) if name not in known
        )
        return [*self.dataset_ids, *further]

    @property
    def document_digests(self) -> Digests:
        """Digests of the documents' texts, by row."""
        return self.embedding.digests("document")

    @property
    def query_digests(self) -> Digests:
        """Digests of the queries' texts, by position."""
        return self.embedding.digests("query")

    def corpus_fingerprint(self, *, texts: bool, fields: Sequence[str] | None = None) -> str:
        """Fingerprint of what an index takes from the corpus beside vectors: ids, the meta columns of these fields
        (None: of all fields), and texts where `texts` is set."""
        corpus = self.dataset.corpus
        wanted = {"id", "title", "text"} if texts else {"id"}
        wanted |= {f"meta.{field}" for field in fields or ()}
        columns = [n for n in corpus.column_names if n in wanted or (fields is None and n.startswith("meta."))]
        return self.once(("corpus", *columns), lambda: table_digest(corpus.select(columns)))

    def encoder(self, name: str) -> Encoder:
        """The encoder of that name, made once."""
        if name not in self._encoders:
            part = self.experiment.encoders[name]
            self.trained.need(part)
            self._encoders[name] = part.kind(part.options, self.context)
        return self._encoders[name]

    def reranker(self, name: str) -> Reranker:
        """The reranker of that name, made once and not yet prepared."""
        if name not in self._rerankers:
            part = self.experiment.rerankers[name]
            self.trained.need(part)
            self._rerankers[name] = part.kind(part.options, self.context)
        return self._rerankers[name]

    def begin(self) -> None:
        """Let models be trained from now on. Adapters of models that are not trained yet are made anew."""
        if not self.experiment.models:
            return
        for kept, parts in ((self._encoders, self.experiment.encoders), (self._rerankers, self.experiment.rerankers)):
            for name in [name for name in kept if models_named(parts[name].options)]:
                for failure in closing([kept.pop(name).close]):
                    self.emit(failure.warned(name, "it could not be closed"))
        self._memo.clear()
        self._failed.clear()
        self.trained.begin()

    def store(self, choice: StoreChoice) -> Store:
        """The store with these index options, made once."""
        key = content_key([choice.name, choice.adapter, choice.plain("index")])
        if key not in self._stores:
            self._stores[key] = choice.kind(choice.index, choice.connection, self.context)
        return self._stores[key]

    def turn(self, model: Encoder | Reranker) -> None:
        """Have the model that worked last give its memory back before this one works: they need not fit in together."""
        before, self._worked = self._worked, model
        if before is not None and before is not model:
            for failure in closing([before.rest]):
                self.emit(failure.warned(before.name, "it could not give its memory back"))

    def models(self) -> dict[str, Encoder | Reranker]:
        """The models that were made, each by the part that it is."""
        encoders = {f"encoders.{name}": encoder for name, encoder in self._encoders.items()}
        return {**encoders, **{f"rerankers.{name}": reranker for name, reranker in self._rerankers.items()}}

    def close(self) -> None:
        """Close the adapters, once. Where one raises, a warning tells of it, and the others are closed all the same."""
        for kept in (self._encoders, self._stores, self._rerankers):
            while kept:
                _, adapter = kept.popitem()
                for failure in closing([adapter.close]):
                    self.emit(failure.warned(adapter.name, "it could not be closed"))
        self.trained.close()

    def eligible(self, condition: Filter | None) -> Flags | None:
        """Which documents pass a filter, None for all."""
        if condition is None:
            return None
        # By its text, because conditions on 0 and on False are equal in Python.
        return self.once(("eligible", repr(condition)), lambda: condition.mask(self.dataset.corpus))

    def vectors(self, name: str, role: Role) -> Vectors:
        """All vectors of a role by a named encoder; a distinct text is embedded once."""

        def make() -> Vectors:
            self.turn(encoder := self.encoder(name))
            return self.embedding.vectors(name, encoder, role)

        return self.once(("vectors", name, role), make)

    def vectors_key(self, name: str, role: Role) -> str:
        """The key of those vectors. It is known without computing them, except for which texts their model refuses."""
        if ("vectors", name, role) in self._memo:
            return self.vectors(name, role).key
        return self.once(("vectors key", name, role), lambda: self.embedding.key(self.encoder(name), role))

    def undirected(self, encoders: EncoderPair | None, role: Role) -> npt.NDArray[np.intp]:
        """Positions of the documents or queries whose vector is zero, where vectors are compared by cosine: they have
        no direction. A store leaves them out of its hits."""
        if encoders is None:  # a search by text alone
            return np.empty(0, np.intp)
        if self.encoder(encoders.document).similarity is not Similarity.COSINE:
            return np.empty(0, np.intp)
        name = encoders.of(role)
        return self.once(
            ("undirected", name, role), lambda: np.flatnonzero(without_direction(self.vectors(name, role).array))
        )

    def embed(self, searched: Searched) -> None:
        """Compute the vectors of a search. The keys of later stages depend on which texts have none."""
        for name, role in searched.encoders.roles if searched.encoders else ():
            self.vectors(name, role)

    def asked(self, limit: int) -> int:
        """How many documents a search is asked for, so that `limit` are left once a query's own document is taken out.
        The number is the same for all queries, also for those without an own document."""
        return limit if self.dataset.own_rows is None else limit + 1

    def without_own(self, hits: Hits, limit: int, queries: npt.NDArray[np.int64] | slice = slice(None)) -> Hits:
        """The first `limit` hits of the queries at these positions, without their own documents."""
        own = self.dataset.own_rows
        return hits if own is None else left_out(hits, own[queries], limit)

    def ordered(self, hits: Hits, depth: int, failures: Mapping[int, str] | None = None) -> Ranking:
        """Hits of all judged queries in canonical order, cut at depth. failures: causes by position."""
        rows, scores = canonical(hits.rows, hits.scores, self.id_order, depth)
        failed = np.zeros(len(rows), dtype=np.bool_)
        failed[list(failures or ())] = True
        return Ranking(rows, scores, failed, tuple(dict.fromkeys((failures or {}).values())))

    def once(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """What `compute` gives, computed once per key."""
        if key in self._failed:
            raise Failed(self._failed[key])
        if key not in self._memo:
            try:
                self._memo[key] = compute()
            except BaseException as error:
                failure = failure_of(error)
                if not failure.passing:
                    self._failed[key] = failure
                raise
        return cast(T, self._memo[key])
