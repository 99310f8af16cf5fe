"""Tables as people have them: CSV with any separator and encoding, TSV, JSON (Lines), Parquet and Excel, row by row."""

from __future__ import annotations

import csv
import datetime
import functools
import itertools
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from adapters.base.errors import DatasetInvalid, MissingDependency
from adapters.base.reading import numbered_lines, open_text
from adapters.base.records import class_names, ending, records

EXCEL = (".xlsx", ".xlsm")
OLD_EXCEL = (".xls", ".xlsb", ".ods")
TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", *EXCEL)
ENCODINGS = ("utf-8", "utf-16", "cp1252")
SEPARATORS = (",", ";", "\t", "|")
_SPOKEN = (("role", "content"), ("from", "value"))  # who speaks, and what
_LOOKED_AT = 500  # lines by which a separator is told
_MOST_ABOVE = 20  # rows above the headings, such as a title and a date
_NO_TEXT = "is no text in UTF-8, UTF-16 or cp1252."
_FOREIGN = 0.3  # of the letters; of French or Finnish it is a tenth
_AS_WIDE = 0.8  # share of the rows below that hold several cells, where what stands above is no table


class Layout(NamedTuple):
    """How a table is written. encoding: None for UTF-8, or UTF-16 with its mark. separator: of CSV, None for a comma
    (a tab in .tsv). sheet: of Excel, None for the first one that holds anything. headings: whether the first row names
    the columns; else they are `column 1` and so on. skip_rows: rows above it, such as a title, blank ones too. quotes:
    whether cells stand in quotes where they hold quotes, separators or line ends; None for all but .tsv, which has
    none."""

    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
    headings: bool = True
    skip_rows: int = 0
    quotes: bool | None = None


class Row(NamedTuple):
    """A row below the heading. line: its first line in the file, in Excel its row; number: the row that a spreadsheet
    shows, the heading's being 1; blank rows count too."""

    line: int
    number: int
    cells: Mapping[str, Any]


def table_rows(path: Path, layout: Layout = Layout(), *, blank: list[int] | None = None) -> Iterator[Row]:
    """The rows that are not blank. blank: takes the lines of blank ones between them. Of JSON Lines and Parquet fields
    of a field are columns too: `user.text`. Raises DatasetInvalid, and MissingDependency where Excel cannot be read
    here."""
    kind = ending(path)
    if kind in OLD_EXCEL:
        raise DatasetInvalid(str(path), "is a spreadsheet that cannot be read here. Save it as .xlsx or .csv.")
    if kind in (*EXCEL, ".csv", ".txt") or (kind == ".tsv" and layout != Layout()):
        yield from _below_heading(path, _grid(path, layout), layout, blank)
    else:
        classes = class_names(path) if kind == ".parquet" else {}
        yield from (Row(line, line, _flat(_named(cells, classes))) for line, cells in records(path))


def _named(cells: Mapping[str, Any], classes: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
    """A row with the names of its classes in place of their numbers."""
    if not classes:
        return cells
    return {
        name: classes[name][value]
        if name in classes and isinstance(value, int) and 0 <= value < len(classes[name])
        else value
        for name, value in cells.items()
    }


def _grid(path: Path, layout: Layout) -> Iterator[tuple[int, int, list[str]]]:
    """Line, row and cells of every row of a text file with separators, or of a sheet."""
    kind = ending(path)
    if kind in EXCEL:
        return _excel(path, layout.sheet)
    return _cells(path, layout.separator or ("\t" if kind == ".tsv" else ","), layout.encoding, _quoting(kind, layout))


def _quoting(kind: str, layout: Layout) -> int:
    quotes = kind != ".tsv" if layout.quotes is None else layout.quotes
    return csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE


def _flat(cells: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row whose fields hold no fields of their own. Of a conversation, what each side says first is a field."""
    if not any(isinstance(value, dict | list) for value in cells.values()):
        return cells
    found: dict[str, Any] = {}
    for name, given in cells.items():
        value = _turns(given) if isinstance(given, list) else given
        found |= {f"{name}.{below}": each for below, each in _flat(value).items()} if isinstance(value, dict) else {}
        found |= {} if isinstance(value, dict) else {name: value}
    return found


def _turns(values: list[Any]) -> Any:
    """The first turn of each side of a conversation, as models are trained with them; else the list as it is."""
    for side, text in _SPOKEN:
        if values and all(
            isinstance(each, dict) and {type(each.get(side)), type(each.get(text))} == {str} for each in values
        ):
            return {each[side]: each[text] for each in reversed(values)}
    return values


def _cells(path: Path, separator: str, encoding: str | None, quoting: int) -> Iterator[tuple[int, int, list[str]]]:
    """Line, row and cells of every row."""
    for _ in numbered_lines(path) if encoding is None else ():
        pass  # names the line that is no text, which the csv module does not
    csv.field_size_limit(2**31 - 1)  # the default limit refuses a passage of 128 KiB
    with open_text(path, encoding) as file:
        reader = csv.reader(file, delimiter=separator, strict=True, quoting=quoting)  # type: ignore[arg-type]
        number = 0
        while True:
            start, number = reader.line_num + 1, number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DatasetInvalid(f"{path}:{start}", f"is not valid CSV: {error}.") from error
            except UnicodeError as error:
                raise DatasetInvalid(f"{path}:{start}", f"is not {encoding}, here or a little below.") from error
            yield start, number, cells


def _below_heading(
    path: Path, rows: Iterable[tuple[int, int, list[str]]], layout: Layout, blank: list[int] | None
) -> Iterator[Row]:
    heading: list[str] | None = None
    empty: list[int] = []  # those at the end are none: a spreadsheet shows them for ever
    for line, number, cells in rows:
        if number <= layout.skip_rows:
            continue
        if not any(cell.strip() for cell in cells):
            empty += [] if heading is None else [line]
            continue
        if blank is not None:
            blank += empty
        empty = []
        if heading is None and _is_sep(line, cells):
            continue
        if heading is None and not layout.headings:
            heading = [f"column {place}" for place in range(1, len(cells) + 1)]
        elif heading is None:
            heading = _told_apart([cell.strip() for cell in cells])
            continue
        while len(cells) > len(heading) and not cells[-1].strip():  # spreadsheets write empty cells at the end
            cells = cells[:-1]
        if len(cells) != len(heading):
            raise DatasetInvalid(
                f"{path}:{line}",
                f"has {len(cells)} cells, the heading has {len(heading)} ({', '.join(heading)}). Put quotes around "
                "cells that hold the separator, or set `separator`.",
            )
        yield Row(line, number, {name: cell for name, cell in zip(heading, cells, strict=True) if name})


def _is_sep(line: int, cells: list[str]) -> bool:
    """Whether this is the line by which Excel knows the separator."""
    return line == 1 and bool(cells) and cells[0].startswith("sep=")


def _told_apart(names: list[str]) -> list[str]:
    """The names of columns; equal ones are numbered, so that nobody takes one for the other without a word."""
    return [
        f"{name} ({names[: place + 1].count(name)})" if name and names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def _excel(path: Path, sheet: str | None) -> Iterator[tuple[int, int, list[str]]]:
    with _opened(path) as book:
        for number, values in enumerate(_sheet(path, book, sheet), start=1):
            yield number, number, [_as_text(value) for value in values]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An Excel file. Raises MissingDependency, and DatasetInvalid for what it cannot be read for."""
    try:
        import openpyxl
    except ImportError as error:
        raise MissingDependency("pairs", "openpyxl", "excel") from error
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # of styles and extensions, which no cell's value needs
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            try:
                yield book
            finally:
                book.close()
    except FileNotFoundError as error:
        raise DatasetInvalid(str(path), "there is no such file.") from error
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as error:
        raise DatasetInvalid(str(path), f"is no readable Excel file: {error}") from error


def _sheet(path: Path, book: Any, name: str | None) -> Iterator[tuple[Any, ...]]:
    names = list(book.sheetnames)
    if name is not None and name not in names:
        raise DatasetInvalid(str(path), f"has no sheet {name!r}. It has: {', '.join(names)}.")
    for each in [name] if name is not None else names:
        sheet = book[each]
        if not hasattr(sheet, "iter_rows"):  # a chart
            continue
        if name is not None or any(any(value is not None for value in row) for row in _all(sheet)):
            yield from _padded(_all(book[each]))
            return


def sheet_names(path: Path) -> list[str]:
    """The sheets of an Excel file that hold anything. Raises as `table_rows` does."""
    if ending(path) not in EXCEL:
        return []
    with _opened(path) as book:
        sheets = [(name, book[name]) for name in book.sheetnames if hasattr(book[name], "iter_rows")]
        return [name for name, sheet in sheets if any(any(cell is not None for cell in row) for row in _all(sheet))]


def _all(sheet: Any) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # some programs write a wrong size
    yield from sheet.iter_rows(values_only=True)


def _padded(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows without the empty cells at their ends, as long as the heading at least."""
    width = 0
    for row in rows:
        cells = list(row)
        while cells and cells[-1] is None:
            cells.pop()
        width = max(width, len(cells))  # a title may stand above the headings
        yield (*cells, *[None] * (width - len(cells)))


def _as_text(value: Any) -> str:
    """A cell as a reader of the sheet sees it, but for its format."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


# -- what a file looks like --------------------------------------------------------------------------------------


def layout_of(path: Path, sheet: str | None = None) -> Layout:
    """How a table seems to be written. Raises DatasetInvalid where it cannot be read."""
    kind = ending(path)
    if kind not in (".csv", ".tsv", ".txt", *EXCEL):
        return Layout()
    if kind not in EXCEL:
        return _text_layout(path)
    first = itertools.islice(_excel(path, sheet), _LOOKED_AT)
    return Layout(sheet=sheet, skip_rows=_rows_above(cells for *_, cells in first))


def _rows_above(rows: Iterable[list[str]]) -> int:
    """How many rows stand above the headings: those at the beginning that hold one cell, where nearly all below them
    hold several."""
    counts = ((number, sum(bool(cell.strip()) for cell in cells)) for number, cells in enumerate(rows, start=1))
    filled = [each for each in counts if each[1]]
    first = next((place for place, (_, cells) in enumerate(filled) if cells > 1), 0)
    below = [cells for _, cells in filled[first + 1 :]]
    if not 0 < first <= _MOST_ABOVE or not below or sum(cells > 1 for cells in below) < _AS_WIDE * len(below):
        return 0
    return filled[first - 1][0]


def _text_layout(path: Path) -> Layout:
    encoding = _encoding_of(path)
    try:
        with open_text(path, encoding) as file:
            lines = list(itertools.islice(file, _LOOKED_AT))
            whole = not file.readline()
    except UnicodeError as error:
        raise DatasetInvalid(str(path), _NO_TEXT) from error
    if lines and (told := re.fullmatch(r"sep=(.)\s*", lines[0])):
        return Layout(encoding, told[1])
    usual = "\t" if ending(path) == ".tsv" else ","
    best = max(SEPARATORS, key=lambda mark: (*_fit(lines, mark), mark == usual))
    separator = best if best != usual and _fit(lines, best)[0] > 0 else None
    quotes = True if ending(path) == ".tsv" and _in_quotes("".join(lines), separator or usual, whole=whole) else None
    found = Layout(encoding, separator, quotes=quotes)
    quoting = _quoting(ending(path), found)
    try:
        above = _rows_above(csv.reader(lines, delimiter=separator or usual, quoting=quoting))  # type: ignore[arg-type]
    except csv.Error:
        above = 0  # whoever reads the rows tells of it
    return found._replace(skip_rows=above)


def _in_quotes(text: str, separator: str, *, whole: bool) -> bool:
    """Whether the cells of a text stand in quotes where they need them, or all do, as programs write CSV: no cell that
    begins with a quote goes on behind its last one. whole: whether the text ends where the file does."""
    mark = re.escape(separator)
    cell = re.compile(rf'(?:"((?:[^"]|"")*)"|(?!")([^{mark}\r\n]*))({mark}|\r?\n|\r|$)')
    needed = needless = bare = place = 0
    while place < len(text):
        found = cell.match(text, place)
        if found is None:  # the last cell of a part of a file may be cut off
            if whole or not re.compile(r'"(?:[^"]|"")*"?$').match(text, place):
                return False
            break
        if found[1] is not None:
            needs = re.search(rf'["\r\n,;{mark}]', found[1]) is not None
            needed, needless = needed + needs, needless + (not needs)
        elif found[2]:
            bare += 1
        place = found.end()
    # Where other cells do without them, quotes that a cell does not need belong to its text.
    return needed + needless > 0 and not (needless and bare)


def _fit(lines: list[str], separator: str) -> tuple[float, int, int]:
    """How well a separator fits: the share of rows as wide as the heading, without rows of one cell above it; how few
    of those there are, below 0; and that width. 0 for a single column."""
    csv.field_size_limit(2**31 - 1)
    try:
        rows = [len(cells) for cells in csv.reader(lines, delimiter=separator) if any(map(str.strip, cells))]
    except csv.Error:
        return 0.0, 0, 0
    above = next((place for place, width in enumerate(rows[: _MOST_ABOVE + 1]) if width > 1), None)
    if above is None or (above and len(rows) < above + 3):
        return 0.0, 0, 0
    table = rows[above:]
    return round(sum(width == table[0] for width in table) / len(table), 1), -above, table[0]


def _encoding_of(path: Path) -> str | None:
    """None for UTF-8, and for UTF-16 with its mark, which need not be named. Raises DatasetInvalid for a text that
    would come out garbled."""
    for encoding in (None, "cp1252", "latin-1"):
        try:
            with open_text(path, encoding) as file:
                first = file.read(1 << 20)
                nulls = "\0" in first or any("\0" in chunk for chunk in iter(functools.partial(file.read, 1 << 20), ""))
        except UnicodeDecodeError:
            continue
        if nulls:
            return _utf_16(path, first)
        if encoding is not None and _is_garbled(first):
            raise DatasetInvalid(
                str(path),
                "is no text in UTF-8, UTF-16 or cp1252, but in another encoding, such as gb18030, shift_jis, cp949 or "
                "cp1251. Save it as UTF-8.",
            )
        return encoding
    raise AssertionError("latin-1 reads any byte")


def _utf_16(path: Path, text: str) -> str:
    """The order of the bytes of UTF-16 without its mark, where letters of most scripts are a null byte and another one.
    text: its beginning, each byte a character."""
    places = {place % 2 for place, char in enumerate(text) if char == "\0"}
    if len(places) != 1:
        raise DatasetInvalid(str(path), _NO_TEXT)
    return "utf-16-le" if places.pop() else "utf-16-be"


def _is_garbled(text: str) -> bool:
    """Whether a text that was read as cp1252 is none: of languages that are written so, few letters are no ASCII."""
    letters = sum(char.isalpha() for char in text)
    foreign = sum(not char.isascii() and not char.isspace() for char in text)
    return foreign > _FOREIGN * max(1, letters)
