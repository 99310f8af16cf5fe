"""The parts of the page Results: HTML and rows, made by the functions that the commands use."""

from __future__ import annotations

import html
import os
import shlex
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.ui.desk import Desk
from bench.ui.telling import nothing, telling
from bench.ui.text import command, escaped, lines, note, plain

if TYPE_CHECKING:
    from bench.report.all_results import Listed
    from bench.results.model import Result

_COLUMNS = 108  # of what a terminal would show
_FAULTS = 5  # of results that cannot be read
KINDS = {
    "Got worse": "worse",
    "Got better": "better",
    "Failed in some system": "failed",
    "Every system scores 0": "hard",
    "With these words, or this id": "query",
}
"""Which queries are listed, as the page and as `bench queries` calls them."""


def results_of(desk: Desk) -> list[Listed]:
    """All results below the folders that the page was started for, the newest first. What did not change since it was
    read is not read again."""
    from bench.report.all_results import in_order
    from bench.results.folders import results_below

    folders = {each.resolve(): each for place in (desk.results, desk.folder) for each in results_below(place)}
    return in_order([_listed(each) for each in folders if _is_inside(desk, each)], "started")


def _is_inside(desk: Desk, folder: Path) -> bool:
    return any(folder.is_relative_to(root) for root in (desk.results, desk.folder))


def _listed(folder: Path) -> Listed:
    from bench.results.model import RESULT_FILE

    try:
        about = (folder / RESULT_FILE).stat()
    except OSError:  # it was deleted meanwhile: reading says so
        return _read(folder, 0, 0)
    return _read(folder, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=500)
def _read(folder: Path, changed: int, size: int) -> Listed:
    from bench.report.all_results import listed_result

    return listed_result(folder)


def result_at(desk: Desk, sent: str) -> tuple[Path, Result]:
    """A result that a browser named. Raises OutsideFolder and ResultUnreadable."""
    from bench.results.model import ResultUnreadable, read_result

    folder = desk.inside(sent)
    found = _listed(folder)
    if found.result is None:
        raise ResultUnreadable(found.fault or str(folder))
    return folder, found.result if found.result.status != "started" else read_result(folder)


def stamp_of(desk: Desk, sent: str | None) -> str:
    """What changes when another result is chosen, and when a run has gone on with the chosen one."""
    from bench.results.model import RESULT_FILE
    from bench.ui.desk import OutsideFolder

    try:
        about = (desk.inside(sent or "") / RESULT_FILE).stat()
    except (OSError, OutsideFolder):
        return str(sent)
    return f"{sent} {about.st_mtime_ns} {about.st_size}"


def choices(desk: Desk, found: Sequence[Listed]) -> list[tuple[str, str]]:
    """What a list of results to choose from shows, and what a browser sends of each."""
    return [(_title(desk, each), str(each.folder)) for each in found if each.result is not None]


def _title(desk: Desk, each: Listed) -> str:
    return plain(" · ".join([each.started, each.experiment, each.dataset, each.status, desk.named(each.folder)]))


def rows(desk: Desk, found: Sequence[Listed]) -> list[list[str]]:
    """The rows of the list, under HEADER of `bench.report.all_results`."""
    from bench.report.all_results import rows_of

    return [[*row[:-1], named_in_list(desk, each)] for each, row in zip(found, rows_of(found), strict=True)]


def named_in_list(desk: Desk, each: Listed) -> str:
    """What the list calls a result's folder."""
    from bench.report.layout import cleaned

    return cleaned(desk.named(each.folder))


def table_file(found: Sequence[Listed]) -> str:
    """The table of all systems as a file that a browser is given, in a folder that goes with the page."""
    from bench.cache.artifacts import write_atomically
    from bench.report.all_results import as_csv

    file = Path(tempfile.mkdtemp(prefix="all-", dir=_uploads())) / "all-results.csv"
    write_atomically(file, as_csv(found).encode("utf-8"))
    return str(file)


def _uploads() -> str | None:
    return os.environ.get("GRADIO_TEMP_DIR")


# -- a result --------------------------------------------------------------------------------------------------------


@telling
def answer_part(desk: Desk, sent: str | None) -> str:
    """The answer of a result, and what `bench show` prints of it."""
    if not sent:
        return nothing("Choose a result.")
    from bench.report.answer import answer, figures_of
    from bench.report.screen import plain as text_of
    from bench.report.screen import screen

    folder, result = result_at(desk, sent)
    shown = list(screen(result, answer(result, figures_of(folder, result)), _COLUMNS))
    end = next(place for place, line in enumerate(shown) if not line)  # the answer stands above the first empty line
    told = " ".join(text_of(shown[:end]).split())
    table = preformatted(text_of(shown[end:]).strip("\n"), "The table of systems, and what needs saying")
    line = command(shlex.join(["bench", "show", desk.named(folder)]))
    return f"<p class='note'><strong>{escaped(told)}</strong></p>{table}{line}"


@telling
def report_part(desk: Desk, sent: str | None) -> str:
    """The report in a frame of its own, from which no script reaches the page or the network."""
    if not sent:
        return nothing("Choose a result.")
    folder, _ = result_at(desk, sent)
    text = html.escape(report_of(folder), quote=True)
    frame = (
        f'<iframe class="report" title="Report" sandbox="allow-scripts" referrerpolicy="no-referrer" srcdoc="{text}" '
        'style="width:100%;height:80vh;border:1px solid var(--border-color-primary);background:#fff"></iframe>'
    )
    return frame + command(shlex.join(["bench", "report", desk.named(folder)]))


def report_of(folder: Path) -> str:
    """The report of a result as an HTML page."""
    from bench.report.document.build import build, open_results
    from bench.report.html import page

    return page.render(build(open_results([folder])))


def preformatted(text: str, label: str) -> str:
    """What a terminal would show, which scrolls beside where a screen is narrow."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(label)}">'
        f'<pre style="margin:0;font-family:var(--font-mono);font-size:var(--text-sm)">{escaped(text)}</pre></div>'
    )


# -- two results -----------------------------------------------------------------------------------------------------


@telling
def comparison_part(desk: Desk, old: str | None, new: str | None, shared: bool) -> str:
    """What `bench compare` says of two results."""
    if not old or not new:
        return nothing("Choose two results: the one before a change, and the one after it.")
    from bench.comparing.compare import Options, compare_results
    from bench.comparing.text import text_of

    before, _ = result_at(desk, old)
    after, _ = result_at(desk, new)
    told = text_of(compare_results(before, after, Options(on="shared" if shared else None)), width=_COLUMNS)
    also = ["--on", "shared"] if shared else []
    line = ["bench", "compare", desk.named(before), desk.named(after), *also]
    return preformatted(told, "The comparison") + command(shlex.join(line))


# -- queries ---------------------------------------------------------------------------------------------------------


def asked_of(desk: Desk, sent: str | None) -> tuple[list[str], list[str]]:
    """The systems and the measures of a result that queries can be listed by; none where it has no figures by query."""
    if not sent:
        return [], []
    from bench.report.queries import Queries
    from bench.results.model import ResultUnreadable
    from bench.ui.desk import OutsideFolder

    try:
        found = Queries(*result_at(desk, sent))
    except (ResultUnreadable, OutsideFolder):
        return [], []
    return found.systems, found.measures


@telling
def queries_part(
    desk: Desk,
    sent: str | None,
    kind: str,
    system: str | None,
    than: str | None,
    measure: str | None,
    words: str,
    most: int,
) -> str:
    """Queries with what each system found, as cards. kind: one of KINDS. system, than, measure: None for those that
    `bench queries` takes."""
    if not sent:
        return nothing("Choose a result.")
    from bench.report.queries import Queries
    from bench.report.query_lists import chosen, looked_at
    from bench.ui.cards import cards

    found = Queries(*result_at(desk, sent))
    what = KINDS.get(kind, "worse")
    compared = what in ("worse", "better")
    named = words.strip() if what == "query" else system if compared else None
    [selection] = chosen(found, what, named or None, (than or None) if compared else None, measure or None)
    shown = found.of(selection, selection.positions[:most], looked_at(found, selection, []))
    line = ["bench", "queries", desk.named(found.folder), f"--{what}"]
    line += [str(selection.system), "--than", str(selection.than)] if compared else [named] if named else []
    return cards(found, selection, shown) + command(shlex.join([*line, "--measure", selection.measure]))


def unreadable_part(found: Sequence[Listed]) -> str:
    """Why some results are not to be chosen, and what there is where there are none."""
    if not found:
        return note("There are no results here yet. Run an experiment: the page Experiment, or bench run FILE.")
    faults = [each.fault for each in found if each.fault is not None]
    more = note(f"and {len(faults) - _FAULTS:,} more that cannot be read", "warn") if len(faults) > _FAULTS else ""
    return lines(faults[:_FAULTS], "warn") + more
