"""The command `bench results`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import refuse
from bench.commands.command_line import RESULTS, JsonOption, given_path
from bench.messages.terminal import show, show_json
from bench.messages.wording import counted

if TYPE_CHECKING:
    from bench.report.all_results import Listed

Places = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[DIR]...", parser=given_path, help=f"Folders below which results are looked for [default: {RESULTS}]."
    ),
]
Find = Annotated[
    str | None, typer.Option("--find", metavar="TEXT", help="Only results that are listed with all these words.")
]
Sort = Annotated[
    str,
    typer.Option("--sort", metavar="BY", help="By started (the newest first), experiment, dataset, status or measure."),
]
CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        parser=given_path,
        help="Write a row for each system of each result: options, measures, times, costs. `-` prints them.",
    ),
]


def results(
    places: Places = None,
    find: Find = None,
    sort: Sort = "started",
    csv: CsvOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all results below a folder, and write the options and figures of all their systems as one table."""
    from bench.report.all_results import SORTS, all_results, as_values, in_order, listed

    if csv is not None and as_json:
        refuse(["--csv and --json exclude each other."])
    if sort not in SORTS:
        refuse([f"--sort {sort}: there is no such order. Known: {', '.join(SORTS)}"])
    where = places or [given_path(RESULTS)]
    if absent := [place for place in where if not place.exists()]:
        refuse([f"{place}: there is no such folder. `bench run` makes results in {RESULTS}." for place in absent])
    found = in_order([each for each in all_results(where) if find is None or each.holds(find)], sort)
    if as_json:
        show_json({"results": as_values(found)})
    elif csv is None:
        show(listed(found))
    else:
        _write(found, csv)


def _write(found: list[Listed], csv: Path) -> None:
    from bench.cache.artifacts import check_writable, write_atomically
    from bench.report.all_results import as_csv

    if str(csv) == str(given_path("-")):
        show(as_csv(found))
        return
    check_writable(csv)
    write_atomically(csv, as_csv(found).encode("utf-8"))
    show(f"{csv}: {counted(len(found), 'result')}\n")
