"""`bench show`: a result again, and what `bench run` prints of one. `bench explain`: the words in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.asking import refuse
from bench.commands.command_line import JsonForTable, ResultArgument, result_folder
from bench.messages.terminal import show as show_text
from bench.messages.terminal import show_json, show_lines, terminal_columns

if TYPE_CHECKING:
    from bench.results.model import Result


def show(
    result: ResultArgument = None,
    full: Annotated[bool, typer.Option("--full", help="Every table and every remark.")] = False,
    as_json: JsonForTable = False,
) -> None:
    """Print a result again: the answer, the table and what needs saying; with --full everything."""
    from bench.results.model import ResultUnreadable, read_result

    if full and as_json:
        refuse(["--full and --json exclude each other: the JSON object holds everything."])
    folder = result_folder(result)
    try:
        read = read_result(folder)
    except ResultUnreadable as error:
        refuse([str(error)])
    print_result(folder if folder.is_dir() else folder.parent, read, full=full, as_json=as_json)


def print_result(folder: Path, result: Result, *, full: bool = False, as_json: bool = False) -> None:
    """Print a result that lies in a folder."""
    if as_json:
        systems = [system.model_dump(mode="json") for system in result.systems]
        told = {"result": str(folder.resolve()), "status": result.status, "answer": _answer(folder, result)}
        show_json({**told, "systems": systems})
    elif full:
        from bench.report.table import render

        show_text(render(result, folder=str(folder)))
    else:
        from bench.report.answer import answer, figures_of
        from bench.report.screen import screen

        found = answer(result, figures_of(folder, result))
        show_lines(screen(result, found, terminal_columns(), folder=str(folder)))


def _answer(folder: Path, result: Result) -> dict[str, Any]:
    """The answer, in sentences and by names."""
    from bench.report.answer import answer, figures_of
    from bench.report.sentences import sentences

    found = answer(result, figures_of(folder, result))
    return {
        "sentences": sentences(result, found),
        "best": found.best,
        "shown": found.shown,
        "proposed": found.proposed,
        "grounds": found.grounds,
        "cannot_be_told_apart": [one.name for one in found.open],
        "identical": [list(group) for group in found.identical],
    }


def explain(
    term: Annotated[
        list[str] | None, typer.Argument(metavar="[TERM]", help="A word of a table or a screen [default: list them].")
    ] = None,
) -> None:
    """Say in two sentences what a measure, a column, a verdict or another word of a result means."""
    from bench.messages.suggestions import suggestion
    from bench.report import glossary
    from bench.report.layout import Span, cleaned, wrapped

    columns = terminal_columns()
    if not term:
        for kind, title in glossary.KINDS.items():
            names = ", ".join(entry.names[0] for entry in glossary.ENTRIES if entry.kind == kind)
            lines = wrapped(names, columns, first="  ", rest="  ")
            show_lines([[Span(title, "bold")], *([Span(line)] for line in lines)])
        return
    asked = " ".join(term)
    entry = glossary.explain(asked)
    if entry is None:
        refuse([f"{cleaned(asked)}: there is no such word here. {suggestion(asked, glossary.names())}"])
    also = f" ({', '.join(entry.names[1:])})" if len(entry.names) > 1 else ""
    text = wrapped(entry.text, columns)
    show_lines([[Span(entry.names[0], "bold"), Span(also, "dim")], *([Span(line)] for line in text)])
