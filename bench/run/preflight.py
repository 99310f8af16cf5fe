"""Checks everything that can be known before the start: the data, the models, the servers, and whether they fit
together.

All faults are collected and named together; nothing is billed and no result folder is made while there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from adapters.base import (
    AdapterError,
    Encoder,
    Filter,
    Identity,
    InvalidOptions,
    Reranker,
    Role,
    Similarity,
    Store,
    Warned,
    WrongAnswer,
    asks_others,
)
from bench.cache.artifacts import Cache
from bench.data.dataset import Dataset
from bench.data.integrity import has_text
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import (
    EncoderPair,
    Experiment,
    Part,
    Searched,
    StoreChoice,
    System,
    TrainedPart,
    models_named,
    plain_name,
)
from bench.messages.suggestions import suggestion
from bench.messages.wording import counted
from bench.money.budget import Budget
from bench.money.cost import NO_PRICES, PriceFaults, load_prices
from bench.quality.collection import evaluated_data, naming
from bench.quality.materials import Models, NoModels
from bench.quality.pipeline import Pipeline
from bench.quality.stages import Emit
from bench.quality.trec import read_run_file
from bench.run.costs import BillLine, Costs
from bench.train.forecast import trainings_missing
from bench.train.mining.written import Written
from bench.train.training import Training
from bench.train.writing_ahead import writing_ahead


def prepare(
    experiment: Experiment,
    cache_folder: Path,
    emit: Emit,
    *,
    remeasure: bool = False,
    retrain: bool = False,
    ahead: Sequence[BillLine] = (),
) -> tuple[Pipeline, Costs]:
    """Load the dataset, check every adapter in use, check the systems against both, and the bill against `max_cost`.

    ahead: what will be billed before the systems are. Raises ConfigFaults.
    """
    check = _Preflight(experiment, emit)
    dataset = check.dataset(cache_folder)
    if dataset is None:
        pipeline = Pipeline(experiment, _NO_DATASET, Cache(cache_folder), emit, Budget(NO_PRICES, None))
        check.adapters(pipeline, without_data=True)
        check.run_files()
        pipeline.close()
        raise ConfigFaults(check.faults)
    return prepare_over(dataset, experiment, cache_folder, emit, remeasure=remeasure, retrain=retrain, ahead=ahead)


def prepare_over(
    dataset: Dataset,
    experiment: Experiment,
    cache_folder: Path,
    emit: Emit,
    *,
    remeasure: bool = False,
    retrain: bool = False,
    ahead: Sequence[BillLine] = (),
) -> tuple[Pipeline, Costs]:
    """As `prepare`, over a dataset that is loaded."""
    check = _Preflight(experiment, emit)
    budget = check.budget()
    cache = Cache(cache_folder)
    models: Models = NoModels()
    if experiment.models:
        models = training = check.models(Training(experiment, dataset, cache, emit, budget, retrain=retrain))
        ahead = [*ahead, *check.training_bill(training)]
        check.candidates(training, cache_folder)
    pipeline = Pipeline(experiment, dataset, cache, emit, budget, models)
    costs = Costs(pipeline, budget, ahead)
    check.adapters(pipeline)
    check.run_files()
    check.systems(pipeline)
    check.costs(costs, remeasure)
    if check.faults:
        pipeline.close()
        raise ConfigFaults(list(dict.fromkeys(check.faults)))
    return pipeline, costs


def budget_of(experiment: Experiment) -> Budget:
    """What an experiment may spend, what it has spent, and by which prices. Raises ConfigFaults for what is wrong with
    these."""
    settings = experiment.settings
    try:
        budget = Budget(load_prices(settings.prices), settings.max_cost)
        budget.spent += experiment.spent
        return budget
    except PriceFaults as error:
        raise ConfigFaults([f"{experiment.file}: {fault}" for fault in error.faults]) from error


def bill_of_training(training: Training, models: Sequence[TrainedPart]) -> list[BillLine]:
    """What generators will be billed for negatives of models that are to be trained; what several share, once."""
    lines: dict[str, BillLine] = {}
    for model in models:
        if model.writer is None or not trainings_missing(training, model):
            continue
        if (written := training.to_write(model)) is not None:
            lines |= bill_of_writing(written, model.writer.name)
    return list(lines.values())


def faults_of_candidates(training: Training, models: Sequence[TrainedPart], cache: Path, emit: Emit) -> Sequence[str]:
    """What stands against the systems whose candidates are negatives of models. One that needs a model of the file is
    checked when that is trained."""
    faults: list[str] = []
    for model in models:
        found = model.candidates
        if found is None or any(models_named(part.options) for part in found.parts):
            continue
        alone = replace(training.candidates(found, 1).experiment, models={})
        try:
            prepare_over(training.lessons.mined_in(model), alone, cache, emit)[0].close()
        except ConfigFaults as error:
            faults += error.faults
    return faults


def bill_of_writing(written: Written, by: str) -> dict[str, BillLine]:
    """What a generator will be billed for negatives, by what is asked of whom; empty where nothing is. by: its name in
    the file."""
    ahead = writing_ahead(written, timed=False)
    if not ahead.missing or ahead.usage is None:
        return {}
    what = f"{by}: negatives for {counted(ahead.missing, 'pair')}"
    return {ahead.key: BillLine(what, ahead.provider, ahead.model, ahead.usage, ahead.usd)}


@dataclass(slots=True)
class _Preflight:
    experiment: Experiment
    emit: Emit
    faults: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def fault(self, key_path: str, message: str) -> None:
        self.faults.append(f"{self.experiment.file}: {key_path}: {message}")

    @contextmanager
    def naming(self, key_path: str) -> Iterator[None]:
        """Turn what an adapter refuses, or raises unforeseen, into a fault at this place."""
        with naming(self.experiment.file, key_path, self.faults, self.broken):
            yield

    # -- the data ------------------------------------------------------------------------------------------------

    def dataset(self, cache_folder: Path) -> Dataset | None:
        found: list[Dataset] = []
        with self.naming("dataset"):
            found.append(evaluated_data(self.experiment, cache_folder, self.emit))
        return found[0] if found else None

    # -- models --------------------------------------------------------------------------------------------------

    def models(self, training: Training) -> Training:
        """Check every model that a system needs: what it learns from, its recipe, and what it starts from."""
        training.check_all(training.in_use(), self.faults, self.broken)
        return training

    def training_bill(self, training: Training) -> list[BillLine]:
        """What the models of the systems will be billed, where nothing stands against them."""
        return [] if self.faults else bill_of_training(training, training.in_use())

    def candidates(self, training: Training, cache: Path) -> None:
        """Check the systems whose candidates are negatives, where nothing stands against the models."""
        if not self.faults:
            self.faults += faults_of_candidates(training, training.in_use(), cache, self.emit)

    # -- adapters ------------------------------------------------------------------------------------------------

    def adapters(self, pipeline: Pipeline, *, without_data: bool = False) -> None:
        """Ask each adapter in use whether it can work. without_data: the dataset is broken, its vectors unknown."""
        systems = self.experiment.systems
        used = {name for system in systems if system.encoders for name, _ in system.encoders.roles}
        for name in dict.fromkeys(s.reranker for s in systems if s.reranker):
            key_path = f"rerankers.{plain_name(name)}"
            if self._lacks_model(self.experiment.rerankers[name]) or not self._check(
                key_path, partial(pipeline.materials.reranker, name)
            ):
                continue
            with self.naming(key_path):
                reranker = pipeline.materials.reranker(name)
                encoder = reranker.encoder_name
                if encoder is not None:
                    if encoder not in self.experiment.encoders:
                        hint = suggestion(encoder, self.experiment.encoders)
                        raise InvalidOptions(f"{encoder} is not an encoder. {hint}", key="encoder")
                    used.add(encoder)
        for name in sorted(used):
            if self._lacks_model(self.experiment.encoders[name]):
                continue
            if without_data and self.experiment.encoders[name].kind.consumes == "vector":
                continue  # the fault is the dataset's
            self._check(f"encoders.{plain_name(name)}", partial(pipeline.materials.encoder, name))
        for choice in {s.store.name: s.store for s in systems if s.store}.values():
            self._check(choice.key_path, partial(pipeline.materials.store, choice))

    def _lacks_model(self, part: Part) -> bool:
        """Whether a model that it needs has a fault; the part itself is then broken too, and not named."""
        broken = any(f"models.{name}" in self.broken for name in models_named(part.options))
        if broken:
            self.broken.add(part.key_path)
        return broken

    def _check(self, key_path: str, make: Callable[[], Encoder | Store | Reranker]) -> bool:
        """Whether an adapter can work; a fault is named otherwise."""
        with self.naming(key_path):
            adapter = make()
            left_alone = self.experiment.alone and asks_others(adapter.contacts())
            (adapter.check_alone if self.experiment.alone else adapter.check)()
            if self.experiment.alone:
                self._tell_of_keys(key_path, adapter)
            identity: Any = adapter.identity
            if not isinstance(identity, Identity):
                raise WrongAnswer(f"adapter {adapter.name}: identity is {identity!r}, not an Identity.")
            match adapter:
                case Encoder():
                    _check_encoder(adapter)
                case Store():
                    _ = adapter.uses_text
                    if not left_alone:
                        with suppress(AdapterError):  # the run reports a server that cannot be reached
                            adapter.health()
        return key_path not in self.broken

    def _tell_of_keys(self, key_path: str, adapter: Encoder | Store | Reranker) -> None:
        """A dry run needs no key to foresee a bill; the run does."""
        if isinstance(adapter, Store) or not adapter.bills:
            return
        for contact in adapter.contacts():
            if contact.variable is not None and not contact.sends_key:
                told = f"the run itself takes a key from the variable {contact.variable}, which is not set."
                self.emit(Warned(key_path, told))

    # -- money ---------------------------------------------------------------------------------------------------

    def budget(self) -> Budget:
        """Prices and limit; without prices after naming what is wrong with them."""
        try:
            return budget_of(self.experiment)
        except ConfigFaults as error:
            self.faults += error.faults
            return Budget(NO_PRICES, None)

    def costs(self, costs: Costs, remeasure: bool) -> None:
        """Whether the bill stays within the limit, where nothing else is wrong."""
        if not self.faults:
            with self.naming("max_cost"):
                self.faults += [f"{self.experiment.file}: {fault}" for fault in costs.faults(remeasure=remeasure)]

    # -- systems -------------------------------------------------------------------------------------------------

    def systems(self, pipeline: Pipeline) -> None:
        """Check that each system's parts fit the data and each other."""
        cluster = self.experiment.settings.cluster
        if cluster is not None:
            with self.naming("cluster"):
                pipeline.dataset.cluster_codes(cluster)
        for measure in self.experiment.targets:
            if measure.needs_judgements and pipeline.dataset.qrels is None:
                self.fault(
                    "targets", f"{measure} needs judgements, and the dataset has none. Take ANN@{measure.cutoff}."
                )
        for system in self.experiment.systems:
            with self.naming(system.key_path):
                self._system(pipeline, system)
        self._idle_texts(pipeline)

    def run_files(self) -> None:
        """Read every run file, so that all that cannot be read are named together: a ranking takes the ids of all."""
        for system in self.experiment.systems:
            if system.run_file is not None:
                with self.naming(f"{system.key_path}.run"):
                    read_run_file(system.run_file)

    def _system(self, pipeline: Pipeline, system: System) -> None:
        if system.filter is not None:
            _check_filter(pipeline, system, system.filter)
        unread = any(f"{each.key_path}.run" in self.broken for each in self.experiment.systems)
        if system.run_file is not None and not unread:
            _check_run_file(pipeline, system.run_file)
        if system.searched is not None:
            self._searched(pipeline, system, system.searched)
        for choice in _returning_texts(system):
            if choice.key_path not in self.broken and not pipeline.materials.store(choice).returns_text:
                raise pipeline.materials.store(choice).no_texts()
        if system.payload and not has_text(pipeline.dataset.corpus):
            raise InvalidOptions("the documents have no texts to return; leave payload out.", key="payload")

    def _idle_texts(self, pipeline: Pipeline) -> None:
        """Name stores that return texts by an option of theirs, of which no system asks any."""
        systems = self.experiment.systems
        asked = {choice.name for system in systems for choice in _returning_texts(system)}
        for choice in {s.store.name: s.store for s in systems if s.store and s.store.name not in asked}.values():
            by_option = choice.key_path not in self.broken and not choice.kind.returns_text
            if by_option and pipeline.materials.store(choice).returns_text:
                self.fault(
                    choice.key_path,
                    "its options say where texts are found, and no system returns any. Set payload: text on a system, "
                    "or leave that option out.",
                )

    def _searched(self, pipeline: Pipeline, system: System, searched: Searched) -> None:
        dataset, choice = pipeline.dataset, searched.store
        names = dict.fromkeys(name for name, _ in searched.encoders.roles) if searched.encoders else {}
        if any(f"encoders.{plain_name(name)}" in self.broken for name in names):
            return
        encoders = [pipeline.materials.encoder(name) for name in names]
        if any(encoder.consumes == "text" for encoder in encoders) and not dataset.has_text:
            raise InvalidOptions("the dataset carries no texts to encode. Use the encoder adapter `precomputed`.")
        if searched.encoders and len(encoders) == 2:
            _check_space(pipeline, searched.encoders, shared=system.shared_space)
        if choice.key_path in self.broken:
            return
        store = pipeline.materials.store(choice)
        consumed: frozenset[str] = frozenset()
        with self.naming(choice.key_path):
            consumed = store.consumes(choice.query)
            if not isinstance(consumed, Set) or not consumed <= {"vector", "text"}:
                raise WrongAnswer(f"store {store.name}: consumes returned {consumed!r}, not a set of vector and text.")
        if not dataset.has_text:
            broken = system.reranker and f"rerankers.{plain_name(system.reranker)}" in self.broken
            reranker = None if broken else system.reranker
            if "text" in consumed or (reranker and pipeline.materials.reranker(reranker).needs == "text"):
                needs = "store" if "text" in consumed else "reranker"
                raise InvalidOptions(f"the dataset carries no texts, which this {needs} needs.", key=needs)
        named = searched.encoders.document if searched.encoders else None
        similarity: Similarity | None = encoders[0].similarity if encoders else None
        if similarity is not None and not store.compares(similarity):
            have = " and ".join(store.similarities) or "no metric"
            raise InvalidOptions(
                f"store {choice.adapter} compares vectors by {have}, and those of encoder {named} are meant to be "
                f"compared by {similarity}. Take another store or encoder.",
                key="store",
            )
        with self.naming(choice.key_path):
            store.plan(dataset.documents, encoders[0].dimension if encoders else None, similarity)


def _returning_texts(system: System) -> list[StoreChoice]:
    """The stores of a system that are asked for texts."""
    searches = [node.system.searched for node in system.nodes()]
    return [searched.store for searched in searches if searched is not None and searched.payload]


def _check_filter(pipeline: Pipeline, system: System, condition: Filter) -> None:
    corpus = pipeline.dataset.corpus
    if not condition.mask(corpus).any():
        raise InvalidOptions("no document passes the filter.", key="filter")
    if system.store is None:
        return
    if not system.store.kind.filters:
        raise InvalidOptions(
            f"store {system.store.adapter} cannot filter. Leave the filter out; what its service shall filter by "
            "belongs into its own options.",
            key="filter",
        )
    pipeline.materials.store(system.store).check_columns(corpus.select([f"meta.{field}" for field in condition.fields]))


def _check_run_file(pipeline: Pipeline, file: Path) -> None:
    dataset, gaps = pipeline.dataset, pipeline.searches.run_file_gaps(file)
    if gaps.foreign == gaps.queries:
        raise InvalidOptions(
            f"{file} ranks none of the dataset's queries (it starts with query {gaps.foreign_example!r}, "
            f"the dataset with {dataset.query_ids[0]!r}).",
            key="run",
        )
    if gaps.unknown.all:
        raise InvalidOptions(
            f"{file} ranks none of the dataset's documents (it has {gaps.unknown.example!r}, the dataset "
            f"{dataset.document_ids[0]!r}). Write the run with the ids of the corpus.",
            key="run",
        )


def _check_space(pipeline: Pipeline, encoders: EncoderPair, *, shared: bool) -> None:
    document, query = pipeline.materials.encoder(encoders.document), pipeline.materials.encoder(encoders.query)
    if document.dimension != query.dimension:
        raise InvalidOptions(
            f"{encoders.document} has dimension {document.dimension}, {encoders.query} has "
            f"{query.dimension}: they cannot share an index.",
            key="encoder",
        )
    if document.space != query.space and not shared:
        raise InvalidOptions(
            f"{encoders.document} and {encoders.query} are not known to share a vector space. If "
            "you know that they do, write: shared_space: true",
            key="encoder",
        )


def _check_encoder(encoder: Encoder) -> None:
    """Ask a model for its properties, without loading it. Raises WrongAnswer for a value that cannot be right."""
    if not isinstance(encoder.dimension, int | np.integer) or encoder.dimension < 1:
        raise WrongAnswer(f"encoder {encoder.name}: dimension is {encoder.dimension!r}, not a whole number from 1 on.")
    if not isinstance(encoder.similarity, Similarity):
        raise WrongAnswer(
            f"encoder {encoder.name}: similarity is {encoder.similarity!r}, expected Similarity.COSINE, DOT or L2."
        )
    for role in get_args(Role):
        _ = encoder.space, encoder.role_settings(role)


_NO_DATASET: Any = type("_NoDataset", (), {"vector_dimension": None})()
