"""Rows of a CSV, TSV, JSON Lines or Parquet file, with where each one stands; pairs of such rows as a collection."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..base import DatasetInvalid, Tables, numbered_lines, open_text
from ._reading import (
    BATCH_ROWS,
    QrelsTable,
    TextTable,
    identifier,
    json_objects,
    optional_text,
    required_text,
    whole_grade,
)

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows of a file with their line numbers (rows from 1 in Parquet). Raises DatasetInvalid."""
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        yield from json_objects(path)
    elif suffix in (".csv", ".tsv"):
        yield from _csv_rows(path, "," if suffix == ".csv" else "\t")
    elif suffix == ".parquet":
        yield from _parquet_rows(path)
    else:
        raise DatasetInvalid(str(path), f"is no file of rows. Give one that ends in {', '.join(SUFFIXES)}.")


def parquet_file(path: Path) -> pq.ParquetFile:
    """An open Parquet file. Raises DatasetInvalid."""
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise DatasetInvalid(str(path), "there is no such file.") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetInvalid(str(path), f"is no readable Parquet file: {error}") from error


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


def pair_tables(rows: Iterable[tuple[int, Mapping[str, Any]]], columns: PairColumns, path: Path) -> Tables:
    """Rows of (query, passage) or (query, label) as a collection. What else a row holds is meta of its query.

    path: the file that the row numbers count in. Raises DatasetInvalid.
    """
    corpus, queries, qrels = TextTable(path, titled=True), TextTable(path, titled=False), QrelsTable(path)
    query_numbers, query_texts, document_numbers, document_texts = (Numbering() for _ in range(4))
    used = columns.used()
    for line, row in rows:
        where = f"{path}:{line}"
        query = required_text(row, columns.query, where)
        query_id = identifier(row, columns.query_id, where) if columns.query_id else None
        number, new = query_numbers(query if query_id is None else query_id)
        _same_text(new, query_texts(query_id or "", query)[1], "query", query_id, where)
        query_id = query_id or f"q{number}"
        if new:
            further = {key: value for key, value in row.items() if key not in used}
            queries.add(query_id, query, meta=further, line=line)
        if columns.label is not None:
            document_id = identifier(row, columns.label, where)
            if document_numbers(document_id)[1]:
                # As words: an encoder and a term index both read card_arrival badly.
                corpus.add(document_id, document_id.replace("_", " "), line=line)
        else:
            text = required_text(row, str(columns.passage), where)
            title = optional_text(row, columns.title, where) if columns.title else None
            given = identifier(row, columns.document_id, where) if columns.document_id else None
            number, new = document_numbers(*((title or "", text) if given is None else (given,)))
            _same_text(new, document_texts(given or "", title or "", text)[1], "document", given, where)
            document_id = given or f"d{number}"
            if new:
                corpus.add(document_id, text, title=title, line=line)
        grade = 1 if columns.grade is None else whole_grade(row.get(columns.grade), where)
        qrels.add(query_id, document_id, grade, line)
    return Tables(corpus.finish(), queries.finish(), qrels.finish())


def _same_text(new: bool, new_text: bool, kind: str, given: str | None, where: str) -> None:
    if given is not None and new_text and not new:
        raise DatasetInvalid(where, f"{kind} id {given!r} stood earlier with another text. Ids must be unique.")


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for _ in numbered_lines(path):
        pass  # names the line that is not UTF-8, which the csv module does not
    csv.field_size_limit(2**31 - 1)  # its default refuses a passage of 128 KiB
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        heading: list[str] | None = None
        start = 1
        while True:
            start = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DatasetInvalid(f"{path}:{start}", f"is not valid CSV: {error}.") from error
            if not any(cell.strip() for cell in cells):
                continue
            if heading is None:
                heading = [cell.strip() for cell in cells]
                continue
            if len(cells) != len(heading):
                raise DatasetInvalid(
                    f"{path}:{start}",
                    f"has {len(cells)} cells, the heading has {len(heading)} ({', '.join(heading)}). "
                    "Put quotes around cells that hold the separator.",
                )
            yield start, dict(zip(heading, cells, strict=True))


def _parquet_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    row = 0
    with parquet_file(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            for record in batch.to_pylist():
                row += 1
                yield row, record
