"""Trains the models of an experiment alone, without measuring its systems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.cache.artifacts import Cache
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment, TrainedPart
from bench.messages.failures import failure_of
from bench.messages.suggestions import suggestion
from bench.quality.collection import load_data
from bench.quality.stages import Emit
from bench.results.training import TrainedModel
from bench.run.cache_use import using_cache
from bench.run.costs import over_limit
from bench.run.preflight import bill_of_training, budget_of, faults_of_candidates
from bench.run.queries import left_alone, with_queries
from bench.train.forecast import forecast
from bench.train.training import Training


def train_models(
    experiment: Experiment, names: Sequence[str], cache: Path, *, emit: Emit, retrain: bool = False
) -> list[TrainedModel]:
    """Train models and what they start from; all of the file where no names are given. A model that fails ends alone.

    Raises ConfigFaults for everything that can be known before the start.
    """
    _check_names(experiment, names)
    with using_cache(experiment, cache, emit):
        experiment = with_queries(experiment, cache, emit)
        with _checked(experiment, names, cache, emit, retrain=retrain) as (training, wanted):
            training.begin()
            for model in wanted:
                try:
                    training.make(model.name)
                except BaseException as error:
                    emit(failure_of(error).warned(model.key_path, "it could not be trained"))
            return training.results()


def plan_training(experiment: Experiment, names: Sequence[str], cache: Path, *, emit: Emit) -> str:
    """What `train_models` would do, as plain text. Raises ConfigFaults."""
    _check_names(experiment, names)
    with (
        left_alone(experiment, cache, emit) as (experiment, queries),
        _checked(experiment, names, cache, emit, retrain=False) as (training, wanted),
    ):
        written = [] if queries is None else ["synthetic queries", *queries.lines(), ""]
        return "\n".join([*written, "training", *forecast(training, wanted)]) + "\n"


def _check_names(experiment: Experiment, names: Sequence[str]) -> None:
    """Raise ConfigFaults where the file has no models, or not those."""
    file = experiment.file
    if not experiment.models:
        raise ConfigFaults([f"{file}: models: there are none to train. See docs/training.md for how they are written."])
    if unknown := [name for name in names if name not in experiment.models]:
        hints = [f"{file}: models.{name} is not there. {suggestion(name, experiment.models)}" for name in unknown]
        raise ConfigFaults(hints)


@contextmanager
def _checked(
    experiment: Experiment, names: Sequence[str], cache: Path, emit: Emit, *, retrain: bool
) -> Iterator[tuple[Training, list[TrainedPart]]]:
    """The models that are wanted, checked, each after those that it starts from."""
    budget = budget_of(experiment)
    training = Training(experiment, load_data(experiment, cache), Cache(cache), emit, budget, retrain=retrain)
    wanted = training.with_needed(names or list(experiment.models))
    faults: list[str] = []
    try:
        training.check_all(wanted, faults, set())
        if not faults:
            faults += faults_of_candidates(training, wanted, cache, emit)
            faults += [
                f"{experiment.file}: {fault}" for fault in over_limit(bill_of_training(training, wanted), budget)
            ]
        if faults:
            raise ConfigFaults(list(dict.fromkeys(faults)))
        yield training, wanted
    finally:
        training.close()
