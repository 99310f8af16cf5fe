"""A report as Markdown, as GitHub and GitLab read it. What is not this program's own is text and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bench.messages.terminal import shown
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

# Whatever Markdown, or HTML within it, could take for more than a letter. `@`, `:` and `.` make links of names.
_MEANT = re.compile(r"([\\`*_{}\[\]()#+\-!|~^=:.@/$])")
_OF_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def render(report: Report) -> str:
    """The whole text, ending in a line break."""
    lines = [f"# {_line(report.title)}", "", " · ".join(_line(fact) for fact in report.facts), ""]
    for section in report.sections:
        lines += _section(section, 2)
    if report.terms:
        lines += ["## What the words mean", ""]
        lines += [f"- **{escaped(word)}**: {escaped(text)}" for word, text in sorted(report.terms.items())]
    return "\n".join(lines).rstrip("\n") + "\n"


def escaped(text: str) -> str:
    """A text that Markdown shows as it stands, on one line. What would turn the direction of a line is written out."""
    safe = shown(" ".join(text.split()))
    return _MEANT.sub(r"\\\1", safe.translate(_OF_HTML)) if not _plain(safe) else safe


def _plain(text: str) -> bool:
    """Whether it is a number as tables have them, which nothing takes for more."""
    return re.fullmatch(r"[+\-$]{0,2}[\d.,]+( %)?|–", text) is not None


def _line(parts: Sequence[Inline]) -> str:
    return "".join(_inline(part) for part in parts)


def _inline(part: Inline) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Figure):
        return escaped(part.text)
    if isinstance(part, Strong):
        inner = _line(part.parts)
        return f"**{inner.strip()}**" + (" " if inner.endswith(" ") else "")
    if isinstance(part, Aside):
        return _line(part.parts)
    if isinstance(part, Key):
        return f"{part.glyph} {_line(part.parts)}  "
    return part.text if isinstance(part.text, str) else escaped(part.text.text)


def _section(section: Section, level: int) -> Iterator[str]:
    yield from (f"{'#' * min(level, 6)} {_line(section.title)}", "")
    for block in section.blocks:
        yield from _block(block, level)
        yield ""
    for each in section.sections:
        yield from _section(each, level + 1)


def _block(block: Block, level: int) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield _line(block.parts)
    elif isinstance(block, Bullets):
        yield from (f"- {_line(item)}" for item in block.items)
    elif isinstance(block, Tiles):
        for tile in block.tiles:
            note = f" ({_line(tile.note)})" if tile.note else ""
            yield f"- **{_line(tile.figure)}** {_line(tile.label)}{note}"
    elif isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Picture):
        yield from (f"{'#' * min(level + 1, 6)} {_line(block.title)}", "")
        yield from _table(block.table)
    elif isinstance(block, QueryCards):
        for card in block.cards:
            yield from _card(card, level + 1)
    else:
        yield from (f"{_line(block.title)}:", "", *_listing(block))


def _listing(block: Listing) -> Iterator[str]:
    """A text with its lines, indented: no fence could be closed from within it."""
    yield from (f"    {shown(line)}" for line in block.text.text.split("\n"))


def _table(table: Table) -> Iterator[str]:
    yield from (f"{_line(table.title)}:", "")
    yield _row(table.header)
    yield "|" + "|".join(" ---: " if cell.numeric else " --- " for cell in table.header) + "|"
    yield from map(_row, table.rows)
    if table.notes:
        yield ""
        yield from (f"- {_line(note).replace('* ', chr(92) + '* ', 1)}" for note in table.notes)


def _row(cells: Sequence[Cell]) -> str:
    return "| " + " | ".join(_line(cell.parts) for cell in cells) + " |"


def _card(card: QueryCard, level: int) -> Iterator[str]:
    yield from (f"{'#' * min(level, 6)} {_line(card.title)}", "", _line(card.summary), "")
    for passage in card.relevant:
        yield f"- relevant: {_passage(passage)}"
    for heading, passages in card.sides:
        yield from ("", f"{_line(heading)}:", "")
        for place, passage in enumerate(passages, 1):
            yield f"{place}. {'**relevant** ' if passage.relevant else ''}{_passage(passage)}"
    yield ""


def _passage(passage: Passage) -> str:
    return _line(passage.heading) + (f": {_line(passage.text)}" if passage.text else "")
