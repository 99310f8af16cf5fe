"""Several results beside each other: what each says, and in what they differ. No verdict is passed across results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.report.document.parts import Block, Cell, Line, Paragraph, Section, Table
from bench.report.document.paths import NoSuchPath, step
from bench.report.document.source import Source
from bench.report.document.words import cell, interval, words

MOST = 60
"""Differences that are shown."""
_COMPARED = (
    ("collection", "dataset.name", "text"),
    ("split", "dataset.split", "text"),
    ("fingerprint of the collection", "dataset.fingerprint", "text"),
    ("judged queries", "dataset.judged", "count"),
    ("measure that decides", "primary", "heading"),
    ("baseline", "baseline", "text"),
    ("margin", "margin", "number"),
    ("processor", "provenance.machine.processor", "text"),
    ("cores", "provenance.machine.cores", "count"),
    ("Python", "provenance.machine.python", "text"),
    ("commit of the program", "provenance.commit", "text"),
)


def section(sources: Sequence[Source]) -> Section:
    """What stands before the results."""
    blocks: list[Block] = [
        Paragraph(
            (
                "Results side by side. Whether a system of one is better than one of another is not said here: "
                "bench compare tells it, query by query.",
            )
        ),
        _overview(sources),
        *_systems(sources),
        _differences(sources),
    ]
    return Section("side-by-side", ("Side by side",), tuple(blocks))


def _overview(sources: Sequence[Source]) -> Table:
    header = (
        words("result"),
        words("began"),
        words("collection"),
        cell("judged queries"),
        words("decides"),
        words("proposed"),
        cell("its mean"),
    )
    rows = []
    for source in sources:
        place = source.computed("decision")["system"]
        figure = source.mean(place, source.result.primary) if place is not None else None
        path = "computed.title"
        rows.append(
            (
                words(source.figure(path, "text")),
                words(source.figure("started_at", "time")),
                words(source.figure("dataset.name", "text")),
                cell(source.figure("dataset.judged", "count")),
                words(source.figure("primary", "heading")),
                words(source.name(place)) if place is not None else words("none"),
                cell(figure if figure is not None else "–"),
            )
        )
    return Table("overview", ("The results",), header, tuple(rows))


def _systems(sources: Sequence[Source]) -> Iterator[Table]:
    """Each system's mean in each result, where the results have the same measure."""
    if len({source.result.primary for source in sources}) > 1:
        return
    names = list(dict.fromkeys(system.name for source in sources for system in source.systems))
    first = {name: next(source for source in sources if name in source.places) for name in names}
    header = [words("system"), *(cell(source.figure("computed.title", "text")) for source in sources)]
    rows = [
        (words(first[name].name(first[name].places[name])), *(_mean(source, name) for source in sources))
        for name in names
    ]
    title: Line = (sources[0].figure("primary", "heading"), " of each system, with intervals of each alone")
    yield Table("by-result", title, tuple(header), tuple(rows))


def _mean(source: Source, name: str) -> Cell:
    place = source.places.get(name)
    if place is None or source.primary(place) is None:
        return cell("–")
    path = f"systems[{place}].measures{step(source.result.primary)}"
    return cell(source.figure(f"{path}.mean"), *interval(source, f"{path}.interval"))


def _differences(sources: Sequence[Source]) -> Block:
    rows = []
    for name, path, form in _COMPARED:
        if len({str(source.value(path)) for source in sources}) > 1:
            rows.append((words(name), *(words(source.figure(path, form)) for source in sources)))
    packages = {name: f"provenance.packages{step(name)}" for s in sources for name in s.result.provenance.packages}
    leaves = dict.fromkeys(path for source in sources for path in _leaves(source.result.experiment, "experiment"))
    for path in (*packages.values(), *leaves):
        values = [_value(source, path) for source in sources]
        if len({str(value) for value in values}) > 1 and len(rows) < MOST:
            rows.append((words(_what(sources, path)), *(_shown(source, path) for source in sources)))
    if not rows:
        return Paragraph(("They do not differ in collection, configuration, versions or machine.",))
    header = [words("what differs"), *(words(source.figure("computed.title", "text")) for source in sources)]
    notes: tuple[Line, ...] = (("Only the first differences are shown.",),) if len(rows) == MOST else ()
    return Table("differences", ("In what the results differ",), tuple(header), tuple(rows), notes)


def _what(sources: Sequence[Source], path: str) -> Any:
    """The path itself, as a text that the first result with it holds."""
    source = next(each for each in sources if _value(each, path) is not None)
    at = source.computed("leaves").index(path)
    return source.figure(f"computed.leaves[{at}]", "text")


def _value(source: Source, path: str) -> Any:
    try:
        return source.value(path)
    except NoSuchPath:
        return None


def _shown(source: Source, path: str) -> Cell:
    return words("–") if _value(source, path) is None else words(source.figure(path, "text"))


def _leaves(value: Any, path: str) -> Iterator[str]:
    """Paths to all values of an experiment that are no mappings or lists of mappings."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, path + step(str(key)))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{path}[{i}]")
    else:
        yield path


def leaves(source: Source) -> list[str]:
    """What can differ between results, as paths."""
    packages = [f"provenance.packages{step(name)}" for name in source.result.provenance.packages]
    return [*packages, *_leaves(source.result.experiment, "experiment")]


def title(source: Source) -> str:
    """What a result is called: its experiment's name, and when it began."""
    name = source.result.experiment.get("experiment")
    return f"{name if isinstance(name, str) else 'experiment'}, {source.result.started_at[:16].replace('T', ' ')}"
