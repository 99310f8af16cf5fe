"""What a report is made of before it is HTML, Markdown or CSV: texts, numbers with their paths, tables, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Figure:
    """A number or a text of the result as it is shown. path: where the result holds it. form: how it is written, a name
    of `forms.FORMS`. text: as written."""

    path: str
    form: str
    text: str

    @property
    def is_text(self) -> bool:
        """Whether it is a name or a sentence of the result's, and no number."""
        return self.form in ("text", "passage", "settings", "block", "heading", "day", "time")


@dataclass(frozen=True, slots=True)
class Term:
    """A word that the glossary explains. entry: the name of its entry."""

    text: str | Figure
    entry: str


@dataclass(frozen=True, slots=True)
class Strong:
    """What a reader must not miss."""

    parts: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """What a colour and a shape of a picture stand for. series: which colour and shape. bar: whether it is drawn as a
    bar, which has no shape."""

    series: int
    parts: tuple[Inline, ...]
    bar: bool = False

    @property
    def glyph(self) -> str:
        """The shape by which a picture draws the series."""
        return "■" if self.bar else "●■▲◆✚▼▶◀"[self.series % 8]


@dataclass(frozen=True, slots=True)
class Aside:
    """What belongs to the number before it, such as its interval; in a table it stands below it."""

    parts: tuple[Inline, ...]


Inline: TypeAlias = "str | Figure | Term | Strong | Key | Aside"
"""A str is prose of this program's own, in which no number stands."""

Line: TypeAlias = "tuple[Inline, ...]"
Tone = Literal["", "good", "bad", "quiet", "head"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table. tone: how it is set off. numeric: whether it stands at the right."""

    parts: Line
    tone: Tone = ""
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences. lead: whether they are what most readers will read alone."""

    parts: Line
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Bullets:
    """Sentences, one below the other."""

    items: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings. The first cell of a row names it. key: a name within the report. notes: below it."""

    key: str
    title: Line
    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """One number that decides, large, with what it is below it."""

    figure: Line
    label: Line
    note: Line = ()


@dataclass(frozen=True, slots=True)
class Tiles:
    """Numbers that decide, side by side."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with what it shows as its title, and the table of its numbers.

    wide, narrow: SVG for a page and for a telephone. plotted: the drawn numbers. caption: how to read it.
    """

    key: str
    title: Line
    wide: str
    narrow: str
    plotted: tuple[Figure, ...]
    caption: Line
    table: Table


@dataclass(frozen=True, slots=True)
class Passage:
    """A text of the corpus, or a query. relevant: whether it is judged so; None where that is no question."""

    heading: Line
    text: Line
    relevant: bool | None = None


@dataclass(frozen=True, slots=True)
class QueryCard:
    """A query with what two systems found for it. groups: by heading, the passages. words: what a search looks in."""

    title: Line
    summary: Line
    relevant: tuple[Passage, ...]
    sides: tuple[tuple[Line, tuple[Passage, ...]], ...]
    kind: str


@dataclass(frozen=True, slots=True)
class QueryCards:
    """Queries that can be searched. kinds: what they can be filtered by, with the words for it."""

    kinds: tuple[tuple[str, str], ...]
    cards: tuple[QueryCard, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A text that keeps its lines, such as the experiment file. Closed until a reader opens it."""

    title: Line
    text: Figure


Block: TypeAlias = Paragraph | Bullets | Table | Tiles | Picture | QueryCards | Listing


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report. key: its address within the file."""

    key: str
    title: Line
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report. facts: what it is about, in a line. words: entries of the glossary that it uses."""

    title: Line
    facts: tuple[Line, ...]
    sections: tuple[Section, ...]
    plain_title: str
    terms: dict[str, str] = field(default_factory=dict)


def figures_of(parts: Sequence[Inline]) -> list[Figure]:
    """The numbers and names in a line, in order."""
    found: list[Figure] = []
    for part in parts:
        if isinstance(part, Figure):
            found.append(part)
        elif isinstance(part, Term) and isinstance(part.text, Figure):
            found.append(part.text)
        elif isinstance(part, (Strong, Key, Aside)):
            found += figures_of(part.parts)
    return found


def plain(parts: Sequence[Inline]) -> str:
    """A line as bare text."""
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Figure):
            texts.append(part.text)
        elif isinstance(part, Term):
            texts.append(part.text if isinstance(part.text, str) else part.text.text)
        elif isinstance(part, Key):
            texts.append(f"{part.glyph} {plain(part.parts)}")
        else:
            texts.append(plain(part.parts))
    return "".join(texts)
