"""The pictures of a report: each with a title that says what it shows, and its numbers in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.report.document import portions, stages
from bench.report.document.parts import Figure, Inline, Key, Line, Paragraph, Picture, Section, Table, Term
from bench.report.document.paths import step
from bench.report.document.source import Source
from bench.report.document.words import cell, interval, measure, words
from bench.report.pictures import shapes

MOST = 24
"""Systems that a picture shows, the best ones."""


def section(source: Source) -> Section:
    """The fourth part of a report."""
    pictures = tuple(_pictures(source))
    empty = Paragraph(("This result holds nothing that a picture would show.",))
    return Section("pictures", ("Pictures",), pictures or (empty,))


def _pictures(source: Source) -> Iterator[Picture]:
    drawn = (
        _quality_and_time(source),
        _quality_and_money(source),
        *_recall_and_time(source),
        *stages.pictures(source),
        *portions.pictures(source),
    )
    yield from (picture for picture in drawn if picture is not None)


# -- quality against time and money ----------------------------------------------------------------------------------


def _quality_and_time(source: Source) -> Picture | None:
    front = source.computed("fronts")["time"]
    if front is None:
        return None
    figure = front["figure"]
    paths = {each["system"]: f"systems[{each['place']}].latency.own.{figure}" for each in front["systems"]}
    name = "p95" if figure == "p95_ms" else "p50"
    unit: Line = (Term("own", "own"), " ", Term(name, name), ", ms")
    return _front(source, "quality-time", front, paths, "ms", unit, f"own {name}, ms", " ms")


def _quality_and_money(source: Source) -> Picture | None:
    front = source.computed("fronts")["money"]
    if front is None:
        return None
    monthly_figure = front["figure"] == "monthly_usd"
    inner = "projection.monthly_usd" if monthly_figure else "per_1000_queries_usd"
    paths = {each["system"]: f"systems[{each['place']}].cost.{inner}" for each in front["systems"]}
    unit = "US dollars a month" if monthly_figure else "US dollars for a thousand queries"
    return _front(source, "quality-money", front, paths, "usd", (unit,), unit, "")


def _front(
    source: Source,
    key: str,
    front: Mapping[str, Any],
    paths: Mapping[str, str],
    form: str,
    unit: Line,
    axis: str,
    after: str,
) -> Picture:
    """Quality against a cost. paths: by system, where its cost stands."""
    chosen = source.computed("decision")["system"]
    shown = front["systems"] if len(front["systems"]) <= MOST else [s for s in front["systems"] if s["on_front"]][:MOST]
    points = {}
    for each in shown:
        value = source.systems[each["place"]].measures[source.result.primary]
        low, high = value.interval or (None, None)
        series = 0 if each["on_front"] else None
        labelled = each["on_front"] or each["place"] in (chosen, source.baseline)
        points[each["system"]] = shapes.Point(
            each["system"],
            source.value(paths[each["system"]]),
            value.mean or 0.0,
            low,
            high,
            series,
            each["on_front"],
            labelled,
        )
    joined = [(points[a], points[b]) for a, b in front["joined"] if a in points and b in points]
    ends = [end for p in points.values() for end in (p.y, p.low, p.high) if end is not None]
    ordered = sorted(points.values(), key=lambda p: (p.name != _name(source, chosen), not p.marked))
    wide, narrow = shapes.scatter(
        ordered,
        shapes.Axis.over(axis, [p.x for p in points.values()]),
        shapes.Axis.over(source.result.primary, ends, ceiling=1.0),
        joined=joined,
    )
    table, plotted = _front_table(source, key, shown, paths, form, unit)
    caption: list[Inline] = [
        "Up and to the left is better. ",
        Key(0, ("no other system is better in both",)),
        "An open grey point is beaten by another in both. Vertical lines are ninety-five per cent intervals.",
    ]
    caption += [" A dashed line joins systems that cannot be told apart in quality."] if joined else []
    return Picture(key, _front_title(source, shown, paths, form, after), wide, narrow, plotted, tuple(caption), table)


def _name(source: Source, place: int | None) -> str | None:
    return None if place is None else source.systems[place].name


def _front_title(
    source: Source, shown: Sequence[Mapping[str, Any]], paths: Mapping[str, str], form: str, after: str
) -> Line:
    best = max(shown, key=lambda each: source.primary(each["place"]) or 0.0)
    least = next(each for each in shown if each["on_front"])
    primary = measure(source, source.result.primary)
    value, cost = source.mean(best["place"], source.result.primary), source.figure(paths[best["system"]], form)
    assert value is not None
    if best["system"] == least["system"]:
        return (
            source.name(best["place"]),
            " has the highest ",
            primary,
            " (",
            value,
            ") and takes the least (",
            cost,
            after,
            ")",
        )
    other = source.mean(least["place"], source.result.primary)
    assert other is not None
    return (
        source.name(best["place"]),
        " reaches ",
        value,
        " ",
        primary,
        " for ",
        cost,
        after,
        "; ",
        source.name(least["place"]),
        " ",
        other,
        " for ",
        source.figure(paths[least["system"]], form),
        after,
    )


def _front_table(
    source: Source, key: str, shown: Sequence[Mapping[str, Any]], paths: Mapping[str, str], form: str, unit: Line
) -> tuple[Table, tuple[Figure, ...]]:
    primary = source.result.primary
    header = (words("system"), cell(measure(source, primary), " with its interval"), cell(*unit), words("on the front"))
    rows, plotted = [], []
    for each in shown:
        path = f"systems[{each['place']}].measures{step(primary)}"
        mean, cost = source.figure(f"{path}.mean"), source.figure(paths[each["system"]], form)
        rows.append(
            (
                words(source.name(each["place"])),
                cell(mean, *interval(source, f"{path}.interval")),
                cell(cost),
                words("yes" if each["on_front"] else "no"),
            )
        )
        plotted += [mean, cost]
    title: Line = (measure(source, primary), " and ", *unit)
    return Table(f"{key}-numbers", title, header, tuple(rows)), tuple(plotted)


# -- engines ---------------------------------------------------------------------------------------------------------


def _recall_and_time(source: Source) -> Iterator[Picture]:
    """For each front with settings that were swept: quality against p95, a line for each engine."""
    for i, front in enumerate(source.result.fronts):
        engines: dict[str, list[int]] = {}
        for j, each in enumerate(front.systems):
            engines.setdefault(_engine(source, each.name), []).append(j)
        if not any(_is_swept(source, [front.systems[j].name for j in found]) for found in engines.values()):
            continue
        yield _engines(source, i, dict(list(engines.items())[:8]))


def _engine(source: Source, name: str) -> str:
    place = source.places.get(name)
    store = source.systems[place].pipeline.store if place is not None else None
    return str(store["name"]) if store and "name" in store else name


def _is_swept(source: Source, names: Sequence[str]) -> bool:
    """Whether systems search one build with several settings."""
    pipelines = [source.systems[source.places[name]].pipeline for name in names if name in source.places]
    settings = {
        (repr(each.index), repr(each.query)) for each in pipelines if each.reranker is None and each.fusion is None
    }
    return len(settings) > len({index for index, _ in settings})


def _engines(source: Source, i: int, engines: Mapping[str, Sequence[int]]) -> Picture:
    front, key = source.result.fronts[i], f"engines-{chr(ord('a') + i % 26)}"
    points, paths, keys = [], [], []
    levels = sorted({row.target for row in source.result.targets if row.measure == front.measure})
    for series, (engine, rows) in enumerate(engines.items()):
        line = []
        best = max(rows, key=lambda j: front.systems[j].quality)
        for j in rows:
            each = front.systems[j]
            low, high = _interval(source, each.name, front.measure)
            line.append(shapes.Point(engine, each.p95_ms, each.quality, low, high, series, each.on_front, j == best))
        points += line
        if len(line) > 1:
            paths.append(line)
        keys.append(
            Key(
                series,
                (
                    source.figure(f"systems[{source.places[front.systems[rows[0]].name]}].pipeline.store.name", "text")
                    if _has_store(source, front.systems[rows[0]].name)
                    else source.figure(f"fronts[{i}].systems[{rows[0]}].name", "text"),
                ),
            )
        )
    ends = [end for p in points for end in (p.y, p.low, p.high) if end is not None] + levels
    wide, narrow = shapes.scatter(
        points,
        shapes.Axis.over("p95, ms", [p.x for p in points]),
        shapes.Axis.over(front.measure, ends, ceiling=1.0),
        paths=paths,
        levels=levels,
    )
    table, plotted = _engines_table(source, i, [j for rows in engines.values() for j in rows])
    caption: list[Inline] = [
        *keys,
        "Each point is a setting; filled ones are on the front. Up and to the left is better.",
    ]
    caption += [" Dotted lines are the targets."] if levels else []
    return Picture(key, _engines_title(source, i), wide, narrow, plotted, tuple(caption), table)


def _has_store(source: Source, name: str) -> bool:
    place = source.places.get(name)
    store = source.systems[place].pipeline.store if place is not None else None
    return bool(store and "name" in store)


def _interval(source: Source, name: str, of: str) -> tuple[float | None, float | None]:
    place = source.places.get(name)
    value = source.systems[place].measures.get(of) if place is not None else None
    return value.interval if value is not None and value.interval else (None, None)


def _engines_title(source: Source, i: int) -> Line:
    """The fastest engine at the highest target that one reaches, and the next one."""
    front = source.result.fronts[i]
    name = measure(source, front.measure)
    for j, at in reversed(list(enumerate(source.computed("answer")["targets"]))):
        if at["measure"] != front.measure or at["encoder"] != front.encoder or at["fastest"] is None:
            continue
        path = f"computed.answer.targets[{j}]"
        line: list[Inline] = [
            source.figure(f"{path}.fastest.engine", "text"),
            " reaches ",
            source.figure(f"{path}.target"),
            " ",
            name,
        ]
        if at["fastest"]["loads"] and at["fastest"]["loads"][0]["total"]:
            line += [" in ", source.figure(f"{path}.fastest.loads[0].total.p50_ms", "ms"), " ms at the median"]
        if at["slower"] and at["slower"][0]["loads"] and at["slower"][0]["loads"][0]["total"]:
            line += [
                ", ",
                source.figure(f"{path}.slower[0].engine", "text"),
                " in ",
                source.figure(f"{path}.slower[0].loads[0].total.p50_ms", "ms"),
                " ms",
            ]
        return tuple(line)
    best = max(range(len(front.systems)), key=lambda j: front.systems[j].quality)
    path = f"fronts[{i}].systems[{best}]"
    return (
        source.figure(f"{path}.name", "text"),
        " has the highest ",
        name,
        ", ",
        source.figure(f"{path}.quality"),
        ", at a p95 of ",
        source.figure(f"{path}.p95_ms", "ms"),
        " ms",
    )


def _engines_table(source: Source, i: int, rows: Sequence[int]) -> tuple[Table, tuple[Figure, ...]]:
    front = source.result.fronts[i]
    header = (
        words("system"),
        cell(measure(source, front.measure)),
        cell(Term("p95", "p95"), " ms"),
        cell("queries a second"),
        words("on the front"),
    )
    lines, plotted = [], []
    for j in rows:
        path = f"fronts[{i}].systems[{j}]"
        quality, time = source.figure(f"{path}.quality"), source.figure(f"{path}.p95_ms", "ms")
        lines.append(
            (
                words(source.figure(f"{path}.name", "text")),
                cell(quality),
                cell(time),
                cell(source.figure(f"{path}.per_second", "rate")),
                words("yes" if front.systems[j].on_front else "no"),
            )
        )
        plotted += [quality, time]
    title: Line = ("Settings by engine",)
    return Table(f"engines-{chr(ord('a') + i % 26)}-numbers", title, header, tuple(lines)), tuple(plotted)
