"""What a comparison of two results says, as plain data: whatever prints it reads this alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Change: TypeAlias = Literal["lost", "gained", "not_worse", "undecided", "identical"]
"""What the interval of a difference says. `lost` and `gained`: it excludes 0; `not_worse`: the loss is at most the
margin; `identical`: no query differs."""

RatioChange: TypeAlias = Literal["higher", "lower", "not_higher", "undecided"]


class CannotCompare(Exception):
    """Two results that are not about the same. keys: those that differ, a sentence each."""

    def __init__(self, *keys: str) -> None:
        super().__init__(" ".join(keys))
        self.keys = keys


@dataclass(frozen=True, slots=True)
class QueryChange:
    """A query that a system answers differently. text: None where the result does not hold it."""

    query_id: str
    old: float
    new: float
    text: str | None = None

    @property
    def difference(self) -> float:
        return self.new - self.old


@dataclass(frozen=True, slots=True)
class Difference:
    """A system after the change minus the same before it, in one measure, over the queries that both judged.

    interval: simultaneous over the systems of a measure with verdicts, else of this system alone; None without values
    by query. verdict: None of a measure that does not decide, and without values by query.
    """

    measure: str
    old: float
    new: float
    difference: float
    percent: float | None
    interval: tuple[float, float] | None = None
    p_corrected: float | None = None
    verdict: Change | None = None
    queries_to_decide: int | None = None
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None


@dataclass(frozen=True, slots=True)
class Ratio:
    """A system's time or cost over the baseline's in each result, and how that grew.

    change: new over old, over 1 it grew. interval: of the change; None where it is exact, or not known: see `why_not`.
    why_not: why it is not compared; all figures that are not known are then None.
    """

    figure: str
    old: float | None = None
    new: float | None = None
    change: float | None = None
    interval: tuple[float, float] | None = None
    verdict: RatioChange | None = None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class SystemChange:
    """A system that stands in both results. name: in the new one. matched_by: what makes it the same system.

    measures: by measure, the primary one first. queries: those that differ in the primary measure, largest loss first,
    largest gain last. pipeline: what differs in its parts and in its index, by key.
    """

    name: str
    old_name: str
    matched_by: Literal["pipeline", "name"]
    measures: Mapping[str, Difference] = field(default_factory=dict)
    ratios: tuple[Ratio, ...] = ()
    queries: tuple[QueryChange, ...] = ()
    pipeline: tuple[Changed, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """A value that differs. old or new is None where the other result alone has the key."""

    key: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Remark:
    """A system and a phrase on it, such as why it is not compared. name: in the result that has it."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What a gate says of one figure. failures: systems that got worse. open: those of which it cannot tell. judged:
    how many it can tell of. detects: the smallest true loss that it finds with 80 % power; None for a ratio.
    deviation: of differences by query, on which that rests; deviation_of: whose, None where it is assumed."""

    figure: str
    margin: float | None
    failures: tuple[Remark, ...] = ()
    open: tuple[Remark, ...] = ()
    judged: int = 0
    detects: float | None = None
    deviation: float | None = None
    deviation_of: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a change may pass. false_alarms: the share of runs in which nothing got worse that fail all the same, at
    most. failures: systems that are gone or failed, beside those of the figures."""

    figures: tuple[Judged, ...]
    failures: tuple[Remark, ...]
    false_alarms: float

    @property
    def outcome(self) -> Literal["passes", "fails", "cannot be judged"]:
        if self.failures or any(figure.failures for figure in self.figures):
            return "fails"
        return "cannot be judged" if any(figure.open or not figure.judged for figure in self.figures) else "passes"


@dataclass(frozen=True, slots=True)
class Compared:
    """Two results side by side. old, new: their folders. measure: the one that decides. margins: by measure, the loss
    that does not matter. level: of the whole comparison; interval_level: of its intervals, higher where a gate judges
    several figures. queries: how many are compared; old_queries and new_queries: how many each judged. shared: whether
    only what both judged is compared. gone, failed: systems of the old result that the new one has not, or did not
    measure. differs: by section, such as `versions`. notes: sentences."""

    old: str
    new: str
    measure: str
    margins: Mapping[str, float | None]
    level: float
    interval_level: float
    shared: bool
    queries: int | None
    old_queries: int
    new_queries: int
    same_result: bool
    systems: tuple[SystemChange, ...]
    gone: tuple[Remark, ...] = ()
    failed: tuple[Remark, ...] = ()
    added: tuple[Remark, ...] = ()
    differs: Mapping[str, tuple[Changed, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    gate: Gate | None = None

    @property
    def margin(self) -> float | None:
        """That of the measure that decides."""
        return self.margins[self.measure]

    def with_verdict(self, *verdicts: Change) -> list[SystemChange]:
        """The systems of which the deciding measure says so."""
        return [s for s in self.systems if (of := s.measures.get(self.measure)) is not None and of.verdict in verdicts]

    @property
    def identical(self) -> bool:
        """Whether nothing was lost, gained, added or removed, in any query of the deciding measure."""
        changed = self.gone or self.failed or (self.added and not self.same_result)
        return bool(self.systems) and not changed and len(self.with_verdict("identical")) == len(self.systems)
