"""Equal recall: the cheapest setting of each build that reaches a target, and the front of quality against time.

A *build family* is an index with everything around it but the query options: its systems are settings of one build.
A setting is chosen on one half of the queries and reported on the other, so that what was lucky in the choice is not
in the report; its latency is measured again after the choice, for the same reason. Nothing is interpolated between
settings. A target that none was shown to reach is answered by "not reached".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bench.cache.digests import content_key
from bench.experiment.parts import System
from bench.latency.figures import RoundFigures
from bench.quality.evaluation import Evaluator
from bench.results.model import Front, Latency, OnFront, SystemResult, Target
from bench.run.entries import Entry
from bench.statistics.comparison import differ
from bench.statistics.equal_recall import Choice, Setting, attainable, choose, dominated, halves, lower_bound
from bench.statistics.latency_comparison import TOTAL_P95, told_apart
from bench.statistics.measures import Measure, evaluate
from bench.statistics.per_query import PerQuery, QueryFlags, defined, mean_over_queries
from bench.statistics.significance import builds_interval

_ANN_OF_FRONT = 10


class _Row(NamedTuple):
    """A family and a target with what was chosen. there: the queries for which the measure is defined, bool (n,)."""

    family: Sequence[System]
    measure: Measure
    target: float
    settings: int
    choice: Choice
    attainable: float
    there: QueryFlags

    @property
    def system(self) -> str | None:
        """The system that was chosen, None where none was."""
        return None if self.choice.setting is None else self.choice.setting.name


class EqualRecall:
    """Compares the systems of a finished quality and latency pass. entries: what is known of them so far, by name.
    rounds: their latency by round of the first load point; none where its turns are too short to compare."""

    def __init__(self, evaluator: Evaluator, entries: Mapping[str, Entry], rounds: Mapping[str, RoundFigures]) -> None:
        self._evaluator = evaluator
        self._evaluated = {name: entry.evaluated for name, entry in entries.items()}
        self._entries = {name: entry.result for name, entry in entries.items()}
        self._rounds = rounds
        self._systems = [entry.system for entry in entries.values()]
        self._seed = evaluator.experiment.settings.seed
        count = evaluator.pipeline.dataset.judged
        self._choosing, self._reporting = halves(count, self._rng(0), evaluator.clusters)
        self._rows = list(self._chosen())

    def _rng(self, use: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, 5, use])

    # -- targets -------------------------------------------------------------------------------------------------

    def chosen(self) -> list[System]:
        """The systems whose latency is to be measured again, each once."""
        names = {row.system for row in self._rows}
        return [system for system in self._systems if system.name in names]

    def targets(self, again: Mapping[str, Sequence[Latency]], rounds: Mapping[str, RoundFigures]) -> list[Target]:
        """One row per family and target. again: latencies measured after the choice, by system; rounds: those of the
        first load point by round."""
        return [self._target(row, again, self._not_told_apart(row, rounds)) for row in self._rows]

    def _not_told_apart(self, row: _Row, rounds: Mapping[str, RoundFigures]) -> list[str]:
        """The other systems that were chosen for the same target and whose time does not differ."""
        own = None if row.system is None else rounds.get(row.system)
        if own is None:
            return []
        same = [other.system for other in self._rows if (other.measure, other.target) == (row.measure, row.target)]
        rivals = [name for name in dict.fromkeys(same) if name is not None and name != row.system and name in rounds]
        return [name for name in rivals if not told_apart(own, rounds[name], self._rng(3))]

    def _chosen(self) -> Iterator[_Row]:
        clusters = self._evaluator.clusters
        for measure, targets in self._evaluator.experiment.targets.items():
            for family in self._families(measure):
                settings = [setting for system in family if (setting := self._setting(system, measure))]
                # Settings of one build share queries and exact search, so that it is defined for all or for none.
                there = defined(settings[0].values.mean(axis=0)) if settings else np.ones_like(self._choosing)
                choosing = self._choosing & there
                groups = None if clusters is None else clusters[choosing]
                bounds = {
                    s.name: lower_bound(s.values[:, choosing], measure, rng=self._rng(1), clusters=groups)
                    for s in settings
                    if choosing.any()
                }
                highest = attainable(int(choosing.sum()), measure, self._rng(1)) if choosing.any() else 0.0
                for target in targets:
                    offered = settings if bounds else []
                    choice = choose(bounds, offered, target)
                    yield _Row(family, measure, target, len(settings), choice, highest, there)

    def _families(self, measure: Measure) -> list[list[System]]:
        found: dict[str, list[System]] = {}
        for system in self._systems:
            if system.store is None or (measure.kind == "ANN" and self._evaluator.dense(system) is None):
                continue
            key = content_key(
                [
                    system.encoders and system.encoders.document,
                    system.encoders and system.encoders.query,
                    system.store.name,
                    system.store.plain("index"),
                    system.reranker,
                    system.depth if system.reranker else None,
                    system.k,
                    system.filter.as_dict() if system.filter else None,
                    system.payload,
                ]
            )
            found.setdefault(key, []).append(system)
        return list(found.values())

    def _setting(self, system: System, measure: Measure) -> Setting | None:
        """None for a system that failed, wholly or on some query, or whose latency is not known."""
        entry = self._entries[system.name]
        search = entry.latency.search if entry.latency else None
        if entry.status != "success" or search is None or search.p50_ms is None:
            return None
        values = self._values(system.name, measure)
        return None if values is None else Setting(system.name, values, search.p50_ms)

    def _values(self, name: str, measure: Measure) -> PerQuery | None:
        """Per build and query, float64 (builds, n); None where the measure is not defined."""
        evaluated = self._evaluated.get(name)
        if evaluated is None:
            return None
        if measure.kind == "ANN":
            return evaluated.ann.get(measure.cutoff)
        if measure in evaluated.values:
            return evaluated.values[measure]
        judgements = self._evaluator.judgements(evaluated.system)
        if judgements is None:
            return None
        builds: list[PerQuery] = []
        for ranking in evaluated.rankings:
            values = evaluate([measure], ranking.rows, judgements)[measure]
            if values is None:
                return None
            builds.append(np.where(ranking.failed, 0.0, values))
        return np.stack(builds)

    def _target(self, row: _Row, again: Mapping[str, Sequence[Latency]], not_told_apart: list[str]) -> Target:
        first = row.family[0]
        assert first.store is not None
        entry = self._entries[first.name]
        chosen = row.choice.setting
        system = next((s for s in row.family if s.name == row.system), None)
        mean, interval, builds = None, None, []
        reporting = self._reporting & row.there
        if chosen is not None and reporting.any():
            reported = chosen.values[:, reporting]
            mean = float(reported.mean())
            clusters = self._evaluator.clusters
            found = builds_interval(
                reported,
                rng=self._rng(2),
                binary=row.measure.is_binary,
                clusters=None if clusters is None else clusters[reporting],
            )
            interval = (found.low, found.high)
            builds = [float(value) for value in reported.mean(axis=1)] if len(reported) > 1 else []
        return Target(
            encoder=encoder_label(first),
            engine=first.store.name,
            index=first.store.index.model_dump(mode="json", exclude_defaults=True),
            index_type=entry.index.type if entry.index else None,
            reranker=first.reranker,
            filter=first.filter.as_dict() if first.filter else None,
            payload="text" if first.payload else "none",
            measure=str(row.measure),
            target=row.target,
            system=system.name if system else None,
            setting=system.store.query.model_dump(mode="json", exclude_defaults=True)
            if system is not None and system.store is not None
            else None,
            mean=mean,
            interval=interval,
            builds=builds,
            chosen_on=int((self._choosing & row.there).sum()),
            reported_on=int(reporting.sum()),
            settings=row.settings,
            bound=row.choice.bound,
            best_bound=row.choice.best,
            attainable=row.attainable,
            loads=list(again.get(system.name, ())) if system else [],
            build_seconds=entry.build_seconds,
            index_bytes=entry.index_bytes,
            memory=entry.memory,
            not_told_apart=not_told_apart,
        )

    # -- fronts --------------------------------------------------------------------------------------------------

    def fronts(self) -> list[Front]:
        """Per encoder and filter: the primary measure against p95, and recall against exact search where that is not
        the primary measure and is known."""
        primary = self._evaluator.experiment.primary
        groups: dict[str, list[System]] = {}
        for system in self._systems:
            if system.store is not None:
                condition = system.filter.as_dict() if system.filter else None
                groups.setdefault(content_key([encoder_label(system), condition, system.payload]), []).append(system)
        found: list[Front] = []
        for systems in groups.values():
            found += self._front(systems, primary)
            if primary.kind != "ANN":
                found += self._front(systems, Measure("ANN", _ANN_OF_FRONT))
        return found

    def _front(self, systems: Sequence[System], measure: Measure) -> list[Front]:
        """The front, or nothing where fewer than two systems can stand on it."""
        points: list[tuple[float, float, SystemResult]] = []
        for system in systems:
            entry = self._entries[system.name]
            values = self._values(system.name, measure)
            total = entry.latency.total if entry.latency else None
            mean = mean_over_queries(values)
            if entry.status in ("success", "partial") and mean is not None and total and total.p95_ms is not None:
                points.append((mean, total.p95_ms, entry))
        if len(points) < 2:
            return []
        beaten = dominated([q for q, _, _ in points], [p95 for _, p95, _ in points])
        shown = [
            OnFront(
                name=entry.name,
                quality=quality,
                p95_ms=p95,
                per_second=_highest_rate(entry.loads),
                bytes=entry.index_bytes,
                on_front=not below,
            )
            for (quality, p95, entry), below in zip(points, beaten, strict=True)
        ]
        shown.sort(key=lambda system: system.p95_ms)
        for one, other in pairwise(shown):
            if not self._told_apart(one.name, other.name, measure):
                one.not_told_apart.append(other.name)
                other.not_told_apart.append(one.name)
        condition = systems[0].filter
        return [
            Front(
                encoder=encoder_label(systems[0]),
                filter=condition.as_dict() if condition else None,
                payload="text" if systems[0].payload else "none",
                measure=str(measure),
                systems=shown,
            )
        ]

    def _told_apart(self, one: str, other: str, measure: Measure) -> bool:
        """Whether two points of a front differ, in quality or in time."""
        rng = self._rng(4)
        first_rounds, second_rounds = self._rounds.get(one), self._rounds.get(other)
        if first_rounds and second_rounds and told_apart(first_rounds, second_rounds, rng, TOTAL_P95):
            return True
        first, second = self._values(one, measure), self._values(other, measure)
        assert first is not None and second is not None
        return differ(first, second, rng=rng, clusters=self._evaluator.clusters)


def encoder_label(system: System) -> str | None:
    """The encoder's name, document>query where there are two, None where a search takes no vectors."""
    return None if system.encoders is None else str(system.encoders)


def _highest_rate(loads: Sequence[Latency]) -> float | None:
    """Over the load points that were kept up; while rows are written a smaller index is searched."""
    return max((load.achieved_per_second for load in loads if not load.saturated and not load.ingest), default=None)
