"""What several commands take: paths, and options of the same name and meaning."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.commands.asking import refuse
from bench.messages.terminal import say

CONFIG_NAME = "bench.yaml"
RESULTS = "results"


def given_path(text: str | Path) -> Path:
    """A path of the command line: a shell leaves `~` and variables alone in --output=~/results."""
    from adapters.base.paths import resolve_path

    try:
        return resolve_path(Path(), text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


ConfigArgument = Annotated[
    Path | None,
    typer.Argument(
        parser=given_path, help=f"Experiment file, or a folder with {CONFIG_NAME} [default: {CONFIG_NAME}]."
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it takes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]
JsonForTable = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the file, e.g. systems[1].depth=50."),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        parser=given_path,
        help="Folder of the cache [default: that of the file, of BENCH_CACHE, else the user's].",
    ),
]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Send keys to the addresses that the file names with a variable, unasked.")
]
EventsOption = Annotated[
    Path | None,
    typer.Option(
        "--events",
        metavar="FILE",
        parser=given_path,
        help="Write what happens as lines of JSON, at once, for a program that follows.",
    ),
]
ResultArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[RESULT]",
        parser=given_path,
        help=f"A result folder, or a folder of results, of which the newest [default: {RESULTS}].",
    ),
]


def result_folder(given: Path | None) -> Path:
    """The result folder that a command was given, or the newest one below the folder that it was given."""
    from bench.results.folders import result_in
    from bench.results.model import ResultUnreadable

    try:
        return result_in(given_path(RESULTS) if given is None else given)
    except ResultUnreadable as error:
        refuse([str(error)])


def terminal_width() -> int:
    """Columns of the terminal, 80 where the output goes elsewhere."""
    if sys.stdout is None or not sys.stdout.isatty():
        return 80
    return max(40, shutil.get_terminal_size().columns)


def config_path(config: Path | None) -> Path:
    """The experiment file that a command was given, or the one in the folder that it was given."""
    path = config or Path(CONFIG_NAME)
    return path / CONFIG_NAME if path.is_dir() else path


def cache_folder(option: Path | None, setting: str | None, base: Path) -> Path:
    """The folder of the cache: that of the command line, else that of the file, else the usual one."""
    if option is not None:
        return option
    from adapters.base.paths import resolve_path
    from bench.cache.place import usual_place

    try:
        if setting:
            return resolve_path(base, setting)
        place = usual_place(Path())
    except ValueError as error:
        refuse([str(error)])
    if place.note:
        say(place.note)
    return place.folder
