"""Reads judgements in the usual forms: BEIR's three columns, TREC's four, or any columns that a heading names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from adapters.base import DatasetInvalid, listed, numbered_lines
from adapters.base.records import csv_cells, ending, records
from adapters.datasets._reading import identifier, is_whole, whole_grade
from adapters.datasets._tables import QrelsTable

# A column's role by its name without case, blanks, hyphens and underscores, as BEIR, MTEB, MS MARCO, TREC's tools,
# PyTerrier and ir_datasets write it.
_ROLES: Mapping[str, frozenset[str]] = {
    "query id": frozenset(("query", "queryid", "qid", "topic", "topicid", "topicno", "question", "questionid")),
    "document id": frozenset(
        ("corpus", "corpusid", "doc", "docid", "docno", "did", "document", "documentid", "pid", "passage", "passageid")
    ),
    "grade": frozenset(
        (
            "score",
            "relevance",
            "grade",
            "rel",
            "label",
            "relevant",
            "relevancy",
            "judgment",
            "judgement",
            "qrel",
            "rating",
        )
    ),
}
_BEIR = ("query-id", "corpus-id", "score")
JUDGEMENTS = (".tsv", ".csv", ".txt", ".qrels", ".trec", ".qrel", ".jsonl", ".ndjson", ".parquet")
_BY_RECORD = (".jsonl", ".ndjson", ".parquet")


class Columns(NamedTuple):
    """Names or positions of the columns that hold the judgements."""

    query: Any
    document: Any
    grade: Any


class _Separator(NamedTuple):
    words: str
    split: Callable[[str], list[str]]


def _cells(mark: str, line: str) -> list[str]:
    return [cell.strip(" \"'") for cell in line.split(mark)]


_TAB = _Separator("tabs", lambda line: line.split("\t"))
_BLANKS = _Separator("blanks", str.split)
_COMMA, _SEMICOLON = (
    _Separator(words, partial(_cells, mark)) for words, mark in (("commas", ","), ("semicolons", ";"))
)
_MARKS = {"commas": ",", "semicolons": ";"}


def read_qrels(path: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """Judgements with whole grades, and a sentence on how they were read where they are not in BEIR's form.

    By ending .jsonl, .ndjson or .parquet: rows with named fields. Else text, whose first line decides for all: cells
    between tabs, or where it holds none between commas, semicolons or blanks; the columns by a heading's names, else
    query id, document id, grade, or TREC's query id, iteration, document id, grade. Only commas and semicolons know
    quotes. Raises DatasetInvalid where a line does not fit, or two columns could be meant.
    """
    table = QrelsTable(path)
    if ending(path) in _BY_RECORD:
        columns = None
        for line, row in records(path):
            where = f"{path}:{line}"
            columns = columns or named_columns(list(row), where)
            grade = whole_grade(row.get(columns.grade), where)
            table.add(identifier(row, columns.query, where), identifier(row, columns.document, where), grade, line)
        return table.finish(), () if columns is None else _told(path, "", columns)
    first = next(numbered_lines(path), None)
    if first is None:
        return table.finish(), ()
    separator = _separator(path, first[1])
    columns, width = None, 0
    notes: tuple[str, ...] = ()
    for line, cells in _rows(path, separator):
        where = f"{path}:{line}"
        if columns is None:
            columns, heading, width = *_columns(cells, where, separator.words), len(cells)
            notes = _told(path, separator.words, columns, cells if heading else None)
            if heading:
                continue
        if len(cells) != width:
            raise DatasetInvalid(where, _miscounted(cells, width, separator.words))
        query, document = cells[columns.query], cells[columns.document]
        if not query or not document:
            raise DatasetInvalid(where, "an id is empty.")
        table.add(query, document, whole_grade(cells[columns.grade].strip(), where), line)
    return table.finish(), notes


def named_columns(names: Sequence[str], where: str) -> Columns:
    """Which columns hold query ids, document ids and grades. BEIR's names come first.

    Raises DatasetInvalid where a role has no column, or several.
    """
    chosen = []
    for role, standard in zip(_ROLES, _BEIR, strict=True):
        fitting = [name for name in names if _plain(name) in _ROLES[role]]
        exact = [name for name in fitting if name == standard]
        if len(exact or fitting) > 1:
            raise DatasetInvalid(
                where,
                f"{' and '.join(fitting)} could both be the column of {role}s. Remove one, or name it {standard}.",
            )
        if not fitting:
            raise DatasetInvalid(where, f"has no column of {role}s. It has: {listed(names)}. Name it {standard}.")
        chosen.append((exact or fitting)[0])
    return Columns(*chosen)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.strip(" \"'")).lower()


def _is_heading(cells: Sequence[str]) -> bool:
    if not cells or is_whole(cells[-1]):
        return False
    query, document, grade = (any(_plain(cell) in names for cell in cells) for names in _ROLES.values())
    return grade or (query and document)


def _columns(cells: list[str], where: str, separator: str) -> tuple[Columns, bool]:
    """The positions of a first line's columns, and whether it is a heading."""
    heading = _is_heading(cells)
    by_place = {3: Columns(0, 1, 2), 4: Columns(0, 2, 3)}.get(len(cells))
    if not heading:
        if by_place is None:
            raise DatasetInvalid(where, _miscounted(cells, 3, separator))
        return by_place, False
    known = [any(_plain(cell) in names for names in _ROLES.values()) for cell in cells]
    if by_place is not None and len(cells) == 3 and known == [False, False, True]:
        return by_place, True  # names of their own, in BEIR's order
    names = named_columns([cell.strip(" \"'") for cell in cells], where)
    places = [cell.strip(" \"'") for cell in cells]
    return Columns(*(places.index(name) for name in names)), True


def _separator(path: Path, text: str) -> _Separator:
    if "\t" in text and ending(path) != ".csv":
        return _TAB
    # No line ends both in a comma and a number and in a semicolon and a number; blanks may stand around either.
    for kind in (_TAB, _COMMA, _SEMICOLON, _BLANKS):
        if _reads(kind.split(text)):
            return kind
    # Otherwise the separator that belongs to the ending, whose faults name what is wrong.
    return _COMMA if ending(path) == ".csv" else _TAB


def _reads(cells: list[str]) -> bool:
    return _is_heading(cells) if not is_whole(cells[-1] if cells else "") else len(cells) in (3, 4) and all(cells)


def _rows(path: Path, separator: _Separator) -> Iterator[tuple[int, list[str]]]:
    mark = _MARKS.get(separator.words)
    if mark is None:
        return ((line, separator.split(text)) for line, text in numbered_lines(path))
    return ((line, [cell.strip() for cell in cells]) for line, cells in csv_cells(path, mark))


def _miscounted(cells: list[str], width: int, separator: str) -> str:
    if 6 in (len(cells), len(" ".join(cells).split())):
        return "has 6 cells, as a run file has. Judgements are query id, document id, grade."
    wanted = {3: "query id, document id, grade", 4: "query id, iteration, document id, grade"}
    noun = "cell" if len(cells) == 1 else "cells"
    return (
        f"has {len(cells)} {noun} between {separator}, expected {wanted.get(width, f'{width} as in the first line')}."
    )


def _told(path: Path, separator: str, columns: Columns, heading: Sequence[str] | None = None) -> tuple[str, ...]:
    """How a file was read, where that is not BEIR's form."""
    between = f", separated by {separator}" if separator not in ("", "tabs") else ""
    if heading is not None:
        names = tuple(heading[place].strip(" \"'") for place in columns)
    elif isinstance(columns.query, str):
        names = tuple(columns)
    else:
        trec = "TREC's form (query id, iteration, document id, grade)" if columns.grade == 3 else ""
        form = trec or ("query id, document id, grade" if between else "")
        return (f"Judgements in {path.name} were read as {form}{between}.",) if form else ()
    if names == _BEIR and not between:
        return ()
    return (f"Judgements in {path.name} were read from the columns {', '.join(names)}{between}.",)
