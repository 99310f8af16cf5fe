"""The pages of the project, and the fenced blocks on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import REPOSITORY

LANGUAGES = ("sh", "yaml", "python", "toml", "text")
_FENCE = re.compile(r"^```(.*)$")


class Block(NamedTuple):
    """A fenced block. line: of its fence, from 1. language and name: the two words behind the fence, empty where they
    do not stand; a Python block's name is its file, a text block's name says what printed it."""

    page: str
    line: int
    language: str
    name: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page of the project that people read."""
    return sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(language: str | None = None, page: str | None = None) -> list[Block]:
    """The blocks of all pages, or those of one language or page, in the order in which they stand."""
    found = [block for path in pages() for block in _blocks(path)]
    return [b for b in found if language in (None, b.language) and page in (None, b.page)]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its header and with the marks of code taken off."""
    text = text_of(REPOSITORY / page)
    assert f"\n{heading}\n" in text, f"{page} has no heading {heading!r}"
    section = text.split(f"\n{heading}\n", 1)[1]
    lines = re.split(r"\n#+ ", section)[0].splitlines()
    table = [line for line in lines if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def _blocks(path: Path) -> Iterator[Block]:
    page = str(path.relative_to(REPOSITORY))
    opened: tuple[int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is None:
            lines.append(line)
        elif opened is None:
            opened, lines = (number, fence[1]), []
        else:
            language, _, name = opened[1].partition(" ")
            yield Block(page, opened[0], language, name, "\n".join(lines) + "\n")
            opened = None
    assert opened is None, f"{page}:{opened and opened[0]}: a block is not closed"
