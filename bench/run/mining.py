"""Mines hard negatives alone, for a model of the file or as the command line says, and lets them be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters import registry
from adapters.base import Encoder, Reranker, Warned
from bench.cache.artifacts import Cache
from bench.cache.mark import cache_in_use
from bench.data.dataset import Dataset
from bench.experiment.faults import ConfigFaults, Faults
from bench.experiment.models import reading_at_once
from bench.experiment.negatives import Negatives
from bench.experiment.parts import EncoderPair, Experiment, Part, Searched, StoreChoice, System, models_named
from bench.messages.suggestions import suggestion
from bench.money.budget import Budget
from bench.quality.collection import load_data, naming
from bench.quality.stages import Emit
from bench.run.preflight import budget_of, prepare_over
from bench.run.queries import with_queries
from bench.train.collection import load_splits
from bench.train.mining.mine import check, mine
from bench.train.mining.mined import Mined, relevant_elsewhere
from bench.train.pairs import WhenLeaked, training_pairs
from bench.train.training import Training


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be mined. key_path: where its options stand. miner, judge: the mining model and the filter, None where
    none is asked."""

    spec: Negatives
    key_path: str
    miner: Part | None
    judge: Part | None
    pairs: int | None = None
    leaks: WhenLeaked = "drop"

    @property
    def trained(self) -> list[str]:
        """The models that are trained before it can be mined."""
        parts = [part for part in (self.miner, self.judge) if part is not None]
        return [name for part in parts for name in models_named(part.options)]


@dataclass(frozen=True, slots=True)
class MinedAlone:
    """mined: for the pairs of the train split. relevant_to_test: how many negatives are relevant to a query that is
    evaluated. notes: sentences on the data."""

    mined: Mined
    relevant_to_test: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Miners:
    """The models that mine, checked, and what they may spend. file, key_path: where their options stand."""

    file: str
    key_path: str
    encoder: Encoder | None
    judge: Reranker | None
    budget: Budget

    def mine(self, spec: Negatives, pairs: pa.Table, dataset: Dataset, *, seed: int, cache: Path, emit: Emit) -> Mined:
        """As the function of that name, but what is wrong with its options is a fault at their place."""
        faults: list[str] = []
        with naming(self.file, self.key_path, faults, set()):
            check(spec, dataset, self.encoder, self.judge)
        if faults:
            raise ConfigFaults(faults)
        return mine(
            spec,
            pairs,
            dataset,
            encoder=self.encoder,
            judge=self.judge,
            seed=seed,
            cache=cache,
            emit=emit,
            budget=self.budget,
        )


def mine_alone(experiment: Experiment, wish: Wish, *, cache: Path, emit: Emit) -> MinedAlone:
    """Mine for the pairs of the train split. Raises ConfigFaults for what can be known before, and what the models
    raise."""
    seed = experiment.settings.seed
    with cache_in_use(cache, experiment.user) as unmarked:
        if unmarked:
            emit(Warned("cache", unmarked))
        experiment, _ = with_queries(experiment, cache, emit)
        test = load_data(experiment, cache)
        splits = load_splits(experiment, cache, emit, evaluated=test)
        pairs = training_pairs(splits.train, splits.evaluated(test), leaks=wish.leaks, limit=wish.pairs, seed=seed)
        trained = _after_training(experiment, wish, test, cache, emit)
        with trained if wish.trained else miners(experiment, wish, splits.train, cache, emit) as ready:
            mined = ready.mine(wish.spec, pairs.table, splits.train, seed=seed, cache=cache, emit=emit)
    return MinedAlone(mined, relevant_elsewhere(mined, test), (*splits.notes, *pairs.report.notes))


def wish_of_model(experiment: Experiment, name: str | None) -> Wish:
    """The negatives of a model of the file, of the only one that has some where no name is given. Raises
    ConfigFaults."""
    mining = {each: model for each, model in experiment.models.items() if model.negatives is not None}
    if name is not None and name not in experiment.models:
        hint = suggestion(name, experiment.models) if experiment.models else "The file trains no models."
        raise ConfigFaults([f"{experiment.file}: models.{name} is not there. {hint}"])
    if name is not None and name not in mining:
        raise ConfigFaults([f"{experiment.file}: models.{name}.negatives is not there. Write it, or use --strategy."])
    if name is None and len(mining) != 1:
        which = f"Name one of the models with negatives ({', '.join(mining)}), or say" if mining else "Say"
        raise ConfigFaults([f"{experiment.file}: {which} how to mine: --strategy hybrid"])
    model = mining[name or next(iter(mining))]
    assert model.negatives is not None
    path = f"{model.key_path}.negatives"
    return Wish(model.negatives, path, model.miner, model.filter, model.pairs, model.leaks)


def wish_of_options(experiment: Experiment, options: Mapping[str, Any], key_path: str = "negatives") -> Wish:
    """Negatives as the command line describes them; the mining model is the file's first encoder where none is named.
    Raises ConfigFaults."""
    faults = Faults("command line", Path())
    spec: Negatives | None = faults.options(Negatives, options, key_path)
    faults.stop()
    assert spec is not None
    known = experiment.encoders
    if spec.filter is not None and spec.filter not in experiment.rerankers:
        hint = suggestion(spec.filter, experiment.rerankers)
        raise ConfigFaults([f"{experiment.file}: rerankers: {spec.filter} is not there. {hint}"])
    judge = experiment.rerankers.get(spec.filter or "")
    if not spec.by_vectors:
        return Wish(spec, key_path, None, judge)
    name = spec.model or next(iter(known), None)
    if name is None or name not in known:
        wanted = name or "an encoder"
        raise ConfigFaults([f"{experiment.file}: encoders: {wanted} is not there. {suggestion(wanted, known)}"])
    miner = reading_at_once(faults, known[name], spec, key_path)
    faults.stop()
    return Wish(spec, key_path, miner, judge)


@contextmanager
def miners(experiment: Experiment, wish: Wish, train: Dataset, cache: Path, emit: Emit) -> Iterator[Miners]:
    """The models that mine over a dataset, checked as those of a run are, with the bill against `max_cost`. Raises
    ConfigFaults."""
    if wish.trained:
        raise ConfigFaults(
            [
                f"{experiment.file}: {wish.key_path}: {wish.trained[0]} is a model that is trained. "
                "To mine with it: bench mine"
            ]
        )
    if train.qrels is None or not train.has_text:
        raise ConfigFaults([f"{experiment.file}: dataset: training needs texts and judgements."])
    miner = wish.miner
    systems = _systems(wish, miner)
    asking = replace(
        experiment,
        models={},
        encoders={**experiment.encoders, **({} if miner is None else {miner.name: miner})},
        systems=systems,
        loads=(),
        targets={},
        settings=experiment.settings.model_copy(update={"cluster": None}),
    )
    pipeline, _ = prepare_over(train, asking, cache, emit)
    try:
        materials, judge = pipeline.materials, wish.spec.filter
        yield Miners(
            experiment.file,
            wish.key_path,
            None if miner is None else materials.encoder(miner.name),
            None if judge is None else materials.reranker(judge),
            materials.budget,
        )
    finally:
        pipeline.close()


@contextmanager
def _after_training(experiment: Experiment, wish: Wish, test: Dataset, cache: Path, emit: Emit) -> Iterator[Miners]:
    """The models that mine where some of them are models of the file: trained first where they are not kept, and the
    first seed of each. Raises ConfigFaults, and what their training raises."""
    budget = budget_of(experiment)
    training = Training(experiment, test, Cache(cache), emit, budget)
    with ExitStack() as stack:
        stack.callback(training.close)
        faults: list[str] = []
        training.check_all(training.with_needed(wish.trained), faults, set())
        if faults:
            raise ConfigFaults(faults)
        training.begin()
        for name in wish.trained:
            training.make(name)
        miner, judge = (None if part is None else training.part_of(part, 1) for part in (wish.miner, wish.judge))
        for part, adapter in ((wish.miner, miner), (wish.judge, judge)):
            if part is not None and adapter is not None:
                stack.enter_context(adapter)
                with naming(experiment.file, part.key_path, faults, set()):
                    adapter.check()
        if faults:
            raise ConfigFaults(faults)
        yield Miners(experiment.file, wish.key_path, miner, judge, budget)


def _systems(wish: Wish, miner: Part | None) -> tuple[System, ...]:
    """The searches that mining stands for, by which models are checked and bills are foreseen."""
    spec = wish.spec
    found: list[System] = []
    if miner is not None:
        source = Searched(_choice("exact"), EncoderPair(miner.name, miner.name))
        found.append(System(spec.strategy, wish.key_path, source, k=spec.per_query))
    if miner is None and (spec.strategy == "bm25" or spec.filter is not None):
        found.append(System(spec.strategy, wish.key_path, Searched(_choice("bm25"), None), k=spec.per_query))
    return tuple(replace(system, reranker=spec.filter, depth=spec.per_query) for system in found)


def _choice(name: str) -> StoreChoice:
    kind = registry.load("stores", name)
    return StoreChoice(name, name, kind, kind.Index(), kind.Query(), kind.Connection(), "")
