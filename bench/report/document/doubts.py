"""What to know before one believes a result: what failed, was adjusted, disturbed, left out or never measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bench.report import synthetic
from bench.report.cells import priced
from bench.report.document.parts import Block, Bullets, Cell, Inline, Line, Paragraph, Section, Strong, Table
from bench.report.document.source import Source
from bench.report.document.words import listed, measure

_NAMED = 4  # systems that a sentence names; of more it says how many there are
_FEW_QUERIES = 50


class _Doubt(NamedTuple):
    """lead: what kind of doubt; a key of `_LEADS`. text: what the result says; empty where the lead says all.
    systems: whom it concerns."""

    lead: str
    text: str
    systems: tuple[str, ...] = ()


_LEADS = {
    "status": "The run is not complete",
    "void": "Void",
    "not_indexed": "Not indexed",
    "error": "Failed",
    "partial": "Partly failed",
    "cancelled": "Cut off",
    "started": "Not finished",
    "stand-in": "A stand-in answered",
    "failed queries": "Queries failed and count as nothing found",
    "adjusted": "Adjusted by the engine",
    "few": "Few queries",
    "synthetic": "Synthetic queries",
    "dataset": "The collection",
    "warning": "Warning",
    "note": "Note",
    "index": "The index",
    "disturbed": "Disturbed times",
    "latency": "Times",
    "saturated": "Not kept up with the load",
    "one build": "One build each, so how far another build would differ is not known",
    "one seed": "One seed each, so how far another training would differ is not known",
    "worse model": "A trained model is worse than its base",
    "model": "A trained model",
    "cut": "Texts were cut at the model's length",
    "unscored": "Pairs that the reranker refused, ranked last",
    "no times": "Not measured: latency",
    "no price": "Not known: what it costs",
    "no projection": "The file names no traffic, so there is no money per month",
    "no baseline": "There is no baseline, so there are no verdicts",
    "no margin": "The file names no margin, so nothing is called good enough",
    "no queries table": "The values of every query are not in this result, so nothing is said of single queries",
    "no texts": "The texts are not in this result, so queries and documents show by their ids",
    "unread": "Left out",
    "positives": "Only relevant documents are judged, so a document that nobody judged counts as not relevant",
}


def gather(source: Source) -> list[Mapping[str, Any]]:
    """The doubts, each once however many systems share it, the gravest first."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for doubt in _doubts(source):
        grouped.setdefault((doubt.lead, doubt.text), []).extend(doubt.systems)
    order = {lead: place for place, lead in enumerate(_LEADS)}
    found: list[Mapping[str, Any]] = []
    for (lead, text), systems in sorted(grouped.items(), key=lambda item: order[item[0][0]]):
        names = list(dict.fromkeys(systems))
        found.append({"lead": lead, "text": text, "systems": names, "count": len(names)})
    return found


def _doubts(source: Source) -> Iterator[_Doubt]:
    result = source.result
    if result.status != "success":
        yield _Doubt(
            "status",
            {"started": "it goes on or was killed", "cancelled": "it was cut off"}.get(
                result.status, "some systems failed" if result.status == "partial" else "no system succeeded"
            ),
        )
    for part, address in result.provenance.addresses.items():
        yield _Doubt("stand-in", f"{part} was answered by {address}, so its figures are not the provider's")
    for system in result.systems:
        yield from _of_system(source, system.name)
    if result.systems and 0 < result.dataset.judged < _FEW_QUERIES:
        yield _Doubt("few", "the test set is small, so only large differences can be seen")
    for _, text in synthetic.notes(result):
        yield _Doubt("synthetic", text)
    for sentence in (*result.dataset.warnings, *result.dataset.notes):
        yield _Doubt("dataset", sentence)
    if result.dataset.only_positives and result.primary.partition("@")[0] != "ANN":
        yield _Doubt("positives", "")
    for sentence in result.warnings:
        yield _Doubt("warning", sentence)
    for sentence in result.latency_notes:
        yield _Doubt("latency", sentence)
    yield from _of_models(source)
    yield from _absent(source)
    for sentence in source.computed("unread"):
        yield _Doubt("unread", sentence)


def _of_system(source: Source, name: str) -> Iterator[_Doubt]:
    system = source.systems[source.places[name]]
    only = (name,)
    if system.status != "success":
        yield _Doubt(system.status, system.error or "", only)
    if any(value.failed for value in system.measures.values()):
        yield _Doubt("failed queries", "", only)
    if system.index is not None:
        for sentence in system.index.adjusted:
            yield _Doubt("adjusted", sentence, only)
        if system.index.note:
            yield _Doubt("index", system.index.note, only)
        if not (system.index.flat or system.index.reproducible) and system.index.builds == 1:
            yield _Doubt("one build", "", only)
    for sentence in system.notes:
        yield _Doubt("note", sentence, only)
    if len(system.seeds) == 1:
        yield _Doubt("one seed", "", only)
    if system.truncated_texts:
        yield _Doubt("cut", "", only)
    if system.unscored_pairs:
        yield _Doubt("unscored", "", only)
    for load in system.loads or ([system.latency] if system.latency else []):
        if load.disturbed_rounds:
            yield _Doubt("disturbed", f"{load.load}: something else ran on the machine", only)
        if load.saturated:
            yield _Doubt("saturated", load.load, only)


def _of_models(source: Source) -> Iterator[_Doubt]:
    for model in source.result.models:
        if model.worse_than_base:
            yield _Doubt("worse model", f"{model.name}, by {model.measure} on dev; it is never proposed")
        if model.error:
            yield _Doubt("model", f"{model.name} could not be trained: {model.error}")
        for sentence in model.notes:
            yield _Doubt("model", f"{model.name}: {sentence}")


def _absent(source: Source) -> Iterator[_Doubt]:
    result = source.result
    measured = [system for system in result.systems if system.measures]
    untimed = tuple(system.name for system in measured if system.latency is None)
    if untimed:
        yield _Doubt("no times", "", untimed)
    costs = [system.cost for system in measured if system.cost is not None]
    known = [cost for cost in costs if priced(cost)]
    if measured and not known:
        yield _Doubt("no price", "no service bills, and the file gives the machine no price (machine_usd_per_hour)")
    elif known and not any(cost.projection for cost in known):
        yield _Doubt("no projection", "")
    if result.baseline is None and len(result.systems) > 1:
        yield _Doubt("no baseline", "")
    elif result.baseline is not None and result.margin is None:
        yield _Doubt("no margin", "")
    if measured and source.figures is None:
        yield _Doubt("no queries table", "")
    if measured and not source.has_texts:
        yield _Doubt("no texts", "")


# -- the section -----------------------------------------------------------------------------------------------------


def section(source: Source) -> Section:
    """The second part of a report."""
    doubts = source.computed("doubts")
    items = tuple(_sentence(source, place) for place in range(len(doubts)))
    blocks: list[Block] = [Bullets(items)] if items else [Paragraph(("Nothing was found that casts doubt on it.",))]
    if (table := _bounds(source)) is not None:
        blocks.append(table)
    return Section("doubts", ("Before you believe it",), tuple(blocks))


def _sentence(source: Source, place: int) -> Line:
    doubt = source.computed("doubts")[place]
    path = f"computed.doubts[{place}]"
    line: list[Inline] = [Strong((_LEADS[doubt["lead"]],))]
    if doubt["systems"]:
        shown = doubt["systems"][:_NAMED] if len(doubt["systems"]) <= _NAMED else doubt["systems"][: _NAMED - 1]
        names: list[Line] = [(source.figure(f"{path}.systems[{i}]", "text"),) for i in range(len(shown))]
        if len(shown) < len(doubt["systems"]):
            names.append(("others, ", source.figure(f"{path}.count", "count"), " in all"))
        line += [" (", *listed(names), ")"]
    if doubt["text"]:
        line += [": ", source.figure(f"{path}.text", "text")]
    end = doubt["text"] or _LEADS[doubt["lead"]]
    return (*line, "" if end.endswith((".", "!", "?")) else ".")


def _bounds(source: Source) -> Table | None:
    """The measure that decides, if all or none of the unjudged documents were relevant."""
    bounds = source.computed("bounds")
    if not bounds:
        return None
    rows = []
    for i, bound in enumerate(bounds):
        path = f"computed.bounds[{i}]"
        cells = [
            source.figure(f"{path}.unjudged", "share"),
            source.figure(f"{path}.none"),
            source.figure(f"{path}.all"),
        ]
        rows.append(
            (Cell((source.name(source.places[bound["system"]]),), numeric=False), *(Cell((each,)) for each in cells))
        )
    primary = measure(source, source.result.primary)
    header = (
        Cell(("system",), numeric=False),
        Cell(("first hits that nobody judged",)),
        Cell((primary, " if none of them is relevant")),
        Cell(
            (primary, " if all of them are"),
        ),
    )
    return Table("bounds", ("How far documents that nobody judged could move ", primary), header, tuple(rows))
