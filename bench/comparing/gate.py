"""Whether a change may pass: for continuous integration, which wants one answer and few false alarms."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.comparing.model import CannotCompare, Compared, Difference, Gate, Judged, Ratio, Remark, SystemChange
from bench.comparing.ratios import FIGURES, NOT_BEFORE, exceeds, figure_named
from bench.report.cells import signed
from bench.statistics.arrays import Labels
from bench.statistics.comparison import SystemFigures
from bench.statistics.detectable import detectable_loss
from bench.statistics.levels import fewest_groups
from bench.statistics.measures import Measure


@dataclass(frozen=True, slots=True)
class Asked:
    """The figures that a gate judges."""

    measures: tuple[str, ...]
    ratios: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.measures, *self.ratios)

    @staticmethod
    def read(names: Sequence[str], known: Sequence[str]) -> Asked:
        """known: the measures of both results. Raises CannotCompare for any other."""
        measures, ratios = list[str](), list[str]()
        for name in names:
            if (figure := figure_named(name)) is not None:
                ratios.append(figure)
                continue
            try:
                measure = str(Measure.parse(name))
            except ValueError as error:
                raise CannotCompare(f"fail-on: {error} Ratios to the baseline are {', '.join(FIGURES)}.") from None
            if measure not in known:
                raise CannotCompare(f"fail-on {measure}: the results do not hold it. Both hold: {', '.join(known)}.")
            measures.append(measure)
        return Asked(tuple(dict.fromkeys(measures)), tuple(dict.fromkeys(ratios)))


def judge(
    compared: Compared,
    asked: Asked,
    sides: Mapping[str, tuple[SystemFigures, SystemFigures]],
    clusters: Labels | None,
    *,
    had: Mapping[str, Collection[str]],
    level: float,
    ratio_margin: float | None,
) -> Gate:
    """A measure fails where a system's simultaneous interval is wholly below minus the margin. had: by system, the
    measures that the old result has of it: what was never there cannot get worse. level: of one figure."""
    figures = [_measure(name, compared, sides, clusters, had, level) for name in asked.measures]
    figures += [_ratio(name, compared, ratio_margin) for name in asked.ratios]
    return Gate(tuple(figures), (*compared.gone, *compared.failed), round(1 - compared.level, 9))


def _measure(
    name: str,
    compared: Compared,
    sides: Mapping[str, tuple[SystemFigures, SystemFigures]],
    clusters: Labels | None,
    had: Mapping[str, Collection[str]],
    level: float,
) -> Judged:
    margin = compared.margins[name]
    known = [(system.name, of) for system in compared.systems if (of := system.measures.get(name)) is not None]
    failures = [Remark(system, _loss(of, margin)) for system, of in known if _lost(of, margin)]
    detects = detectable_loss(sides, Measure.parse(name), margin=margin, level=level, clusters=clusters)
    judged = [system for system, of in known if of.interval is not None]
    open_ = [
        Remark(system.name, _why_open(system, name))
        for system in compared.systems
        if system.name not in judged and name in had[system.name]
    ]
    groups = None if detects is None else detects.queries if clusters is None else len({*clusters.tolist()})
    if groups is not None and groups < (fewest := fewest_groups(level)):
        what = "queries" if clusters is None else "groups of queries"
        why = f"{groups} {what} show nothing: it takes {fewest} at least"
        open_ += [Remark(system, why) for system, of in known if of.verdict not in ("identical", None)]
        detects = None
    return Judged(
        figure=name,
        margin=margin,
        failures=tuple(failures),
        open=tuple(open_),
        judged=len(judged),
        detects=detects.loss if detects else None,
        deviation=detects.deviation if detects else None,
        deviation_of=detects.system if detects else None,
    )


def _lost(of: Difference, margin: float | None) -> bool:
    return of.interval is not None and of.interval[1] < -(margin or 0.0)


def _loss(of: Difference, margin: float | None) -> str:
    assert of.interval is not None
    bounds = f"[{signed(of.interval[0])}, {signed(of.interval[1])}]"
    where = "all of it below 0" if margin is None else f"all of it beyond the margin of {margin:g}"
    percent = f", {of.percent:+.1f} %" if of.percent is not None else ""
    counts = f"{of.losses:,} queries lost, {of.wins:,} won"
    return f"{signed(of.difference)} {bounds}{percent}, {where}: {counts}"


def _why_open(system: SystemChange, name: str) -> str:
    return "it has no value" if name not in system.measures else "there are no values by query, and so no interval"


def _ratio(name: str, compared: Compared, margin: float | None) -> Judged:
    failures, open_, judged = list[Remark](), list[Remark](), 0
    for system, ratio in _of_figure(compared, name):
        if ratio.why_not == NOT_BEFORE:  # nothing that could have grown
            continue
        if ratio.why_not is not None:
            open_.append(Remark(system, ratio.why_not))
            continue
        judged += 1
        if exceeds(ratio, margin):
            interval = f" [{ratio.interval[0]:.2f}, {ratio.interval[1]:.2f}]" if ratio.interval else ""
            failures.append(Remark(system, f"{ratio.change:.2f} times what it was{interval}"))
    return Judged(name, margin, tuple(failures), tuple(open_), judged)


def _of_figure(compared: Compared, name: str) -> Iterator[tuple[str, Ratio]]:
    for system in compared.systems:
        for ratio in system.ratios:
            if ratio.figure == name:
                yield system.name, ratio
