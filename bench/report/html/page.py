"""A report as one HTML file: no network, no font, no picture from elsewhere. It can be read without JavaScript."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence

from bench.report.document.parts import (
    Aside,
    Block,
    Bullets,
    Cell,
    Figure,
    Inline,
    Key,
    Listing,
    Paragraph,
    Passage,
    Picture,
    QueryCard,
    QueryCards,
    Report,
    Section,
    Strong,
    Table,
    Tiles,
)
from bench.report.glossary import explain
from bench.report.html.script import SCRIPT
from bench.report.html.style import STYLE

DIGEST = "bench-digest"
SHORT = 12
"""Rows of a table of numbers that is open from the start."""
_TOP = 2  # the level of the headings of the parts
_BLANK = "0" * 64


def render(report: Report) -> str:
    """The whole file, ending in a line break."""
    body = "\n".join(
        [
            '<a class="skip" href="#report">Skip to the report</a>',
            _header(report),
            '<main id="report">',
            *(_section(section, _TOP) for section in report.sections),
            _terms(report),
            "</main>",
            *_popovers(report),
        ]
    )
    policy = (
        f"default-src 'none'; style-src '{_hashed(STYLE)}'; script-src '{_hashed(SCRIPT)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="{DIGEST}" content="{_BLANK}">
<title>{html.escape(report.plain_title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
{body}
<script>{SCRIPT}</script>
</body>
</html>
"""
    return page.replace(_BLANK, digest_of(page), 1)


def digest_of(page: str) -> str:
    """The digest that a page carries: of the page with zeros in the digest's place."""
    blank = re.sub(rf'(<meta name="{DIGEST}" content=")[0-9a-f]*(">)', rf"\g<1>{_BLANK}\g<2>", page, count=1)
    return hashlib.sha256(blank.encode("utf-8")).hexdigest()


def _hashed(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}"


# -- lines -----------------------------------------------------------------------------------------------------------


def inline(parts: Sequence[Inline]) -> str:
    """A line as HTML; every text that is not this program's own is escaped."""
    return "".join(_inline(part) for part in parts)


def _inline(part: Inline) -> str:
    if isinstance(part, str):
        return html.escape(part)
    if isinstance(part, Figure):
        return figure(part)
    if isinstance(part, Strong):
        return f"<strong>{inline(part.parts)}</strong>"
    if isinstance(part, Aside):
        return f'<span class="aside">{inline(part.parts)}</span>'
    if isinstance(part, Key):
        return f'<span class="key"><span class="k{part.series % 8}">{part.glyph}</span> {inline(part.parts)}</span>'
    text = html.escape(part.text) if isinstance(part.text, str) else figure(part.text)
    entry = explain(part.entry)
    if entry is None:
        return text
    return f'<button type="button" class="term" popovertarget="{_term_id(entry.names[0])}">{text}</button>'


def figure(each: Figure) -> str:
    """A number or a name with its path. A name stands in a place of its own, so that right-to-left text stays in it."""
    tag, kind = ("bdi", "") if each.is_text else ("span", ' class="n"')
    marks = f'data-path="{html.escape(each.path)}" data-form="{html.escape(each.form)}"'
    return f"<{tag}{kind} {marks}>{html.escape(each.text)}</{tag}>"


def _term_id(entry: str) -> str:
    return "term-" + re.sub(r"[^a-zA-Z0-9]+", "-", entry).strip("-").lower()


# -- sections --------------------------------------------------------------------------------------------------------


def _header(report: Report) -> str:
    facts = "".join(f"<li>{inline(fact)}</li>" for fact in report.facts)
    links = "".join(f'<li><a href="#{each.key}">{inline(each.title)}</a></li>' for each in report.sections)
    return (
        f'<header class="top"><p class="kind">Retrieval benchmark report</p><h1>{inline(report.title)}</h1>'
        f'<ul class="facts">{facts}</ul></header>\n'
        f'<nav aria-label="Contents"><ol>{links}</ol></nav>'
    )


def _section(section: Section, level: int) -> str:
    blocks = "\n".join(_block(block, level) for block in section.blocks)
    name = f' aria-labelledby="{section.key}-title"' if level == _TOP else ""  # a landmark, whose name stands once
    inner = "\n".join(_section(each, level + 1) for each in section.sections)
    return (
        f'<section id="{section.key}"{name}>'
        f'<h{level} id="{section.key}-title">{inline(section.title)}</h{level}>\n{blocks}\n{inner}</section>'
    )


def _block(block: Block, level: int) -> str:
    if isinstance(block, Paragraph):
        return f"<p{' class=lead' if block.lead else ''}>{inline(block.parts)}</p>"
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li>{inline(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Tiles):
        return _tiles(block)
    if isinstance(block, Picture):
        return _picture(block, level)
    if isinstance(block, Listing):
        return f"<details><summary>{inline(block.title)}</summary><pre>{figure(block.text)}</pre></details>"
    return _cards(block, level)


def _tiles(block: Tiles) -> str:
    tiles = "".join(
        f"<div><dt>{inline(tile.label)}</dt><dd>{inline(tile.figure)}</dd>"
        f"{f'<dd class=note>{inline(tile.note)}</dd>' if tile.note else ''}</div>"
        for tile in block.tiles
    )
    return f'<dl class="tiles">{tiles}</dl>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col"{_kind(cell)}>{inline(cell.parts)}</th>' for cell in table.header)
    body = "".join(f"<tr>{_row(row)}</tr>" for row in table.rows)
    notes = "".join(f"<li>{inline(note)}</li>" for note in table.notes)
    return (
        f'<div class="scroll" role="group" tabindex="0" aria-labelledby="{table.key}-caption">'
        f'<table id="{table.key}"><caption id="{table.key}-caption">{inline(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _row(row: Sequence[Cell]) -> str:
    first, *others = row
    return f'<th scope="row"{_kind(first)}>{inline(first.parts)}</th>' + "".join(
        f"<td{_kind(cell)}>{inline(cell.parts)}</td>" for cell in others
    )


def _kind(cell: Cell) -> str:
    names = " ".join(name for name in ("num" if cell.numeric else "", cell.tone) if name)
    return f' class="{names}"' if names else ""


def _picture(picture: Picture, level: int) -> str:
    rows = [[each.path, each.form, each.text] for each in picture.plotted]
    plotted = json.dumps(rows, ensure_ascii=True).replace("<", "\\u003c")
    opened = " open" if len(picture.table.rows) <= SHORT else ""
    drawn = "".join(
        f'<div class="{width}" role="img" aria-labelledby="{picture.key}-title" data-picture="{picture.key}">'
        f"{svg}</div>"
        for width, svg in (("wide", picture.wide), ("narrow", picture.narrow))
    )
    return (
        f'<figure id="{picture.key}"><h{level + 1} id="{picture.key}-title">{inline(picture.title)}</h{level + 1}>'
        f"{drawn}<figcaption>{inline(picture.caption)}</figcaption>"
        f'<script type="application/json" class="plotted">{plotted}</script>'
        f"<details{opened}><summary>The numbers of this picture</summary>{_table(picture.table)}</details></figure>"
    )


# -- queries ---------------------------------------------------------------------------------------------------------


def _cards(block: QueryCards, level: int) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" value="{html.escape(kind)}" checked> {html.escape(words)}</label>'
        for kind, words in block.kinds
    )
    search = (
        '<form class="search" hidden><label>Search in the queries '
        f'<input type="search" autocomplete="off"></label><fieldset><legend>Show</legend>{boxes}</fieldset>'
        '<p role="status"></p></form>'
    )
    return f'<div class="queries">{search}{"".join(_card(card, level) for card in block.cards)}</div>'


def _card(card: QueryCard, level: int) -> str:
    relevant = "".join(map(_passage, card.relevant))
    sides = "".join(
        f"<div><h{level + 2}>{inline(heading)}</h{level + 2}><ol>{''.join(map(_hit, passages))}</ol></div>"
        for heading, passages in card.sides
    )
    judged = f'<div class="judged"><p class="label">Judged relevant</p>{relevant}</div>' if relevant else ""
    return (
        f'<article data-kind="{html.escape(card.kind)}"><h{level + 1}>{inline(card.title)}</h{level + 1}>'
        f'<p class="moved">{inline(card.summary)}</p>{judged}<div class="sides">{sides}</div></article>'
    )


def _hit(passage: Passage) -> str:
    mark = '<strong class="tag">relevant</strong> ' if passage.relevant else ""
    return f"<li{' class=hit' if passage.relevant else ''}>{mark}{_body(passage)}</li>"


def _passage(passage: Passage) -> str:
    return f"<div class=passage>{_body(passage)}</div>"


def _body(passage: Passage) -> str:
    text = f'<span class="text" dir="auto">{inline(passage.text)}</span>' if passage.text else ""
    return f'<span class="where">{inline(passage.heading)}</span>{text}'


# -- words -----------------------------------------------------------------------------------------------------------


def _terms(report: Report) -> str:
    if not report.terms:
        return ""
    entries = "".join(
        f"<div><dt>{html.escape(word)}</dt><dd>{html.escape(text)}</dd></div>"
        for word, text in _sorted(report.terms.items())
    )
    return (
        '<section id="terms" aria-labelledby="terms-title"><h2 id="terms-title">What the words mean</h2>'
        f'<dl class="terms">{entries}</dl></section>'
    )


def _popovers(report: Report) -> Iterable[str]:
    for word, text in _sorted(report.terms.items()):
        yield (
            f'<div popover class="explained" id="{_term_id(word)}" data-term="{html.escape(word)}">'
            f"<strong>{html.escape(word)}</strong> <span>{html.escape(text)}</span></div>"
        )


def _sorted(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(items, key=lambda item: item[0].casefold())
