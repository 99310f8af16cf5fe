"""What to ship and why, what it costs, and what would change the decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report.cells import priced
from bench.report.document.changes import changes
from bench.report.document.parts import Block, Bullets, Inline, Line, Paragraph, Section, Strong, Term, Tile, Tiles
from bench.report.document.paths import step
from bench.report.document.source import Source
from bench.report.document.words import interval, listed, measure
from bench.results.model import Latency

_FEW = 4


def decide(source: Source) -> Mapping[str, Any]:
    """What the decision rests on beside the answer: the system, the second one, and how far they are apart."""
    answer = source.computed("answer")
    proposed = answer["proposed"]
    place = source.places.get(proposed) if proposed is not None else None
    second = _second(source, proposed) if place is not None else None
    return {
        "system": place,
        "second": second,
        "systems": len(source.systems),
        "measured": len(answer["contenders"]),
        "apart": {} if place is None or second is None else _apart(source, place, second),
        "open": len(answer["rivals"]) and sum(not rival["told_apart"] for rival in answer["rivals"]),
        "targets": [source.result.targets.index(row) for row in source.result.targets],
    }


def _second(source: Source, proposed: str) -> int | None:
    """The system with the highest mean beside the proposed one and its equals."""
    answer = source.computed("answer")
    equals = {name for group in answer["identical"] if proposed in group for name in group}
    equals |= {copy["name"] for copy in answer["copies"] if copy["of"] == proposed}
    equals |= {copy["of"] for copy in answer["copies"] if copy["name"] == proposed}
    names = [name for name in answer["contenders"] if name != proposed and name not in equals]
    return source.places[names[0]] if names else None


def _apart(source: Source, one: int, other: int) -> dict[str, float | None]:
    """The proposed system less the second one, each null where either is not known."""
    quality = _less(source.primary(one), source.primary(other))
    money = _less(monthly(source, one), monthly(source, other))
    price = _less(per_thousand(source, one), per_thousand(source, other))
    time = _less(total(source, one, "p95_ms"), total(source, other, "p95_ms"))
    middle = _less(total(source, one, "p50_ms"), total(source, other, "p50_ms"))
    found = {"quality": quality, "monthly_usd": money, "usd": price, "p95_ms": time, "p50_ms": middle}
    return found | {f"{name}_size": None if value is None else abs(value) for name, value in found.items()}


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def monthly(source: Source, place: int) -> float | None:
    """Dollars a month at the traffic that the experiment projects; None where that is not known."""
    cost = source.systems[place].cost
    return cost.projection.monthly_usd if cost and cost.projection else None


def per_thousand(source: Source, place: int) -> float | None:
    """Dollars for 1,000 queries, where something bills or the machine has a price."""
    cost = source.systems[place].cost
    return cost.per_1000_queries_usd if cost is not None and priced(cost) else None


def total(source: Source, place: int, figure: str) -> float | None:
    """A percentile of the whole time under the first load point; None where it was not measured or not kept up with."""
    latency = source.systems[place].latency
    if latency is None or latency.total is None or latency.saturated:
        return None
    value: float | None = getattr(latency.total, figure)
    return value


def section(source: Source) -> Section:
    """The first part of a report."""
    decision = source.computed("decision")
    blocks: list[Block] = [Paragraph(_what(source), lead=True)]
    if decision["system"] is not None:
        blocks.append(Tiles(tuple(_tiles(source, decision["system"]))))
    for line in (_engines(source), _identical(source)):
        blocks += [Bullets(line)] if line else []
    lines = tuple(changes(source))
    inner = (Section("changes", ("What would change this decision",), (Bullets(lines),)),) if lines else ()
    return Section("decision", ("The decision",), tuple(blocks), inner)


# -- the sentences ---------------------------------------------------------------------------------------------------


def _what(source: Source) -> Line:
    decision, answer = source.computed("decision"), source.computed("answer")
    place = decision["system"]
    if place is None:
        return _nothing(source)
    name: Line = (Strong((source.name(place),)),)
    parts: list[Inline] = []
    if answer["grounds"] == "target":
        parts += ["Ship ", *name, ": ", *_at_target(source, place)]
    elif answer["grounds"] == "better":
        parts += ["Ship ", *name, ". Its ", measure(source, answer["primary"]), " of ", *_mean(source, place)]
        parts += [" is the highest of those shown to be better than the baseline ", *_baseline(source), ". "]
    elif answer["grounds"] == "baseline":
        parts += ["Keep the baseline, ", *name, ": no other system is shown to be better. Its "]
        parts += [measure(source, answer["primary"]), " is ", *_mean(source, place), ". "]
    else:
        parts += [*name, " has the highest ", measure(source, answer["primary"]), ", ", *_mean(source, place), ". "]
    parts += _margin(source, place)
    parts += _price(source, place)
    return tuple(parts)


def _nothing(source: Source) -> Line:
    if not source.systems:
        return ("Nothing can be decided: this result holds no system. ",)
    return (
        "Nothing can be decided: no system has a value of ",
        measure(source, source.result.primary),
        " that may be called the best. ",
    )


def _mean(source: Source, place: int) -> Line:
    figure = source.mean(place, source.result.primary)
    return (figure,) if figure is not None else ("–",)


def _baseline(source: Source) -> Line:
    return (source.figure("baseline", "text"),)


def _at_target(source: Source, place: int) -> Line:
    name = source.systems[place].name
    rows = [(i, row) for i, row in enumerate(source.result.targets) if row.system == name]
    at, row = max(rows, key=lambda each: each[1].target)
    line: list[Inline] = ["it is the fastest that reaches ", source.figure(f"targets[{at}].target")]
    line += [" of ", measure(source, row.measure), " (", source.figure(f"targets[{at}].mean")]
    line += [*interval(source, f"targets[{at}].interval"), " on queries that did not choose it). "]
    return tuple(line)


def _margin(source: Source, place: int) -> Line:
    """How far it is from the baseline, or from the next one, and whether that is shown."""
    answer, result = source.computed("answer"), source.result
    against = source.systems[place].against_baseline.get(result.primary)
    if answer["grounds"] == "target":
        return ()
    path = f"systems[{place}].against_baseline{step(result.primary)}"
    if against is not None and source.baseline is not None:
        line: list[Inline] = [
            "Against ",
            source.name(source.baseline),
            " that is ",
            source.figure(f"{path}.difference", "signed"),
        ]
        line += interval(source, f"{path}.interval", "signed")
        if against.percent is not None:
            line += [" (", source.figure(f"{path}.percent", "percent"), ")"]
        return (*line, *_said(source, against.verdict), *_beside(source, place))
    return _beside(source, place)


def _said(source: Source, verdict: str | None) -> Line:
    if verdict == "better":
        return (": more than chance explains. ",)
    if verdict == "not_worse":
        return (", shown to be at most ", source.figure("margin"), " worse. ")
    if verdict == "worse":
        return (", shown to be worse. ",)
    return (", which chance could explain. ",)


def _beside(source: Source, place: int) -> Line:
    """How many others it cannot be told apart from."""
    answer = source.computed("answer")
    if not answer["compared"] or answer["best"] != source.systems[place].name or not answer["rivals"]:
        return ()
    same = {name for group in answer["identical"] if answer["best"] in group for name in group}
    rivals = [(i, rival) for i, rival in enumerate(answer["rivals"]) if not rival["told_apart"]]
    rivals = [(i, rival) for i, rival in rivals if rival["name"] not in same]
    if not rivals:
        return ("It is shown to be better than every other system. ",)
    if len(rivals) > _FEW:
        return ("It is not shown to be better than ", source.figure("computed.decision.open", "count"), " others. ")
    names = listed([(source.figure(f"computed.answer.rivals[{i}].name", "text"),) for i, _ in rivals])
    return ("It is not shown to be better than ", *names, ". ")


def _price(source: Source, place: int) -> Line:
    line: list[Inline] = []
    path = f"systems[{place}]"
    if total(source, place, "p95_ms") is not None:
        line += ["Of its queries, ninety-five in a hundred are answered within "]
        line += [source.figure(f"{path}.latency.total.p95_ms", "ms"), " ms"]
    elif total(source, place, "p50_ms") is not None:
        line += ["Half of its queries are answered within ", source.figure(f"{path}.latency.total.p50_ms", "ms"), " ms"]
    if monthly(source, place) is not None:
        line += [", and it costs " if line else "It costs "]
        line += [source.figure(f"{path}.cost.projection.monthly_usd", "usd"), " a month"]
    return (*line, ".") if line else ()


# -- the numbers -----------------------------------------------------------------------------------------------------


def _tiles(source: Source, place: int) -> list[Tile]:
    path, result = f"systems[{place}]", source.result
    tiles = []
    if source.primary(place) is not None:
        value = f"{path}.measures{step(result.primary)}"
        note: Line = ("interval", *interval(source, f"{value}.interval"))
        tiles.append(
            Tile(
                _mean(source, place),
                (measure(source, result.primary),),
                note if source.value(f"{value}.interval") else (),
            )
        )
    against = f"{path}.against_baseline{step(result.primary)}"
    if result.primary in source.systems[place].against_baseline and source.baseline is not None:
        label: Line = ("against ", source.name(source.baseline))
        note = (source.figure(f"{against}.difference", "signed"), *interval(source, f"{against}.interval", "signed"))
        percent = source.systems[place].against_baseline[result.primary].percent
        number: Line = (source.figure(f"{against}.percent", "percent"),) if percent is not None else note
        tiles.append(Tile(number, label, note if percent is not None else ()))
    tiles += _time_tiles(source, place)
    return tiles + _money_tiles(source, place)


def _time_tiles(source: Source, place: int) -> list[Tile]:
    tiles = []
    loads = source.systems[place].loads or ([one] if (one := source.systems[place].latency) else [])
    base = f"systems[{place}].loads" if source.systems[place].loads else f"systems[{place}].latency"
    for i, load in enumerate(loads[:3]):
        path = f"{base}[{i}]" if source.systems[place].loads else base
        if load.total is None:
            continue
        name = "p95" if load.total.p95_ms is not None else "p50"
        if load.saturated:
            figure: Line = ("not kept up",)
        elif getattr(load.total, f"{name}_ms") is None:
            continue
        else:
            figure = (source.figure(f"{path}.total.{name}_ms", "ms"), " ms")
        tiles.append(Tile(figure, (Term(name, name), " of a query"), load_words(source, load, path)))
    return tiles


def load_words(source: Source, load: Latency, path: str) -> Line:
    """What a load point is: how many queries at once, or how many a second."""
    if load.mode == "open":
        return ("at ", source.figure(f"{path}.rate", "rate"), " queries a second")
    if load.workers == 1:
        return ("one query at a time",)
    return (source.figure(f"{path}.workers", "count"), " queries at once")


def _money_tiles(source: Source, place: int) -> list[Tile]:
    path = f"systems[{place}].cost"
    if monthly(source, place) is not None:
        projection = f"{path}.projection"
        note: list[Inline] = [source.figure(f"{projection}.queries_per_month", "count"), " queries a month, "]
        note += [source.figure(f"{projection}.documents", "count"), " documents"]
        note += interval(source, f"{projection}.monthly_interval_usd", "usd")
        label: Line = ("a month",)
        return [Tile((source.figure(f"{projection}.monthly_usd", "usd"),), label, tuple(note))]
    if per_thousand(source, place) is not None:
        return [
            Tile(
                (source.figure(f"{path}.per_1000_queries_usd", "usd"),),
                ("for a thousand queries",),
                ("the file names no traffic (projection)",),
            )
        ]
    return []


# -- engines and equals ----------------------------------------------------------------------------------------------


def _engines(source: Source) -> tuple[Line, ...]:
    """Per target the fastest engine, and those that are alike or miss it."""
    lines: list[Line] = []
    for i, at in enumerate(source.computed("answer")["targets"]):
        path = f"computed.answer.targets[{i}]"
        line: list[Inline] = ["At least ", source.figure(f"{path}.target"), " ", measure(source, at["measure"]), ": "]
        if at["fastest"] is None:
            line += ["no engine was shown to reach it."]
        else:
            line += [*_chosen(source, f"{path}.fastest", at["fastest"])]
            if at["alike"]:
                names = [(source.figure(f"{path}.alike[{j}].engine", "text"),) for j in range(len(at["alike"]))]
                line += ["; not told apart from ", *listed(names)]
            if at["missed"]:
                names = [(source.figure(f"{path}.missed[{j}].engine", "text"),) for j in range(len(at["missed"]))]
                line += ["; not shown to reach it: ", *listed(names)]
            line += ["."]
        lines.append(tuple(line))
    return tuple(lines)


def _chosen(source: Source, path: str, row: Mapping[str, Any]) -> Line:
    line: list[Inline] = [Strong((source.figure(f"{path}.engine", "text"),))]
    if row["setting"]:
        line += [" with ", source.figure(f"{path}.setting", "settings")]
    own = row["loads"][0] if row["loads"] else None
    if own and own["total"] and own["total"]["p50_ms"] is not None:
        line += [", ", source.figure(f"{path}.loads[0].total.p50_ms", "ms"), " ms at the ", Term("median", "p50")]
    return tuple(line)


def _identical(source: Source) -> tuple[Line, ...]:
    answer, lines = source.computed("answer"), []
    for i, group in enumerate(answer["identical"]):
        names = [(source.figure(f"computed.answer.identical[{i}][{j}]", "text"),) for j in range(len(group))]
        lines.append((*listed(names), " are identical in every query."))
    for i in range(len(answer["copies"])):
        path = f"computed.answer.copies[{i}]"
        lines.append(
            (
                source.figure(f"{path}.name", "text"),
                " is a copy of ",
                source.figure(f"{path}.of", "text"),
                ": ",
                source.figure(f"{path}.why", "text"),
                ".",
            )
        )
    return tuple(lines)
