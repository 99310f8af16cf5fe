"""Whether two results over different queries conclude the same of their systems: synthetic and real ones, dev and test,
last year's and this year's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, TypeAlias

from bench.comparing.matching import Matched, Pair, matched
from bench.comparing.matching import without as leaving_out
from bench.comparing.model import CannotCompare
from bench.comparing.reading import Side, read_side
from bench.messages.wording import counted
from bench.results.model import Against, Result
from bench.statistics.significance import Verdict

Agrees: TypeAlias = Literal["agree", "one is sure", "contradict"]
"""Two verdicts on one system. agree: the same one. contradict: better in one result and worse in the other. one is
sure: anything else, such as better in one and undecided in the other."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What one result says of a system against the baseline: a difference of means, its interval and the verdict."""

    difference: float
    interval: tuple[float, float] | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class TwoConclusions:
    """What both results say of a system. name: in the new one."""

    name: str
    old_name: str
    old: Conclusion
    new: Conclusion

    @property
    def agrees(self) -> Agrees:
        verdicts = {self.old.verdict, self.new.verdict}
        if len(verdicts) == 1:
            return "agree"
        return "contradict" if verdicts == {"better", "worse"} else "one is sure"


@dataclass(frozen=True, slots=True)
class Order:
    """How two results order their systems, pair by pair. ties: pairs that are equal in either result. tau: Kendall's
    tau-b, from -1 to 1; None where a result has all systems equal."""

    systems: int
    alike: int
    otherwise: int
    ties: int
    tau: float | None

    @property
    def pairs(self) -> int:
        return self.alike + self.otherwise + self.ties


@dataclass(frozen=True, slots=True)
class Conclusions:
    """Two results' verdicts side by side. old_written, new_written: who wrote the queries, None for collections' own.
    left_out: systems that are not compared, with the reason."""

    old: str
    new: str
    measure: str
    baseline: str
    old_queries: int
    new_queries: int
    old_written: str | None
    new_written: str | None
    systems: tuple[TwoConclusions, ...]
    order: Order
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def that(self, agrees: Agrees) -> list[TwoConclusions]:
        """The systems of which the results agree in this way."""
        return [system for system in self.systems if system.agrees == agrees]


def compare_conclusions(old: Path, new: Path, without: Sequence[str] = ()) -> Conclusions:
    """Raises CannotCompare where measures or baselines differ or no verdict stands in both, and ResultUnreadable."""
    left, right = read_side(old), read_side(new)
    before, after = left.result, right.result
    if before.primary != after.primary:
        raise CannotCompare(f"measures: [{before.primary}] ► [{after.primary}]: each result decides by its own.")
    found = leaving_out(matched(before, after), without)
    baseline = _baseline(before, after, found)
    systems, left_out = _both(found, baseline)
    if not systems:
        why = "".join(f" {name}: {reason}." for name, reason in left_out)
        raise CannotCompare(f"verdicts: none stands in both results.{why}")
    return Conclusions(
        old=str(left.folder),
        new=str(right.folder),
        measure=after.primary,
        baseline=baseline.new.name,
        old_queries=left.judged,
        new_queries=right.judged,
        old_written=_written(before),
        new_written=_written(after),
        systems=tuple(systems),
        order=order_of([means for pair in found.pairs if (means := _means(pair, after.primary)) is not None]),
        left_out=tuple(left_out),
        notes=tuple(_notes(left, right)),
    )


def order_of(means: Sequence[tuple[float, float]]) -> Order:
    """The order of systems by their means in either result. Source: Kendall 1945, tau-b."""
    alike = otherwise = old_ties = new_ties = ties = 0
    for (old, new), (other_old, other_new) in combinations(means, 2):
        product = (old - other_old) * (new - other_new)
        alike += product > 0
        otherwise += product < 0
        old_ties += old == other_old
        new_ties += new == other_new
        ties += old == other_old or new == other_new
    pairs = alike + otherwise + ties
    whole = math.sqrt((pairs - old_ties) * (pairs - new_ties))
    return Order(len(means), alike, otherwise, ties, (alike - otherwise) / whole if whole else None)


def _baseline(old: Result, new: Result, found: Matched) -> Pair:
    """The baseline of both. Raises CannotCompare."""
    for result, which in ((old, "old"), (new, "new")):
        if result.baseline is None:
            raise CannotCompare(f"baseline: the {which} result has none, so that it has no verdicts.")
    for pair in found.pairs:
        if pair.old.name == old.baseline and pair.new.name == new.baseline:
            return pair
    raise CannotCompare(f"baseline: {old.baseline} ► {new.baseline}: each result's verdicts are against its own.")


def _both(found: Matched, baseline: Pair) -> tuple[list[TwoConclusions], list[tuple[str, str]]]:
    """Systems with a verdict in both results, and the others with the reason."""
    systems, left_out = [], []
    for pair in found.pairs:
        if pair is baseline:
            continue
        old, new = _conclusion(pair.old.against_baseline), _conclusion(pair.new.against_baseline)
        if old is not None and new is not None:
            systems.append(TwoConclusions(pair.new.name, pair.old.name, old, new))
        else:
            where = "either result" if old is new else f"the {'new' if new is None else 'old'} result"
            left_out.append((pair.new.name, f"has no verdict in {where}"))
    left_out += [(system.name, "is not in the new result") for system in found.gone]
    left_out += [(system.name, "is not in the old result") for system in found.added]
    return systems, left_out


def _conclusion(against: dict[str, Against]) -> Conclusion | None:
    """The one measure that has a verdict."""
    for of in against.values():
        if of.verdict is not None:
            return Conclusion(of.difference, of.interval, of.verdict)
    return None


def _means(pair: Pair, measure: str) -> tuple[float, float] | None:
    old, new = (system.measures.get(measure) for system in (pair.old, pair.new))
    if old is None or new is None or old.mean is None or new.mean is None:
        return None
    return old.mean, new.mean


def _written(result: Result) -> str | None:
    synthetic = result.dataset.synthetic
    if synthetic is None or synthetic.used_for != "all":
        return None
    return f"{synthetic.provider} {synthetic.model}"


def _notes(old: Side, new: Side) -> list[str]:
    before, after = old.result.dataset, new.result.dataset
    notes = [*old.doubts, *new.doubts]
    if before.documents != after.documents:
        notes.append(f"The corpora differ: {counted(before.documents, 'document')} ► {after.documents:,}.")
    if before.fingerprint == after.fingerprint:
        notes.append("Both results are over the same queries: bench compare without --on verdicts says more.")
    return notes
