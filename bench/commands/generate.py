"""The command `bench generate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import agree_to_keys_of, refuse, refusing, resumable
from bench.commands.command_line import (
    CacheOption,
    ConfigArgument,
    DryRunOption,
    JsonOption,
    Overrides,
    QuietOption,
    TrustOption,
    cache_folder,
    config_path,
    given_path,
)
from bench.messages.terminal import show, show_json
from bench.messages.wording import beginning, counted

if TYPE_CHECKING:
    from bench.experiment.parts import Experiment
    from bench.run.queries import Generated

LOOKED_AT = 10  # questions that are shown where nothing else is asked for
LONGEST_SHOWN = 120  # characters of a document


def generate(
    config: ConfigArgument = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", parser=given_path, help="New folder [default: EXPERIMENT-synthetic]."
        ),
    ] = None,
    look: Annotated[int, typer.Option(help="Questions that are shown.", min=0)] = LOOKED_AT,
    set_: Overrides = None,
    cache: CacheOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    trust: TrustOption = False,
) -> None:
    """Have questions written for documents, or make labelled examples, into a folder that is a collection."""
    from bench.experiment.reader import load_experiment
    from bench.run.queries import alone_with_queries
    from bench.synthetic.folder import FolderInUse

    with refusing(), resumable():
        experiment = load_experiment(config_path(config), set_ or [])
        folder = output or Path(f"{experiment.name}-synthetic")
        if experiment.settings.synthetic is not None and experiment.questions is None:
            _examples(experiment, folder, look, dry_run=dry_run, as_json=as_json)
            return
        if experiment.questions is None:
            refuse(
                [
                    f"{experiment.file}: synthetic is missing: say which generator of the file writes questions, such "
                    "as synthetic: {by: NAME, per_document: 3, sample: 100}"
                ]
            )
        place = cache_folder(cache, experiment.settings.cache, experiment.base)
        if dry_run:
            show(_planned(experiment, place, quiet=quiet))
            return
        agree_to_keys_of(alone_with_queries(experiment), trust)
        try:
            found = _generated(experiment, folder, place, quiet=quiet)
        except FolderInUse as error:
            refuse([str(error)])
    _print(experiment, found, look, as_json=as_json)


def _examples(experiment: Experiment, folder: Path, look: int, *, dry_run: bool, as_json: bool) -> None:
    """Labelled examples of a template."""
    from adapters.base import InvalidOptions
    from bench.run.queries import make_examples
    from bench.synthetic.folder import FolderInUse

    try:
        found = make_examples(experiment, None if dry_run else folder)
    except (FolderInUse, InvalidOptions) as error:
        refuse([f"{experiment.file}: synthetic: {error}" if isinstance(error, InvalidOptions) else str(error)])
    step = max(1, len(found.rows) // look) if look else 1
    shown = found.rows[::step][:look]
    if as_json:
        rows = [{"query": text, "label": label} for text, label in shown]
        show_json({"folder": str(folder), "queries": len(found.rows), "notes": list(found.notes()), "examples": rows})
        return
    for note in found.notes():
        show(f"{note}\n")
    for text, label in shown:
        show(f"  {_short(text)}\n    {label}\n")
    made = counted(len(found.rows), "example")
    if dry_run:
        show(f"{made} would be written into {folder}.\n")
        return
    show(
        f"\n{folder}: {made}; read them, edit them, and use them as\n"
        + _dataset(experiment, adapter="files", path=folder / "documents", questions=folder / "questions.csv")
    )


def _planned(experiment: Experiment, cache: Path, *, quiet: bool) -> str:
    from bench.progress import Progress
    from bench.run.queries import plan_generate

    with Progress(enabled=not quiet) as progress:
        return plan_generate(experiment, cache, progress)


def _generated(experiment: Experiment, folder: Path, cache: Path, *, quiet: bool) -> Generated:
    from bench.progress import Progress
    from bench.run.queries import generate

    with Progress(enabled=not quiet) as progress:
        return generate(experiment, folder, cache, progress)


def _print(experiment: Experiment, found: Generated, look: int, *, as_json: bool) -> None:
    about, examples = found.written.about, found.examples(look)
    if as_json:
        shown = [{"query": question, "document": text} for question, text in examples]
        show_json({**about, "folder": str(found.folder), "examples": shown})
        return
    for note in about["notes"]:
        show(f"{note}\n")
    if examples:
        show("\nTo look at:\n")
    for question, text in examples:
        show(f"  {_short(question)}\n    {_short(text)}\n")
    show(
        f"\n{found.folder}: {counted(about['queries'], 'query')}; read them, edit them, and use them as\n"
        + _dataset(experiment, adapter="beir", path=found.folder)
    )


def _dataset(experiment: Experiment, *, adapter: str, **places: Path) -> str:
    """The line that names a folder as the dataset, for the experiment's own file: paths there begin at its folder."""
    from bench.experiment.proposal import flow

    base = experiment.base.resolve()
    named = {name: os.path.relpath(place.resolve(), base) for name, place in places.items()}
    return f"dataset: {flow({'adapter': adapter, **named})}\n"


def _short(text: str) -> str:
    return beginning(text, LONGEST_SHOWN, " …")
