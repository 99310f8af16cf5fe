"""The table on stdout: plain text that can be pasted into a mail."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from bench.messages.wording import counted
from bench.report import equal_recall, latency, models, payload, remarks
from bench.report.cells import (
    DASH,
    DISTURBED,
    bills,
    build_peak,
    grid,
    heading,
    mebibytes,
    milliseconds,
    number,
    pair,
    priced,
    search_peak,
    seconds,
    section,
    signed,
    without_unknown,
    written,
)
from bench.results.model import MeasureValue, Result, SystemResult

_COMPANIONS = ("Recall@10", "MRR@10")
Kind: TypeAlias = Literal[
    "system", "primary", "against", "change", "verdict", "companion", "ann", "own", "total", "money"
]
_VERDICTS = {"better": "better", "worse": "worse", "undecided": "undecided", None: DASH}


def render(result: Result, *, folder: str | None = None) -> str:
    """The whole table of a result, ending in a line break. folder: where the full result lies."""
    blocks = [
        "\n".join([_headline(result), *grid(_main_table(result))]),
        section(f"{result.primary} by seed of its models", models.seeds(result)),
        section(models.title(result.models), models.table(result.models)),
        section("what training changed, on held-out data", models.held_out(result.models)),
        section("p50 / p95 ms by stage, of one query alone", latency.stage_table(result)),
        section("p50 / p95 ms of encoding a query, shared by its systems", latency.encoding_table(result)),
        section(f"times against {result.baseline}, round by round [95 %]", latency.against_table(result)),
        section(f"where {result.primary} goes", _loss_table(result)),
        section("all measures", _measures_table(result)),
        section("what the indexes take", _index_table(result)),
        section("what returning texts costs, beside the same system without", payload.table(result)),
        section("load", _load_table(result)),
        section("rows written while searching", _ingest_table(result)),
        *(section(title, rows) for title, rows in equal_recall.tables(result)),
        "\n".join([*map(str, remarks.remarks(result)), *([] if folder is None else [f"· everything: {folder}"])]),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _headline(result: Result) -> str:
    data = result.dataset
    parts = [
        data.name if data.split is None else f"{data.name} ({data.split})",
        f"{data.judged:,} of {data.queries:,} queries judged",
        counted(data.documents, "document"),
    ]
    if (smallest := remarks.detectable(result)) is not None:
        parts.append(smallest)
    return " · ".join(parts)


# -- tables ------------------------------------------------------------------------------------------------------


class Column(NamedTuple):
    """A column of the main table. kind: what it holds, whatever its heading says. cells: one for each system."""

    kind: Kind
    heading: str
    cells: list[str]


def columns(result: Result) -> list[Column]:
    """The main table, in columns; the rows are the systems in the order of the result."""
    systems = result.systems
    companions = [m for m in _COMPANIONS if m != result.primary and m in _measure_names(result)]
    shown_ann = sorted({k for s in systems for k, v in s.ann_recall.items() if v is not None}, key=int)
    ann = [k for k in shown_ann if f"ANN@{k}" != result.primary]
    values = [_value(s.measures.get(result.primary), s) for s in systems]
    found = [
        Column("system", "system", [s.name for s in systems]),
        Column("primary", f"{heading(result.primary)} [95 %]", values),
    ]
    if result.baseline is not None:
        against = [_against(s, result) for s in systems]
        found += [
            Column("against", f"against {result.baseline}", [cells[0] for cells in against]),
            Column("change", "change", [cells[1] for cells in against]),
            Column("verdict", "verdict", [cells[2] for cells in against]),
        ]
    for m in companions:
        found.append(Column("companion", m.replace("Recall@", "R@"), [_mean(s.measures.get(m)) for s in systems]))
    found += [Column("ann", f"ANN@{k}", [number(s.ann_recall.get(k)) for s in systems]) for k in ann]
    if any(s.latency and s.latency.own for s in systems):
        found.append(Column("own", "own p50 ms", [latency.own_p50(s.latency) for s in systems]))
    if any(s.latency for s in systems):
        found.append(Column("total", "total p50 / p95", [pair(s.latency) for s in systems]))
    if _priced(result):
        found.append(Column("money", "USD / 1,000 queries", [_cost(s) for s in systems]))
    return found


def _main_table(result: Result) -> list[list[str]]:
    found = columns(result)
    return [[column.heading for column in found], *map(list, zip(*(column.cells for column in found), strict=True))]


def _loss_table(result: Result) -> list[list[str]]:
    rows: list[list[str]] = []
    for system in result.systems:
        if system.loss:
            steps = [
                f"{stage.stage}{f' {stage.leg}' if stage.leg else ''} {number(stage.mean)}" for stage in system.loss
            ]
            rows.append([models.of_seed(system), " ► ".join(steps)])
    return rows


def _measures_table(result: Result) -> list[list[str]]:
    shown = {result.primary, *_COMPANIONS}
    others = [name for name in _measure_names(result) if name not in shown]
    if not others:
        return []
    names = _measure_names(result)
    return [["system", *map(heading, names)]] + [
        [s.name, *(_mean(s.measures.get(name)) for name in names)] for s in result.systems
    ]


def _index_table(result: Result) -> list[list[str]]:
    """A row per index, however many systems search it."""
    header = ["system", "index", "build s", "disk MiB", "build peak MiB", "search peak MiB"]
    sharing: dict[str, list[SystemResult]] = {}
    for system in result.systems:
        if system.index is not None:
            pipeline = system.pipeline
            encoder = pipeline.encoder.document if pipeline.encoder else None
            built = [encoder, pipeline.store, pipeline.index, system.index.type, system.index.built_at]
            sharing.setdefault(str([*built, system.build_seconds]), []).append(system)
    rows = [header]
    for systems in sharing.values():
        first, more = systems[0], f" and {len(systems) - 1} more" if len(systems) > 1 else ""
        assert first.index is not None
        took = [seconds(first.build_seconds), mebibytes(first.index_bytes)]
        rows.append([first.name + more, first.index.type, *took, build_peak(first.memory), search_peak(systems)])
    known = without_unknown(rows, *header[2:])
    return known if len(known[0]) > 2 else []


def _load_table(result: Result) -> list[list[str]]:
    if not latency.shows_loads(result):
        return []
    rows = [["system", "load", "p50 / p95 / p99 ms", "wait p95", "achieved / s", "failed", ""]]
    for system in result.systems:
        for load in system.loads:
            total = load.total
            values = (total.p50_ms, total.p95_ms, total.p99_ms) if total else (None, None, None)
            rows.append(
                [
                    system.name,
                    load.load,
                    " / ".join(milliseconds(v) for v in values),
                    milliseconds(load.wait.p95_ms if load.wait else None),
                    f"{load.achieved_per_second:,.1f}",
                    f"{load.failed:,}",
                    "SATURATED" if load.saturated else "",
                ]
            )
    return rows


def _ingest_table(result: Result) -> list[list[str]]:
    return [
        [system.name, load.load, written(load.ingest)]
        for system in result.systems
        for load in system.loads
        if load.ingest is not None
    ]


# -- cells -------------------------------------------------------------------------------------------------------


def _measure_names(result: Result) -> list[str]:
    return list(dict.fromkeys(name for system in result.systems for name in system.measures))


def _value(value: MeasureValue | None, system: SystemResult) -> str:
    if value is None or value.mean is None:
        return system.status.replace("_", " ") if system.status != "success" else DASH
    interval = f" [{number(value.interval[0])}, {number(value.interval[1])}]" if value.interval else ""
    failed = f" ({value.failed:,} failed)" if value.failed else ""
    return f"{number(value.mean)}{interval}{failed}"


def _mean(value: MeasureValue | None) -> str:
    return number(value.mean if value is not None else None)


def _against(system: SystemResult, result: Result) -> tuple[str, str, str]:
    """Difference with its interval, change in per cent of the baseline, verdict."""
    if system.name == result.baseline:
        return "baseline", DASH, DASH
    against = system.against_baseline.get(result.primary)
    if against is None:
        return DASH, DASH, DASH
    change = DASH if against.percent is None else f"{against.percent:+.1f} %"
    interval = f" [{signed(against.interval[0])}, {signed(against.interval[1])}]" if against.interval else ""
    verdict = _VERDICTS.get(against.verdict) or f"at most {number(result.margin)} worse"
    return f"{signed(against.difference)}{interval}", change, verdict + models.of_one_seed(system, against.verdict)


def _priced(result: Result) -> bool:
    return any(priced(system.cost) for system in result.systems)


def _cost(system: SystemResult) -> str:
    """Dollars per 1,000 queries. The cost of a model without a price is unknown; a system that nobody bills for has no
    cost."""
    cost = system.cost
    if cost is None:
        return DASH
    if cost.per_1000_queries_usd is None:
        return "unknown" if bills(cost) else DASH
    interval, mark = cost.per_1000_queries_interval_usd, DISTURBED if cost.disturbed else ""
    return f"{cost.per_1000_queries_usd:,.4f}" + (
        f" [{interval[0]:,.4f}, {interval[1]:,.4f}]{mark}" if interval else ""
    )
