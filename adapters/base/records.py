"""Rows of a JSON Lines, JSON, CSV, TSV or Parquet file with their places, and what their fields may hold."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.base.errors import DatasetInvalid
from adapters.base.reading import numbered_lines, open_text, read_text
from adapters.base.wording import listed

BATCH_ROWS = 10_000
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


def ending(path: Path) -> str:
    """The ending that says what a file holds, in small letters, without that of its compression."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a file with their line numbers (rows from 1 in Parquet). Raises DatasetInvalid."""
    kind = ending(path)
    if kind in (".jsonl", ".ndjson"):
        yield from json_objects(path)
    elif kind == ".json":
        yield from _json_rows(path)
    elif kind in (".csv", ".tsv"):
        yield from _rows_below_heading(path, csv_cells(path, ",") if kind == ".csv" else _tsv_cells(path), kind)
    elif kind == ".parquet":
        yield from _parquet_rows(path)
    else:
        raise DatasetInvalid(str(path), f"is no file of rows. Give one that ends in {', '.join(SUFFIXES)}.")


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with their line numbers. Raises DatasetInvalid at the first malformed line."""
    for number, line in numbered_lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DatasetInvalid(
                f"{path}:{number}", f"is not valid JSON: {error.msg} at column {error.colno}."
            ) from error
        except (ValueError, RecursionError) as error:
            raise DatasetInvalid(f"{path}:{number}", f"is not readable JSON: {error}.") from error
        if not isinstance(row, dict):
            raise DatasetInvalid(f"{path}:{number}", f"expected a JSON object on each line, got {kind_of(row)}.")
        # Half of a surrogate pair can only be there as an escape, because the line itself is text.
        if "\\ud" in line or "\\uD" in line:
            _refuse_half_pairs(row, f"{path}:{number}")
        yield number, row


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of one JSON list, numbered from 1, also where it is the only list of an object; a file of this ending
    that holds an object on each line is read so. Raises DatasetInvalid."""
    try:
        value = json.loads(read_text(path))
    except UnicodeDecodeError as error:
        raise DatasetInvalid(str(path), "is not UTF-8. Save the file as UTF-8.") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # a whole value, and more behind it
            yield from json_objects(path)
            return
        raise DatasetInvalid(
            f"{path}:{error.lineno}", f"is not valid JSON: {error.msg} at column {error.colno}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DatasetInvalid(str(path), f"is not readable JSON: {error}.") from error
    lists = [each for each in value.values() if isinstance(each, list)] if isinstance(value, dict) else [value]
    if len(lists) != 1 or not isinstance(lists[0], list):
        raise DatasetInvalid(str(path), f"expected a list of objects, got {kind_of(value)}.")
    for number, row in enumerate(lists[0], start=1):
        if not isinstance(row, dict):
            raise DatasetInvalid(f"{path}: row {number}", f"expected an object, got {kind_of(row)}.")
        _refuse_half_pairs(row, f"{path}: row {number}")
        yield number, row


def _refuse_half_pairs(row: Mapping[str, Any], where: str) -> None:
    for key, value in row.items():
        if not is_text(key):
            raise broken_name(where, key)
        if not is_text(json.dumps(value, ensure_ascii=False)):
            raise DatasetInvalid(where, f'"{key}" holds half of a surrogate pair, which is no Unicode text.')


def is_text(value: str) -> bool:
    """Whether a string is Unicode text: no half of a surrogate pair stands alone in it."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def broken_name(where: str, name: str) -> DatasetInvalid:
    """The fault of a field whose name is no text."""
    return DatasetInvalid(where, f"a field's name, {name!r}, holds half of a surrogate pair, which is no Unicode text.")


def csv_cells(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of every row that is not blank, by the rules of CSV: cells in quotes hold separators and line ends.

    With the number of the row's first line. Raises DatasetInvalid.
    """
    for _ in numbered_lines(path):
        pass  # names the line that is no text, which the csv module does not
    csv.field_size_limit(2**31 - 1)  # the default limit refuses a passage of 128 KiB
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=separator, strict=True)
        while True:
            start = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DatasetInvalid(f"{path}:{start}", f"is not valid CSV: {error}.") from error
            if any(cell.strip() for cell in cells):
                yield start, cells


def _tsv_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    # A TSV file has no quotes: a cell that starts with one is text that starts with one. Source: IANA's registration
    # of text/tab-separated-values.
    return ((line, text.split("\t")) for line, text in numbered_lines(path))


def _rows_below_heading(
    path: Path, rows: Iterator[tuple[int, list[str]]], kind: str
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    heading: list[str] | None = None
    for line, cells in rows:
        if heading is None:
            heading = [cell.strip() for cell in cells]
            if twice := [name for name in heading if name and heading.count(name) > 1]:
                raise DatasetInvalid(f"{path}:{line}", f"has two columns of the name {twice[0]!r}. Rename one.")
            continue
        if len(cells) != len(heading):
            cure = (
                "Put quotes around cells that hold the separator."
                if kind == ".csv"
                else "A TSV cell cannot hold a tab or a line end; a CSV cell can, in quotes."
            )
            raise DatasetInvalid(
                f"{path}:{line}",
                f"has {len(cells)} cells, the heading has {len(heading)} ({', '.join(heading)}). {cure}",
            )
        yield line, {name: cell for name, cell in zip(heading, cells, strict=True) if name}


@contextmanager
def parquet_file(path: Path) -> Iterator[pq.ParquetFile]:
    """An open Parquet file. Raises DatasetInvalid, also for what is found to be damaged as it is read."""
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if twice := [name for name in names if names.count(name) > 1]:
                raise DatasetInvalid(str(path), f"has two columns of the name {twice[0]!r}. Rename one.")
            yield file
    except FileNotFoundError as error:
        raise DatasetInvalid(str(path), "there is no such file.") from error
    # OverflowError and ValueError: dates that Python's calendar does not have.
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        raise DatasetInvalid(str(path), f"is no readable Parquet file: {error}") from error


def parquet_table(path: Path) -> pa.Table:
    """All of a Parquet file. Raises DatasetInvalid."""
    with parquet_file(path) as file:
        table = file.read()
        table.validate(full=True)  # text that is not UTF-8 and offsets that point outside, which reading lets pass
        return table


def class_names(path: Path) -> Mapping[str, Sequence[str]]:
    """The names of classes that columns of a Parquet file hold as numbers, as the hub's data sets have them. Raises
    DatasetInvalid."""
    with parquet_file(path) as file:
        told = (file.schema_arrow.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(told)["info"]["features"] if told else {}
        return {name: feature["names"] for name, feature in features.items() if feature.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}  # written by something else under that name


def _parquet_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    row = 0
    with parquet_file(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            batch.validate(full=True)
            for record in batch.to_pylist():
                row += 1
                yield row, record


def kind_of(value: Any) -> str:
    """What a JSON value is, in words for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return f"the number {str(value)[:40]}"
    if isinstance(value, str):
        return f"the string {value[:40]!r}"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else f"a {type(value).__name__}"


def required_text(row: Mapping[str, Any], key: str, where: str) -> str:
    """The string under `key`; it may be empty."""
    value = row.get(key)
    if isinstance(value, str):
        return value
    if key not in row:
        raise DatasetInvalid(where, f'has no "{key}". It has: {listed(row, [key])}.')
    raise DatasetInvalid(where, f'"{key}" must be a string, got {kind_of(value)}.')


def number_of(value: Any) -> float:
    """The number in a cell's text or a JSON value; NaN where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    if not isinstance(value, str):
        return value
    # Python's own int and float also take 1_0, digits of other scripts, nan.
    return float(value) if _NUMBER.fullmatch(value.strip()) else math.nan
