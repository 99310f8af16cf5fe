"""All numbers of a report as one table in CSV: where each is shown, what it says and where the result holds it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from bench.messages.wording import no_formula
from bench.report.document.parts import (
    Block,
    Bullets,
    Figure,
    Inline,
    Listing,
    Paragraph,
    Picture,
    QueryCards,
    Report,
    Section,
    Table,
    Tiles,
    figures_of,
    plain,
)

COLUMNS = ("section", "part", "row", "column", "shown", "path", "form")


def render(report: Report) -> str:
    """The whole table, its heading first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for section in report.sections:
        for row in _section(section, ()):
            writer.writerow(
                {name: _harmless(value, row["form"]) if name != "path" else value for name, value in row.items()}
            )
    return text.getvalue()


def _harmless(value: str, form: str) -> str:
    """A text that no spreadsheet takes for a formula; a number stays one."""
    number = value[:1] in "+-" and value[1:2].isdigit() | (value[1:2] in (".", "$"))
    return value if number and form != "text" else no_formula(value)


def _section(section: Section, above: tuple[str, ...]) -> Iterator[dict[str, str]]:
    names = (*above, plain(section.title))
    for block in section.blocks:
        for row in _block(block):
            yield {"section": " / ".join(names), **row}
    for each in section.sections:
        yield from _section(each, names)


def _block(block: Block) -> Iterator[Mapping[str, str]]:
    if isinstance(block, Paragraph):
        yield from _figures(block.parts)
    elif isinstance(block, Bullets):
        for place, item in enumerate(block.items, 1):
            yield from _figures(item, row=str(place))
    elif isinstance(block, Tiles):
        for tile in block.tiles:
            yield from _figures((*tile.figure, *tile.label, *tile.note), row=plain(tile.label))
    elif isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Picture):
        yield from _figures(block.title, part=plain(block.title))
        yield from _table(block.table)
    elif isinstance(block, QueryCards):
        for card in block.cards:
            yield from _figures((*card.title, *card.summary), part=card.kind, row=plain(card.title))
            for heading, passages in ((), card.relevant), *card.sides:
                for place, passage in enumerate(passages, 1):
                    parts = (*passage.heading, *passage.text)
                    yield from _figures(
                        parts, part=card.kind, row=plain(card.title), column=f"{plain(heading) or 'relevant'} {place}"
                    )
    elif isinstance(block, Listing):
        yield _figure(block.text, part=plain(block.title))


def _table(table: Table) -> Iterator[Mapping[str, str]]:
    for row in table.rows:
        name = plain(row[0].parts)
        for heading, cell in zip(table.header, row, strict=True):
            yield from _figures(cell.parts, part=plain(table.title), row=name, column=plain(heading.parts))


def _figures(parts: Sequence[Inline], **where: str) -> Iterator[Mapping[str, str]]:
    for figure in figures_of(parts):
        yield _figure(figure, **where)


def _figure(figure: Figure, **where: str) -> Mapping[str, str]:
    return {**where, "shown": figure.text, "path": figure.path, "form": figure.form}
