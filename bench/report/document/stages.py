"""Pictures of where quality is lost, and of what queries take: by stage, by share of the queries and by load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.report.document.parts import Inline, Key, Line, Picture, Table
from bench.report.document.source import Source
from bench.report.document.words import cell, interval, measure, words
from bench.report.pictures import shapes

MOST = 24
"""Systems that a picture shows, the best ones."""
_STAGES = {"exact": 0, "ann": 1, "retrieved": 2, "fused": 3, "reranked": 4}
_STAGE_WORDS = {
    "exact": "exact search",
    "ann": "approximate search",
    "retrieved": "retrieved",
    "fused": "fused",
    "reranked": "reranked",
}


# -- where quality is lost -------------------------------------------------------------------------------------------


def pictures(source: Source) -> Iterator[Picture | None]:
    """Those that the result has figures for; None in the place of others."""
    yield from (_loss(source), _spread(source), _load(source))


def largest_loss(source: Source) -> Mapping[str, Any] | None:
    """The step from one stage to the next that changes the mean most; null where no system has two stages."""
    steps: list[Mapping[str, Any]] = [
        {
            "system": system.name,
            "place": place,
            "from": before.stage,
            "to": after.stage,
            "change": after.mean - before.mean,
            "size": abs(after.mean - before.mean),
        }
        for place, system in enumerate(source.systems)
        for before, after in zip(system.loss, system.loss[1:], strict=False)
        if before.leg == after.leg or after.leg is None
    ]
    return max(steps, key=lambda each: each["size"], default=None)


def _loss(source: Source) -> Picture | None:
    largest = source.computed("losses")
    shown = [place for place in source.order if len(source.systems[place].loss) > 1][:MOST]
    if largest is None or not shown:
        return None
    lines, rows, plotted, ends = [], [], [], []
    for place in shown:
        stops = []
        for j, stage in enumerate(source.systems[place].loss):
            path = f"systems[{place}].loss[{j}]"
            mean = source.figure(f"{path}.mean")
            stops.append(shapes.Stop(stage.stage, stage.mean, None, None, _STAGES.get(stage.stage, 5)))
            ends.append(stage.mean)
            leg: Line = (" of ", source.figure(f"{path}.leg", "text")) if stage.leg is not None else ()
            rows.append(
                (
                    words(source.name(place)),
                    words(_STAGE_WORDS.get(stage.stage, "another stage"), *leg),
                    cell(mean, *interval(source, f"{path}.interval")),
                )
            )
            plotted.append(mean)
        lines.append(shapes.Row(source.systems[place].name, stops))
    wide, narrow = shapes.rows(lines, shapes.Axis.over(source.result.primary, ends, ceiling=1.0), connected=True)
    present = dict.fromkeys(stage.stage for place in shown for stage in source.systems[place].loss)
    keys = [
        Key(_STAGES.get(stage, 5), (_STAGE_WORDS.get(stage, "another stage"),)) for stage in _STAGES if stage in present
    ]
    verb = " loses " if largest["change"] < 0 else " gains "
    title: Line = (
        source.figure("computed.losses.system", "text"),
        verb,
        source.figure("computed.losses.size"),
        " ",
        measure(source, source.result.primary),
        " between ",
        _STAGE_WORDS.get(largest["from"], "a stage"),
        " and ",
        _STAGE_WORDS.get(largest["to"], "the next"),
        ", the largest step",
    )
    header = (words("system"), words("stage"), cell(measure(source, source.result.primary), " with its interval"))
    table = Table("loss-numbers", ("The mean after each stage",), header, tuple(rows))
    return Picture(
        "loss", title, wide, narrow, tuple(plotted), (*keys, "A row shows the mean after each stage."), table
    )


# -- times -----------------------------------------------------------------------------------------------------------


def _spread(source: Source) -> Picture | None:
    times = source.computed("times")
    if len(times) < 1:
        return None
    order = sorted(range(len(times)), key=lambda i: times[i]["p50"])[:MOST]
    shares = ("p5", "p25", "p50", "p75", "p95")
    lines = [shapes.Spread(times[i]["system"], *(times[i][share] for share in shares)) for i in order]
    ends = [times[i][share] for i in order for share in ("p5", "p95")]
    wide, narrow = shapes.spreads(lines, shapes.Axis.over("ms of a query", ends))
    rows, plotted = [], []
    for i in order:
        figures = [source.figure(f"computed.times[{i}].{share}", "ms") for share in shares]
        rows.append(
            (
                words(source.figure(f"computed.times[{i}].system", "text")),
                *map(cell, figures),
                cell(source.figure(f"computed.times[{i}].samples", "count")),
            )
        )
        plotted += figures
    header = (
        words("system"),
        cell("a twentieth, ms"),
        cell("a quarter, ms"),
        cell("half, ms"),
        cell("three quarters, ms"),
        cell("all but a twentieth, ms"),
        cell("samples"),
    )
    table = Table(
        "spread-numbers", ("Within how many milliseconds that share of queries was answered",), header, tuple(rows)
    )
    caption: Line = (
        "Each query as it was sent, under the load ",
        source.figure(f"computed.times[{order[0]}].load", "text"),
        ". The bar holds the middle half of the queries, the gap in it is the median, and the line reaches from "
        "the fastest twentieth to the slowest.",
    )
    return Picture("spread", _spread_title(source, order), wide, narrow, tuple(plotted), caption, table)


def _spread_title(source: Source, order: Sequence[int]) -> Line:
    """The medians of the fastest and of the slowest system. order: fastest first."""
    fast, slow = order[0], order[-1]
    title: list[Inline] = [
        "Half of the queries are answered by ",
        source.figure(f"computed.times[{fast}].system", "text"),
        " within ",
        source.figure(f"computed.times[{fast}].p50", "ms"),
        " ms",
    ]
    if fast != slow:
        title += [
            ", by ",
            source.figure(f"computed.times[{slow}].system", "text"),
            " within ",
            source.figure(f"computed.times[{slow}].p50", "ms"),
            " ms",
        ]
    return tuple(title)


def _load(source: Source) -> Picture | None:
    """p95 under each load point, where there are several."""
    labels = list(dict.fromkeys(load.load for system in source.systems for load in system.loads))
    places = [place for place in source.order if len(source.systems[place].loads) > 1][:MOST]
    if len(labels) < 2 or not places:
        return None
    lines, rows, plotted, ends, keys = [], [], [], [], {}
    for place in places:
        stops = []
        for j, load in enumerate(source.systems[place].loads):
            path, series = f"systems[{place}].loads[{j}]", labels.index(load.load)
            name = "p95_ms" if load.total and load.total.p95_ms is not None else "p50_ms"
            value = getattr(load.total, name) if load.total and not load.saturated else None
            keys[series] = Key(series, (source.figure(f"{path}.load", "text"),))
            figure = source.figure(f"{path}.total.{name}", "ms") if value is not None else None
            rows.append(
                (
                    words(source.name(place)),
                    words(source.figure(f"{path}.load", "text")),
                    cell(figure) if figure else cell("not kept up" if load.saturated else "–"),
                    words("p95" if name == "p95_ms" else "p50"),
                    cell(source.figure(f"{path}.achieved_per_second", "rate")),
                )
            )
            if value is not None and figure is not None:
                stops.append(shapes.Stop(load.load, value, None, None, series))
                ends.append(value)
                plotted.append(figure)
        if stops:
            lines.append(shapes.Row(source.systems[place].name, stops))
    if not lines:
        return None
    wide, narrow = shapes.rows(lines, shapes.Axis.over("ms of a query", ends), connected=True)
    header = (words("system"), words("load"), cell("ms"), words("figure"), cell("answered a second"))
    table = Table("load-numbers", ("The times that the picture shows",), header, tuple(rows))
    saturated = [load for place in places for load in source.systems[place].loads if load.saturated]
    title: Line = (
        "Some systems do not keep up with the load that was offered"
        if saturated
        else "How much longer a query takes when more are under way",
    )
    caption: Line = (*(keys[series] for series in sorted(keys)), "What was not kept up with has no point.")
    return Picture("load", title, wide, narrow, tuple(plotted), caption, table)
