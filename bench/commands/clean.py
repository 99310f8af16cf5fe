"""The command `bench clean`."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import agree_to_delete, agree_to_keys, refuse, refusing
from bench.commands.command_line import CacheOption, TrustOption, cache_folder, config_path, given_path
from bench.messages.terminal import say, show
from bench.messages.wording import counted

if TYPE_CHECKING:
    from bench.cache.clean import Cleaned, Scope
    from bench.cache.entries import Wish

_SECONDS = {"h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


def span(text: str) -> float:
    """The seconds of `12h`, `30d` or `2w`."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([hdw])\s*", text, re.IGNORECASE)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no span of time. Write a number of hours, days or weeks: 12h, 30d, 2w")
    return float(found[1]) * _SECONDS[found[2].lower()]


def clean(
    config: Annotated[
        Path | None,
        typer.Argument(
            parser=given_path,
            help="Drop what only this experiment uses: its file, or a folder with one, whose key `cache` names the "
            "folder; or the file of a retriever.",
        ),
    ] = None,
    cache: CacheOption = None,
    index: Annotated[
        bool, typer.Option("--index", help="Only built indexes [default, where no FILE and no --older-than is given].")
    ] = False,
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than", metavar="TIME", parser=span, help="Only what nobody has used for so long: 12h, 30d, 2w."
        ),
    ] = None,
    models: Annotated[
        bool, typer.Option("--models", help="Trained models too, which FILE and --older-than leave alone.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="The whole cache, whoever uses it: vectors and scores paid for too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    trust: TrustOption = False,
) -> None:
    """Delete from the cache: built indexes, what one experiment alone uses, what is old, or all."""
    excluded = {"--index": index, "--older-than": older_than is not None, "--all": everything}
    if everything and sum(excluded.values()) > 1:
        refuse([f"{' and '.join(name for name, given in excluded.items() if given)} exclude each other."])
    folder, file = _meant(config, cache)
    if everything or (file is None and older_than is None):
        if models and not everything:
            refuse(["--models has no effect without FILE or --older-than. To remove models alone: bench models remove"])
        _clean("all" if everything else "index", folder, dry_run, yes, trust)
        return
    from bench.cache.entries import Wish

    since = None if older_than is None else time.time() - older_than
    _drop(Wish(file, since, models, index), folder, dry_run, yes, trust)


def _meant(config: Path | None, cache: Path | None) -> tuple[Path, Path | None]:
    """The cache, and the file that uses it. A file that is gone, or is no experiment, may still be known as a user."""
    from bench.cache.users import record_of
    from bench.experiment.faults import ConfigFaults
    from bench.experiment.reader import load_experiment

    if config is None:
        return cache_folder(cache, None, Path()), None
    path = config_path(config)
    try:
        experiment = load_experiment(path, [])
    except ConfigFaults as error:
        folder = cache_folder(cache, None, Path())
        if not record_of(folder, path.resolve()).is_file():
            refuse(error.faults)
        return folder, path.resolve()
    return cache_folder(cache, experiment.settings.cache, experiment.base), path.resolve()


def _clean(scope: Scope, folder: Path, dry_run: bool, yes: bool, trust: bool) -> None:
    from bench.cache.clean import clean as clean_cache
    from bench.cache.clean import contacts, contents

    found = contents(folder, scope) if folder.is_dir() else []
    if not found:
        show(f"{folder}: nothing to clean.\n")
        return
    if dry_run:
        _planned(found)
        return
    agree_to_delete(folder, found, yes)
    agree_to_keys(contacts(folder), trust, "its record")
    with refusing():
        done = clean_cache(folder, scope, tell=say)
    _done(done, folder)


def _drop(wish: Wish, folder: Path, dry_run: bool, yes: bool, trust: bool) -> None:
    from bench.cache.clean import contacts, contents_of, drop

    found, staying = contents_of(folder, wish) if folder.is_dir() else ([], [])
    if not found:
        whose = "nothing to clean" if wish.file is None else f"nothing that {wish.file} alone uses"
        show(f"{folder}: {whose}.\n")
        for line in staying:
            say(line)
        return
    if dry_run:
        _planned([*found, *staying])
        return
    agree_to_delete(folder, [*found, *staying], yes)
    agree_to_keys(contacts(folder, wish), trust, "its record")
    with refusing():
        done = drop(folder, wish, tell=say)
    _done(done, folder)


def _planned(found: Sequence[str]) -> None:
    for line in found:
        show(f"{line}\n")
    say("Nothing was deleted: this is a dry run.")


def _done(done: Cleaned, folder: Path) -> None:
    show(f"{counted(len(done.indexes), 'index', 'dropped')}, {counted(done.bytes, 'byte', 'deleted')} in {folder}.\n")
    if done.kept:
        show(f"{counted(len(done.kept), 'index')} could not be dropped; run it again when the engine answers.\n")
        raise typer.Exit(1)
