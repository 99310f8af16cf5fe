"""Synthetic queries as a folder that can be read, edited, and used as a collection of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench.cache.artifacts import check_writable, write_atomically
from bench.data.written import BOTH, DEV, TEST, TRAIN, judgements
from bench.experiment.synthetic import Written

CORPUS, QUERIES = "corpus.jsonl", "queries.jsonl"


class FolderInUse(Exception):
    """A folder that holds what would be written over."""


def check_folder(folder: Path) -> None:
    """Raise FolderInUse where files of a collection lie there already: somebody may have edited them; and OSError where
    nothing can be written."""
    there = [name for name in (CORPUS, QUERIES, "qrels") if (folder / name).exists()]
    if there:
        raise FolderInUse(f"{folder} holds {there[0]} already, which may have been edited. Name another: --output DIR")
    check_writable(folder / CORPUS)


def write_folder(folder: Path, corpus: pa.Table, written: Written) -> list[Path]:
    """Write documents, queries and judgements in BEIR's layout; the judgements by split, cut by a hash of the document.
    Returns the files."""
    questions = written.table
    by = written.about["generator"]
    rows = ({"_id": row["id"], "text": row["text"], "metadata": {"synthetic": by}} for row in questions.to_pylist())
    files = [_lines(folder / CORPUS, map(_document, corpus.to_pylist())), _lines(folder / QUERIES, rows)]
    for split in (TRAIN, DEV, TEST):
        low, high = BOTH.bounds(split)
        share = questions.column("share")
        chosen = judgements(questions.filter(pc.and_(pc.greater_equal(share, low), pc.less(share, high))))
        if not chosen.num_rows:
            continue
        columns = (chosen.column(name).to_pylist() for name in ("query_id", "document_id", "grade"))
        lines = [f"{query}\t{document}\t{grade}\n" for query, document, grade in zip(*columns, strict=True)]
        path = folder / "qrels" / f"{split}.tsv"
        write_atomically(path, "".join(["query-id\tcorpus-id\tscore\n", *lines]).encode("utf-8", "surrogatepass"))
        files.append(path)
    return files


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    meta = {name.removeprefix("meta."): value for name, value in row.items() if name.startswith("meta.")}
    found = {"_id": row["id"], "title": row.get("title") or "", "text": row.get("text") or ""}
    given = {name: value for name, value in meta.items() if value is not None}
    return {**found, "metadata": given} if given else found


def _lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    text = "".join(f"{json.dumps(row, ensure_ascii=False, default=str)}\n" for row in rows)
    write_atomically(path, text.encode("utf-8", "backslashreplace"))
    return path
