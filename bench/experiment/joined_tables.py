"""Tables that belong together: questions in one, and in another the documents, which the questions name by id; or a
third one that names both."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from adapters.base import AdapterError
from adapters.base.document_names import ids_named
from adapters.base.records import ending
from adapters.base.sheets import EXCEL, Layout, layout_of, sheet_names, table_rows
from bench.experiment.columns import (
    LOOKED_AT,
    Column,
    Roles,
    best_question,
    best_text,
    codes,
    graded,
    id_of,
    looked_at,
    titled,
    words_of,
)
from bench.experiment.found_table import FoundTable, TableBeside

_NAMED = 0.9  # share of the values that must be there in the other table
_MOST = 2_000_000  # rows of a table of documents
_KEYS = 4  # columns of a table that may be its rows' ids


class _Table(NamedTuple):
    """A table that was read. rows: the first ones, of `length`; ids: by column whose values all differ, those
    values."""

    path: Path
    layout: Layout
    columns: list[Column]
    rows: list[Mapping[str, Any]]
    length: int
    ids: dict[str, set[str]]


def or_joined(found: FoundTable | None, own: Sequence[Path], beside: Sequence[Path], folder: Path) -> FoundTable | None:
    """A table that was found, or questions that name the rows of another one, as `_joined` finds them. A table that
    surely holds what answers its questions stays, unless it is the one that others name."""
    whole = found is not None and found.roles.sure and found.roles.kind in ("passage", "document")
    one = len(own) == 1 and ending(own[0]) not in EXCEL
    if one and (whole or not {*beside} - {*own}):
        return found  # nothing to read whole: no other table is there, or this one needs none
    both = _joined(own, beside, folder)
    if both is None or both.answers is None or found is None:
        return both or found
    named = (found.path, found.layout.sheet) == (both.answers.path, both.answers.layout.sheet)
    return found if whole and not named else both


def _joined(own: Sequence[Path], beside: Sequence[Path], folder: Path) -> FoundTable | None:
    """Questions in a table, and the documents in another that the questions, or the rows of a third table, name by id.
    One of them is of the tables `own`; the others are of all. None where none belong together. folder: below which
    names of files are looked for. Raises nothing for files that are no tables."""
    tables = [table for path in own for table in _read(path, folder)]
    others = [*tables, *(table for path in beside if path not in own for table in _read(path, folder))]
    links = [table for table in others if best_question(table.columns) is None]  # with texts of its own, it links none
    found: list[tuple[float, FoundTable]] = []
    for asking, answering in itertools.permutations(others, 2):
        if asking in tables:
            found += _together(asking, answering)
        for linking in links:
            if linking not in (asking, answering) and any(each in tables for each in (linking, asking, answering)):
                found += _linked(linking, asking, answering)
    if not found:
        return None
    best = max(found, key=lambda each: each[0])[1]  # of equal ones the first
    used = {table.path for table in (best, best.asked, best.answers) if table is not None}
    return replace(best, beside=tuple(sorted({table.path.name for table in others if table.path not in used})))


def _read(path: Path, folder: Path) -> Iterator[_Table]:
    """The tables of a file: an Excel file may hold several."""
    try:
        sheets = sheet_names(path)
        for sheet in sheets if len(sheets) > 1 else [None]:
            layout = layout_of(path, sheet)
            rows = table_rows(path, layout)
            first = [row.cells for row in itertools.islice(rows, LOOKED_AT)]
            columns = looked_at(first, folder)
            keys = [column.name for column in columns if column.filled == column.distinct == 1 and column.words < 4]
            ids = {name: {str(cells.get(name)).strip() for cells in first} for name in keys[:_KEYS]}
            count = len(first)
            for row in rows:
                count += 1
                for name, values in ids.items():
                    values.add(str(row.cells.get(name)).strip())
                if count == _MOST:
                    ids.clear()  # too many to tell whether all differ
                    break
            unique = {name: values for name, values in ids.items() if len(values) == count}
            yield _Table(path, layout, columns, first, count, unique)
    except (AdapterError, OSError, ValueError, RecursionError):
        return  # no table, then


def _together(asking: _Table, answering: _Table) -> Iterator[tuple[float, FoundTable]]:
    """Each way in which the questions of a table may name rows of another, and how likely its questions are some."""
    text = best_text(answering.columns)
    for column, key in itertools.product(asking.columns, answering.ids):
        asked = best_question([each for each in asking.columns if each is not column])
        if asked is None or text is None or key == text.name or not _names(column, asking, key, answering):
            continue
        question, likely = asked
        others = [each for each in asking.columns if each is not question and each is not column]
        taken = Roles(
            query=question.name, target=column.name, kind="id", query_id=id_of(others, question),
            document_id=None, title=None, grade=None, sure=True,
        )  # fmt: skip
        there = _documents(answering, key, text)
        more = asking.length > len(asking.rows)
        yield likely, FoundTable(asking.path, asking.layout, asking.columns, taken, asking.rows, more, answers=there)


def _linked(linking: _Table, asking: _Table, answering: _Table) -> Iterator[tuple[float, FoundTable]]:
    """Each way in which the rows of a table may name questions of a second and documents of a third one, and how likely
    it is: more so where headings say which."""
    question, text = best_question(asking.columns), best_text(answering.columns)
    if question is None or text is None:
        return
    for one, other in itertools.permutations(linking.columns, 2):
        for query_id, key in itertools.product(asking.ids, answering.ids):
            if query_id == question[0].name or key == text.name:
                continue
            if not _names(one, linking, query_id, asking) or not _names(other, linking, key, answering):
                continue
            taken = Roles(
                query=one.name, target=other.name, kind="id", query_id=one.name, document_id=None, title=None,
                grade=graded([each for each in linking.columns if each not in (one, other)]), sure=True,
            )  # fmt: skip
            likely = question[1] + 0.5 * (text.characters > question[0].characters)
            likely += _called(one, query_id, asking) + _called(other, key, answering)
            texts = [str(row.get(question[0].name) or "") for row in asking.rows]
            asked = TableBeside(asking.path, asking.layout, query_id, question[0].name, None, asking.length, texts)
            more = linking.length > len(linking.rows)
            yield likely, FoundTable(
                linking.path, linking.layout, linking.columns, taken, linking.rows, more,
                answers=_documents(answering, key, text), asked=asked,
            )  # fmt: skip


def _documents(table: _Table, key: str, text: Column) -> TableBeside:
    """The documents of a table, by the ids of a column."""
    title = titled([each for each in table.columns if each.name not in (key, text.name)])
    title = title or (key if _words(sorted(table.ids[key])[:LOOKED_AT]) else None)
    texts = [str(row.get(text.name) or "") for row in table.rows]
    return TableBeside(table.path, table.layout, key, text.name, title, table.length, texts)


def _words(ids: Sequence[str]) -> bool:
    """Whether ids are words by which a search may find what they stand for."""
    return codes(ids) is None and not any(re.search(r"\d", each) for each in ids)


def _listed(cell: Any) -> list[Any]:
    return cell if isinstance(cell, list) else [cell]


def _called(column: Column, key: str, table: _Table) -> float:
    """How far a heading says that ids of another table stand below it: it is called as they are, or as the table."""
    own = words_of(column.name)
    return 2.0 * bool(own and own == words_of(key)) + bool(own & words_of(table.path.stem, table.layout.sheet or ""))


def _names(column: Column, within: _Table, key: str, named: _Table) -> bool:
    """Whether a column of a table holds ids of the rows of another. Numbers from 1 on stand in any table: such a column
    must be called as the ids are or as the other table, or be one of ids, and not those of its own rows."""
    ids = named.ids[key]
    values = [each for row in within.rows for each in _listed(row.get(column.name)) if each not in (None, "")]
    if not values or sum(ids_named(value, ids)[1] for value in values) < _NAMED * len(values):
        return False
    if column.numbers < 1 or _called(column, key, named):
        return True
    headings = [each.name for each in within.columns if each.words > 1]
    own = column.distinct == 1 and words_of(column.name) <= words_of(within.path.stem, *headings)
    return column.ids and not own
