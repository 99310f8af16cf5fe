"""Engines at equal recall on a screen: a row for each build, a column for each target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.cells import DASH, grid, marked, milliseconds, number
from bench.report.engines import own_ms
from bench.report.equal_recall import build_label, measures, shown_value
from bench.report.layout import Line, Span, cleaned, width, wrapped
from bench.results.model import Result, Target

NONE = "not reached"


def tables(result: Result, room: int | None) -> Iterator[list[Line]]:
    """One for each measure that has targets. room: columns of the screen; None where it has no end."""
    for measure in measures(result):
        rows = [row for row in result.targets if row.measure == measure]
        title = f"own p50 ms of the cheapest setting that reaches {measure}, measured again"
        lines = grid(_cells(rows, settings=True))
        if room is not None and any(width(line) > room for line in lines):
            lines = grid(_cells(rows, settings=False))
        yield [
            *([Span(line)] for line in wrapped(title, room)),
            *([Span(line, "" if i else "dim")] for i, line in enumerate(lines)),
        ]


def _cells(rows: Sequence[Target], *, settings: bool) -> list[list[str]]:
    targets = sorted({row.target for row in rows})
    builds: dict[str, dict[float, Target]] = {}
    for row in rows:
        builds.setdefault(cleaned(build_label(rows, row)), {})[row.target] = row
    header = ["engine", *map(number, targets), *(["setting"] if settings else [])]
    table = [header]
    for label, at in sorted(builds.items(), key=lambda build: _order(build[1], targets)):
        times = [_time(at.get(target)) for target in targets]
        table.append([label, *times, *([_setting(at, targets)] if settings else [])])
    return table


def _order(at: dict[float, Target], targets: Sequence[float]) -> list[tuple[bool, float]]:
    """By time at the highest target; those that miss it behind, by the next one."""
    times = [own_ms(at[target]) if target in at else None for target in reversed(targets)]
    return [(time is None, time or 0.0) for time in times]


def _time(row: Target | None) -> str:
    if row is None:
        return DASH
    if row.system is None:
        return NONE
    time = milliseconds(own_ms(row))
    return marked(time, row.loads[0]) if row.loads else time


def _setting(at: dict[float, Target], targets: Sequence[float]) -> str:
    """`nprobes=4/16/–`: the values by target, or one where they are alike."""
    settings = [at[target].setting if target in at else None for target in targets]
    options = dict.fromkeys(option for setting in settings for option in setting or {})
    said = []
    for option in options:
        values = [DASH if setting is None else shown_value(setting.get(option)) for setting in settings]
        known = {value for value in values if value != DASH}
        said.append(f"{option}={known.pop() if len(known) == 1 else '/'.join(values)}")
    return cleaned(", ".join(said)) or ("default" if any(setting is not None for setting in settings) else DASH)
