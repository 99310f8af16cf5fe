"""The command `bench init`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.commands.asking import refuse
from bench.commands.command_line import CONFIG_NAME, given_path
from bench.messages.terminal import say, show
from bench.messages.wording import pasted


def init(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|FILE",
            parser=given_path,
            help="A folder of data, or a table of questions: CSV, TSV, JSON, Parquet or Excel.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=given_path,
            help=f"Where to write [default: {CONFIG_NAME} in the folder; for a table, in the current one].",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an experiment that is there.")] = False,
    query: Annotated[
        str | None, typer.Option("--query", metavar="COLUMN", help="Column of a table that holds the questions.")
    ] = None,
    passage: Annotated[
        str | None, typer.Option("--passage", metavar="COLUMN", help="Column that holds the passages that answer them.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="COLUMN", help="Column that holds categories, instead of passages.")
    ] = None,
) -> None:
    """Look at a folder of data, or at a table of questions, and write a commented experiment for it."""
    from bench.experiment.found_table import Choice
    from bench.experiment.starter import NothingFound, write_experiment

    if passage is not None and label is not None:
        refuse(["--passage and --label exclude each other."])
    target = output or (data / CONFIG_NAME if data.is_dir() else Path(CONFIG_NAME))
    command = f"bench run {pasted(target)}"
    if target.exists() and not force:
        refuse([f"{target} is there already. Run it: {command}   Or overwrite it: --force"])
    answers = sys.stdin is not None and sys.stdin.isatty()
    try:
        found = write_experiment(data, target, Choice(query, passage, label), _ask if answers else None)
    except NothingFound as error:
        refuse([str(error)])
    for line in found:
        say(line)
    show(f"{command}\n")


def _ask(question: str, names: Sequence[str], default: str) -> str:
    """Which of some names, by number or name; the default where nothing is typed."""
    say(question)
    for place, name in enumerate(names, 1):
        say(f"  {place}  {name}")
    while True:
        answer = input(f"[{names.index(default) + 1}] ").strip()
        if not answer:
            return default
        if answer in names:
            return answer
        if answer.isdecimal() and 1 <= int(answer) <= len(names):
            return names[int(answer) - 1]
        say(f"Type a number from 1 to {len(names)}.")
