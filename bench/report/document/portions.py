"""Pictures of parts: quality by group of queries, cost by part of a system, and what each training changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.report.document.decision import per_thousand
from bench.report.document.parts import Key, Line, Picture, Table
from bench.report.document.source import Source
from bench.report.document.stages import MOST
from bench.report.document.words import cell, interval, measure, words
from bench.report.pictures import shapes

_PARTS = ("encoder", "index", "search", "fuse", "reranker")


# -- groups, costs and trainings -------------------------------------------------------------------------------------


def pictures(source: Source) -> Iterator[Picture | None]:
    """Those that the result has figures for; None in the place of others."""
    yield from _groups(source)
    yield from (_costs(source), _training(source))


def _groups(source: Source) -> Iterator[Picture]:
    for i, grouping in enumerate(source.computed("groups")[:6]):
        path, key = f"computed.groups[{i}]", f"groups-{chr(ord('a') + i)}"
        names = list(dict.fromkeys(each["system"] for group in grouping["groups"] for each in group["systems"]))
        lines, rows, plotted, ends = [], [], [], []
        for j, group in enumerate(grouping["groups"]):
            stops = []
            for n, each in enumerate(group["systems"]):
                at = f"{path}.groups[{j}].systems[{n}]"
                mean = source.figure(f"{at}.mean")
                low, high = each["interval"]
                stops.append(shapes.Stop(each["system"], each["mean"], low, high, names.index(each["system"])))
                ends += [each["mean"], *each["interval"]]
                rows.append(
                    (
                        words(source.figure(f"{path}.groups[{j}].label", "text")),
                        cell(source.figure(f"{path}.groups[{j}].queries", "count")),
                        words(source.figure(f"{at}.system", "text")),
                        cell(mean, *interval(source, f"{at}.interval")),
                    )
                )
                plotted.append(mean)
            lines.append(shapes.Row(group["label"], stops))
        axis = shapes.Axis.over(source.result.primary, ends, ceiling=1.0)
        wide, narrow = shapes.rows(lines, axis, connected=False)
        header = (
            words("group"),
            cell("queries"),
            words("system"),
            cell(measure(source, source.result.primary), " with its interval"),
        )
        by = source.figure(f"{path}.by", "text")
        table = Table(f"{key}-numbers", ("By ", by), header, tuple(rows))
        keys = [Key(n, (source.name(source.places[name]),)) for n, name in enumerate(names)]
        caption: Line = (*keys, "Horizontal lines are ninety-five per cent intervals of each group alone.")
        yield Picture(key, _group_title(source, i), wide, narrow, tuple(plotted), caption, table)


def _group_title(source: Source, i: int) -> Line:
    """Where the first system does best and where worst."""
    groups, path = source.computed("groups")[i]["groups"], f"computed.groups[{i}]"
    means = [group["systems"][0]["mean"] for group in groups]
    best, worst = means.index(max(means)), means.index(min(means))
    return (
        "By ",
        source.figure(f"{path}.by", "text"),
        ": ",
        source.figure(f"{path}.groups[0].systems[0].system", "text"),
        " does best on ",
        source.figure(f"{path}.groups[{best}].label", "text"),
        " (",
        source.figure(f"{path}.groups[{best}].systems[0].mean"),
        "), worst on ",
        source.figure(f"{path}.groups[{worst}].label", "text"),
        " (",
        source.figure(f"{path}.groups[{worst}].systems[0].mean"),
        ")",
    )


def costs(source: Source) -> list[Mapping[str, Any]]:
    """Of each system with a price, dollars for 1,000 queries by the part that takes them."""
    found: list[Mapping[str, Any]] = []
    for place in source.order:
        cost = source.systems[place].cost
        if cost is None or per_thousand(source, place) is None:
            continue
        parts = [
            {"part": part.part, "usd": 1000 * part.usd / part.count}
            for part in cost.parts
            if part.of == "queries" and part.usd is not None and part.count
        ]
        if parts:
            found.append({"system": source.systems[place].name, "place": place, "parts": parts})
    return found


def _costs(source: Source) -> Picture | None:
    found = source.computed("costs")[:MOST]
    sums = [sum(part["usd"] for part in each["parts"]) for each in found]
    if not found or max(sums) <= 0:
        return None
    lines, rows, plotted = [], [], []
    largest, share = (0, 0), 0.0
    for i, each in enumerate(found):
        bar = []
        for j, part in enumerate(each["parts"]):
            figure = source.figure(f"computed.costs[{i}].parts[{j}].usd", "usd")
            bar.append((_PARTS.index(part["part"]) if part["part"] in _PARTS else 5, part["usd"]))
            rows.append(
                (
                    words(source.name(each["place"])),
                    words(source.figure(f"computed.costs[{i}].parts[{j}].part", "text")),
                    cell(figure),
                )
            )
            plotted.append(figure)
            if part["usd"] > share:
                largest, share = (i, j), part["usd"]
        lines.append(shapes.Bar(each["system"], bar))
    wide, narrow = shapes.bars(
        lines, shapes.Axis.over("US dollars for a thousand queries", [0.0, max(sums)], zero=True)
    )
    header = (words("system"), words("part"), cell("US dollars for a thousand queries"))
    table = Table("costs-numbers", ("What a thousand queries cost, by part",), header, tuple(rows))
    path = f"computed.costs[{largest[0]}].parts[{largest[1]}]"
    title: Line = (
        "The ",
        source.figure(f"{path}.part", "text"),
        " of ",
        source.figure(f"computed.costs[{largest[0]}].system", "text"),
        " is the dearest part, ",
        source.figure(f"{path}.usd", "usd"),
        " for a thousand queries",
    )
    present = {series for line in lines for series, _ in line.parts}
    keys = [Key(series, (part,), bar=True) for series, part in enumerate(_PARTS) if series in present]
    return Picture("costs", title, wide, narrow, tuple(plotted), (*keys, "Bars start at nothing."), table)


def _training(source: Source) -> Picture | None:
    """On dev, each model's base and its trainings."""
    lines, rows, plotted, ends = [], [], [], []
    for i, model in enumerate(source.result.models):
        stops = []
        for j, seed in enumerate(model.seeds):
            for name, series, value in (("dev_base", 0, seed.dev_base), ("dev", 1, seed.dev)):
                if value is None or (name == "dev_base" and j):
                    continue
                figure = source.figure(f"models[{i}].seeds[{j}].{name}")
                stops.append(shapes.Stop(name, value, None, None, series))
                rows.append(
                    (
                        words(source.figure(f"models[{i}].name", "text")),
                        words("before the training" if series == 0 else "trained"),
                        cell(source.figure(f"models[{i}].seeds[{j}].seed", "count")),
                        cell(figure),
                    )
                )
                plotted.append(figure)
                ends.append(value)
        if stops:
            lines.append(shapes.Row(model.name, stops))
    if not lines:
        return None
    first = next(i for i, model in enumerate(source.result.models) if any(seed.dev is not None for seed in model.seeds))
    wide, narrow = shapes.rows(lines, shapes.Axis.over("on dev", ends, ceiling=1.0), connected=True)
    header = (words("model"), words("when"), cell("seed"), cell("on dev"))
    table = Table("training-numbers", ("The measure that decides, on dev, of each training",), header, tuple(rows))
    title: Line = (
        "Training takes ",
        source.figure(f"models[{first}].name", "text"),
        " from ",
        source.figure(f"computed.models[{first}].dev_base"),
        " to ",
        source.figure(f"computed.models[{first}].dev"),
        " on dev, by the mean over its seeds",
    )
    keys = (Key(0, ("the base, before the training",)), Key(1, ("one point for each seed, trained",)))
    return Picture("training", title, wide, narrow, tuple(plotted), keys, table)
