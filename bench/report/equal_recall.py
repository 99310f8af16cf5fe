"""The tables of equal recall: one row per build and target, and the fronts of quality against time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.report.cells import DASH, mebibytes, milliseconds, number, pair, seconds
from bench.results.model import Front, Result, Target


def tables(result: Result) -> Iterator[tuple[str, list[list[str]]]]:
    """Title and rows of each table that has something to show."""
    for measure in measures(result):
        yield _target_title(measure), _target_table(result, measure)
    for front in _shown_fronts(result):
        yield _front_title(front), _front_table(front)


def measures(result: Result) -> list[str]:
    """Those that have targets."""
    return list(dict.fromkeys(row.measure for row in result.targets))


def _target_title(measure: str) -> str:
    return f"the cheapest setting that reaches {measure}, by p50 of searching; times measured again after the choice"


def _target_table(result: Result, measure: str) -> list[list[str]]:
    rows = [row for row in result.targets if row.measure == measure]
    labels = list(dict.fromkeys(load.load for row in rows for load in row.loads))
    several = several_encoders(rows)
    times = [f"p50 / p95 ms {label}" for label in labels]
    header = [*(["encoder"] if several else []), "engine", "index", "at least", "setting"]
    table = [[*header, f"{measure} [95 %]", *times, "build s", "disk MiB"]]
    for row in rows:
        loads = {load.load: load for load in row.loads}
        interval = f" [{number(row.interval[0])}, {number(row.interval[1])}]" if row.interval else ""
        table.append(
            [
                *([row.encoder or DASH] if several else []),
                engine_label(rows, row),
                row.index_type or DASH,
                number(row.target),
                "not reached" if row.setting is None else _options(row.setting, bare=True) or "default",
                number(row.mean) + interval,
                *(pair(loads.get(label)) for label in labels),
                seconds(row.build_seconds),
                mebibytes(row.index_bytes),
            ]
        )
    return table


def several_encoders(rows: Sequence[Target]) -> bool:
    """Whether the encoder tells rows apart."""
    return len({row.encoder for row in rows}) > 1


def engine_label(rows: Sequence[Target], row: Target) -> str:
    """What a row is called beside the others: the store part and what follows it, with what else tells them apart."""
    return (
        row.engine
        + (f"+{row.reranker}" if row.reranker else "")
        + (_options(row.filter) if row.filter else "")
        + (_options(row.index) if _same_engine(rows, row) else "")
        + (" with texts" if row.payload == "text" else "")
    )


def build_label(rows: Sequence[Target], row: Target) -> str:
    """That, behind the encoder where there are several."""
    label = engine_label(rows, row)
    return f"{row.encoder or 'by text'}+{label}" if several_encoders(rows) else label


def _same_engine(rows: Sequence[Target], row: Target) -> bool:
    """Whether another build of the same store part stands in the table, so that the index options tell them apart."""
    return any(other.engine == row.engine and other.index != row.index for other in rows)


def _options(options: Mapping[str, Any], *, bare: bool = False) -> str:
    text = ", ".join(f"{name}={shown_value(value)}" for name, value in options.items())
    return text if bare or not text else f"({text})"


def shown_value(value: Any) -> str:
    """As it stands in a name."""
    if isinstance(value, Mapping):
        return " ".join(f"{name} {shown_value(item)}" for name, item in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown_fronts(result: Result) -> list[Front]:
    """Whether fronts are shown: where there are targets, or where one build is searched in several ways."""
    builds: dict[str, set[str]] = {}
    for system in result.systems:
        pipeline = system.pipeline
        if pipeline.store is not None:
            build = repr([pipeline.encoder, pipeline.store, pipeline.index])
            builds.setdefault(build, set()).add(repr(pipeline.query))
    swept = any(len(settings) > 1 for settings in builds.values())
    return result.fronts if result.targets or swept else []


def _front_title(front: Front) -> str:
    condition = f", filter {_options(front.filter, bare=True)}" if front.filter else ""
    texts = ", with texts" if front.payload == "text" else ""
    return f"front of {front.measure} against p95, {front.encoder or 'by text'}{condition}{texts} (* not dominated)"


def _front_table(front: Front) -> list[list[str]]:
    table = [["", "system", front.measure, "p95 ms", "per second", "disk MiB", "not told apart from"]]
    for system in front.systems:
        table.append(
            [
                "*" if system.on_front else "",
                system.name,
                number(system.quality),
                milliseconds(system.p95_ms),
                DASH if system.per_second is None else f"{system.per_second:,.0f}",
                mebibytes(system.bytes),
                ", ".join(system.not_told_apart),
            ]
        )
    return table if any(system.not_told_apart for system in front.systems) else [row[:-1] for row in table]


def notes(result: Result) -> list[str]:
    """Notes for readers of a table of targets."""
    if not result.targets:
        return []
    first = result.targets[0]
    lines = [
        f"· settings were chosen on {first.chosen_on:,} queries, where the one-sided 95 % lower bound had to reach the "
        f"target, and are reported on the other {first.reported_on:,}"
    ]
    alike = dict.fromkeys(
        (" and ".join(sorted((str(row.system), name))), number(row.target))
        for row in result.targets
        for name in row.not_told_apart
    )
    lines += [f"· at {target} the times of {pair_} cannot be told apart" for pair_, target in alike]
    below = [
        f"{row.engine} at {number(row.target)}"
        for row in result.targets
        if row.mean is not None and row.mean < row.target
    ]
    if below:
        lines.append(f"! chosen for a target that the reporting half does not reach: {', '.join(below)}")
    for measure in measures(result):
        rows = [row for row in result.targets if row.measure == measure and row.target > row.attainable]
        if rows:
            lines.append(
                f"! {measure}: on {rows[0].chosen_on:,} queries a setting that misses nothing is shown to reach "
                f"{number(rows[0].attainable)} and no more; for higher targets give more queries"
            )
    return lines
