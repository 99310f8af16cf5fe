"""`bench data`: a collection looked at before anything is measured."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.commands.asking import agree_to_keys_of, refusing
from bench.commands.command_line import (
    CacheOption,
    ConfigArgument,
    Overrides,
    TrustOption,
    cache_folder,
    config_path,
)
from bench.messages.terminal import show, show_json


def data(
    config: ConfigArgument = None,
    set_: Overrides = None,
    cache: CacheOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the lines.")] = False,
    trust: TrustOption = False,
) -> None:
    """Look at the collection of an experiment: amounts, splits, lengths, languages, repeats, leaks, what is cut."""
    from bench.experiment.reader import load_experiment

    with refusing():
        experiment = load_experiment(config_path(config), set_ or [])
        place = cache_folder(cache, experiment.settings.cache, experiment.base)
        agree_to_keys_of(experiment, trust)
        from bench.quality.overview import described, look_at, text_of

        seen = look_at(experiment, place)
    if as_json:
        show_json(described(seen))
    else:
        show(text_of(seen.sections, seen.warnings))
