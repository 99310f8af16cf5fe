"""The words of a report that the glossary explains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.document.parts import (
    Aside,
    Block,
    Bullets,
    Inline,
    Key,
    Line,
    Paragraph,
    Picture,
    QueryCards,
    Section,
    Strong,
    Table,
    Term,
    Tiles,
)
from bench.report.glossary import explain


def explanations(sections: Sequence[Section]) -> dict[str, str]:
    """By the name that the glossary lists, the explanation of each word that the sections mark."""
    found: dict[str, str] = {}
    for section in sections:
        for line in _lines(section):
            for term in _terms(line):
                entry = explain(term.entry)
                if entry is not None:
                    found[entry.names[0]] = entry.text
    return found


def _lines(section: Section) -> Iterator[Line]:
    yield section.title
    for block in section.blocks:
        yield from _of_block(block)
    for each in section.sections:
        yield from _lines(each)


def _of_block(block: Block) -> Iterator[Line]:
    if isinstance(block, Paragraph):
        yield block.parts
    elif isinstance(block, Bullets):
        yield from block.items
    elif isinstance(block, Tiles):
        for tile in block.tiles:
            yield from (tile.figure, tile.label, tile.note)
    elif isinstance(block, Table):
        yield from (block.title, *block.notes)
        yield from (cell.parts for row in (block.header, *block.rows) for cell in row)
    elif isinstance(block, Picture):
        yield from (block.title, block.caption, *_of_block(block.table))
    elif isinstance(block, QueryCards):
        for card in block.cards:
            yield from (card.title, card.summary)


def _terms(line: Sequence[Inline]) -> Iterator[Term]:
    for part in line:
        if isinstance(part, Term):
            yield part
        elif isinstance(part, (Strong, Key, Aside)):
            yield from _terms(part.parts)
