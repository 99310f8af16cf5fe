"""The commands of `bench models`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import agree_to, refuse, refusing
from bench.commands.command_line import CacheOption, Overrides, cache_folder, config_path, given_path
from bench.messages.terminal import say, show
from bench.messages.wording import counted

if TYPE_CHECKING:
    from bench.train.kept import KeptModels

app = typer.Typer(
    name="models",
    help="List the models that were trained, look at them, compare, export, import and remove them.",
    rich_markup_mode=None,
)

Name = Annotated[
    str, typer.Argument(metavar="NAME|KEY", help="Name of a model, NAME#SEED for one of its seeds, or its key.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    cache: CacheOption = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            parser=given_path,
            help="Write one row for each training: options, measures, time. `-` is standard output.",
        ),
    ] = None,
    folder: Annotated[bool, typer.Option("--folder", help="Say where they are kept instead.")] = False,
) -> None:
    """List the models that were trained, look at them, compare, export, import and remove them."""
    context.obj = cache
    if context.invoked_subcommand is not None:
        if csv is not None:
            refuse([f"--csv lists all trainings; it has no effect on {context.invoked_subcommand}."])
        if folder:
            refuse([f"--folder says where all models are; it has no effect on {context.invoked_subcommand}."])
        return
    if folder and csv is not None:
        refuse(["--csv and --folder exclude each other."])
    from bench.cache.artifacts import check_writable, write_atomically
    from bench.train.listing import listed
    from bench.train.trainings import trainings_csv

    kept = _kept(context, None)
    if folder:
        show(f"{kept.folder}\n")
        return
    if csv is None:
        show(listed(kept))
        return
    table = trainings_csv(kept.folder, [each.provenance for each in kept.all()])
    if str(csv) == str(given_path("-")):
        show(table)
        return
    check_writable(csv)
    write_atomically(csv, table.encode("utf-8"))
    show(f"{csv}: {counted(table.count(chr(10)) - 1, 'training')}\n")


@app.command("show")
def show_model(
    context: typer.Context,
    name: Name,
    card: Annotated[bool, typer.Option("--card", help="Print the model card instead.")] = False,
    cache: CacheOption = None,
) -> None:
    """Show what is known of a model: its curves, data, measures, and some of its negatives."""
    from bench.train.choosing import choose, choose_one
    from bench.train.listing import described

    kept = _kept(context, cache)
    with _telling():
        if card:
            one, note = choose_one(kept, name)
            show(one.card())
            if note:
                say(note)
            return
        show(described(choose(kept, name), kept.folder.parent / "negatives"))


@app.command()
def compare(context: typer.Context, one: Name, other: Name, cache: CacheOption = None) -> None:
    """Show where two models differ, and what they measured."""
    from bench.train.choosing import choose
    from bench.train.listing import compared

    kept = _kept(context, cache)
    with _telling():
        show(compared(choose(kept, one), choose(kept, other)))


@app.command()
def export(
    context: typer.Context,
    name: Name,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", parser=given_path, help="Copy it into this folder, which must be new."),
    ] = None,
    push: Annotated[
        str | None, typer.Option("--push", metavar="REPOSITORY", help="Send it to organization/name on the model hub.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="With --push: let everybody see a repository that is made for it.")
    ] = False,
    yes: YesOption = False,
    cache: CacheOption = None,
) -> None:
    """Copy a model into a folder, or send it to the model hub; of several seeds the one that dev likes best."""
    from bench.train.choosing import choose_one
    from bench.train.exporting import export_to

    if (to is None) == (push is None):
        refuse(["Say where to: --to DIR or --push REPOSITORY"])
    if public and push is None:
        refuse(["--public has no effect without --push."])
    with _telling():
        kept, note = choose_one(_kept(context, cache), name)
        if note:
            say(note)
        if to is not None:
            export_to(kept, to)
            show(f"{to}\n")
    if push is not None:
        from adapters.hub import hub_address, publish

        files = counted(len(kept.provenance.files) + 1, "file")
        what = f"{files}, {kept.bytes:,} bytes, to {push} on {hub_address()}"
        seen = "everybody may see a repository that is made for it" if public else "a repository made for it is private"
        agree_to(f"Send {kept.provenance.reference}: {what} ({seen})?", yes, f"Nothing was sent: {what}.")
        with _telling():
            show(f"{publish(kept.folder, push, private=not public)}\n")


@app.command()
def remove(context: typer.Context, name: Name, yes: YesOption = False, cache: CacheOption = None) -> None:
    """Delete a model, all its seeds where its name is given."""
    from bench.cache.mark import cache_to_oneself
    from bench.train.choosing import choose
    from bench.train.kept import is_key

    kept = _kept(context, cache)
    with _telling():
        if is_key(name) and (kept.damage(name) or name in kept.interrupted()):
            keys, what = [name], f"what is left of the model {name}"
        else:
            chosen = choose(kept, name)
            keys = [each.key for each in chosen.models]
            what = f"{chosen.name} ({', '.join(keys)})"
    agree_to(f"Delete {what}?", yes, "Nothing was deleted.")
    with refusing(), cache_to_oneself(kept.folder.parent):
        for key in keys:
            kept.remove(key)
    show(f"{counted(len(keys), 'model', 'deleted')}.\n")


@app.command("import")
def import_model(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", parser=given_path, help="Folder of the model.")],
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            parser=given_path,
            help="Experiment file: its queries are looked for among training texts.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What to call it [default: as it was called, else as its folder].")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", parser=given_path, help="The texts that it learnt from."),
    ] = None,
    set_: Overrides = None,
    cache: CacheOption = None,
) -> None:
    """Take in a model that was trained elsewhere, and say how far its training data is known to be clean."""
    from bench.cache.artifacts import Cache
    from bench.cache.mark import cache_in_use
    from bench.experiment.reader import load_experiment
    from bench.train.importing import evaluation_of
    from bench.train.importing import import_model as take_in
    from bench.train.kept import KeptModels

    if config is None and (set_ or data is not None):
        refuse([f"{'--set' if set_ else '--data'} has no effect without an experiment FILE."])
    with refusing(), _telling():
        experiment = None if config is None else load_experiment(config_path(config), set_ or [])
        setting, base = (None, Path()) if experiment is None else (experiment.settings.cache, experiment.base)
        place = cache_folder(cache or context.obj, setting, base)
        with cache_in_use(place) as unmarked:
            evaluation, notes = ([], []) if experiment is None else evaluation_of(experiment, place)
            done = take_in(KeptModels(Cache(place)), folder, name=name, evaluation=evaluation, data=data)
    for line in (*((unmarked,) if unmarked else ()), *notes, *done.told):
        say(line)
    show(f"{done.model.provenance.reference}  {done.model.key}  {done.model.folder}\n")


def _kept(context: typer.Context, cache: Path | None) -> KeptModels:
    """The models of the cache that was named before or behind the command's name."""
    from bench.cache.artifacts import Cache
    from bench.train.kept import KeptModels

    return KeptModels(Cache(cache_folder(cache or context.obj, None, Path())))


@contextmanager
def _telling() -> Iterator[None]:
    """A model that is not there, and what an adapter refuses, stop a command with exit status 2."""
    from adapters.base import AdapterError
    from bench.train.choosing import NoSuchModel
    from bench.train.exporting import PlaceTaken

    try:
        yield
    except (NoSuchModel, PlaceTaken, AdapterError) as error:
        refuse([str(error)])
