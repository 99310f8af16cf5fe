"""The systems against the baseline: measures, verdicts, times, costs, and the models that were trained."""

from __future__ import annotations

from bench.report.document.decision import monthly, per_thousand
from bench.report.document.parts import Block, Cell, Inline, Line, Paragraph, Section, Table, Term
from bench.report.document.paths import step
from bench.report.document.source import Source
from bench.report.document.words import cell, interval, measure, measured, verdict, words
from bench.report.models import Learnt


def section(source: Source) -> Section:
    """The third part of a report."""
    blocks: list[Block] = [Paragraph(("This result holds no systems.",))] if not source.systems else []
    if source.systems:
        blocks = [_main(source), *_several(source)]
    inner = tuple(each for each in (_models(source),) if each is not None)
    return Section("systems", ("Systems",), tuple(blocks), inner)


def _several(source: Source) -> list[Block]:
    tables = (_measures(source), _what_it_takes(source), _loads(source))
    return [table for table in tables if table is not None]


def _name(source: Source, place: int) -> Cell:
    """The first cell of a row, which sets off the row of the system that is proposed."""
    note: Line = (" (baseline)",) if place == source.baseline else ()
    proposed = source.computed("decision")["system"] == place
    return Cell((source.name(place), *note), "head" if proposed else "", numeric=False)


def _main(source: Source) -> Table:
    result = source.result
    header = [words("system"), cell(measure(source, result.primary), " with its ", Term("interval", "interval"))]
    compared = source.baseline is not None
    if compared:
        header += [
            cell("against ", source.name(source.baseline or 0)),
            cell("change"),
            words(Term("verdict", "verdict")),
            cell("wins / ties / losses"),
        ]
    timed = any(system.latency and system.latency.own for system in source.systems)
    if timed:
        header.append(cell(Term("own p50", "own p50 ms"), " ms"))
        header.append(cell("total ", Term("p50", "p50"), " / ", Term("p95", "p95"), " ms"))
    priced = any(per_thousand(source, place) is not None for place in range(len(source.systems)))
    header += [cell("cost of a thousand queries")] if priced else []
    projected = any(monthly(source, place) is not None for place in range(len(source.systems)))
    header += [cell("cost a month")] if projected and priced else []
    rows = []
    for place in source.order:
        row = [_name(source, place), Cell(measured(source, place, result.primary))]
        row += _against(source, place) if compared else []
        row += _times(source, place) if timed else []
        row += [_money(source, place)] if priced else []
        row += [_month(source, place)] if projected and priced else []
        rows.append(tuple(row))
    title: Line = ("Every system, the highest ", measure(source, result.primary), " first")
    notes: list[Line] = []
    if compared:
        notes.append(("Intervals of differences hold for all systems at once, those of means for one alone.",))
    if any(system.latency and system.latency.disturbed_rounds for system in source.systems):
        notes.append(("* Something else on the machine disturbed some of the rounds.",))
    return Table("main", title, tuple(header), tuple(rows), tuple(notes))


def _against(source: Source, place: int) -> list[Cell]:
    result = source.result
    against = source.systems[place].against_baseline.get(result.primary)
    if place == source.baseline or against is None:
        return [cell("–"), cell("–"), words("baseline" if place == source.baseline else "–", tone="quiet"), cell("–")]
    path = f"systems[{place}].against_baseline{step(result.primary)}"
    difference: Line = (source.figure(f"{path}.difference", "signed"), *interval(source, f"{path}.interval", "signed"))
    change = source.figure(f"{path}.percent", "percent")
    counts = [source.figure(f"{path}.{each}", "count") for each in ("wins", "ties", "losses")]
    return [
        Cell(difference),
        cell(change),
        verdict(against.verdict),
        cell(counts[0], " / ", counts[1], " / ", counts[2]),
    ]


def _times(source: Source, place: int) -> list[Cell]:
    latency, path = source.systems[place].latency, f"systems[{place}].latency"
    if latency is None:
        return [cell("–"), cell("–")]
    mark = "*" if latency.disturbed_rounds else ""
    own = cell(source.figure(f"{path}.own.p50_ms", "ms"), mark) if latency.own else cell("–")
    if latency.saturated:
        return [own, cell("not kept up")]
    total = [source.figure(f"{path}.total.{each}", "ms") for each in ("p50_ms", "p95_ms")] if latency.total else []
    return [own, cell(total[0], " / ", total[1], mark) if total else cell("–")]


def _money(source: Source, place: int) -> Cell:
    if per_thousand(source, place) is None:
        return cell("–")
    path = f"systems[{place}].cost.per_1000_queries"
    return Cell((source.figure(f"{path}_usd", "usd"), *interval(source, f"{path}_interval_usd", "usd")))


def _month(source: Source, place: int) -> Cell:
    if monthly(source, place) is None:
        return cell("–")
    path = f"systems[{place}].cost.projection.monthly"
    return Cell((source.figure(f"{path}_usd", "usd"), *interval(source, f"{path}_interval_usd", "usd")))


def _measures(source: Source) -> Table | None:
    """All measures with their intervals, and recall against exact search."""
    approximate = source.computed("approximate")
    if len(source.measures) + len(approximate) < 2:
        return None
    header = [words("system"), *(cell(measure(source, name)) for name in source.measures)]
    header += [
        cell(Term(source.figure(f"computed.approximate[{i}].name", "text"), "ANN")) for i in range(len(approximate))
    ]
    rows = []
    for place in source.order:
        row = [_name(source, place), *(Cell(measured(source, place, name)) for name in source.measures)]
        for each in approximate:
            found = source.systems[place].ann_recall.get(each["k"])
            path = f"systems[{place}].ann_recall{step(each['k'])}"
            row.append(cell(source.figure(path)) if found is not None else cell("–"))
        rows.append(tuple(row))
    return Table("measures", ("All measures, with intervals of each alone",), tuple(header), tuple(rows))


def _what_it_takes(source: Source) -> Table | None:
    """What the indexes take of time, disk and memory."""
    indexed = [place for place in source.order if source.systems[place].index is not None]
    if not indexed:
        return None
    header = (
        words("system"),
        words("index"),
        cell("build, s"),
        cell("disk, MiB"),
        cell("memory of the search, MiB"),
        words("held by"),
    )
    rows = []
    for place in indexed:
        system, path = source.systems[place], f"systems[{place}]"
        peak = system.memory is not None and system.memory.search_peak_bytes is not None
        memory = cell(source.figure(f"{path}.memory.search_peak_bytes", "mib") if peak else "–")
        held = words(source.figure(f"{path}.memory.where", "text") if peak else "–")
        rows.append(
            (
                _name(source, place),
                words(source.figure(f"{path}.index.type", "text")),
                cell(source.figure(f"{path}.build_seconds", "seconds")),
                cell(source.figure(f"{path}.index_bytes", "mib")),
                memory,
                held,
            )
        )
    note: Line = ("This process holds models and corpus too; a server holds its other collections.",)
    return Table("takes", ("What the indexes take",), header, tuple(rows), (note,))


def _loads(source: Source) -> Table | None:
    """The times under every load point, where there are several."""
    if not any(len(system.loads) > 1 or any(load.mode == "open" for load in system.loads) for system in source.systems):
        return None
    header = (
        words("system"),
        words(Term("load", "load")),
        *(cell(Term(p, p), " ms") for p in ("p50", "p95", "p99")),
        cell("answered a second"),
        cell("failed"),
    )
    rows = []
    for place in source.order:
        for i, load in enumerate(source.systems[place].loads):
            path = f"systems[{place}].loads[{i}]"
            times = [
                cell(source.figure(f"{path}.total.{p}_ms", "ms") if load.total else "–") for p in ("p50", "p95", "p99")
            ]
            label: list[Inline] = [source.figure(f"{path}.load", "text")]
            label += [" (not kept up)"] if load.saturated else []
            rows.append(
                (
                    _name(source, place),
                    words(*label),
                    *times,
                    cell(source.figure(f"{path}.achieved_per_second", "rate")),
                    cell(source.figure(f"{path}.failed", "count")),
                )
            )
    return Table("loads", ("Times under each load",), header, tuple(rows))


# -- models ----------------------------------------------------------------------------------------------------------


def _models(source: Source) -> Section | None:
    models = source.result.models
    if not models:
        return None
    learnt = Learnt.of(models)
    header = (
        words("model"),
        words("recipe"),
        words("base"),
        cell(Term(learnt.head, learnt.head)),
        cell("seeds"),
        words("measure on dev"),
        cell("base"),
        cell("trained"),
        cell(Term("leaks", "leaks")),
    )
    rows = []
    for i, model in enumerate(models):
        path, unit = f"models[{i}]", learnt.unit(model)
        rows.append(
            (
                words(source.figure(f"{path}.name", "text")),
                words(source.figure(f"{path}.recipe", "text")),
                words(source.figure(f"{path}.base", "text")),
                cell(source.figure(f"{path}.pairs", "count"), *([unit] if unit else [])),
                cell(source.figure(f"computed.models[{i}].seeds", "count")),
                words(source.figure(f"{path}.measure", "text")),
                cell(source.figure(f"computed.models[{i}].dev_base")),
                cell(source.figure(f"computed.models[{i}].dev")),
                cell(source.figure(f"{path}.leaks.count", "count")),
            )
        )
    blocks: list[Block] = [
        Table("models", ("The models that the experiment trained; on dev, means over the seeds",), header, tuple(rows))
    ]
    blocks += [table for table in (_seeds(source), _by_seed(source)) if table is not None]
    return Section("models-part", ("Trained models",), tuple(blocks))


def _seeds(source: Source) -> Table | None:
    header = (
        words("model"),
        cell("seed"),
        cell("base on dev"),
        cell("trained on dev"),
        cell("kept step"),
        cell("of steps"),
        cell("seconds"),
        words("device"),
    )
    rows = []
    for i, model in enumerate(source.result.models):
        for j in range(len(model.seeds)):
            path = f"models[{i}].seeds[{j}]"
            rows.append(
                (
                    words(source.figure(f"models[{i}].name", "text")),
                    cell(source.figure(f"{path}.seed", "count")),
                    cell(source.figure(f"{path}.dev_base")),
                    cell(source.figure(f"{path}.dev")),
                    cell(source.figure(f"{path}.kept_step", "count")),
                    cell(source.figure(f"{path}.steps", "count")),
                    cell(source.figure(f"{path}.seconds", "seconds")),
                    words(source.figure(f"{path}.device", "text")),
                )
            )
    return Table("seeds", ("Each training",), header, tuple(rows)) if rows else None


def _by_seed(source: Source) -> Table | None:
    """The measure that decides, on the test queries, by each seed of a system's models."""
    primary = source.result.primary
    shown = [place for place in source.order if source.systems[place].seeds and source.systems[place].builds]
    if not shown:
        return None
    most = max(len(source.systems[place].seeds) for place in shown)
    header = [words("system"), *(cell("seed ", source.figure(f"computed.counting[{j}]", "count")) for j in range(most))]
    rows = []
    for place in shown:
        builds = source.systems[place].builds
        cells = [
            cell(source.figure(f"systems[{place}].builds[{j}]{step(primary)}"))
            if j < len(builds) and primary in builds[j]
            else cell("–")
            for j in range(most)
        ]
        rows.append((_name(source, place), *cells))
    title: Line = (measure(source, primary), " on the test queries by seed: how far trainings differ")
    return Table("by-seed", title, tuple(header), tuple(rows))
