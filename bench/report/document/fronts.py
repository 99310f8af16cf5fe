"""Quality against time and against money: which systems no other one beats in both, and which cannot be told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.report.document.decision import monthly, per_thousand
from bench.report.document.source import Source
from bench.statistics.equal_recall import dominated


def own(source: Source, place: int, figure: str = "p95_ms") -> float | None:
    """A percentile of what is the system's alone under the first load point."""
    latency = source.systems[place].latency
    if latency is None or latency.own is None or latency.saturated:
        return None
    value: float | None = getattr(latency.own, figure)
    return value


def all_fronts(source: Source) -> dict[str, Any]:
    """`time` and `money`: the systems by what they take, each with whether it is on the front; null where fewer than
    two have both."""
    slow = [place for place in _comparable(source) if own(source, place) is not None]
    figure = "p95_ms" if len(slow) > 1 else "p50_ms"
    found = {"time": _front(source, lambda place: own(source, place, figure), figure)}
    money = monthly if any(monthly(source, place) is not None for place in _comparable(source)) else per_thousand
    found["money"] = _front(
        source, lambda place: money(source, place), "monthly_usd" if money is monthly else "per_1000_queries_usd"
    )
    return found


def _comparable(source: Source) -> list[int]:
    names = source.computed("answer")["contenders"]
    return [source.places[name] for name in names]


def _front(source: Source, cost: Callable[[int], float | None], figure: str) -> Mapping[str, Any] | None:
    known = [(place, value) for place in _comparable(source) if (value := cost(place)) is not None]
    if len(known) < 2 or len({value for _, value in known}) < 2:
        return None
    known.sort(key=lambda each: each[1])
    beaten = dominated([source.primary(place) or 0.0 for place, _ in known], [value for _, value in known])
    systems = [
        {"system": source.systems[place].name, "place": place, "on_front": not lost}
        for (place, _), lost in zip(known, beaten, strict=True)
    ]
    shown = {each["system"] for each in systems}
    return {"figure": figure, "systems": systems, "joined": [pair for pair in _joined(source) if set(pair) <= shown]}


def _joined(source: Source) -> list[list[str]]:
    """Pairs that cannot be told apart in quality: the best system and those beside it."""
    answer = source.computed("answer")
    return [[answer["best"], rival["name"]] for rival in answer["rivals"] if not rival["told_apart"]]
