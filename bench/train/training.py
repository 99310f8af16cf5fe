"""The models of an experiment, trained when a system needs one: found kept, or made seed by seed.

While a run is planned nobody trains: an untrained model of the same form stands in for one that is not kept, so that
everything else about it (its dimension, its speed, whether a store can hold it) is known before.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.base import Context, Encoder, Generator, InvalidOptions, ModelNotFound, Reranker, Trainer, Warned
from bench.cache.artifacts import SCRATCH, Cache, new_folder
from bench.cache.digests import content_key, deciding
from bench.cache.locks import entry_locked
from bench.cache.own_files import own_folder
from bench.data.dataset import Dataset
from bench.experiment.negatives import Negatives
from bench.experiment.parts import (
    Candidates,
    Experiment,
    Part,
    System,
    TrainedPart,
    Variant,
    models_named,
    of_seed,
)
from bench.messages.failures import Failed, Failure, failure_of
from bench.money.budget import Budget
from bench.quality.collection import naming
from bench.quality.stages import Emit, waiting
from bench.results.training import TrainedModel
from bench.synthetic.writers import ready
from bench.train.job import Job, SeedOutcome
from bench.train.kept import KeptModel, KeptModels
from bench.train.lessons import Lessons
from bench.train.mining.candidates import FromSystem
from bench.train.mining.helpers import Helpers
from bench.train.mining.mine import check as check_mining
from bench.train.mining.mined import Mined
from bench.train.mining.written import TOKENS, Written, writer_of
from bench.train.outcomes import Outcome, VariantOutcome, failed_model, known, trained_model
from bench.train.teaching import Teaching

LAYOUT = 1  # of what training means beyond recipes; a higher number trains again what an earlier version trained


class Training:
    """The models of one experiment. folders: where each is, by how options name it; an untrained one while planning.

    test: the collection that is evaluated. retrain: train again what is kept.
    """

    def __init__(
        self,
        experiment: Experiment,
        test: Dataset,
        cache: Cache,
        emit: Emit,
        budget: Budget,
        *,
        retrain: bool = False,
    ) -> None:
        self.folders: dict[str, Path] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.failures: dict[str, Failure] = {}
        self.experiment = experiment
        self.lessons = Lessons(experiment, test, cache, emit, budget)
        self.kept = KeptModels(cache)
        self.context: Context = experiment.context(test.vector_dimension, self.folders)
        self._cache = cache
        self._emit = emit
        self._budget = budget
        self._retrain = retrain
        self._planning = True
        self._scratch: list[Path] = []
        self._rerankers = {part.key_path for part in experiment.rerankers.values()}

    # -- as the quality pass knows it ----------------------------------------------------------------------------

    def need(self, part: Part) -> None:
        """Make the models that a part's options name. Raises whatever their training does."""
        for name in models_named(part.options):
            self.make(name)

    def chosen(self, system: System) -> int:
        """The build of a system that a user would take: the seed of its reranker that dev chose, else of its
        encoder."""
        parts = sorted(self.experiment.models_of(system), key=lambda part: part.key_path not in self._rerankers)
        for name in (name for part in parts if part.seeds > 1 for name in models_named(part.options)):
            return self.outcomes[name].chosen_seed - 1
        return 0

    def begin(self) -> None:
        """From now on models are trained where they are needed."""
        self._planning = False
        self.close()

    def close(self) -> None:
        """Delete the untrained models."""
        while self._scratch:
            shutil.rmtree(self._scratch.pop(), ignore_errors=True)
        self.folders.clear()
        for outcome in self.outcomes.values():
            self._place(outcome)

    def described(self, name: str) -> dict[str, Any]:
        """All that decides a model of the file: what it learns from, its recipe with all options, what it starts
        from."""
        model = self.experiment.models[name]
        negatives, base = model.negatives, models_named(model.base.options)
        return {
            "recipe": model.recipe,
            "variants": [_plain(variant.options) for variant in model.variants],
            "seeds": model.seeds,
            "data": self.lessons.digest(model),
            "negatives": None if negatives is None else {**negatives.deciding(), **_named(model)},
            "models": {each: self.described(each) for each in model.needed()},
            **({} if base else {"base": _plain(model.base.options)}),
        }

    def results(self) -> list[TrainedModel]:
        """What a result says of the models that were needed, in the order of the file."""
        return [
            failed_model(model, self.failures[name])
            if name in self.failures
            else trained_model(self.outcomes[name], self.lessons)
            for name, model in self.experiment.models.items()
            if name in self.outcomes or name in self.failures
        ]

    # -- before --------------------------------------------------------------------------------------------------

    def in_use(self) -> list[TrainedPart]:
        """The models that the systems need, each after those that it needs itself."""
        parts = [part for system in self.experiment.systems for part in self.experiment.models_of(system)]
        return self.with_needed([name for part in parts for name in models_named(part.options)])

    def with_needed(self, names: Sequence[str]) -> list[TrainedPart]:
        """Models and those that they need, each after those that it needs itself."""
        wanted = list(names)
        while more := [n for name in wanted for n in self.experiment.models[name].needed() if n not in wanted]:
            wanted += more
        return [model for name, model in self.experiment.models.items() if name in wanted]

    def check_all(self, models: Sequence[TrainedPart], faults: list[str], broken: set[str]) -> None:
        """Check models, each after those that it needs. What is wrong goes to the faults, and its place to the broken
        ones; a model that needs a broken one is not named besides."""
        for model in models:
            if not {f"models.{name}" for name in model.needed()} & broken:
                with naming(self.experiment.file, model.key_path, faults, broken):
                    self.check(model)

    def check(self, model: TrainedPart) -> None:
        """Raise what stands against training a model: its data, its options, what it starts from."""
        parts = [
            ("base", model.base),
            ("negatives.model", model.miner),
            ("negatives.filter", model.filter),
            ("negatives.by", model.writer),
            *(("negatives.system", part) for part in (model.candidates.parts if model.candidates else ())),
        ]
        for option, part in parts:
            if part is not None and not models_named(part.options):
                with self.part_of(part, 1) as adapter:
                    try:
                        (adapter.check_alone if self.experiment.alone else adapter.check)()
                    except ModelNotFound as error:
                        raise InvalidOptions(str(error), key=option) from error
        for variant in model.variants:
            self.trainer(model, variant, 1).check()
        self.lessons.digest(model)
        if self.lessons.undecided(model):
            _check_undecided(model)
        if model.negatives is not None:
            self._check_negatives(model, model.negatives)
        self.make(model.name)

    def _check_negatives(self, model: TrainedPart, spec: Negatives) -> None:
        try:
            check_mining(spec, self.lessons.mined_in(model), self.helpers(model, 1))
        except InvalidOptions as error:
            raise InvalidOptions(str(error), key=f"negatives.{error.key}" if error.key else "negatives") from error

    # -- models --------------------------------------------------------------------------------------------------

    def make(self, name: str) -> None:
        """Have a model and all that it starts from: trained, or as it stands in while a run is planned."""
        model = self.experiment.models[name]
        if name in self.failures:
            raise Failed(self.failures[name])
        if name in self.outcomes or (self._planning and model.reference(1) in self.folders):
            return
        try:
            for needed in model.needed():
                self.make(needed)
            if self._planning:
                self._stand_in(model)
            else:
                self.outcomes[name] = self._trained(model)
                self._place(self.outcomes[name])
        except BaseException as error:
            failure = failure_of(error)
            if not self._planning:
                self.failures[name] = failure
            raise

    def trainer(self, model: TrainedPart, variant: Variant, seed: int) -> Trainer:
        """The trainer of a model, for one seed."""
        found: Trainer = model.kind(of_seed(variant.options, seed, self.experiment.models), self.context)
        return found

    def part_of(self, part: Part, seed: int) -> Any:
        """An encoder or reranker that a model's training works with, for one seed."""
        return part.kind(of_seed(part.options, seed, self.experiment.models), self.context)

    def helpers(self, model: TrainedPart, seed: int) -> Helpers:
        """Who finds the negatives of a model, for one seed. A generator writes the same for all seeds."""
        found = None if model.candidates is None else self.candidates(model.candidates, seed)
        return Helpers(
            encoder=None if model.miner is None else self.part_of(model.miner, seed),
            judge=None if model.filter is None else self.part_of(model.filter, seed),
            writer=None if model.writer is None else self.writer(model.writer),
            candidates=found,
        )

    def writer(self, part: Part) -> Generator:
        """A generator that writes negatives."""
        return ready(part, self.context, tokens=TOKENS)

    def candidates(self, candidates: Candidates, seed: int) -> FromSystem:
        """A system whose candidates are negatives, for one seed."""
        return FromSystem.of(self.experiment, candidates.system, seed - 1, self)

    def to_write(self, model: TrainedPart) -> Written | None:
        """What is written for the negatives of a model; None where none are. Its generator is closed by the caller."""
        return None if model.writer is None else self.lessons.to_write(model, self.writer(model.writer))

    def _found_by(self, model: TrainedPart, seed: int) -> dict[str, Any]:
        """What decides negatives that a generator writes or a system finds, for a model's key."""
        helpers, dataset = self.helpers(model, seed), self.lessons.mined_in(model)
        found: dict[str, Any] = {}
        if helpers.writer is not None and model.negatives is not None:
            found["writer"] = writer_of(model.negatives, helpers.writer, dataset).identity
        if helpers.candidates is not None:
            found["system"] = helpers.candidates.identity(dataset.vector_dimension)
        return found

    def teaching(self, teacher: Encoder | Reranker) -> Teaching:
        """A teacher, asked through the cache."""
        return Teaching(teacher, teacher.identity.model, self._cache, self._emit, self._budget)

    def key(self, model: TrainedPart, variant: Variant, seed: int) -> str:
        """The key of one training: what it learns from, its recipe with the base, what decides, and the seed. Neither
        library versions nor the device are in it: an upgrade does not train for hours."""
        negatives = None
        if model.negatives is not None:
            helpers = {
                what: self.part_of(part, seed).identity.as_dict()
                for what, part in (("miner", model.miner), ("filter", model.filter))
                if part is not None
            }
            negatives = {
                "options": model.negatives.deciding(),
                **_without_versions(helpers),
                **self._found_by(model, seed),
            }
        dev = None if model.scored is not None else self.lessons.splits(model).dev
        return content_key(
            {
                "layout": LAYOUT,
                "recipe": dict(self.trainer(model, variant, seed).recipe),
                "data": self.lessons.digest(model),
                "corpus": None if model.negatives is None else self.lessons.mined_in(model).fingerprint,
                "negatives": negatives,
                "dev": None if dev is None else dev.fingerprint,
                "seed": self.seed(seed),
            }
        )

    def seed(self, number: int) -> int:
        """What is drawn by in the training of a seed, counted from 1."""
        return self.experiment.settings.seed * 1000 + number

    def find(self, model: TrainedPart, variant: Variant, seed: int) -> KeptModel | None:
        """The kept model of a training; None where it has to be trained."""
        return self._kept(self.key(model, variant, seed))

    def _kept(self, key: str) -> KeptModel | None:
        return None if self._retrain and not self._planning else self.kept.find(key)

    def _trained(self, model: TrainedPart) -> Outcome:
        variants = [
            VariantOutcome(variant, tuple(self._seed(model, variant, seed) for seed in range(1, model.seeds + 1)))
            for variant in model.variants
        ]
        return Outcome(model, tuple(variants), max(variants, key=lambda each: known(each.dev)))

    def _seed(self, model: TrainedPart, variant: Variant, seed: int) -> SeedOutcome:
        key = self.key(model, variant, seed)
        if (kept := self._kept(key)) is not None:
            return SeedOutcome(seed, kept, reused=True)
        job = Job(
            model=model,
            variant=variant,
            number=seed,
            seed=self.seed(seed),
            key=key,
            trainer=self.trainer(model, variant, seed),
            base=self.part_of(model.base, seed),
            helpers=self.helpers(model, seed),
            experiment=self.experiment,
        )
        mined = self._mined(model, job)
        with entry_locked(self._cache.folder, f"models-{key}", waiting(self._emit)):
            if (kept := self._kept(key)) is not None:  # another run has trained it meanwhile
                return SeedOutcome(seed, kept, reused=True)
            if (damage := self.kept.damage(key)) is not None and not self._retrain:
                self._emit(Warned(model.key_path, f"{damage}; it is trained again."))
            try:
                return job.run(self.lessons, mined, self.kept, self._cache, self._emit, self._budget)
            finally:
                job.trainer.rest()

    def _mined(self, model: TrainedPart, job: Job) -> Mined | None:
        try:
            return self.lessons.mined(model, job.seed, job.helpers)
        finally:
            if job.helpers.writer is not None:
                job.helpers.writer.close()

    def _place(self, outcome: Outcome) -> None:
        for number, seed in enumerate(outcome.kept.seeds, start=1):
            self.folders[outcome.model.reference(number)] = seed.kept.folder

    def _stand_in(self, model: TrainedPart) -> None:
        """The kept models where dev need not choose between several, else an untrained one."""
        untrained: Path | None = None
        for seed in range(1, model.seeds + 1):
            kept = self.find(model, model.variants[0], seed) if len(model.variants) == 1 else None
            if kept is None and untrained is None:
                own_folder(self._cache.folder)
                untrained = new_folder(self._cache.folder, SCRATCH)
                self._scratch.append(untrained)
                self.trainer(model, model.variants[0], seed).initial(untrained, self.seed(seed))
            folder = untrained if kept is None else kept.folder
            assert folder is not None
            self.folders[model.reference(seed)] = folder


def _check_undecided(model: TrainedPart) -> None:
    """Raise InvalidOptions for what dev would decide, where it has no judged queries."""
    cure = "Give the collection a dev split of judged queries, or test_size and dev_size to cut one"
    if len(model.variants) > 1:
        told = f"stands for {len(model.variants)} sets of options, and no judged dev query decides between them"
        raise InvalidOptions(f"{told}. Write one value. {cure}.")
    for option in ("evaluate_every", "patience"):
        if getattr(model.variants[0].options, option, None) is not None:
            raise InvalidOptions(f"has no effect: no judged dev query decides. Leave it out. {cure}.", key=option)


def _named(model: TrainedPart) -> dict[str, Any]:
    """The generator or the system that negatives come from, as the file has it."""
    found: dict[str, Any] = {}
    if model.writer is not None:
        found["writer"] = [model.writer.adapter, _plain(model.writer.options)]
    if model.candidates is not None:
        found["system"] = [_of_system(each) for each in model.candidates.systems]
        found["parts"] = [[part.adapter, _plain(part.options)] for part in model.candidates.parts]
    return found


def _of_system(system: System) -> dict[str, Any]:
    store, fused = system.store, system.fused
    return {
        "store": None if store is None else [store.adapter, store.plain("index"), store.plain("query")],
        "fusion": None if fused is None else fused.as_dict(),
        "filter": system.filter.as_dict() if system.filter else None,
        "depth": system.depth,
    }


def _plain(options: Any) -> dict[str, Any]:
    values: dict[str, Any] = options.model_dump(mode="json")
    return values


def _without_versions(identities: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {what: deciding(identity) for what, identity in identities.items()}
