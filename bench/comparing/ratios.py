"""Times and costs, each as a ratio to the baseline of its own result: what the machine or a price list does to both
cancels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.comparing.differences import same_machine
from bench.comparing.matching import Matched, Pair, pipelines
from bench.comparing.model import Ratio, RatioChange
from bench.results.model import Cost, Result, SystemResult
from bench.statistics.latency_comparison import OWN_P50, TOTAL_P95
from bench.statistics.levels import two_sided

COST = "cost"
NOT_BEFORE = "the old result has no such ratio"
FIGURES = (OWN_P50, TOTAL_P95, COST)
_SPELLINGS = {"p50": OWN_P50, "p95": TOTAL_P95, "own_p50": OWN_P50, "total_p95": TOTAL_P95, "costs": COST, "usd": COST}


_ROUNDING = 1e-9
_NOTHING = 1e-9  # of a cost: an interval may reach down to 0, which has no logarithm


class _Span(NamedTuple):
    """A figure on the logarithmic scale with the ends of its interval, which are itself where it is exact."""

    low: float
    at: float
    high: float


def figure_named(text: str) -> str | None:
    """The figure that is meant, None where none is."""
    plain = " ".join(text.lower().split())
    return plain if plain in FIGURES else _SPELLINGS.get(plain)


class Ratios:
    """Of the systems of two results."""

    def __init__(self, old: Result, new: Result, found: Matched) -> None:
        self._old, self._new = old, new
        self._machines = same_machine(old, new)
        self._no_baseline = _without_baseline(old, new, found)

    def of(self, pair: Pair, *, level: float, margin: float | None) -> tuple[Ratio, ...]:
        """Those of a system that either result has. margin: the growth that still is not higher, such as 1.10."""
        if self._new.baseline == pair.new.name:
            return ()
        shown = [self._latency(pair, figure, level, margin) for figure in (OWN_P50, TOTAL_P95)]
        shown.append(self._cost(pair, level, margin))
        return tuple(ratio for ratio in shown if ratio is not None)

    def _latency(self, pair: Pair, figure: str, level: float, margin: float | None) -> Ratio | None:
        old, new = (side.latency_against_baseline.get(figure) for side in (pair.old, pair.new))
        if old is None and new is None:
            return None
        if why := self._no_baseline:
            return Ratio(figure, why_not=why)
        if old is None or new is None:
            return Ratio(figure, why_not=NOT_BEFORE if old is None else "the new result has no such ratio")
        if self._machines:
            facts = ", ".join(f"{c.key.removeprefix('machine.')} {c.old} ► {c.new}" for c in self._machines)
            return Ratio(figure, why_not=f"not one machine: {facts}")
        loads = [side.latency.load if side.latency else None for side in (pair.old, pair.new)]
        if loads[0] != loads[1]:
            return Ratio(figure, why_not=f"not one load: {loads[0]} ► {loads[1]}")
        if old.interval is None or new.interval is None:
            why = f"too few rounds in the {'old' if old.interval is None else 'new'} result"
            return Ratio(figure, old.ratio, new.ratio, new.ratio / old.ratio, why_not=why)
        spans = [_Span(*map(math.log, (each.interval[0], each.ratio, each.interval[1])))  # type: ignore[index]
                 for each in (old, new)]  # fmt: skip
        return _grown(figure, spans[:1], spans[1:], level, margin)

    def _cost(self, pair: Pair, level: float, margin: float | None) -> Ratio | None:
        costs = [side.cost.per_1000_queries_usd if side.cost else None for side in (pair.old, pair.new)]
        if not any(costs):
            return None
        if why := self._no_baseline:
            return Ratio(COST, why_not=why)
        spans: list[list[_Span]] = []
        for which, result, system in (("old", self._old, pair.old), ("new", self._new, pair.new)):
            base = _named(result, result.baseline)
            if (own := _cost_span(system.cost)) is None:
                return Ratio(COST, why_not=f"in the {which} result it costs nothing, or nobody knows what")
            if (other := _cost_span(base.cost)) is None:
                return Ratio(COST, why_not=f"the baseline of the {which} result has no cost to divide by")
            spans.append([own, _Span(-other.high, -other.at, -other.low)])
        return _grown(COST, spans[0], spans[1], level, margin)


def _grown(figure: str, old: Sequence[_Span], new: Sequence[_Span], level: float, margin: float | None) -> Ratio:
    """From independent figures whose sums are the old and the new ratio's logarithms.

    The interval of a difference is put together from theirs: squared distances add up (MOVER). Theirs are of 95 % for
    all systems of their result; a normal quantile takes them to another level. Source: Zou and Donner 2008.
    """
    before, after = (sum(span.at for span in spans) for spans in (old, new))
    stretch = two_sided(level, 1) / two_sided(0.95, 1)
    change = after - before
    below = [span.at - span.low for span in new] + [span.high - span.at for span in old]
    above = [span.high - span.at for span in new] + [span.at - span.low for span in old]
    low, high = change - stretch * math.hypot(*below), change + stretch * math.hypot(*above)
    exact = not any(below) and not any(above)
    limit = math.log(margin) if margin is not None else None
    verdict: RatioChange = "undecided"
    if low > _ROUNDING:
        verdict = "higher"
    elif high < -_ROUNDING:
        verdict = "lower"
    elif (limit is not None and high < limit) or exact:
        verdict = "not_higher"
    interval = None if exact else (math.exp(low), math.exp(high))
    return Ratio(figure, math.exp(before), math.exp(after), math.exp(change), interval, verdict)


def exceeds(ratio: Ratio, margin: float | None) -> bool:
    """Whether a ratio is shown to have grown beyond the margin."""
    if ratio.change is None or ratio.why_not is not None:
        return False
    low = ratio.interval[0] if ratio.interval else ratio.change
    return math.log(low) > math.log(margin or 1.0) + _ROUNDING


def _without_baseline(old: Result, new: Result, found: Matched) -> str | None:
    """Why ratios to the baselines say nothing of a change; None where they do."""
    for which, result in (("old", old), ("new", new)):
        if result.baseline is None:
            return f"the {which} result has no baseline"
    same = next((pair for pair in found.pairs if pair.new.name == new.baseline), None)
    if same is None or same.old.name != old.baseline:
        return f"the baseline is another system: {old.baseline} ► {new.baseline}"
    if same.by != "pipeline" or pipelines(old)[same.old.name] != pipelines(new)[same.new.name]:
        return f"the baseline {new.baseline} is not the same pipeline in both"
    return None


def _named(result: Result, name: str | None) -> SystemResult:
    systems: Mapping[str | None, SystemResult] = {system.name: system for system in result.systems}
    return systems[name]


def _cost_span(cost: Cost | None) -> _Span | None:
    usd = cost.per_1000_queries_usd if cost is not None else None
    if cost is None or usd is None or usd <= 0:
        return None
    interval = cost.per_1000_queries_interval_usd
    low, high = interval if interval is not None else (usd, usd)
    return _Span(math.log(max(low, usd * _NOTHING)), math.log(usd), math.log(high))
