"""The answer that a result gives: which system, whether that is shown, what it costs, and what stays open.

A pure model, from which the screen, the report and the generated code tell the same thing. It is made from a result,
and from its values per query where the folder has them: without them nothing is known of systems beside the baseline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pyarrow import ArrowException

from bench.report.cells import priced
from bench.report.engines import AtTarget, at_targets
from bench.results.model import Latency, LatencyAgainst, Result, ResultUnreadable, SystemResult
from bench.results.per_query import KeptFigures, read_figures
from bench.statistics.best import against_best, identical
from bench.statistics.significance import Comparison, Verdict

Grounds: TypeAlias = Literal["target", "better", "baseline", "highest"]
"""Why a system is proposed: it is the fastest that reaches the highest target; it has the highest mean of those that
are shown to be better than the baseline; it is the baseline and none is shown to be better; it has the highest mean."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A system beside the one with the highest mean. difference: its mean minus that one's, with an interval that holds
    whichever system came out best. told_apart: whether the best one is shown to be better. queries_to_decide: about how
    many more queries would show it; None where it is shown, or no number is foreseen to."""

    name: str
    mean: float
    difference: float
    interval: tuple[float, float]
    told_apart: bool
    queries_to_decide: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The best system against the baseline, in the primary measure, as the result has it."""

    difference: float
    percent: float | None
    interval: tuple[float, float] | None
    verdict: Verdict | None
    queries_to_decide: int | None


@dataclass(frozen=True, slots=True)
class Price:
    """What a query takes and costs, of a system and of the baseline; None where it is not known or there is none.

    own, total: p50 in milliseconds under the first load point. ratio: of their own times, with its verdict. usd: US
    dollars for 1,000 queries, with an interval where the machine's time is part of it. billed: whether anybody bills
    for it, a service or the machine's owner. disturbed: whether something else disturbed the times.
    """

    own_ms: float | None
    total_ms: float | None
    usd: float | None
    usd_interval: tuple[float, float] | None
    billed: bool
    baseline_own_ms: float | None
    baseline_total_ms: float | None
    baseline_usd: float | None
    baseline_usd_interval: tuple[float, float] | None
    baseline_billed: bool
    ratio: LatencyAgainst | None
    disturbed: bool


@dataclass(frozen=True, slots=True)
class Copy:
    """A system that must rank as another one does. why: a phrase that follows `is a copy of …:`."""

    name: str
    of: str
    why: str


@dataclass(frozen=True, slots=True)
class Answer:
    """primary: the measure that decides. contenders: systems that can be compared, by mean, best first; apart: those
    that were measured and cannot, because a filter gives them other documents to find. unmeasured: those without a
    mean. best: the contender with the highest mean that may be called best; None where there is none. aside: contenders
    with a higher mean that may not be proposed, and why. standing: the best against the baseline; None without one, or
    where it is the baseline. compared: whether there were values per query to compare the best with all others by.
    rivals: the others, best first. identical: groups of systems with the same value in every measure and query.
    price: of the best system. proposed, grounds: the system to ship, and why."""

    primary: str
    baseline: str | None
    contenders: tuple[str, ...]
    apart: tuple[str, ...]
    unmeasured: tuple[str, ...]
    best: str | None
    aside: tuple[tuple[str, str], ...]
    standing: Standing | None
    compared: bool
    rivals: tuple[Rival, ...]
    identical: tuple[tuple[str, ...], ...]
    copies: tuple[Copy, ...]
    price: Price | None
    targets: tuple[AtTarget, ...]
    proposed: str | None
    grounds: Grounds | None

    @property
    def open(self) -> tuple[Rival, ...]:
        """Those that the best system is not shown to be better than, but for its equals."""
        equals = self.equals
        return tuple(one for one in self.rivals if not one.told_apart and one.name not in equals)

    @property
    def equals(self) -> frozenset[str]:
        """Systems that are the best one over again: identical in every query, or copies of it or it of them."""
        same = {name for group in self.identical if self.best in group for name in group}
        same |= {copy.name for copy in self.copies if copy.of == self.best}
        same |= {copy.of for copy in self.copies if copy.name == self.best}
        return frozenset(same - {self.best or ""})

    @property
    def shown(self) -> bool:
        """Whether the best system is shown to be better than every other one that is not its equal."""
        return self.compared and bool(self.rivals) and not self.open


def figures_of(folder: Path, result: Result) -> KeptFigures | None:
    """The values per query of a result folder; None where they cannot be read, as those of a run that was cut off. The
    answer is then not `compared`."""
    place = folder if folder.is_dir() else folder.parent
    if not any(entry.measures for entry in result.systems):
        return None
    try:
        return read_figures(place, result)
    except (ResultUnreadable, ArrowException, KeyError, ValueError):  # not there, cut short, or of another run
        return None


def answer(result: Result, figures: KeptFigures | None = None) -> Answer:
    """figures: the values per query of that result."""
    measured = [system for system in result.systems if _mean(system, result.primary) is not None]
    condition = _condition(measured, result.baseline)
    ranked = sorted(
        (system for system in measured if system.pipeline.filter == condition),
        key=lambda system: -(_mean(system, result.primary) or 0.0),
    )
    copies = _copies(ranked, result.dataset.documents)
    barred = {system.name: why for system in ranked if (why := _barred(system, result))}
    best = _best(ranked, barred, result, {copy.name for copy in copies})
    rivals = _rivals(best, ranked, result, figures)
    targets = at_targets(result)
    proposed, grounds = _proposed(best, ranked, barred, result, targets)
    return Answer(
        primary=result.primary,
        baseline=result.baseline,
        contenders=tuple(system.name for system in ranked),
        apart=tuple(system.name for system in measured if system.pipeline.filter != condition),
        unmeasured=tuple(system.name for system in result.systems if system not in measured),
        best=None if best is None else best.name,
        aside=tuple((name, why) for name, why in barred.items() if _above(name, best, ranked, result.primary)),
        standing=None if best is None else _standing(best, result.primary),
        compared=rivals is not None,
        rivals=tuple(rivals or ()),
        identical=() if figures is None else tuple(tuple(names) for names in identical(figures.systems)),
        copies=tuple(copies),
        price=None if best is None else price(best.name, result),
        targets=targets,
        proposed=proposed,
        grounds=grounds,
    )


def _mean(system: SystemResult, measure: str) -> float | None:
    value = system.measures.get(measure)
    return None if value is None else value.mean


def _condition(measured: Sequence[SystemResult], baseline: str | None) -> dict[str, Any] | None:
    """The filter of the systems that are compared: the baseline's, or else the one that most of them have."""
    by_name = {system.name: system for system in measured}
    if baseline in by_name:
        return by_name[baseline].pipeline.filter
    filters = [system.pipeline.filter for system in measured]
    return max(filters, key=lambda one: (filters.count(one), one is None), default=None)


def _barred(system: SystemResult, result: Result) -> str | None:
    """Why a system may not be called the best."""
    if system.status != "success":
        return system.status.replace("_", " ")
    if system.incomplete:
        return "incomplete"
    worse = {model.name for model in result.models if model.worse_than_base}
    if used := [name for name in system.models.values() if name in worse]:
        return f"{used[0]} is worse than its base on dev"
    return None


def _best(
    ranked: Sequence[SystemResult], barred: Mapping[str, str], result: Result, copies: set[str]
) -> SystemResult | None:
    """The highest mean. Of equal ones the baseline, then one that is no copy, then the fastest, then the first."""

    def order(system: SystemResult) -> tuple[float, bool, bool, float]:
        time = _p50(system.latency, "total")
        slowness = float("inf") if time is None else time
        mean = _mean(system, result.primary) or 0.0
        return -mean, system.name != result.baseline, system.name in copies, slowness

    return min((system for system in ranked if system.name not in barred), key=order, default=None)


def _above(name: str, best: SystemResult | None, ranked: Sequence[SystemResult], measure: str) -> bool:
    mean = next(_mean(system, measure) for system in ranked if system.name == name)
    return best is None or (mean or 0.0) > (_mean(best, measure) or 0.0)


def _standing(best: SystemResult, measure: str) -> Standing | None:
    against = best.against_baseline.get(measure)
    if against is None:
        return None
    return Standing(against.difference, against.percent, against.interval, against.verdict, against.queries_to_decide)


def _rivals(
    best: SystemResult | None, ranked: Sequence[SystemResult], result: Result, figures: KeptFigures | None
) -> list[Rival] | None:
    """The others beside the best; None where the values per query are not there."""
    if best is None or figures is None or best.name not in figures.systems:
        return None
    family = {system.name: figures.systems[system.name] for system in ranked if system.name in figures.systems}
    measure = next(measure for measure in figures.measures if str(measure) == result.primary)
    seed = result.provenance.seed or 0
    found = against_best(family, best.name, measure, seed=seed, clusters=figures.clusters)
    means = {system.name: _mean(system, result.primary) or 0.0 for system in ranked}
    return [_rival(name, means[name], found[name]) for name in means if name in found]


def _rival(name: str, mean: float, compared: Comparison) -> Rival:
    interval = (compared.interval.low, compared.interval.high)
    told_apart = compared.verdict == "worse"
    return Rival(name, mean, compared.difference, interval, told_apart, compared.queries_to_decide)


def _proposed(
    best: SystemResult | None,
    ranked: Sequence[SystemResult],
    barred: Mapping[str, str],
    result: Result,
    targets: Sequence[AtTarget],
) -> tuple[str | None, Grounds | None]:
    if result.primary.startswith("ANN@"):
        reached = [one for one in targets if one.measure == result.primary and one.fastest is not None]
        if reached:
            highest = max(reached, key=lambda one: one.target)
            assert highest.fastest is not None
            return highest.fastest.system, "target"
    if best is None:
        return None, None
    if result.baseline is None or all(system.name != result.baseline for system in ranked):
        return best.name, "highest"
    better = [system for system in ranked if system.name not in barred and _verdict(system, result.primary) == "better"]
    if better:
        top = _mean(better[0], result.primary)
        return (best.name if _mean(best, result.primary) == top else better[0].name), "better"
    return (best.name, "highest") if result.baseline in barred else (result.baseline, "baseline")


def _verdict(system: SystemResult, measure: str) -> Verdict | None:
    against = system.against_baseline.get(measure)
    return None if against is None else against.verdict


# -- copies ------------------------------------------------------------------------------------------------------


def _copies(ranked: Sequence[SystemResult], documents: int) -> list[Copy]:
    """Systems that must rank as another one does, whatever the queries are."""
    found: list[Copy] = []
    for at, system in enumerate(ranked):
        others = [*ranked[:at], *ranked[at + 1 :]]
        if any(copy.of == system.name for copy in found):
            continue
        copy = next((copy for other in others if (copy := _copy(system, other, documents))), None)
        if copy is not None:
            found.append(copy)
    return found


def _copy(system: SystemResult, other: SystemResult, documents: int) -> Copy | None:
    if system.hash == other.hash:
        return Copy(system.name, other.name, "it is the same pipeline by another name")
    own, its = system.pipeline, other.pipeline
    if own.payload == "text" and its.payload != "text" and _without_texts(system) == _without_texts(other):
        return Copy(system.name, other.name, "it is the same search, with the texts returned")
    if not _exact(other) or own.reranker is None or own.filter != its.filter:
        return None
    used, original = own.reranker.get("encoder"), _encoder(other)
    if used is None or used != original:
        return None
    if _exact(system) and _encoder(system) == original:
        return Copy(system.name, other.name, f"{used} scores its own exact hits once more")
    everything = own.depth is not None and own.depth >= documents and _finds_all(system)
    return Copy(system.name, other.name, f"{used} scores all documents once more") if everything else None


def _without_texts(system: SystemResult) -> str:
    return json.dumps(system.pipeline.model_dump(mode="json", exclude={"payload"}), sort_keys=True)


def _exact(system: SystemResult) -> bool:
    """Whether its candidates come from exact search by vector; a reranker may follow."""
    pipeline = system.pipeline
    return pipeline.encoder is not None and system.index is not None and system.index.flat and not pipeline.fusion


def _finds_all(system: SystemResult) -> bool:
    """Whether a search as deep as the corpus finds every document: exact search by vector does."""
    return _exact(system)


def _encoder(system: SystemResult) -> str | None:
    """The name of the encoder of both documents and queries; None where there are two, or none."""
    encoder = system.pipeline.encoder
    if encoder is None or encoder.document != encoder.query or encoder.document is None:
        return None
    name = encoder.document.get("name")
    return name if isinstance(name, str) else None


# -- what it costs -----------------------------------------------------------------------------------------------


def price(name: str, result: Result) -> Price:
    """What a query to a system takes and costs, beside the baseline's where there is another system as baseline."""
    systems = {system.name: system for system in result.systems}
    system = systems[name]
    base = systems.get(result.baseline or "") if name != result.baseline else None
    mine, its = system.latency, base.latency if base else None
    return Price(
        own_ms=_p50(mine, "own"),
        total_ms=_p50(mine, "total"),
        usd=system.cost.per_1000_queries_usd if system.cost else None,
        usd_interval=system.cost.per_1000_queries_interval_usd if system.cost else None,
        billed=priced(system.cost),
        baseline_own_ms=_p50(its, "own"),
        baseline_total_ms=_p50(its, "total"),
        baseline_usd=base.cost.per_1000_queries_usd if base and base.cost else None,
        baseline_usd_interval=base.cost.per_1000_queries_interval_usd if base and base.cost else None,
        baseline_billed=priced(base.cost) if base else False,
        ratio=system.latency_against_baseline.get("own p50"),
        disturbed=any(one is not None and one.disturbed_rounds > 0 for one in (mine, its)),
    )


def _p50(latency: Latency | None, stage: Literal["own", "total"]) -> float | None:
    """Milliseconds; None where it was not measured, and where the system did not keep up."""
    if latency is None or latency.saturated:
        return None
    found = latency.own if stage == "own" else latency.total
    return None if found is None else found.p50_ms
