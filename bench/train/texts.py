"""Texts from a file: one to a line, or one to a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from adapters.base import DatasetInvalid
from adapters.base.reading import numbered_lines
from adapters.base.records import SUFFIXES, ending, records, required_text

_IDS = ("_id", "id")
_TEXTS = ("text", "query", "sentence", "passage", "content", "document", "question")


class Text(NamedTuple):
    """id: of its row, else its line's number."""

    id: str
    text: str


def read_texts(path: Path) -> list[Text]:
    """The texts of a file: of JSON Lines, CSV, TSV and Parquet the column text (or query, sentence, passage and the
    like), behind its title where there is one; of any other file every line that is not blank.

    Raises DatasetInvalid, naming the line, for what cannot be read, an empty text, and a file without texts.
    """
    found = list(_rows(path) if ending(path) in SUFFIXES else _lines(path))
    if not found:
        raise DatasetInvalid(str(path), "holds no texts.")
    return found


def every_text(path: Path) -> Iterator[str]:
    """All texts that a file holds, whatever their columns are called. Raises DatasetInvalid."""
    if ending(path) not in SUFFIXES:
        yield from (text for _, text in _lines(path))
        return
    for _, row in records(path):
        yield from _strings(row.values())


def _strings(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _strings(value.values())
        elif isinstance(value, list):
            yield from _strings(value)


def _lines(path: Path) -> Iterator[Text]:
    for number, line in numbered_lines(path):
        if text := line.strip():
            yield Text(str(number), text)


def _rows(path: Path) -> Iterator[Text]:
    for number, row in records(path):
        where = f"{path}:{number}"
        column = next((name for name in _TEXTS if name in row), _TEXTS[0])
        parts = [row.get("title"), required_text(row, column, where)]
        text = " ".join(part.strip() for part in parts if isinstance(part, str) and part.strip())
        if not text:
            raise DatasetInvalid(where, f'"{column}" is empty.')
        name = next((row[key] for key in _IDS if row.get(key) not in (None, "")), number)
        yield Text(str(name), text)
