"""`bench report`: results as a file that people read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bench.commands.asking import refuse
from bench.commands.command_line import RESULTS, given_path, result_folder
from bench.messages.terminal import say, show
from bench.messages.wording import counted

if TYPE_CHECKING:
    from bench.report.document.source import Source

_ENDINGS = {".html": "html", ".htm": "html", ".md": "markdown", ".markdown": "markdown", ".csv": "csv"}
_NAMES = {"html": "report.html", "markdown": "report.md", "csv": "report.csv"}
_SHOWN = 40  # numbers that do not agree


def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RESULT]...",
            parser=given_path,
            help=f"Result folders, in their order; of a folder of results the newest [default: {RESULTS}].",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=given_path,
            help="Where to write; - is standard output [default: report.html in the first result].",
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="html|markdown|csv", help="What to write [default: as FILE ends, else html]."),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify",
            metavar="FILE",
            parser=given_path,
            help="Write nothing: compare every number of this HTML report with the results.",
        ),
    ] = None,
) -> None:
    """Write a report that can be handed on: HTML, Markdown or CSV; or check one."""
    from bench.report.document.build import open_results
    from bench.results.model import ResultUnreadable

    if verify is not None and (output is not None or format_ is not None):
        refuse(["--verify writes nothing: leave --output and --format out."])
    try:
        sources = open_results([result_folder(each) for each in results] if results else [result_folder(None)])
    except ResultUnreadable as error:
        refuse([str(error)])
    if verify is not None:
        _verify(verify, sources)
    else:
        kind = _format(format_, output)
        _write(output or sources[0].folder / _NAMES[kind], kind, sources)


def _format(given: str | None, output: Path | None) -> str:
    if given is not None and given not in _NAMES:
        refuse([f"--format {given}: there is no such format. Known: {', '.join(_NAMES)}"])
    return given or _ENDINGS.get(output.suffix.lower() if output is not None else "", "html")


def _write(output: Path, kind: str, sources: Sequence[Source]) -> None:
    from bench.cache.artifacts import check_writable, write_atomically
    from bench.report import markdown, table_of_numbers
    from bench.report.document.build import build
    from bench.report.html import page

    render = {"html": page.render, "markdown": markdown.render, "csv": table_of_numbers.render}[kind]
    to_standard_output = str(output) == str(given_path("-"))
    if not to_standard_output:
        check_writable(output)
    text = render(build(sources))
    if to_standard_output:
        show(text)
        return
    write_atomically(output, text.encode("utf-8"))
    show(f"{output}\n")


def _verify(file: Path, sources: Sequence[Source]) -> NoReturn:
    """Exit status 0 where every number agrees, 1 where one does not."""
    from bench.report.html.verify import verify

    try:
        page = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        refuse([f"{file}: is no HTML report: it is not UTF-8."])
    checked = verify(page, sources)
    if not checked.figures:
        refuse([f"{file}: is no HTML report of this program: it holds no number with a path."])
    for fault in checked.faults[:_SHOWN]:
        show(f"{fault.told}\n")
    if len(checked.faults) > _SHOWN:
        show(f"and {len(checked.faults) - _SHOWN:,} more\n")
    numbers = f"{counted(checked.figures, 'number')} and {counted(checked.pictures, 'drawing')}"
    if checked.faults:
        say(f"{file}: of {numbers}, {len(checked.faults):,} do not agree with the result.")
        raise typer.Exit(1)
    show(f"{file}: {numbers} agree with the result.\n")
    raise typer.Exit(0)
