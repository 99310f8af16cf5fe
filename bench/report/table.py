"""The table on stdout: plain text that can be pasted into a mail."""

from __future__ import annotations

from collections.abc import Iterable

from bench.messages.wording import counted
from bench.report import equal_recall, latency, models, payload
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
        "\n".join(_notes(result, folder)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _headline(result: Result) -> str:
    data = result.dataset
    parts = [
        data.name if data.split is None else f"{data.name} ({data.split})",
        f"{data.judged:,} of {data.queries:,} queries judged",
        counted(data.documents, "document"),
    ]
    if result.detectable_difference is not None and result.baseline is not None:
        parts.append(f"differences under {number(result.detectable_difference)} {result.primary} cannot be seen here")
    return " · ".join(parts)


# -- tables ------------------------------------------------------------------------------------------------------


def _main_table(result: Result) -> list[list[str]]:
    companions = [m for m in _COMPANIONS if m != result.primary and m in _measure_names(result)]
    shown_ann = sorted({k for s in result.systems for k, v in s.ann_recall.items() if v is not None}, key=int)
    ann = [k for k in shown_ann if f"ANN@{k}" != result.primary]
    header = ["system", f"{heading(result.primary)} [95 %]"]
    if result.baseline is not None:
        header += [f"against {result.baseline}", "change", "verdict"]
    header += [m.replace("Recall@", "R@") for m in companions] + [f"ANN@{k}" for k in ann]
    timed = any(s.latency for s in result.systems)
    owned = any(s.latency and s.latency.own for s in result.systems)
    header += ["own p50 ms"] if owned else []
    header += ["total p50 / p95"] if timed else []
    header += ["USD / 1,000 queries"] if _priced(result) else []
    rows = [header]
    for system in result.systems:
        row = [system.name, _value(system.measures.get(result.primary), system)]
        if result.baseline is not None:
            row += list(_against(system, result))
        row += [_mean(system.measures.get(m)) for m in companions]
        row += [number(system.ann_recall.get(k)) for k in ann]
        row += [latency.own_p50(system.latency)] if owned else []
        row += [pair(system.latency)] if timed else []
        row += [_cost(system)] if _priced(result) else []
        rows.append(row)
    return rows


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


# -- notes -------------------------------------------------------------------------------------------------------


def _notes(result: Result, folder: str | None) -> list[str]:
    lines = [f"! {key} was answered by {address}, not by the provider: these are not the provider's figures"
             for key, address in result.provenance.addresses.items()]  # fmt: skip
    if result.status == "cancelled":
        lines.append("! the run was cut off; the same command goes on where it stopped")
    for system in result.systems:
        lines += [f"! {system.name}: {note}" for note in _system_notes(system, result)]
    lines += [f"! {warning}" for warning in result.warnings]
    lines += [f"· {note}" for note in result.dataset.notes]
    if result.dataset.only_positives and result.primary.partition("@")[0] != "ANN":
        lines.append("· only positives are judged: a document nobody judged counts as not relevant")
    lines += models.notes(result)
    lines += _build_note(result)
    lines += _spread_notes(result)
    lines += equal_recall.notes(result)
    lines += latency.notes(result)
    lines += [f"! {note}" for note in result.latency_notes]
    lines += _memory_note(result)
    lines += _timing_notes(result)
    lines += _work_note(result)
    if any(s.measures.get(result.primary) for s in result.systems):
        several = any(len(system.builds) > 1 for system in result.systems)
        builds = ", and of builds and seeds where there are several" if several else " only"
        lines.append(f"· intervals cover the sampling of queries{builds}")
    lines += _tracker_notes(result)
    if folder is not None:
        lines.append(f"· everything: {folder}")
    return lines


def _system_notes(system: SystemResult, result: Result) -> Iterable[str]:
    if system.status != "success":
        yield f"{system.status.replace('_', ' ')}: {system.error}" if system.error else system.status
    if system.index is not None:
        yield from (f"adjusted: {sentence}" for sentence in system.index.adjusted)
    yield from system.notes
    against = system.against_baseline.get(result.primary)
    if against is not None and against.verdict == "undecided" and against.queries_to_decide is not None:
        yield f"undecided; about {counted(against.queries_to_decide, 'more query')} would decide"


def _build_note(result: Result) -> list[str]:
    single = [s.name for s in result.systems if _one_build(s)]
    if not single:
        return []
    return [f"· one build each ({', '.join(single)}): how far another build would differ is not known; see `builds`"]


def _one_build(system: SystemResult) -> bool:
    index = system.index
    return index is not None and not index.flat and not index.reproducible and index.builds == 1


def _spread_notes(result: Result) -> list[str]:
    """How far builds of one index differ, in recall against exact search or else in the primary measure."""
    lines: list[str] = []
    for system in result.systems:
        if system.index is not None and system.index.flat:
            continue
        shown = models.by_seed(system, result.primary)  # in a table of their own
        names = [*(f"ANN@{k}" for k in sorted(system.ann_recall, key=int)), *([] if shown else [result.primary])]
        found = {name: [b[name] for b in system.builds if b.get(name) is not None] for name in names}
        name = next((name for name in names if len(found[name]) > 1), None)
        if name is not None:
            values = [value for value in found[name] if value is not None]
            lines.append(
                f"· {system.name}: {name} from {number(min(values))} to {number(max(values))} over {len(values)} builds"
            )
    return lines


def _memory_note(result: Result) -> list[str]:
    if not any(build_peak(system.memory).startswith("+") for system in result.systems):
        return []
    return [
        "· build peak +n: by how much this process grew; an engine's first build counts the engine's own buffers too"
    ]


def _timing_notes(result: Result) -> list[str]:
    reused = sorted({s.latency.measured_at for s in result.systems if s.latency is not None and s.latency.reused})
    if not reused:
        return []
    when = reused[0] if len(reused) == 1 else f"{reused[0]} to {reused[-1]}"
    return [f"· latencies were measured at {when} and not again; --remeasure takes them anew"]


def _tracker_notes(result: Result) -> Iterable[str]:
    for tracked in result.tracked:
        mark = "!" if tracked.unsent or not tracked.sent else "·"
        rest = f", {tracked.unsent:,} not sent" if tracked.unsent else ""
        link = f", {tracked.link}" if tracked.link else ""
        yield f"{mark} {tracked.tracker}: {counted(tracked.sent, 'row', 'sent')}{rest}{link}"
        yield from (f"  {note}" for note in tracked.notes)


def _work_note(result: Result) -> list[str]:
    work = result.work
    parts = {
        ("text", "embedded"): work.texts_embedded,
        ("index", "built"): work.indexes_built,
        ("query", "searched"): work.queries_searched,
        ("pair", "scored"): work.pairs_scored,
    }
    shown = [counted(done.computed, *words) for words, done in parts.items() if done.computed]
    reused = [counted(done.reused, *words) for words, done in parts.items() if done.reused]
    if not shown and reused and all(system.status != "error" for system in result.systems):
        return ["· nothing was computed: the whole quality pass came from the cache"]
    if not shown and not reused:
        return []
    text = f"· computed: {', '.join(shown) or 'nothing'}"
    return [text + (f"; from the cache: {', '.join(reused)}" if reused else "")]


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
