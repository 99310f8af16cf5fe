"""The table of systems, best first, in as many columns as a screen has room for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from bench.messages.wording import counted
from bench.report.answer import Answer
from bench.report.cells import DASH, DISTURBED
from bench.report.layout import Line, Span, cleaned, padded, width
from bench.report.models import ONE_SEED
from bench.report.names import Names, swept
from bench.report.table import Column, Kind, columns
from bench.results.model import Result, SystemResult

MOST_ROWS = 15
_GAP = 2
# What a screen shows beside names, settings and the measure that decides, the most important first.
_IMPORTANCE: tuple[Kind, ...] = ("verdict", "own", "money", "change", "against", "total", "ann", "companion")
_STYLES = {"better": "good", "worse": "bad"}


class Standings(NamedTuple):
    """lines: the table. note: what it leaves out; empty where it has everything. disturbed: whether a cell carries the
    mark of disturbed rounds."""

    lines: list[Line]
    note: str
    disturbed: bool


def table(result: Result, answer: Answer, room: int | None, names: Names) -> Standings:
    """room: columns of the screen; None for all systems and all columns."""
    if not result.systems:
        return Standings([], "", False)
    order = ranked(result, answer)
    shown = order if room is None else _rows(order, result, answer)
    at = [result.systems.index(system) for system in shown]
    found = [column._replace(cells=[cleaned(column.cells[i]) for i in at]) for column in columns(result)]
    found = _settings(found, [system.name for system in shown], room, names)
    kept, narrower = _fitting(found, room, names)
    lines = _lines(kept)
    text = "".join(cell for column in kept for cell in column.cells)
    left = [column.heading for column in found if column.heading not in {one.heading for one in kept}]
    return Standings(lines, _note(len(order) - len(shown), [*left, *narrower]), DISTURBED in text)


def ranked(result: Result, answer: Answer) -> list[SystemResult]:
    """Best first: those that are compared, the best one before its equals; then those that have other documents to
    find, and those without figures."""
    systems = {system.name: system for system in result.systems}
    first = [name for name in answer.contenders if name == answer.best]
    best = systems[first[0]].measures[result.primary].mean if first else None
    above = [
        n for n in answer.contenders if best is not None and (systems[n].measures[result.primary].mean or 0) > best
    ]
    names = dict.fromkeys([*above, *first, *answer.contenders, *answer.apart, *answer.unmeasured])
    return [systems[name] for name in names]


def _rows(order: Sequence[SystemResult], result: Result, answer: Answer) -> list[SystemResult]:
    """The systems that a screen shows: the best of each build where there are many, and what the answer names."""
    if len(order) <= MOST_ROWS:
        return list(order)
    named = {answer.best, answer.proposed, result.baseline}
    builds: dict[str, SystemResult] = {}
    for system in order:
        builds.setdefault(_build(system), system)
    leading = {system.name for system in builds.values()}
    if len(leading | named) > MOST_ROWS:
        room = MOST_ROWS - len(named - {None})
        rest = [system.name for system in order if system.name in leading and system.name not in named]
        leading = set(rest[: max(0, room)])
    return [system for system in order if system.name in leading or system.name in named]


def _build(system: SystemResult) -> str:
    """All of a pipeline but for the settings of its search, and its name where it fuses or reads."""
    pipeline = system.pipeline
    if pipeline.store is None:
        return system.name
    return json.dumps(pipeline.model_dump(mode="json", exclude={"query"}), sort_keys=True)


# -- columns -----------------------------------------------------------------------------------------------------


def _settings(found: list[Column], systems: Sequence[str], room: int | None, names: Names) -> list[Column]:
    """Swept options as columns of their own, their values taken off the names, where there is room for them."""
    whole = [names.bare(system) for system in systems]
    split = [swept(name) for name in whole]
    several = dict.fromkeys(option for _, options in split for option in options)
    rest = [column for column in found if column.kind != "system"]
    plain = [Column("system", "system", names.column(whole))]
    if not several:
        return [*plain, *rest]
    base = Column("system", "system", names.column([name for name, _ in split]))
    options = [Column("system", option, [given.get(option, DASH) for _, given in split]) for option in several]
    together = [", ".join(f"{option}={value}" for option, value in given.items()) or DASH for _, given in split]
    for identity in ([base, *options], [base, Column("system", "setting", together)]):
        if room is None or _fits([*identity, *_essential(rest)], room):
            return [*identity, *rest]
    return [*plain, *rest]


def _essential(rest: Sequence[Column]) -> list[Column]:
    return [column for column in rest if column.kind in ("primary", "verdict", "own")]


def _fitting(found: Sequence[Column], room: int | None, names: Names) -> tuple[list[Column], list[str]]:
    """The columns that there is room for, in their order, and what else was left out."""
    found = [_worded(column, found, room) for column in found]
    if room is None:
        return list(found), []
    always = {i for i, column in enumerate(found) if column.kind in ("system", "primary")}
    kept = set(always)
    for kind in _IMPORTANCE:
        for i, column in enumerate(found):
            if column.kind == kind and _fits([found[j] for j in sorted(kept | {i})], room):
                kept.add(i)
    chosen = [found[i] for i in sorted(kept)]
    if _fits(chosen, room):
        return chosen, []
    chosen = [column._replace(cells=[_mean(cell) for cell in column.cells], heading=_mean(column.heading))
              if column.kind == "primary" else column for column in chosen]  # fmt: skip
    return _narrowed(chosen, room, names), ["[95 %]"]


def _worded(column: Column, found: Sequence[Column], room: int | None) -> Column:
    """The cells as a screen has them: in a verdict few words, and the baseline named."""
    if column.kind != "verdict" or room is None:
        return column
    [against] = [other for other in found if other.kind == "against"]
    cells = [
        "baseline" if beside == "baseline" else cell.replace(ONE_SEED, " (1 seed)")
        for cell, beside in zip(column.cells, against.cells, strict=True)
    ]
    return column._replace(cells=cells)


def _mean(cell: str) -> str:
    """A cell without its interval."""
    return cell.partition(" [")[0]


def _narrowed(chosen: list[Column], room: int, names: Names) -> list[Column]:
    """Names cut to what is left, where nothing else can give."""
    if _fits(chosen, room):
        return chosen
    first, *rest = chosen
    left = room - sum(_wide(column) + _GAP for column in rest)
    return [first._replace(cells=names.column(first.cells, left)), *rest]


def _wide(column: Column) -> int:
    return max(map(width, [column.heading, *column.cells]))


def _fits(found: Sequence[Column], room: int) -> bool:
    return sum(map(_wide, found)) + _GAP * (len(found) - 1) <= room


def _lines(found: Sequence[Column]) -> list[Line]:
    wide = [_wide(column) for column in found]
    lines: list[Line] = [[Span(_row([column.heading for column in found], wide), "dim")]]
    for cells in zip(*(column.cells for column in found), strict=True):
        spans = [Span(padded(cell, columns + _GAP), _style(column, cell))
                 for cell, column, columns in zip(cells, found, wide, strict=True)]  # fmt: skip
        lines.append([*spans[:-1], spans[-1]._replace(text=spans[-1].text.rstrip())])
    return lines


def _row(cells: Sequence[str], wide: Sequence[int]) -> str:
    return "".join(padded(cell, columns + _GAP) for cell, columns in zip(cells, wide, strict=True)).rstrip()


def _style(column: Column, cell: str) -> str:
    return _STYLES.get(cell.partition(" (")[0], "") if column.kind == "verdict" else ""


def _note(hidden: int, left: Sequence[str]) -> str:
    """What the table leaves out."""
    said = [f"{counted(hidden, 'more system')} not shown"] if hidden else []
    said += [f"columns left out: {', '.join(dict.fromkeys(left))}"] if left else []
    return "; ".join(said)
