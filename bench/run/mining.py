"""Mines hard negatives alone, for a model of the file or as the command line says, and lets them be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters import registry
from adapters.base import Generator
from bench.cache.artifacts import Cache
from bench.data.dataset import Dataset
from bench.experiment.faults import ConfigFaults, Faults
from bench.experiment.models import reading_at_once
from bench.experiment.named_system import named_system
from bench.experiment.negatives import WRITTEN, Negatives
from bench.experiment.parts import (
    Candidates,
    EncoderPair,
    Experiment,
    Part,
    Searched,
    StoreChoice,
    System,
    TrainedPart,
    models_named,
)
from bench.messages.suggestions import suggestion
from bench.money.budget import Budget
from bench.quality.collection import load_data, naming
from bench.quality.materials import NoModels
from bench.quality.pipeline import Pipeline
from bench.quality.stages import Emit
from bench.run.cache_use import using_cache
from bench.run.costs import BillLine, Costs, over_limit
from bench.run.preflight import bill_of_writing, budget_of, prepare_over
from bench.run.queries import Foreseen, left_alone, with_queries
from bench.synthetic.writers import ready
from bench.train.collection import load_splits
from bench.train.forecast import forecast
from bench.train.lessons import Lessons
from bench.train.mining.asked import Asked
from bench.train.mining.candidates import FromSystem
from bench.train.mining.helpers import Helpers
from bench.train.mining.mine import check, is_kept, mine
from bench.train.mining.mined import Mined, relevant_elsewhere
from bench.train.mining.written import TOKENS, Written, answering, writer_of
from bench.train.pairs import training_pairs
from bench.train.training import Training


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be mined. key_path: where its options stand. miner, judge, writer, candidates: the mining model, the
    filter, the generator and the system, None where none is asked. model: the model of the file whose negatives they
    are; None where the command line says how to mine, for the judged pairs."""

    spec: Negatives
    key_path: str
    miner: Part | None = None
    judge: Part | None = None
    writer: Part | None = None
    candidates: Candidates | None = None
    model: TrainedPart | None = None

    @property
    def parts(self) -> list[Part]:
        """Those who are asked, as parts of the file."""
        named = [part for part in (self.miner, self.judge, self.writer) if part is not None]
        return [*named, *([] if self.candidates is None else self.candidates.parts)]

    @property
    def systems(self) -> list[System]:
        """The system whose candidates are asked for, with all that it fuses."""
        return [] if self.candidates is None else self.candidates.systems

    @property
    def trained(self) -> list[str]:
        """The models that are trained before it can be mined."""
        return list(dict.fromkeys(name for part in self.parts for name in models_named(part.options)))


@dataclass(frozen=True, slots=True)
class MinedAlone:
    """mined: for the pairs of the train split. relevant_to_test: how many negatives are relevant to a query that is
    evaluated. notes: sentences on the data."""

    mined: Mined
    relevant_to_test: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MiningAhead:
    """What is to be mined. notes: sentences on the data. miners: None where models are trained before; trained: lines
    on these. kept: whether it was mined before. queries: synthetic ones that the pairs need, None where they need
    none."""

    wish: Wish
    pairs: pa.Table
    notes: tuple[str, ...]
    miners: Miners | None = None
    trained: tuple[str, ...] = ()
    kept: bool = False
    queries: Foreseen | None = None


@dataclass(frozen=True, slots=True)
class Miners:
    """Those who mine for pairs, checked. file: of the wish. dataset: the collection in which they look. prepared: the
    searches that mining stands for, and their bill; None where models are trained before."""

    file: str
    wish: Wish
    pairs: pa.Table
    dataset: Dataset
    helpers: Helpers
    budget: Budget
    prepared: tuple[Pipeline, Costs] | None = None

    def mine(self, *, seed: int, cache: Path, emit: Emit) -> Mined:
        """As the function of that name, but what is wrong with its options is a fault at their place."""
        self._check()
        return mine(
            self.wish.spec,
            self.pairs,
            self.dataset,
            helpers=self.helpers,
            seed=seed,
            cache=cache,
            emit=emit,
            budget=self.budget,
        )

    def kept(self, *, seed: int, cache: Path) -> bool:
        """Whether it was mined before."""
        self._check()
        return is_kept(self.wish.spec, self.pairs, self.dataset, helpers=self.helpers, seed=seed, cache=cache)

    def to_write(self, cache: Path, emit: Emit) -> Written | None:
        """What a generator is to write; None where it writes nothing."""
        if self.helpers.writer is None:
            return None
        writer = writer_of(self.wish.spec, self.helpers.writer, self.dataset)
        return Written(Asked(self.pairs, self.dataset), writer, answering(cache, emit, self.budget))

    def bill_of_writing(self, cache: Path, emit: Emit) -> list[BillLine]:
        """What the generator will be billed. Raises ConfigFaults."""
        if self.wish.writer is None or self.helpers.writer is None or not self.helpers.writer.bills:
            return []
        with self._naming():
            written = self.to_write(cache, emit)
        return [] if written is None else list(bill_of_writing(written, self.wish.writer.name).values())

    def _check(self) -> None:
        with self._naming():
            check(self.wish.spec, self.dataset, self.helpers)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """What fails here is a fault of the options. Raises ConfigFaults."""
        faults: list[str] = []
        with naming(self.file, self.wish.key_path, faults, set()):
            yield
        if faults:
            raise ConfigFaults(faults)


def mine_alone(experiment: Experiment, wish: Wish, *, cache: Path, emit: Emit) -> MinedAlone:
    """Mine for the pairs of the train split, or for those that a model of the file learns from. Raises ConfigFaults for
    what can be known before, and what the models raise."""
    seed = experiment.settings.seed
    with using_cache(experiment, cache, emit):
        experiment = with_queries(experiment, cache, emit)
        test = load_data(experiment, cache)
        pairs, collection, notes = _asked(experiment, wish, test, cache, emit)
        trained = _after_training(experiment, wish, test, pairs, collection, cache, emit)
        with trained if wish.trained else miners(experiment, wish, pairs, collection, cache, emit) as ready:
            mined = ready.mine(seed=seed, cache=cache, emit=emit)
    return MinedAlone(mined, relevant_elsewhere(mined, test), notes)


@contextmanager
def mining_ahead(experiment: Experiment, wish: Wish, *, cache: Path, emit: Emit) -> Iterator[MiningAhead]:
    """What `mine_alone` would do, checked. Nothing is billed, and nobody is asked. Raises ConfigFaults."""
    with left_alone(experiment, cache, emit) as (experiment, queries):
        test = load_data(experiment, cache)
        pairs, dataset, notes = _asked(experiment, wish, test, cache, emit)
        if not wish.trained:
            with miners_ahead(experiment, wish, pairs, dataset, notes, cache, emit) as ahead:
                yield replace(ahead, queries=queries)
            return
        with _checked_training(experiment, wish, test, budget_of(experiment), cache, emit) as training:
            told = forecast(training, training.with_needed(wish.trained))
            yield MiningAhead(wish, pairs, notes, trained=tuple(told), queries=queries)


@contextmanager
def miners_ahead(
    experiment: Experiment,
    wish: Wish,
    pairs: pa.Table,
    dataset: Dataset,
    notes: tuple[str, ...],
    cache: Path,
    emit: Emit,
) -> Iterator[MiningAhead]:
    """What models that are there would mine for pairs. Raises ConfigFaults."""
    with miners(experiment, wish, pairs, dataset, cache, emit) as ready:
        kept = ready.kept(seed=experiment.settings.seed, cache=cache)
        yield MiningAhead(wish, pairs, notes, ready, kept=kept)


def _asked(
    experiment: Experiment, wish: Wish, test: Dataset, cache: Path, emit: Emit
) -> tuple[pa.Table, Dataset, tuple[str, ...]]:
    """The pairs that negatives are wanted for, the collection in which they are looked for, and sentences on both."""
    if wish.model is None:
        splits = load_splits(experiment, cache, emit, evaluated=test)
        pairs = training_pairs(splits.train, splits.evaluated(test), seed=experiment.settings.seed)
        return pairs.table, splits.train, (*splits.notes, *pairs.report.notes)
    faults: list[str] = []
    with naming(experiment.file, wish.model.key_path, faults, set()):
        lessons = Lessons(experiment, test, Cache(cache), emit, budget_of(experiment))
        return lessons.learnt_pairs(wish.model).table, lessons.mined_in(wish.model), lessons.notes(wish.model)
    raise ConfigFaults(faults)


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
    return Wish(model.negatives, path, model.miner, model.filter, model.writer, model.candidates, model)


def wish_of_options(experiment: Experiment, options: Mapping[str, Any], key_path: str = "negatives") -> Wish:
    """Negatives as the command line describes them. The mining model is the file's first encoder, and the generator its
    first one, where none is named. Raises ConfigFaults."""
    faults = Faults("command line", Path())
    given = dict(options)
    if given.get("strategy") == WRITTEN and experiment.generators:
        given.setdefault("by", next(iter(experiment.generators)))
    spec: Negatives | None = faults.options(Negatives, given, key_path)
    faults.stop()
    assert spec is not None
    named = {"filter": ("rerankers", experiment.rerankers), "by": ("generators", experiment.generators)}
    found: dict[str, Part | None] = {}
    for option, (role, known) in named.items():
        name = getattr(spec, option)
        if name is not None and name not in known:
            raise ConfigFaults([f"{experiment.file}: {role}: {name} is not there. {suggestion(name, known)}"])
        found[option] = known.get(name or "")
    wish = Wish(spec, key_path, judge=found["filter"], writer=found["by"])
    if spec.system is not None:
        return replace(wish, candidates=_candidates(experiment, spec.system, key_path))
    if not spec.by_vectors:
        return wish
    encoders = experiment.encoders
    name = spec.model or next(iter(encoders), None)
    if name is None or name not in encoders:
        wanted = name or "an encoder"
        raise ConfigFaults([f"{experiment.file}: encoders: {wanted} is not there. {suggestion(wanted, encoders)}"])
    miner = reading_at_once(faults, encoders[name], spec, key_path)
    faults.stop()
    return replace(wish, miner=miner)


def _candidates(experiment: Experiment, name: str, key_path: str) -> Candidates:
    """The system of the file whose candidates are negatives. Raises ConfigFaults."""
    faults = Faults(experiment.file, experiment.base)
    label, place = f"candidates of {name}", f"{key_path}.system"
    system = named_system(faults, experiment.settings, name, place, experiment.systems, label=label)
    faults.stop()
    assert system is not None
    return Candidates(system, tuple(experiment.models_of(system)))


@contextmanager
def miners(
    experiment: Experiment, wish: Wish, pairs: pa.Table, dataset: Dataset, cache: Path, emit: Emit
) -> Iterator[Miners]:
    """The models that mine for pairs over a collection, checked as those of a run are, with the bill against
    `max_cost`. Raises ConfigFaults."""
    if wish.trained:
        raise ConfigFaults(
            [
                f"{experiment.file}: {wish.key_path}: {wish.trained[0]} is a model that is trained. "
                "To mine with it: bench mine"
            ]
        )
    if dataset.qrels is None or not dataset.has_text:
        raise ConfigFaults([f"{experiment.file}: dataset: training needs texts and judgements."])
    miner, spec = wish.miner, wish.spec
    asking = replace(
        experiment,
        models={},
        encoders={**experiment.encoders, **({} if miner is None else {miner.name: miner})},
        systems=_systems(experiment, wish),
        baseline=None,
        loads=(),
        targets={},
        settings=experiment.settings.model_copy(update={"cluster": None}),
    )
    with ExitStack() as stack:
        writing = Helpers(writer=_writer(experiment, wish, stack))
        found = Miners(experiment.file, wish, pairs, dataset, writing, budget_of(experiment))
        bill = found.bill_of_writing(cache, emit)
        pipeline, costs = prepare_over(_searched(found), asking, cache, emit, ahead=bill)
        stack.callback(pipeline.close)
        materials = pipeline.materials
        helpers = Helpers(
            encoder=None if miner is None else materials.encoder(miner.name),
            judge=None if spec.filter is None else materials.reranker(spec.filter),
            writer=writing.writer,
            candidates=None if (of := wish.candidates) is None else FromSystem.of(asking, of.system, 0, NoModels()),
        )
        yield replace(found, helpers=helpers, budget=materials.budget, prepared=(pipeline, costs))


def _searched(miners: Miners) -> Dataset:
    """The collection with the queries of the pairs. Texts that a generator writes are compared with positives alone."""
    asked, dataset = Asked(miners.pairs, miners.dataset), miners.dataset
    if miners.wish.spec.strategy == WRITTEN:
        dataset = replace(dataset, corpus=dataset.corpus.take(np.unique(asked.positive_rows)))
    return replace(dataset, queries=asked.query_table(), qrels=None, own_rows=None)


def _writer(experiment: Experiment, wish: Wish, stack: ExitStack) -> Generator | None:
    """The generator, checked, until the stack ends. Raises ConfigFaults."""
    if wish.writer is None:
        return None
    faults: list[str] = []
    with naming(experiment.file, wish.writer.key_path, faults, set()):
        generator = stack.enter_context(closing(ready(wish.writer, experiment.context(), tokens=TOKENS)))
        (generator.check_alone if experiment.alone else generator.check)()
        return generator
    raise ConfigFaults(faults)


@contextmanager
def _after_training(
    experiment: Experiment, wish: Wish, test: Dataset, pairs: pa.Table, dataset: Dataset, cache: Path, emit: Emit
) -> Iterator[Miners]:
    """The models that mine where some of them are models of the file: trained first where they are not kept, and the
    first seed of each. Raises ConfigFaults, and what their training raises."""
    budget = budget_of(experiment)
    with ExitStack() as stack:
        training = stack.enter_context(_checked_training(experiment, wish, test, budget, cache, emit))
        training.begin()
        for name in wish.trained:
            training.make(name)
        faults: list[str] = []
        miner, judge = (None if part is None else training.part_of(part, 1) for part in (wish.miner, wish.judge))
        for part, adapter in ((wish.miner, miner), (wish.judge, judge)):
            if part is not None and adapter is not None:
                stack.enter_context(adapter)
                with naming(experiment.file, part.key_path, faults, set()):
                    adapter.check()
        if faults:
            raise ConfigFaults(faults)
        candidates = None if wish.candidates is None else training.candidates(wish.candidates, 1)
        helpers = Helpers(miner, judge, _writer(experiment, wish, stack), candidates)
        found = Miners(experiment.file, wish, pairs, dataset, helpers, budget)
        faults += [f"{experiment.file}: {each}" for each in over_limit(found.bill_of_writing(cache, emit), budget)]
        if faults:
            raise ConfigFaults(faults)
        yield found


@contextmanager
def _checked_training(
    experiment: Experiment, wish: Wish, test: Dataset, budget: Budget, cache: Path, emit: Emit
) -> Iterator[Training]:
    """The training of the models that mine, checked and not begun. Raises ConfigFaults."""
    with closing(Training(experiment, test, Cache(cache), emit, budget)) as training:
        faults: list[str] = []
        training.check_all(training.with_needed(wish.trained), faults, set())
        if faults:
            raise ConfigFaults(faults)
        yield training


def _systems(experiment: Experiment, wish: Wish) -> tuple[System, ...]:
    """The searches that mining stands for, by which models are checked and bills are foreseen."""
    spec, miner = wish.spec, wish.miner
    found: list[System] = []
    if miner is not None:
        source = Searched(_choice("exact"), EncoderPair(miner.name, miner.name))
        found.append(System(spec.strategy, wish.key_path, source, k=spec.per_query))
    if miner is None and (spec.strategy == "bm25" or spec.filter is not None):
        found.append(System(spec.strategy, wish.key_path, Searched(_choice("bm25"), None), k=spec.per_query))
    asked = [replace(system, reranker=spec.filter, depth=spec.per_query) for system in found]
    if wish.candidates is not None:
        asked.append(replace(experiment.at(wish.candidates.system, 0), k=spec.last_place))
    return tuple(asked)


def _choice(name: str) -> StoreChoice:
    kind = registry.load("stores", name)
    return StoreChoice(name, name, kind, kind.Index(), kind.Query(), kind.Connection(), "")
