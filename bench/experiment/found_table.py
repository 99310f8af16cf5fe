"""A table of questions that lies somewhere, and how a dataset reads it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from adapters.base import AdapterError, DatasetInvalid
from adapters.base.document_names import documents_below
from adapters.base.records import SUFFIXES, ending
from adapters.base.sheets import EXCEL, OLD_EXCEL, Layout, layout_of, sheet_names, table_rows
from bench.experiment.columns import (
    DOCUMENT_ENDINGS,
    LOOKED_AT,
    Column,
    Kind,
    Roles,
    codes,
    headless,
    looked_at,
    roles,
)
from bench.messages.wording import counted, listed

ROW_NUMBERED = (".csv", ".tsv", ".txt", *EXCEL)
"""Endings of files that people open in a spreadsheet, whose rows have numbers there."""


class Choice(NamedTuple):
    """Columns that a user named; None for those to be guessed."""

    query: str | None = None
    passage: str | None = None
    label: str | None = None


Ask = Callable[[str, Sequence[str], str], str]
"""Asks a question whose answer is one of some names, the last argument where nobody minds."""


@dataclass(frozen=True, slots=True)
class TableBeside:
    """A table whose rows are named by id elsewhere: documents, or questions. key, text, title: its columns; count: of
    its rows; samples: some texts."""

    path: Path
    layout: Layout
    key: str
    text: str
    title: str | None
    count: int
    samples: list[str]

    def options(self, path: str) -> dict[str, Any]:
        """What a dataset needs to know of it. path: as an experiment names it."""
        columns = {"id": self.key, "text": self.text, "title": self.title}
        usual = {"id": "id", "text": "text", "title": None}
        named = {name: column for name, column in columns.items() if column != usual[name]}
        return {"path": path, **layout_options(self.layout), **named}

    def place(self, path: Path) -> str:
        """Where it is, seen from the file that names it."""
        return f"its sheet {self.layout.sheet}" if self.path == path else self.path.name

    def told(self, what: str) -> str:
        """What was taken for what. what: its rows are."""
        title = f', and "{self.title}" for its title' if self.title else ""
        sheet = f", sheet {self.layout.sheet}," if self.layout.sheet else ""
        return f'Took {self.path.name}{sheet} for the {what}: "{self.text}" for the text of each{title}.'


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table with what was taken for what. layout, columns: as they seem to be; rows: how many were looked at; more:
    whether there are more; beside: names of other tables of the folder, which are not used; answers: the table of
    documents that its questions name by id; asked: the table of questions, where its rows name those by id too."""

    path: Path
    layout: Layout
    columns: list[Column]
    roles: Roles
    samples: list[Mapping[str, Any]]
    more: bool
    beside: tuple[str, ...] = ()
    answers: TableBeside | None = None
    asked: TableBeside | None = None

    def texts(self) -> list[str]:
        """Questions and what answers them, of the rows that were looked at."""
        names = [*([] if self.asked else [self.roles.query]), *([] if self.answers else [self.roles.target])]
        found = [str(row[name]) for row in self.samples for name in names if isinstance(row.get(name), str)]
        return [*found, *(text for table in (self.asked, self.answers) if table for text in table.samples)]

    def documents(self) -> int:
        """About how many documents there are: different values of the rows that were looked at, or all rows where
        there are more. Of a table of documents, its rows."""
        if self.answers is not None:
            return self.answers.count
        if self.more:
            return sum(1 for _ in table_rows(self.path, self.layout))
        return len({str(row.get(self.roles.target)) for row in self.samples})

    def options(self) -> dict[str, Any]:
        """What a dataset of pairs or of files needs to know of the table, beside its path."""
        return layout_options(self.layout)

    def pairs(self) -> dict[str, Any]:
        """Options of a dataset of pairs."""
        found, taken = {}, self.roles
        if taken.query != "query" and self.asked is None:
            found["query"] = taken.query
        found[{"label": "label", "id": "document_id"}.get(taken.kind, "passage")] = taken.target
        for name in ("title", "grade", "query_id", *(() if taken.kind == "id" else ("document_id",))):
            if (column := getattr(taken, name)) is not None:
                found[name] = column
        if taken.query_id is None and ending(self.path) in ROW_NUMBERED:
            found["number_by"] = "row"
        return {**self.options(), **found}

    def told(self) -> list[str]:
        """What was taken for what, a sentence each."""
        taken, by_name = self.roles, {column.name: column for column in self.columns}
        layout = [
            *([f"sheet {self.layout.sheet}"] if self.layout.sheet else []),
            *([f"encoding {self.layout.encoding}"] if self.layout.encoding else []),
            *([f"separator {_named(self.layout.separator)}"] if self.layout.separator else []),
            *(["cells in quotes"] if self.layout.quotes else []),
            *([] if self.layout.headings else ["no headings in the first row"]),
            *([f"headings below {counted(self.layout.skip_rows, 'row')}"] if self.layout.skip_rows else []),
        ]
        lines = [f"Read {self.path.name}: {', '.join(layout)}."] if layout else []
        asks = "the id of the question" if self.asked else "the question"
        kinds = {"passage": "the passage that answers it", "label": "its label", "document": "the file that answers it",
                 "id": "the id of what answers it"}  # fmt: skip
        for name, what in ((taken.query, asks), (taken.target, kinds[taken.kind])):
            lines.append(f'Took "{name}" for {what} ({by_name[name].seen}).')
        further = {"title": "title of the passage", "grade": "grade", "query_id": "id of the question",
                   "document_id": "id of the passage"}  # fmt: skip
        lines += [
            f'Took "{name}" for the {what}.'
            for key, what in further.items()
            if (name := getattr(taken, key)) and name != taken.query
        ]
        lines += [self.asked.told("questions")] if self.asked else []
        lines += [self.answers.told("documents")] if self.answers else []
        if taken.kind == "label" and (
            code := codes(str(row[taken.target]) for row in self.samples if row.get(taken.target))
        ):
            lines.append(
                f"Its values are codes, such as {code}, and no texts: no search finds them by what is asked. "
                "Bring what they stand for into the table, in a column of its own."
            )
        used = {taken.query, taken.target, *(getattr(taken, key) for key in further)}
        rest = [column.name for column in self.columns if column.name not in used]
        if rest:
            kept = "left out" if self.asked else "kept with the question"
            lines.append(f"Further columns are {kept}: {', '.join(rest[:12])}.")
        if self.beside:
            lines.append(f"Not used: {listed(self.beside)}, which an experiment of its own can take: bench init FILE")
        return lines


def layout_options(layout: Layout) -> dict[str, Any]:
    """How a table is written, as options of a dataset: those that are not as usual."""
    plain: dict[str, Any] = {"encoding": layout.encoding, "separator": layout.separator, "sheet": layout.sheet}
    plain["headings"] = None if layout.headings else False
    plain["skip_rows"] = layout.skip_rows or None
    plain["quotes"] = layout.quotes
    return {name: value for name, value in plain.items() if value is not None}


def table_at(path: Path, folder: Path, choice: Choice, ask: Ask | None) -> FoundTable | None:
    """The table in a file; None where it has no two columns for questions and what answers them. folder: below which
    names of files are looked for. ask: None where nobody can answer.

    Raises DatasetInvalid for a file that is no table that can be read, or lacks a column of the choice.
    """
    if len(sheets := sheet_names(path)) > 1:
        found = [table for name in sheets if (table := _on_sheet(path, name, folder, choice)) is not None]
        best = next((table for table in found if table.roles.sure), found[0] if found else None)
        if best is None or best.roles.sure or ask is None:
            return best
        return _table_in(path, best.layout, folder, choice, ask)
    return _table_in(path, layout_of(path), folder, choice, ask)


def _on_sheet(path: Path, sheet: str, folder: Path, choice: Choice) -> FoundTable | None:
    """The table on a sheet, which may hold anything else."""
    try:
        return _table_in(path, layout_of(path, sheet), folder, choice, None)
    except DatasetInvalid:
        return None


def _table_in(path: Path, layout: Layout, folder: Path, choice: Choice, ask: Ask | None) -> FoundTable | None:
    """The table in a file that is written so."""
    samples = _rows(path, layout)
    if samples and headless(list(samples[0]), samples) and ending(path) in ROW_NUMBERED:
        layout = layout._replace(headings=False)
        samples = _rows(path, layout)
    columns = looked_at(samples[:LOOKED_AT], folder)
    guess = _chosen(path, columns, roles(columns), choice, ask)
    if guess is None:
        return None
    guess = guess._replace(
        query_id=_naming(samples, guess.query_id, guess.query),
        document_id=_naming(samples, guess.document_id, guess.target),
    )
    return FoundTable(path, layout, columns, guess, samples[:LOOKED_AT], len(samples) > LOOKED_AT)


def _naming(samples: Sequence[Mapping[str, Any]], ids: str | None, of: str) -> str | None:
    """The column of ids, where each id has one text."""
    if ids is None:
        return None
    texts: dict[str, Any] = {}
    return ids if all(texts.setdefault(str(row.get(ids)), row.get(of)) == row.get(of) for row in samples) else None


def _rows(path: Path, layout: Layout) -> list[Mapping[str, Any]]:
    return [row.cells for row in itertools.islice(table_rows(path, layout), LOOKED_AT + 1)]


def _chosen(
    path: Path, columns: Sequence[Column], guess: Roles | None, choice: Choice, ask: Ask | None
) -> Roles | None:
    """The guess with what a user said of it."""
    names = [column.name for column in columns]
    kind: Kind | None
    for name in (choice.query, choice.passage, choice.label):
        if name is not None and name not in names:
            raise DatasetInvalid(str(path), f'has no column "{name}". It has: {", ".join(names)}.')
    if choice == Choice():
        if ask is None or len(names) < 2 or (guess is not None and guess.sure):
            return guess if guess is None or guess.sure or guess.decided else None
        likely = names[0] if guess is None else guess.query
        query = ask(f"{path.name}: which column holds the questions?", names, likely)
        others = [name for name in names if name != query]
        default = guess.target if guess is not None and guess.target in others else others[0]
        target = ask("And which one holds what answers them?", others, default)
        choice, kind = Choice(query, target, None), None
    else:
        kind = "label" if choice.label else "passage" if choice.passage else None
    wanted = [column for column in columns if column.name in (choice.query, choice.passage, choice.label)]
    named_target = choice.passage or choice.label
    best = roles(columns, query=choice.query, target=named_target)
    if best is None or not wanted:
        return None
    return best if kind is None else best.of_kind(kind)


def _named(separator: str | None) -> str:
    return {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar"}.get(str(separator), str(separator))


class Seen(NamedTuple):
    """A table in whose columns no questions were found. columns: their names; texts: whether any holds texts; told:
    what they hold, in one sentence."""

    columns: list[str]
    texts: bool
    told: str


def seen(path: Path, folder: Path) -> Seen:
    """What a table holds in which no questions were found."""
    columns = looked_at(_rows(path, layout_of(path))[:LOOKED_AT], folder)
    if not columns:
        return Seen([], False, f"{path.name} holds no row below its headings, or is empty.")
    told = "; ".join(f'"{column.name}": {column.seen}' for column in columns[:12])
    texts = any(column.texts for column in columns)
    return Seen(
        [column.name for column in columns], texts, f"{path.name} has {counted(len(columns), 'column')} ({told})."
    )


def is_table(path: Path, *, named: bool = False) -> bool:
    """Whether a file's ending is one of a table, readable here or not. named: whether a user named the file; other
    files that end in .txt are documents."""
    return ending(path) in (*SUFFIXES, *EXCEL, *OLD_EXCEL, *([".txt"] if named else [])) and path.is_file()


def tables_of(folder: Path) -> list[Path]:
    """Its tables. An open spreadsheet leaves ~$name.xlsx."""
    try:
        return [each for each in sorted(folder.iterdir()) if is_table(each) and not re.match(r"~\$|\.", each.name)]
    except OSError:
        return []  # a folder that may not be read


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder that holds no documents, but perhaps a page about what lies there."""
    documents = documents_below(folder, DOCUMENT_ENDINGS)
    if any(not re.match(r"readme|licen[cs]e", Path(each).name, re.IGNORECASE) for each in documents):
        return []
    return [each for each in sorted(folder.iterdir()) if each.is_dir() and not each.name.startswith(".")]


def tables_in(folder: Path, choice: Choice, ask: Ask | None) -> FoundTable | None:
    """The table of a folder whose columns leave least doubt; None where several are and all are in doubt. A folder
    without tables and documents may hold folders of tables. Raises nothing for files that are no tables."""
    found, others = [], 0
    for path in tables_of(folder) or [each for below in _folders(folder) for each in tables_of(below)]:
        try:
            table = table_at(path, folder, choice, None)
        except (AdapterError, OSError, ValueError, RecursionError):
            continue  # no table, then
        if table is not None:
            found.append(table)
        others += table is None
    best = next((table for table in found if table.roles.sure), found[0] if found else None)
    if best is None:
        return None
    if not best.roles.sure and ask is None:
        return best if len(found) + others == 1 else None
    asked = best if best.roles.sure else table_at(best.path, folder, choice, ask)
    beside = tuple(table.path.name for table in found if table is not best)
    return None if asked is None else replace(asked, beside=beside)
