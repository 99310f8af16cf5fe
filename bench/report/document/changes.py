"""What would change the decision: how much better, faster or cheaper the second system would have to be, and how many
more queries would settle what is open."""

from __future__ import annotations

from collections.abc import Mapping

from bench.report.document.parts import Line, Strong, Term
from bench.report.document.paths import step
from bench.report.document.source import Source
from bench.report.document.words import measure

_FEW = 4


def changes(source: Source) -> list[Line]:
    decision = source.computed("decision")
    second, apart = decision["second"], decision["apart"]
    lines: list[Line] = []
    if second is not None:
        lines += _by_quality(source, second, apart)
        lines += _by_time(source, second, apart)
        lines += _by_money(source, second, apart)
    lines += _by_queries(source)
    if source.result.detectable_difference is not None:
        lines.append(
            (
                "A difference under ",
                source.figure("detectable_difference"),
                " cannot be seen reliably with ",
                source.figure("dataset.judged", "count"),
                " judged queries.",
            )
        )
    return lines


def _by_quality(source: Source, second: int, apart: Mapping[str, float | None]) -> list[Line]:
    quality = apart["quality"]
    if quality is None:
        return []
    size = source.figure("computed.decision.apart.quality_size")
    name, primary = source.name(second), measure(source, source.result.primary)
    if quality > 0:
        return [
            (Strong(("Better: ",)), name, ", the second, would have to gain ", size, " ", primary, " to draw level.")
        ]
    if quality < 0:
        return [
            (
                Strong(("Better: ",)),
                name,
                " has ",
                size,
                " more ",
                primary,
                " on these queries; it would have to be shown that this is not chance.",
            )
        ]
    return [(Strong(("Better: ",)), name, " has the same ", primary, "; any lasting gain would put it first.")]


def _by_time(source: Source, second: int, apart: Mapping[str, float | None]) -> list[Line]:
    figure = "p95_ms" if apart["p95_ms"] is not None else "p50_ms"
    time = apart[figure]
    if time is None:
        return [(Strong(("Faster: ",)), "the times of both were not measured, so speed decides nothing here.")]
    size, name = source.figure(f"computed.decision.apart.{figure}_size", "ms"), source.name(second)
    at: Line = (" at ", Term("p95", "p95")) if figure == "p95_ms" else (" at the ", Term("median", "p50"))
    if time < 0:
        return [(Strong(("Faster: ",)), name, " would have to save ", size, " ms a query", *at, " to be as fast.")]
    if time > 0:
        return [
            (
                Strong(("Faster: ",)),
                name,
                " is ",
                size,
                " ms a query faster already",
                *at,
                ": where time matters more than quality, it is the choice.",
            )
        ]
    return [(Strong(("Faster: ",)), name, " is as fast.")]


def _by_money(source: Source, second: int, apart: Mapping[str, float | None]) -> list[Line]:
    figure, unit = ("monthly_usd", " a month") if apart["monthly_usd"] is not None else ("usd", " per thousand queries")
    money = apart[figure]
    if money is None:
        return [(Strong(("Cheaper: ",)), "the cost of both is not known, so money decides nothing here.")]
    size, name = source.figure(f"computed.decision.apart.{figure}_size", "usd"), source.name(second)
    if money < 0:
        return [(Strong(("Cheaper: ",)), name, " would have to cost ", size, unit, " less to be as cheap.")]
    if money > 0:
        return [
            (
                Strong(("Cheaper: ",)),
                name,
                " costs ",
                size,
                unit,
                " less already: where that is worth more than the quality, it is the choice.",
            )
        ]
    return [(Strong(("Cheaper: ",)), name, " costs the same.")]


def _by_queries(source: Source) -> list[Line]:
    """How many more queries would settle what is open: against the best, or else against the baseline."""
    answer = source.computed("answer")
    lines: list[Line] = []
    for i, rival in enumerate(answer["rivals"]):
        if rival["told_apart"] or rival["queries_to_decide"] is None or len(lines) == _FEW:
            continue
        path = f"computed.answer.rivals[{i}]"
        lines.append(
            (
                Strong(("More queries: ",)),
                "about ",
                source.figure(f"{path}.queries_to_decide", "count"),
                " more would show whether ",
                source.figure("computed.answer.best", "text"),
                " is better than ",
                source.figure(f"{path}.name", "text"),
                ".",
            )
        )
    primary = source.result.primary
    for place in () if lines else source.order:
        against = source.systems[place].against_baseline.get(primary)
        if against is None or against.verdict != "undecided" or against.queries_to_decide is None:
            continue
        path = f"systems[{place}].against_baseline{step(primary)}"
        lines.append(
            (
                Strong(("More queries: ",)),
                "about ",
                source.figure(f"{path}.queries_to_decide", "count"),
                " more would settle whether ",
                source.name(place),
                " differs from the baseline.",
            )
        )
        if len(lines) == _FEW:
            break
    return lines
