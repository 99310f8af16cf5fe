"""Queries as cards: text, values, relevant documents with their places, and the first hits, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.messages.wording import counted
from bench.report.cells import DASH, number, signed
from bench.report.query_lists import REFUSED, RELEVANT, legend
from bench.ui.text import escaped, lines, note

if TYPE_CHECKING:
    from bench.report.queries import Found, Queries, Query, Relevant, Selection
    from bench.results.texts import Text

_HITS = 5  # of a system under a query
_SIDES = 3  # systems whose hits stand under a query, where no two are compared
_RELEVANT = 5
_LONGEST = 300  # characters of a document


def cards(found: Queries, selection: Selection, shown: Sequence[Query]) -> str:
    """A heading, a card for each query, and what the marks mean."""
    body = "".join(_card(selection, query) for query in shown)
    return note(_heading(found, selection, len(shown))) + body + lines(legend(found, shown, 10_000))


def _heading(found: Queries, selection: Selection, shown: int) -> str:
    count, of = len(selection.positions), f"of {counted(len(found.ids), 'judged query')}"
    told = {
        "failed": f"{count:,} {of} failed in some system",
        "hard": f"{count:,} {of} score 0 in {selection.measure} with every system",
        "query": f"{count:,} {of} with this id or these words",
    }.get(
        selection.what,
        f"{selection.system} is {selection.what} than {selection.than} in {selection.measure} for {count:,} {of}",
    )
    return f"{told}; {shown:,} shown." if shown < count else f"{told}."


def _card(selection: Selection, query: Query) -> str:
    names = selection.compared or tuple(query.hits)
    values = " · ".join(
        [*(f"{name} {number(query.values.get(name))}" for name in names)]
        + ([signed(query.difference)] if query.difference is not None else [])
    )
    failed = note(f"failed in {', '.join(query.failed)}", "bad") if query.failed else ""
    sides = "".join(
        _hits(name, query.hits[name][:_HITS])
        for name in (selection.compared or tuple(query.hits)[:_SIDES])
        if name in query.hits
    )
    return (
        '<article class="card" style="border:1px solid var(--border-color-primary);border-radius:6px;padding:.8rem;'
        'margin:.6rem 0;overflow-wrap:anywhere">'
        f"<p><strong>{escaped(_told(query.text) or query.id)}</strong></p>"
        f'<p class="same">{escaped(query.id)} · {escaped(selection.measure)}: {escaped(values)}</p>{failed}'
        f"{_relevant(query.relevant)}"
        f'<div style="display:flex;flex-wrap:wrap;gap:1rem">{sides}</div></article>'
    )


def _relevant(relevant: Sequence[Relevant]) -> str:
    items = "".join(
        f"<li>{RELEVANT} {escaped(each.document.id)}{f' (grade {each.grade})' if each.grade > 1 else ''}: "
        f"{escaped(_places(each) or 'no rankings are kept')}<br>{escaped(_told(each.document))}</li>"
        for each in relevant[:_RELEVANT]
    )
    more = len(relevant) - _RELEVANT
    rest = f"<li>and {counted(more, 'more relevant document')}</li>" if more > 0 else ""
    return f'<ul style="list-style:none;padding:0">{items}{rest}</ul>' if relevant else ""


def _places(relevant: Relevant) -> str:
    return ", ".join(f"{name} {DASH if place is None else f'{place:,}'}" for name, place in relevant.places.items())


def _hits(system: str, found: Sequence[Found]) -> str:
    items = "".join(
        f"<li>{_mark(hit.grade)} <strong>{escaped(hit.document.id)}</strong> {escaped(_told(hit.document))}</li>"
        for hit in found
    )
    body = f'<ol style="padding-left:1.5rem">{items}</ol>' if found else note("found nothing")
    head = f'<p class="same">First hits of {escaped(system)}</p>'
    return f'<section style="flex:1 1 18rem;min-width:0">{head}{body}</section>'


def _mark(grade: int | None) -> str:
    return "" if grade is None else RELEVANT if grade > 0 else REFUSED


def _told(text: Text | None) -> str:
    """What is kept of a text, with a sign where it goes on."""
    if text is None:
        return ""
    told = " · ".join(part for part in (text.title, text.text) if part)
    return f"{told[:_LONGEST]}…" if text.cut or len(told) > _LONGEST else told
