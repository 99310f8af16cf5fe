"""The command `bench train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import agree_to_keys_of, refusing, resumable
from bench.commands.command_line import (
    CacheOption,
    ConfigArgument,
    DryRunOption,
    EventsOption,
    JsonForTable,
    Overrides,
    QuietOption,
    TrustOption,
    cache_folder,
    config_path,
)
from bench.messages.terminal import show, show_json

if TYPE_CHECKING:
    from bench.experiment.parts import Experiment
    from bench.results.training import TrainedModel


def train(
    config: ConfigArgument = None,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Models [default: all].")] = None,
    set_: Overrides = None,
    cache: CacheOption = None,
    dry_run: DryRunOption = False,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train kept models again.")] = False,
    as_json: JsonForTable = False,
    quiet: QuietOption = False,
    trust: TrustOption = False,
    events: EventsOption = None,
) -> None:
    """Train the models of an experiment, without measuring its systems."""
    from bench.experiment.reader import load_experiment

    with refusing(), resumable():
        experiment = load_experiment(config_path(config), set_ or [])
        place = cache_folder(cache, experiment.settings.cache, experiment.base)
        if dry_run:
            show(_planned(experiment, names or [], place, quiet=quiet))
            return
        agree_to_keys_of(experiment, trust)
        models = _trained(experiment, names or [], place, events, quiet=quiet, retrain=retrain)
    if as_json:
        show_json({"models": [model.model_dump(mode="json") for model in models]})
    else:
        from bench.report.models import of_training

        show(of_training(models))
    if any(model.error is not None for model in models):
        raise typer.Exit(1)


def _planned(experiment: Experiment, names: list[str], cache: Path, *, quiet: bool) -> str:
    from bench.progress import Progress
    from bench.run.training import plan_training

    with Progress(enabled=not quiet) as progress:
        return plan_training(experiment, names, cache, emit=progress)


def _trained(
    experiment: Experiment, names: list[str], cache: Path, events: Path | None, *, quiet: bool, retrain: bool
) -> list[TrainedModel]:
    from bench.progress import Progress
    from bench.run.folder import Relay
    from bench.run.following import followed
    from bench.run.training import train_models

    with followed(events) as followers, Progress(enabled=not quiet) as progress:
        return train_models(experiment, names, cache, emit=Relay([progress, *followers]), retrain=retrain)
