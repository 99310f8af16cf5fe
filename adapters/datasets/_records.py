"""Rows of pairs as a collection: equal texts are one query or document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from adapters.base import DatasetInvalid, Tables
from adapters.base.records import required_text
from adapters.datasets._reading import identifier, optional_text, whole_grade
from adapters.datasets._tables import QrelsTable, TextTable

_LINES_TOLD = 10


class Numbering:
    """Numbers texts by first appearance; remembers 16 bytes of a text, not the text."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def __call__(self, *text: str) -> tuple[int, bool]:
        """The number of a text, from 1, and whether it is new."""
        # A lone surrogate is refused where the text enters a table, with its place.
        key = hashlib.blake2b("\0".join(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = self._numbers.get(key)
        if known is not None:
            return known, False
        self._numbers[key] = number = len(self._numbers) + 1
        return number, True


@dataclass(frozen=True, slots=True)
class PairColumns:
    """Where a row's parts stand. Either passage or label is given; without ids, equal texts are one row."""

    query: str
    passage: str | None = None
    label: str | None = None
    title: str | None = None
    grade: str | None = None
    query_id: str | None = None
    document_id: str | None = None

    def used(self) -> set[str]:
        return {name for name in astuple(self) if name is not None}


def pair_tables(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    columns: PairColumns,
    path: Path,
    numbers: Mapping[int, int] | None = None,
) -> Tables:
    """Rows of (query, passage) or (query, label) as a collection. What else a row holds is meta of its query.

    path: the file that the row numbers count in. numbers: the row that a spreadsheet shows for a line, by which queries
    without ids are called; None to number them by their first appearance. Raises DatasetInvalid.
    """
    corpus, queries, qrels = TextTable(path, titled=True), TextTable(path, titled=False), QrelsTable(path)
    query_numbers, query_texts, document_numbers, document_texts = (Numbering() for _ in range(4))
    used = columns.used()
    again: dict[str, list[int]] = {}
    named: dict[int, str] = {}
    before = 0
    for line, row in rows:
        where = f"{path}:{line}"
        query = required_text(row, columns.query, where)
        query_id = identifier(row, columns.query_id, where) if columns.query_id else None
        number, new = query_numbers(query_id or query)
        check_same_text(new, query_texts(query_id or "", query)[1], "query", query_id, where)
        if query_id is None:
            query_id = named.setdefault(number, f"q{number}" if numbers is None else f"row-{numbers[line]}")
        if new:
            further = {key: value for key, value in row.items() if key not in used}
            queries.add(query_id, query, meta=further, line=line)
        elif columns.query_id is None and line != before:  # a row may hold a list of passages
            again.setdefault(query_id, []).append(line)
        if columns.label is not None:
            document_id = identifier(row, columns.label, where)
            if document_numbers(document_id)[1]:
                # As words, because encoders and term indexes read `card_arrival` badly.
                corpus.add(document_id, document_id.replace("_", " "), line=line)
        else:
            text = required_text(row, str(columns.passage), where)
            title = optional_text(row, columns.title, where) if columns.title else None
            given = identifier(row, columns.document_id, where) if columns.document_id else None
            number, new = document_numbers(*((title or "", text) if given is None else (given,)))
            check_same_text(new, document_texts(given or "", title or "", text)[1], "document", given, where)
            document_id = given or f"d{number}"
            if new:
                corpus.add(document_id, text, title=title, line=line)
        grade = 1 if columns.grade is None else whole_grade(row.get(columns.grade), where)
        qrels.add(query_id, document_id, grade, line)
        before = line
    return Tables(corpus.finish(), queries.finish(), qrels.finish(), notes=merged_note(again))


def merged_note(again: Mapping[Any, Sequence[int]]) -> tuple[str, ...]:
    """The note on queries that were in several rows. again: the lines of each where it stood again."""
    if not again:
        return ()
    queries, lines = len(again), [line for found in again.values() for line in found]
    subject = (
        f"1 query stands in several rows (again in {lines_told(lines)}); it is"
        if queries == 1
        else f"{queries:,} queries stand in several rows (again in {lines_told(lines)}); each is"
    )
    return (f"{subject} one query with the documents of all its rows, and with the further columns of the first.",)


def lines_told(lines: Sequence[int]) -> str:
    """`line 7`, `lines 7 and 9`; of many the first ones, and how many more."""
    words = [f"{line:,}" for line in sorted(lines)[:_LINES_TOLD]]
    if (more := len(lines) - len(words)) > 0:
        words.append(f"{more:,} more")
    told = f"{', '.join(words[:-1])} and {words[-1]}" if words[1:] else words[0]
    return f"line{'s' if words[1:] else ''} {told}"


def empty_notes(lines: Sequence[int], blank: Sequence[int]) -> tuple[str, ...]:
    """The notes on rows that were left out. blank: lines of those that hold nothing at all."""
    if blank:
        rows = "1 row is" if len(blank) == 1 else f"{len(blank):,} rows are"
        return (*empty_notes(lines, ()), f"{rows} empty ({lines_told(blank)}).")
    if not lines:
        return ()
    rows = "1 row lacks" if len(lines) == 1 else f"{len(lines):,} rows lack"
    return (
        f"{rows} a query or what answers it and {'is' if len(lines) == 1 else 'are'} left out ({lines_told(lines)}).",
    )


def check_same_text(new: bool, new_text: bool, kind: str, given: str | None, where: str) -> None:
    """Raise DatasetInvalid for an id that stood earlier with another text. new, new_text: whether the id, and the id
    with this text, are new; given: None where there are no ids."""
    if given is not None and new_text and not new:
        raise DatasetInvalid(where, f"{kind} id {given!r} stood earlier with another text. Ids must be unique.")
