"""The queries of a result: where one system loses and another gains, which all fail at, and what each system found.

A `Queries` holds the figures of every query; what single queries have in texts and places is read when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.messages.suggestions import suggestion
from bench.results.model import Result, SystemResult
from bench.results.per_query import KeptFigures, read_failures, read_figures
from bench.results.rankings import Hit, Rankings, run_file, shown_build
from bench.results.texts import FIRST_HITS, KeptTexts, Text, read_judgements, read_query_texts
from bench.statistics.measures import Measure
from bench.statistics.per_query import PerQuery, mean_over_queries
from bench.statistics.resampling import ROUNDING


class NotAsked(Exception):
    """What was asked of a result that it cannot tell: a system or a measure that it does not have."""


class Found(NamedTuple):
    """A hit of a system. document: without texts where none are kept. grade: None where nobody judged it for the
    query."""

    place: int
    document: Text
    grade: int | None


class Relevant(NamedTuple):
    """A document that is relevant to the query, and its place (from 1) by system, None where the system's ranking lacks
    it. systems that have no rankings are absent."""

    document: Text
    grade: int
    places: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class Query:
    """A judged query. values: of the measure by system, means over its builds, None where the measure is not defined.
    failed: systems in which the query failed. difference: of the two systems that are compared, None where there are no
    two. relevant: best grade first; hits: the first ones by system."""

    id: str
    text: Text | None
    values: dict[str, float | None]
    failed: tuple[str, ...]
    difference: float | None
    relevant: tuple[Relevant, ...]
    hits: dict[str, tuple[Found, ...]]


class Selection(NamedTuple):
    """Queries that were chosen, in order. what: how they were chosen, `worse`, `better`, `failed`, `hard` or `query`;
    system, than: those that are compared, where two are; positions: into the judged queries."""

    what: str
    measure: str
    system: str | None
    than: str | None
    positions: tuple[int, ...]

    @property
    def compared(self) -> tuple[str, ...]:
        return tuple(name for name in (self.system, self.than) if name is not None)


class _Seen(NamedTuple):
    """What is kept in memory of a ranking: its first hits, and the places of the relevant documents."""

    first: list[Hit]
    places: dict[str, int]

    @classmethod
    def of(cls, ranked: list[Hit], grades: dict[str, int]) -> _Seen:
        places = {hit.document: hit.place for hit in ranked if grades.get(hit.document, 0) > 0}
        return cls(ranked[:FIRST_HITS], places)


class Queries:
    """The queries of a result folder. Raises ResultUnreadable where it holds no figures per query."""

    def __init__(self, folder: Path, result: Result) -> None:
        self.folder = folder
        self.result = result
        self._figures: KeptFigures = read_figures(folder, result)
        self._entries = {system.name: system for system in result.systems}

    # -- what there is -------------------------------------------------------------------------------------------

    @property
    def ids(self) -> list[str]:
        """The judged queries, in the collection's order."""
        return self._figures.query_ids

    @property
    def systems(self) -> list[str]:
        """Those that were measured, in the experiment's order."""
        return [name for name in self._entries if name in self._figures.systems]

    @property
    def measures(self) -> list[str]:
        """The first decides."""
        return [str(measure) for measure in self._figures.measures]

    def system(self, name: str) -> str:
        """The name, if it is one of a system that was measured. Raises NotAsked."""
        if name in self._figures.systems:
            return name
        if name in self._entries:
            entry = self._entries[name]
            cause = f": {entry.error}" if entry.error else ""
            raise NotAsked(f"{name} was not measured ({entry.status.replace('_', ' ')}{cause}).")
        raise NotAsked(f"There is no system {name} in {self.folder}. {suggestion(name, self.systems)}")

    def measure(self, name: str | None) -> str:
        """The name as the result spells it; the primary measure for None. Raises NotAsked."""
        if name is None:
            return self.result.primary if self.result.primary in self.measures else self.measures[0]
        found = next((measure for measure in self.measures if measure.lower() == name.lower()), None)
        if found is None:
            raise NotAsked(f"There is no measure {name} in {self.folder}. {suggestion(name, self.measures)}")
        return found

    def values(self, system: str, measure: str) -> PerQuery:
        """float64 (n,): each query's mean over the builds, NaN where the measure is not defined."""
        found = self._figures.systems[system].values[Measure.parse(measure)]
        return np.full(len(self.ids), np.nan) if found is None else found.mean(axis=0)

    def mean(self, system: str, measure: str) -> float | None:
        """Over builds and queries; None where the measure is not defined for any."""
        return mean_over_queries(self.values(system, measure))

    def best_first(self, measure: str) -> list[str]:
        """The systems by their means, those without one last; the experiment's order decides between equal ones."""
        means = {name: self.mean(name, measure) for name in self.systems}
        return sorted(means, key=lambda name: math.inf if (mean := means[name]) is None else -mean)

    def pair(self, system: str | None, than: str | None, measure: str) -> tuple[str, str]:
        """Which system is compared with which. Where a user names none, the best one with the baseline, or with the
        second best where there is no baseline. Raises NotAsked."""
        other = than if than is not None else self.result.baseline
        if other is not None:
            other = self.system(other)
        ranked = self.best_first(measure)
        one = self.system(system) if system is not None else next((name for name in ranked if name != other), None)
        if one is not None and other is None:
            if system is not None:
                raise NotAsked(
                    f"The experiment has no baseline. Say which system {one} is compared with: --than SYSTEM"
                )
            other = next((name for name in ranked if name != one), None)
        if one is None or other is None:
            raise NotAsked(
                f"{self.folder} has one system that was measured, so there is nothing to compare it with. Look at "
                "queries with --hard, --failed or --query."
            )
        if one == other:
            others = ", ".join(name for name in self.systems if name != one) or "none"
            raise NotAsked(f"{one} cannot be compared with itself. Name another one with --than: {others}.")
        return one, other

    # -- which queries -------------------------------------------------------------------------------------------

    def differing(self, what: str, system: str, than: str, measure: str) -> Selection:
        """Queries that the system answers `worse` or `better` than another, the largest difference first."""
        difference = self.differences(system, than, measure)
        return Selection(what, measure, system, than, largest_first(-difference if what == "worse" else difference))

    def differences(self, system: str, than: str, measure: str) -> PerQuery:
        """float64 (n,): the system's values minus the other's."""
        difference: PerQuery = self.values(system, measure) - self.values(than, measure)
        return difference

    def failing(self, measure: str) -> Selection:
        """Queries that failed in some system: those that failed in most first."""
        counts = np.zeros(len(self.ids), np.int64)
        for failed in self._failed.values():
            counts += failed
        order = np.argsort(-counts, kind="stable")
        return Selection("failed", measure, None, None, tuple(order[counts[order] > 0].tolist()))

    def hard(self, measure: str) -> Selection:
        """Queries for which every system scores 0, in the collection's order."""
        return Selection(
            "hard", measure, None, None, failed_by_all([self.values(name, measure) for name in self.systems])
        )

    def asking(self, text: str, measure: str) -> Selection:
        """The query of this id, else those whose text holds all these words, in any order and case. Raises NotAsked
        where there is none."""
        if text in self.ids:
            return Selection("query", measure, None, None, (self.ids.index(text),))
        words = text.casefold().split()
        found = [
            position
            for position, name in enumerate(self.ids)
            if words and (kept := self._texts.get(name)) is not None
            and all(word in kept.whole.casefold() for word in words)
        ]  # fmt: skip
        if not found:
            where = "in its text" if self.has_texts else "in its text, of which the result keeps none"
            raise NotAsked(f"No judged query has the id {text[:80]!r}, nor all of these words {where}.")
        return Selection("query", measure, None, None, tuple(found))

    # -- one query -----------------------------------------------------------------------------------------------

    def of(self, selection: Selection, positions: Sequence[int], systems: Sequence[str]) -> list[Query]:
        """All that is known of some queries. systems: those whose rankings are looked at."""
        ids = [self.ids[position] for position in positions]
        rankings = {name: ranking for name in systems if (ranking := self._rankings(name)).kept}
        grades = {query: (self._judged or {}).get(query, {}) for query in ids}
        seen = {
            query: {name: _Seen.of(ranking.of(query), grades[query]) for name, ranking in rankings.items()}
            for query in ids
        }
        wanted = {hit.document for found in seen.values() for each in found.values() for hit in each.first}
        wanted |= {name for judged in grades.values() for name, grade in judged.items() if grade > 0}
        texts = KeptTexts(self.folder).documents(wanted)
        values = {name: self.values(name, selection.measure) for name in self.systems}
        return [
            Query(
                id=name,
                text=self._texts.get(name),
                values={system: _known(values[system][position]) for system in self.systems},
                failed=tuple(system for system in self.systems if self._failed[system][position]),
                difference=_difference(selection, {system: values[system][position] for system in selection.compared}),
                relevant=_relevant(grades[name], seen[name], texts),
                hits={system: _hits(each.first, grades[name], texts) for system, each in seen[name].items()},
            )
            for name, position in zip(ids, positions, strict=True)
        ]

    def entry(self, system: str) -> SystemResult:
        return self._entries[system]

    @property
    def has_judgements(self) -> bool:
        return self._judged is not None

    @property
    def has_texts(self) -> bool:
        return bool(self._texts)

    def _rankings(self, system: str) -> Rankings:
        if system not in self._read:
            path = run_file(self.folder, system, shown_build(self._entries[system]))
            self._read[system] = Rankings(path, self._known_queries, self._known_documents)
        return self._read[system]

    @cached_property
    def _read(self) -> dict[str, Rankings]:
        return {}

    @cached_property
    def _known_queries(self) -> frozenset[str]:
        return frozenset(self.ids)

    @cached_property
    def _known_documents(self) -> frozenset[str]:
        judged = (name for grades in (self._judged or {}).values() for name in grades)
        return frozenset(judged) | KeptTexts(self.folder).document_ids()

    @cached_property
    def _judged(self) -> dict[str, dict[str, int]] | None:
        return read_judgements(self.folder)

    @cached_property
    def _texts(self) -> dict[str, Text]:
        return read_query_texts(self.folder)

    @cached_property
    def _failed(self) -> dict[str, npt.NDArray[np.bool_]]:
        return read_failures(self.folder)


def largest_first(gains: PerQuery) -> tuple[int, ...]:
    """Positions of the gains, the largest first; the collection's order decides between equal ones. gains: float64
    (n,), NaN where there is no difference to tell."""
    chosen = np.flatnonzero(np.nan_to_num(gains, nan=0.0) > ROUNDING)
    return tuple(chosen[np.argsort(-gains[chosen], kind="stable")].tolist())


def failed_by_all(values: Sequence[PerQuery]) -> tuple[int, ...]:
    """Positions of the queries for which every system scores 0, as far as the measure is defined for it; one for which
    it is defined for no system is none of them. values: float64 (n,) of each system."""
    if not values:
        return ()
    table = np.stack(values)
    best = np.where(np.isnan(table), -1.0, table).max(axis=0)
    return tuple(np.flatnonzero((best >= 0) & (best <= ROUNDING)).tolist())


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _difference(selection: Selection, values: dict[str, float]) -> float | None:
    if selection.system is None or selection.than is None:
        return None
    return _known(values[selection.system] - values[selection.than])


def _text(document: str, texts: dict[str, Text]) -> Text:
    return texts.get(document) or Text(document, None, None, False, 0)


def _hits(first: Sequence[Hit], grades: dict[str, int], texts: dict[str, Text]) -> tuple[Found, ...]:
    return tuple(Found(hit.place, _text(hit.document, texts), grades.get(hit.document)) for hit in first)


def _relevant(grades: dict[str, int], seen: dict[str, _Seen], texts: dict[str, Text]) -> tuple[Relevant, ...]:
    good = sorted(((name, grade) for name, grade in grades.items() if grade > 0), key=lambda pair: -pair[1])
    return tuple(
        Relevant(_text(name, texts), grade, {system: each.places.get(name) for system, each in seen.items()})
        for name, grade in good
    )
