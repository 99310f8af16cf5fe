"""Lines that several parts of a report write alike: intervals, lists of systems, verdicts, loads."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.document.parts import Aside, Cell, Figure, Inline, Line, Term, Tone
from bench.report.document.paths import step
from bench.report.document.source import Source

_VERDICTS: dict[str, tuple[str, Tone]] = {
    "better": ("better", "good"),
    "not_worse": ("at most the margin worse", ""),
    "worse": ("worse", "bad"),
    "undecided": ("undecided", "quiet"),
    "faster": ("faster", "good"),
    "not_slower": ("at most the margin slower", ""),
    "slower": ("slower", "bad"),
}


def interval(source: Source, path: str, form: str = "number") -> Line:
    """` [.790, .830]` from a path to two ends; nothing where there is no interval."""
    if source.value(path) is None:
        return ()
    return (Aside((" [", source.figure(f"{path}[0]", form), ", ", source.figure(f"{path}[1]", form), "]")),)


def measured(source: Source, place: int, measure: str) -> Line:
    """A mean with its interval, and how many queries failed."""
    value = source.systems[place].measures.get(measure)
    if value is None or value.mean is None:
        status = source.systems[place].status
        return ("–",) if status == "success" else (status.replace("_", " "),)
    path = f"systems[{place}].measures{step(measure)}"
    failed: Line = (" (", source.figure(f"{path}.failed", "count"), " failed)") if value.failed else ()
    return (source.figure(f"{path}.mean"), *interval(source, f"{path}.interval"), *failed)


def measure(source: Source, name: str) -> Term:
    """A measure's name, which the glossary explains."""
    path = "primary" if name == source.result.primary else f"computed.measures[{source.named_measures.index(name)}]"
    return Term(source.figure(path, "heading"), name)


def listed(items: Sequence[Line]) -> Line:
    """`a, b and c`."""
    parts: list[Inline] = []
    for place, item in enumerate(items):
        if place:
            parts.append(" and " if place == len(items) - 1 else ", ")
        parts += item
    return tuple(parts)


def verdict(name: str | None) -> Cell:
    """A verdict as a cell."""
    if name is None:
        return Cell(("–",), numeric=False)
    text, tone = _VERDICTS[name]
    return Cell((Term(text, name.replace("_", " ")),), tone, numeric=False)


def cell(*parts: Inline, numeric: bool = True, tone: Tone = "") -> Cell:
    return Cell(parts, tone, numeric)


def words(*parts: Inline, tone: Tone = "") -> Cell:
    """A cell of words, which stand at the left."""
    return Cell(parts, tone, numeric=False)


def known(figure: Figure | None) -> Cell:
    """A number as a cell; a dash where it is not known."""
    return Cell((figure,) if figure is not None else ("–",))
