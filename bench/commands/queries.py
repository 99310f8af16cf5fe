"""The command `bench queries`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.asking import refuse
from bench.commands.command_line import JsonOption, ResultArgument, given_path, result_folder, terminal_width
from bench.messages.terminal import show, show_json

if TYPE_CHECKING:
    from bench.report.queries import Queries, Query, Selection

ON_SCREEN = 5

Worse = Annotated[str | None, typer.Option("--worse", metavar="SYSTEM", help="Queries that this system answers worse.")]
Better = Annotated[
    str | None, typer.Option("--better", metavar="SYSTEM", help="Queries that this system answers better.")
]
Than = Annotated[str | None, typer.Option("--than", metavar="SYSTEM", help="Than this one [default: the baseline].")]
FailedOption = Annotated[bool, typer.Option("--failed", help="Queries that failed in some system.")]
HardOption = Annotated[bool, typer.Option("--hard", help="Queries for which every system scores 0.")]
QueryOption = Annotated[
    str | None, typer.Option("--query", metavar="TEXT", help="The query of this id, or those with these words.")
]
Systems = Annotated[
    list[str] | None,
    typer.Option("--system", metavar="SYSTEM", help="Show places and hits of this system; may be repeated."),
]
MeasureOption = Annotated[
    str | None, typer.Option("--measure", metavar="NAME", help="By this measure [default: the first].")
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help=f"Queries of a list [default: {ON_SCREEN}; in files all]."),
]
Hits = Annotated[int, typer.Option("--hits", metavar="N", min=0, max=10, help="First hits of a system.")]
CsvOption = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", parser=given_path, help="Write a row for each query; `-` prints them."),
]


def queries(
    result: ResultArgument = None,
    worse: Worse = None,
    better: Better = None,
    than: Than = None,
    failed: FailedOption = False,
    hard: HardOption = False,
    query: QueryOption = None,
    system: Systems = None,
    measure: MeasureOption = None,
    limit: Limit = None,
    hits: Hits = 5,
    csv: CsvOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show queries of a result with what each system found: largest losses and gains, failures, or those you name."""
    from bench.report.queries import NotAsked, Queries
    from bench.report.query_lists import chosen
    from bench.results.model import ResultUnreadable, read_result

    given = {"--worse": worse, "--better": better, "--failed": failed, "--hard": hard, "--query": query}
    wanted = [option for option, value in given.items() if value not in (None, False)]
    if len(wanted) > 1:
        refuse([f"{' and '.join(wanted)} exclude each other: ask twice."])
    if than is not None and wanted and wanted[0] not in ("--worse", "--better"):
        refuse([f"--than has no effect on {wanted[0]}."])
    if csv is not None and as_json:
        refuse(["--csv and --json exclude each other."])
    try:
        folder = result_folder(result)
        found = Queries(folder, read_result(folder))
        what = wanted[0].removeprefix("--") if wanted else None
        lists = chosen(found, what, worse or better or query, than, measure)
        named = [found.system(name) for name in system or ()]
        most = limit or (None if csv is not None or as_json else ON_SCREEN)
        _print(found, lists, named, most, hits=hits, csv=csv, as_json=as_json)
    except (ResultUnreadable, NotAsked) as error:
        refuse([str(error)])


def _print(
    found: Queries,
    lists: list[Selection],
    named: list[str],
    most: int | None,
    *,
    hits: int,
    csv: Path | None,
    as_json: bool,
) -> None:
    from bench.report.query_lists import Screen, as_csv, as_values, legend, listed, looked_at

    known: list[tuple[Selection, list[Query]]] = [
        (each, found.of(each, each.positions[:most], looked_at(found, each, named))) for each in lists
    ]
    if as_json:
        show_json(as_values(found, known))
    elif csv is not None:
        _write(as_csv(found, known), csv)
    else:
        screen = Screen(terminal_width(), hits, tuple(named))
        show("\n".join(listed(found, each, shown, screen) for each, shown in known))
        notes = legend(found, [query for _, shown in known for query in shown], screen.width)
        show("\n".join(["", *notes, ""]) if notes else "")


def _write(table: str, csv: Path) -> None:
    from bench.cache.artifacts import check_writable, write_atomically

    if str(csv) == str(given_path("-")):
        show(table)
        return
    check_writable(csv)
    write_atomically(csv, table.encode("utf-8"))
    show(f"{csv}\n")
