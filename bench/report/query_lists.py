"""Chosen queries of a result for the screen, for a spreadsheet and for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.messages.fitting import width_of
from bench.messages.wording import counted, no_formula
from bench.report import synthetic
from bench.report.cells import DASH, number, signed
from bench.report.lines import one_line, wrapped
from bench.report.queries import Found, Queries, Query, Relevant, Selection
from bench.results.texts import Text

RELEVANT, REFUSED = "✓", "✗"
_MOST_SYSTEMS = 6  # whose places are told, unless a user names more
_MOST_WITH_HITS = 3  # systems whose hits stand under a query
_MOST_RELEVANT = 5  # documents of one query
_QUERY_LINES, _DOCUMENT_LINES = 4, 2


class Screen(NamedTuple):
    """How lists are shown. width: columns; hits: how many first hits of a system stand under a query; named: the
    systems that a user asked for beside those that are compared."""

    width: int = 80
    hits: int = 5
    named: tuple[str, ...] = ()


def chosen(
    found: Queries, what: str | None, named: str | None, than: str | None, measure: str | None
) -> list[Selection]:
    """The lists that are asked for. what: `worse`, `better`, `failed`, `hard` or `query`; None for the largest losses
    and gains. named: the system, or the words of the query. than: the system it is compared with. Raises NotAsked."""
    by = found.measure(measure)
    match what:
        case "failed":
            return [found.failing(by)]
        case "hard":
            return [found.hard(by)]
        case "query":
            return [found.asking(named or "", by)]
    system, other = found.pair(named, than, by)
    return [found.differing(each, system, other, by) for each in ("worse", "better") if what in (None, each)]


def looked_at(queries: Queries, selection: Selection, named: Sequence[str]) -> list[str]:
    """The systems whose rankings a list shows: those that are compared, those that a user named, then the baseline and
    the best ones, as many as a reader can take in."""
    best = queries.best_first(selection.measure)
    baseline = [name for name in (queries.result.baseline,) if name in queries.systems]
    wanted = list(dict.fromkeys([*selection.compared, *named]))
    if named:
        return wanted
    return list(dict.fromkeys([*wanted, *baseline, *best]))[:_MOST_SYSTEMS]


def listed(queries: Queries, selection: Selection, shown: Sequence[Query], screen: Screen) -> str:
    """A list for the screen, ending in a line break. shown: the first queries of the selection."""
    blocks = [_heading(queries, selection, len(shown), screen.width)]
    for place, query in enumerate(shown, 1):
        blocks.append("\n".join(_query(selection, query, place, screen)))
    return "\n\n".join(blocks) + "\n"


def legend(queries: Queries, shown: Sequence[Query], width: int) -> list[str]:
    """What the marks mean, and what a reader must know of these lists."""
    systems = list(dict.fromkeys(name for query in shown for name in query.hits))
    found = [hit for query in shown for hits in query.hits.values() for hit in hits]
    notes = []
    if any(query.relevant for query in shown):
        lengths = sorted({k for name in systems if (k := queries.entry(name).pipeline.k)})
        of = f" (of {' or '.join(f'{k:,}' for k in lengths)})" if lengths else ""
        notes.append(f"{RELEVANT} relevant; {DASH} not in the system's ranking{of}")
    if any(hit.grade is not None and hit.grade < 1 for hit in found):
        notes.append(f"{REFUSED} judged as not relevant")
    if (told := synthetic.sentence(queries.result)) is not None:
        notes.append(told)
    if not queries.has_judgements:
        notes.append("the collection has no judgements: no document is known to be relevant")
    if not queries.has_texts:
        notes.append("the result keeps no texts (`texts: false`, vectors alone, or a run of an older version)")
    elif any(hit.document.text is None for hit in found):
        notes.append("texts of documents are not kept for all of them")
    for name in systems:
        if (conditions := queries.entry(name).pipeline.filter) is not None:
            notes.append(f"{name} searches, and is judged by, the documents alone with {json.dumps(conditions)}")
    if any(len(queries.entry(name).builds) > 1 for name in systems):
        notes.append("values are means over builds or seeds; places are those of the build that a user would take")
    return [line for note in notes for line in _hanging("· ", note, width, 3)]


def _heading(queries: Queries, selection: Selection, shown: int, width: int) -> str:
    count, measure = len(selection.positions), selection.measure
    of = f"of {counted(len(queries.ids), f'judged {synthetic.kind(queries.result)}')}"
    match selection.what:
        case "worse" | "better":
            text = f"{selection.system} is {selection.what} than {selection.than} in {measure} for {count:,} {of}"
        case "failed":
            text = f"{count:,} {of} failed in some system"
        case "hard":
            text = f"{count:,} {of} score 0 in {measure} with every system"
        case _:
            text = f"{count:,} {of} {'has' if count == 1 else 'have'} this id or these words"
    if shown < count:
        order = {"worse": ", the largest loss first", "better": ", the largest gain first"}.get(selection.what, "")
        text += f"; {shown:,} shown{order} (--limit shows more)"
    return "\n".join(wrapped(text, width, 3))


def _query(selection: Selection, query: Query, place: int, screen: Screen) -> list[str]:
    width, seen = screen.width, tuple(query.hits)
    lines = wrapped(f"{place}. {query.id}", width, 1)
    lines += _hanging("   ", _told(query.text), width, _QUERY_LINES) if query.text is not None else []
    lines += _hanging("   ", _values(selection, query), width, 3)
    if query.failed:
        lines += _hanging("   ", f"failed in {', '.join(query.failed)}", width, 2)
    for relevant in query.relevant[:_MOST_RELEVANT]:
        lines += _relevant(relevant, width)
    if len(query.relevant) > _MOST_RELEVANT:
        lines.append(f"   and {len(query.relevant) - _MOST_RELEVANT:,} more relevant documents")
    for system in seen if screen.named else selection.compared or seen[:_MOST_WITH_HITS]:
        if screen.hits and system in query.hits:
            lines += _hits(system, query.hits[system][: screen.hits], width)
    return lines


def _values(selection: Selection, query: Query) -> str:
    """`dense .387 · bm25 1.000 · -.613`; of all systems that are looked at where no two are compared."""
    names = selection.compared or tuple(query.hits)
    parts = [f"{name} {number(query.values.get(name))}" for name in names]
    difference = [signed(query.difference)] if query.difference is not None else []
    return f"{selection.measure}: {' · '.join([*parts, *difference])}"


def _relevant(relevant: Relevant, width: int) -> list[str]:
    grade = f" (grade {relevant.grade})" if relevant.grade > 1 else ""
    places = ", ".join(
        f"{name} {DASH if place is None else f'{place:,}'}" for name, place in relevant.places.items()
    )  # the place that each system gives it
    lines = _hanging(f"   {RELEVANT} ", f"{relevant.document.id}{grade}: {places or 'no rankings are kept'}", width, 4)
    return lines + _hanging("     ", _told(relevant.document), width, _DOCUMENT_LINES)


def _hits(system: str, found: Sequence[Found], width: int) -> list[str]:
    if not found:
        return [f"   {one_line(f'{system} found nothing', width - 3)}"]
    lines = [f"   {one_line(f'first hits of {system}', width - 3)}"]
    for hit in found:
        mark = " " if hit.grade is None else RELEVANT if hit.grade > 0 else REFUSED
        start = f"   {hit.place:>3} {mark} "
        name = one_line(hit.document.id, width // 3)
        told = one_line(_told(hit.document), width - len(start) - width_of(name) - 2)
        lines.append(f"{start}{name}  {told}".rstrip())
    return lines


def _told(text: Text | None) -> str:
    """What is kept of a text, with a sign where it goes on."""
    if text is None:
        return ""
    return " · ".join(part for part in (text.title, text.text) if part) + ("…" if text.cut else "")


def _hanging(start: str, text: str, width: int, lines: int) -> list[str]:
    """Lines that are set in under the first one's start."""
    found = wrapped(text, width - len(start), lines)
    return [f"{start if number == 0 else ' ' * len(start)}{line}" for number, line in enumerate(found)]


# -- for spreadsheets and programs -------------------------------------------------------------------------------


def as_csv(queries: Queries, lists: Sequence[tuple[Selection, Sequence[Query]]]) -> str:
    """One row for each query; ids of documents stand as lists in JSON, best first."""
    systems = list(dict.fromkeys(name for _, found in lists for query in found for name in query.hits))
    header = [
        "list",
        "query_id",
        "query",
        "query_kind",
        "measure",
        "system",
        "than",
        "difference",
        "failed",
        "relevant",
    ]
    for kind in ("value", "place", "hits"):
        header += [f"{kind} {name}" for name in (queries.systems if kind == "value" else systems)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([no_formula(name) for name in header])
    for selection, found in lists:
        for query in found:
            row: list[Any] = [
                selection.what,
                query.id,
                _told(query.text),
                synthetic.WORD if synthetic.is_evaluated(queries.result) else "given",
                selection.measure,
                selection.system,
                selection.than,
            ]
            row += [query.difference, _json(list(query.failed)), _json([each.document.id for each in query.relevant])]
            row += [query.values[name] for name in queries.systems]
            row += [_first_place(query, name) for name in systems]
            row += [_json([hit.document.id for hit in query.hits.get(name, ())]) for name in systems]
            writer.writerow([_cell(cell) for cell in row])
    return out.getvalue()


def _cell(value: Any) -> Any:
    return "" if value is None else no_formula(value) if isinstance(value, str) else value


def _first_place(query: Query, system: str) -> int | None:
    """The place of the first relevant document."""
    places = [each.places.get(system) for each in query.relevant]
    return min((place for place in places if place is not None), default=None)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_values(queries: Queries, lists: Sequence[tuple[Selection, Sequence[Query]]]) -> dict[str, Any]:
    """One JSON object. Whatever is not known is null."""
    return {
        "result": str(queries.folder.resolve()),
        "judged": len(queries.ids),
        "synthetic": synthetic.is_evaluated(queries.result),
        "lists": [
            {
                "list": selection.what,
                "measure": selection.measure,
                "system": selection.system,
                "than": selection.than,
                "count": len(selection.positions),
                "shown": len(found),
                "queries": [_query_values(query) for query in found],
            }
            for selection, found in lists
        ],
    }


def _query_values(query: Query) -> dict[str, Any]:
    return {
        "id": query.id,
        "text": query.text.text if query.text else None,
        "values": query.values,
        "difference": query.difference,
        "failed": list(query.failed),
        "relevant": [
            {**_document_values(each.document), "grade": each.grade, "places": each.places} for each in query.relevant
        ],
        "hits": {
            system: [{**_document_values(hit.document), "place": hit.place, "grade": hit.grade} for hit in found]
            for system, found in query.hits.items()
        },
    }


def _document_values(document: Text) -> dict[str, Any]:
    return {"id": document.id, "title": document.title, "text": document.text, "cut": document.cut}
