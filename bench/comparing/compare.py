"""Compares two results: systems, queries, what differs, and the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bench.comparing.differences import differences, pipeline_differences
from bench.comparing.gate import Asked, judge
from bench.comparing.matching import Pair, matched, without
from bench.comparing.model import CannotCompare, Change, Compared, Difference, QueryChange, Remark, SystemChange
from bench.comparing.ratios import Ratios
from bench.comparing.reading import Side, aligned, read_side
from bench.comparing.refusing import check_alike, check_filters, shared_measures
from bench.messages.wording import counted
from bench.report import synthetic
from bench.results.model import Result, SystemResult
from bench.results.texts import read_query_texts
from bench.statistics import comparison
from bench.statistics.comparison import SystemFigures
from bench.statistics.measures import Measure
from bench.statistics.resampling import ROUNDING
from bench.statistics.significance import Verdict

_MEASURED = ("success", "partial")
_ORDER: tuple[Change | None, ...] = ("lost", None, "undecided", "not_worse", "gained", "identical")
_VERDICTS: Mapping[Verdict | None, Change] = {
    "better": "gained", "worse": "lost", "not_worse": "not_worse", "undecided": "undecided",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """How two results are compared.

    on: `shared` takes the queries and measures that both have; None wants the same data. margin: a loss that does not
    matter; None takes the experiments', of which the smaller holds. ratio_margin: growth of times and costs that does
    not matter, such as 1.10; None takes the experiments' margins of latency. level: of all intervals. fail_on: figures
    that a gate judges. without: systems that are left out.
    """

    on: Literal["shared"] | None = None
    margin: float | None = None
    ratio_margin: float | None = None
    level: float = 0.95
    fail_on: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise CannotCompare for values that mean nothing."""
        if self.on not in (None, "shared"):
            raise CannotCompare(f"on {self.on!r}: expected shared, or for the command verdicts.")
        if self.margin is not None and not 0 <= self.margin < 1:
            raise CannotCompare(f"margin {self.margin:g}: expected a loss from 0 to below 1, such as 0.01.")
        if self.ratio_margin is not None and not 1 <= self.ratio_margin <= 1_000:
            raise CannotCompare(f"ratio margin {self.ratio_margin:g}: expected a factor from 1, such as 1.10.")
        if not 0.5 <= self.level <= 0.9999:
            raise CannotCompare(f"level {self.level:g}: expected a share from 0.5 to 0.9999, such as 0.95.")


def compare_results(old: Path, new: Path, options: Options = Options()) -> Compared:
    """Raises CannotCompare, which names the keys that differ, and ResultUnreadable."""
    options.check()
    return _Comparing(read_side(old), read_side(new), options).whole()


class _Comparing:
    """One comparison."""

    def __init__(self, old: Side, new: Side, options: Options) -> None:
        shared = options.on == "shared"
        check_alike(old.result, new.result, shared=shared)
        self.old, self.new, self.options = old, new, options
        self.same = _same(old.result, new.result)
        self.measures = shared_measures(old.result, new.result)
        self.found = without(matched(old.result, new.result), options.without)
        if not self.found.pairs:
            raise CannotCompare("systems: none stands in both results, neither by its pipeline nor by its name.")
        self.pairs = check_filters(self.found.pairs, shared=shared)
        self.margin = options.margin if options.margin is not None else _margin(old.result, new.result)
        self.margin = self.margin or None
        self.aligned = aligned(old, new, shared=shared)
        self.asked = Asked.read(options.fail_on, self.measures)
        # Each figure that a gate judges has its part of what the level leaves to chance.
        self.level = 1 - (1 - options.level) / max(1, len(self.asked.names))
        self.ratio_margin = options.ratio_margin or _ratio_margin(old.result, new.result)
        self.both = [p for p in self.pairs if p.old.status in _MEASURED and p.new.status in _MEASURED]

    def whole(self) -> Compared:
        compared = Compared(
            old=str(self.old.folder),
            new=str(self.new.folder),
            measure=self.measures[0],
            margins={measure: self._margin_of(measure) for measure in self.measures},
            level=self.options.level,
            interval_level=self.level,
            shared=self.options.on == "shared",
            queries=len(self.aligned.query_ids) if self.aligned else None,
            old_queries=self.old.judged,
            new_queries=self.new.judged,
            same_result=self.same,
            systems=tuple(self._systems()),
            gone=tuple(Remark(system.name, "is not in the new result") for system in self.found.gone),
            failed=tuple(self._failed()),
            added=tuple(self._added()),
            differs=differences(self.old.result, self.new.result, self.pairs),
            notes=tuple(self._notes()),
        )
        if not self.asked.names:
            return compared
        clusters = self.aligned.clusters if self.aligned else None
        had = {p.new.name: {m for m, of in p.old.measures.items() if of.mean is not None} for p in self.both}
        gate = judge(
            compared, self.asked, self._sides(), clusters, had=had, level=self.level, ratio_margin=self.ratio_margin
        )
        return replace(compared, gate=gate)

    # -- systems -------------------------------------------------------------------------------------------------

    def _sides(self) -> dict[str, tuple[SystemFigures, SystemFigures]]:
        """Figures of both sides, by name in the new result."""
        if self.aligned is None:
            return {}
        kept = self.aligned
        return {
            pair.new.name: (kept.old[pair.old.name], kept.new[pair.new.name])
            for pair in self.both
            if pair.old.name in kept.old and pair.new.name in kept.new
        }

    def _systems(self) -> list[SystemChange]:
        by_measure = self._differences()
        ratios = Ratios(self.old.result, self.new.result, self.found)
        texts = self._texts() if self.aligned else {}
        found = []
        for pair in self.both:
            of = {m: by[pair.new.name] for m, by in by_measure.items() if pair.new.name in by}
            found.append(
                SystemChange(
                    name=pair.new.name,
                    old_name=pair.old.name,
                    matched_by=pair.by,
                    measures=of,
                    ratios=ratios.of(pair, level=self.level, margin=self.ratio_margin),
                    queries=tuple(self._queries(pair, texts)),
                    pipeline=pipeline_differences(pair),
                    notes=tuple(_notes_on(pair)),
                )
            )
        return sorted(found, key=lambda system: _place(system, self.measures[0]))

    def _differences(self) -> dict[str, dict[str, Difference]]:
        """By measure and system; those that a gate judges have verdicts, as the primary one has."""
        if self.aligned is None:
            return {measure: dict(self._of_means(measure)) for measure in self.measures}
        found: dict[str, dict[str, Difference]] = {}
        seed = self.new.result.provenance.seed or 0
        decide = {self.measures[0], *self.asked.measures}
        sides = self._sides()
        for number, name in enumerate(self.measures):
            measure, clusters = Measure.parse(name), self.aligned.clusters
            if name in decide:
                results = comparison.before_and_after(
                    sides, measure, margin=self._margin_of(name), seed=seed, clusters=clusters, level=self.level
                )
            else:
                results = comparison.before_and_after_exploratory(
                    sides, measure, number=number, seed=seed, clusters=clusters, level=self.options.level
                )
            found[name] = {
                system: _difference(
                    name, compared, identical=_identical(*sides[system], measure), decides=name in decide
                )
                for system, compared in results.items()
            }
        return found

    def _margin_of(self, measure: str) -> float | None:
        """The experiment's margin is one of the primary measure; that of the command holds for all."""
        return self.margin if self.options.margin is not None or measure == self.new.result.primary else None

    def _of_means(self, measure: str) -> list[tuple[str, Difference]]:
        """From the means alone."""
        found = []
        for pair in self.both:
            old, new = pair.old.measures.get(measure), pair.new.measures.get(measure)
            if old is not None and new is not None and old.mean is not None and new.mean is not None:
                change = new.mean - old.mean
                percent = 100 * change / old.mean if old.mean else None
                of = Difference(measure, old.mean, new.mean, change, percent)
                if self.same:  # what is compared with itself needs no values by query
                    of = replace(of, interval=(0.0, 0.0), verdict="identical")
                found.append((pair.new.name, of))
        return found

    def _texts(self) -> dict[str, str]:
        """By query, as far as one of the results keeps them."""
        texts = read_query_texts(self.new.folder) or read_query_texts(self.old.folder)
        return {query: text.whole for query, text in texts.items()}

    def _queries(self, pair: Pair, texts: Mapping[str, str]) -> list[QueryChange]:
        sides, measure = self._sides().get(pair.new.name), Measure.parse(self.measures[0])
        if sides is None or self.aligned is None:
            return []
        old, new = (side.mean_over_builds(measure) for side in sides)
        if old is None or new is None:
            return []
        d = new - old
        order = np.argsort(d, kind="stable")
        ids = self.aligned.query_ids
        return [QueryChange(ids[i], float(old[i]), float(new[i]), texts.get(ids[i]))
                for i in order.tolist() if abs(d[i]) > ROUNDING]  # fmt: skip

    # -- the rest ------------------------------------------------------------------------------------------------

    def _failed(self) -> list[Remark]:
        return [
            Remark(pair.new.name, _why_unmeasured(pair.new))
            for pair in self.pairs
            if pair.new.status not in _MEASURED and pair.old.status in _MEASURED
        ]

    def _added(self) -> list[Remark]:
        found = [Remark(system.name, "is not in the old result") for system in self.found.added]
        for pair in self.found.pairs:
            if pair not in self.pairs:
                found.append(Remark(pair.new.name, "searches other documents: its filter differs"))
            elif pair.new.status not in _MEASURED and pair.old.status not in _MEASURED:
                found.append(Remark(pair.new.name, f"was measured in neither result: it {_why_unmeasured(pair.new)}"))
            elif pair.old.status not in _MEASURED:
                found.append(Remark(pair.new.name, f"has nothing to compare with: it {_why_unmeasured(pair.old)}"))
        return found

    def _notes(self) -> list[str]:
        notes = [*self.old.doubts, *(doubt for doubt in self.new.doubts if doubt not in self.old.doubts)]
        for which, side in (("old", self.old), ("new", self.new)):
            if (told := synthetic.sentence(side.result)) is not None:
                notes.append(f"The {which} result: {told[:1].lower()}{told[1:]}")
        without = [which for which, side in (("old", self.old), ("new", self.new)) if side.figures is None]
        if without and not self.same:
            which = "Neither result holds" if len(without) > 1 else f"The {without[0]} result does not hold"
            notes.append(f"{which} values by query, and so there are no verdicts.")
        if self.aligned is not None and self.options.on == "shared":
            if self.aligned.without is None:
                notes.append("Nobody can tell whether the queries' judgements agree: a result does not hold them.")
            elif self.aligned.without:
                left = counted(self.aligned.without, "query")
                notes.append(f"{left} of those that both judged are left out, because the judgements differ.")
            if self.old.result.dataset.documents != self.new.result.dataset.documents:
                notes.append("The corpora differ, so that a difference may come from the documents alone.")
        if self.old.result.margin != self.new.result.margin and self.options.margin is None:
            shown = ["none" if m is None else f"{m:g}" for m in (self.old.result.margin, self.new.result.margin)]
            notes.append(f"The experiments' margins differ ({shown[0]} ► {shown[1]}): the stricter one holds.")
        return notes


def _same(old: Result, new: Result) -> bool:
    """Whether the two are one and the same run, or a copy of it."""
    return old.model_dump(exclude={"warnings"}) == new.model_dump(exclude={"warnings"})


def _margin(old: Result, new: Result) -> float | None:
    """The stricter of the two: whoever changes an experiment cannot loosen the gate by the same change."""
    margins = [old.margin, new.margin] if old.primary == new.primary else [new.margin]
    return None if None in margins else min(margin for margin in margins if margin is not None)


def _ratio_margin(old: Result, new: Result) -> float | None:
    margins = (old.latency_margin, new.latency_margin)
    return None if None in margins else min(margin for margin in margins if margin is not None)


def _difference(measure: str, of: comparison.Compared, *, identical: bool, decides: bool) -> Difference:
    result = of.comparison
    verdict: Change | None = None
    if decides:
        verdict = "identical" if identical else _VERDICTS.get(result.verdict)
    return Difference(
        measure=measure,
        old=of.reference,
        new=of.reference + result.difference,
        difference=result.difference,
        percent=of.percent,
        interval=(result.interval.low, result.interval.high),
        p_corrected=result.p_corrected,
        verdict=verdict,
        queries_to_decide=None if identical else result.queries_to_decide,
        wins=result.wins,
        ties=result.ties,
        losses=result.losses,
    )


def _identical(old: SystemFigures, new: SystemFigures, measure: Measure) -> bool:
    """Whether no query differs, in any build."""
    one, other = old.values.get(measure), new.values.get(measure)
    if one is None or other is None or (one.shape != other.shape and (len(one) > 1 or len(other) > 1)):
        return False
    return bool((np.nan_to_num(np.abs(one - other)) <= ROUNDING).all() and (np.isnan(one) == np.isnan(other)).all())


def _why_unmeasured(system: SystemResult) -> str:
    status = {"error": "failed", "not_indexed": "was not indexed", "cancelled": "was cut off"}.get(system.status)
    cause = f": {system.error.rstrip('.')}" if system.error else ""
    return f"{status or f'is {system.status}'}{cause}"


def _notes_on(pair: Pair) -> list[str]:
    notes = []
    if pair.old.name != pair.new.name:
        notes.append(f"it was called {pair.old.name}")
    for which, system in (("before", pair.old), ("now", pair.new)):
        failed = max((value.failed for value in system.measures.values()), default=0)
        if failed:
            notes.append(f"{which} {counted(failed, 'query', 'failed')} and counted 0")
    index = pair.new.index
    if index is not None and not index.flat and not index.reproducible and index.builds == 1:
        notes.append("one build, and another would come out differently, by how much is not known: see `builds`")
    return notes


def _place(system: SystemChange, measure: str) -> tuple[int, float, str]:
    """What orders systems: losses first, the largest first; gains last but for what is identical."""
    of = system.measures.get(measure)
    if of is None:
        return (len(_ORDER), 0.0, system.name)
    return (_ORDER.index(of.verdict), of.difference, system.name)
