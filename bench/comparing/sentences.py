"""What a comparison says in sentences."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from bench.comparing.model import Changed, Compared, Judged, Remark, SystemChange
from bench.comparing.ratios import FIGURES
from bench.messages.wording import counted
from bench.report.cells import number

Naming: TypeAlias = Callable[[str], str]
_NAMED = 3
EXIT_STATUS = {"passes": 0, "fails": 3, "cannot be judged": 2}


def answer(compared: Compared) -> list[str]:
    """The answer, regressions first."""
    return answer_in(compared, str)


def answer_in(compared: Compared, naming: Naming) -> list[str]:
    """The same, where foreign words are written as `naming` writes them."""
    return [*_gate(compared, naming), *_changes(compared, naming)]


def gate_lines(compared: Compared, naming: Naming = str) -> list[str]:
    """What the gate can find, and how often it is wrong."""
    gate = compared.gate
    if gate is None:
        return []
    lines = [line for figure in gate.figures for line in _power(figure, compared, naming)]
    share = f"{100 * gate.false_alarms:g} %"
    one = " With one system and one figure it is half of that." if len(compared.systems) == 1 else ""
    lines.append(f"gate: at most {share} of the runs in which nothing got worse fail by chance (--level).{one}")
    return lines


def differs_line(change: Changed) -> str:
    """`stores.ivf.query.nprobes: 4 ► 8`."""
    return f"{change.key}: {shown(change.old)} ► {shown(change.new)}"


def shown(value: Any) -> str:
    """A value of a file, short."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def listed(names: Sequence[str]) -> str:
    """`a, b, c and 4 more`."""
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _gate(compared: Compared, naming: Naming) -> Iterator[str]:
    gate = compared.gate
    if gate is None:
        return
    asked = ", ".join(figure.figure for figure in gate.figures)
    yield f"The gate on {asked} {gate.outcome}."
    yield from (f"! {told(one, naming)}" for one in gate.failures)
    for figure in gate.figures:
        yield from (f"! {naming(one.name)}, {figure.figure}: {one.why}" for one in figure.failures)
        if gate.outcome == "cannot be judged":
            yield from grouped(figure.open, naming, f"{figure.figure}: ")
            if not figure.judged and not figure.open:
                yield f"! {figure.figure}: no system has it in both results"


def told(remark: Remark, naming: Naming) -> str:
    """One remark, whose phrase may quote an error of foreign words."""
    return f"{naming(remark.name)} {naming(remark.why) if ':' in remark.why else remark.why}"


def grouped(remarks: Sequence[Remark], naming: Naming, before: str = "") -> Iterator[str]:
    """One sentence for all systems that share a phrase."""
    by_phrase: dict[str, list[str]] = {}
    for remark in remarks:
        by_phrase.setdefault(remark.why, []).append(naming(remark.name))
    yield from (f"! {before}{listed(names)}: {why}" for why, names in by_phrase.items())


def _changes(compared: Compared, naming: Naming) -> Iterator[str]:
    over = f"{compared.measure} over {counted(compared.queries, 'query')}" if compared.queries else compared.measure
    if compared.shared and compared.queries is not None:
        over += f" that both judged (of {compared.old_queries:,} and {compared.new_queries:,})"
    if compared.identical:
        same = "The two are one and the same result" if compared.same_result else "The results are identical"
        yield f"{same}: {over}, {counted(len(compared.systems), 'system')} with equal values in every query."
        return
    yield f"{over}: {_counts(compared)}."
    if compared.gate is None:
        yield from (f"! {told(one, naming)}" for one in (*compared.gone, *compared.failed))
    told_already = _failing(compared)
    for system in compared.with_verdict("lost"):
        if system.name not in told_already:
            yield f"! {_lost(system, compared.measure, naming)}"
    yield from _added(compared, naming)


def _added(compared: Compared, naming: Naming) -> Iterator[str]:
    by_phrase: dict[str, list[Remark]] = {}
    for one in compared.added:
        by_phrase.setdefault(one.why, []).append(one)
    for why, alike in by_phrase.items():
        if len(alike) == 1:
            yield f"· {told(alike[0], naming)}"
        else:
            yield f"· {listed([naming(one.name) for one in alike])}: each {why}"


def _failing(compared: Compared) -> set[str]:
    """The systems that the gate names for the measure that decides."""
    figures = compared.gate.figures if compared.gate else ()
    return {one.name for figure in figures if figure.figure == compared.measure for one in figure.failures}


def _counts(compared: Compared) -> str:
    lost, gained = compared.with_verdict("lost"), compared.with_verdict("gained")
    told = [f"{counted(len(lost), 'system')} lost" if lost else "no system is shown to have lost"]
    if not compared.systems:
        return "no system was measured in both results"
    if compared.queries is None:
        return f"{counted(len(compared.systems), 'system')} without values by query, so that no verdict is possible"
    rest = {"gained": len(gained), "lost at most the margin": len(compared.with_verdict("not_worse"))}
    rest |= {"cannot be told apart": len(compared.with_verdict("undecided"))}
    told += [f"{count:,} {what}" for what, count in rest.items() if count]
    alike = len(compared.with_verdict("identical"))
    told += [f"{alike:,} {'is' if alike == 1 else 'are'} identical"] if alike else []
    missing = {"gone": len(compared.gone), "failed": len(compared.failed), "not compared": len(compared.added)}
    told += [f"{count:,} {what}" for what, count in missing.items() if count]
    return ", ".join(told)


def _lost(system: SystemChange, measure: str, naming: Naming) -> str:
    of = system.measures[measure]
    assert of.interval is not None
    percent = f", {abs(of.percent):.1f} % of {number(of.old)}" if of.percent is not None else ""
    bounds = f"[{number(abs(of.interval[1]))}, {number(abs(of.interval[0]))}]"
    return (
        f"{naming(system.name)} lost {number(abs(of.difference))} {bounds}{percent}: {of.losses:,} queries lost, "
        f"{of.wins:,} won"
    )


def _power(figure: Judged, compared: Compared, naming: Naming) -> Iterator[str]:
    if figure.figure in FIGURES:
        allowed = "may not grow" if figure.margin is None else f"may grow by {100 * (figure.margin - 1):.4g} %"
        yield f"gate: {figure.figure} {allowed} as a ratio to the baseline's (--ratio-margin)."
    if figure.detects is None or figure.deviation is None:
        return
    queries = counted(compared.queries or 0, "query")
    margin = "" if figure.margin is None else f", the margin of {figure.margin:g} included"
    whose = f"that of {naming(figure.deviation_of)}" if figure.deviation_of else "assumed, because no query differs"
    yield (
        f"gate: over {queries} it finds a loss of {number(figure.detects)} {figure.figure} with 80 % power{margin}; "
        f"this rests on a deviation of differences by query of {number(figure.deviation)}, {whose}."
    )
