"""What a result keeps of its collection, so that it can be read on another machine: texts, and judgements."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.cache.own_files import open_own
from bench.results.model import ResultUnreadable

TEXTS = "texts.parquet"
JUDGEMENTS = "qrels.parquet"
LONGEST_TEXT = 2_000
"""Characters of a title or of a text that are kept."""
FIRST_HITS = 10
"""Hits of each query and system whose texts are kept."""
FIXED_COLUMNS = ("kind", "id", "title", "text", "cut", "characters")
"""Those that the table of texts always has; `meta.<name>` of the queries follow."""
JUDGEMENT_COLUMNS = ("query_id", "document_id", "grade")
EVENTS = "events.jsonl"

_ROWS_AT_ONCE = 2_000


class Text(NamedTuple):
    """A query or a document. title and text: as far as they are kept, None where it has none; cut: whether one of them
    goes on; characters: of title and text together, before the cut."""

    id: str
    title: str | None
    text: str | None
    cut: bool
    characters: int

    @property
    def whole(self) -> str:
        """Title and text, as a search reads them."""
        return " ".join(part for part in (self.title, self.text) if part).strip()


class KeptTexts:
    """The texts of a result folder. They are read when asked for: a result may keep more than memory holds."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TEXTS

    @property
    def kept(self) -> bool:
        """Whether there are any: not where the experiment says `texts: false`, nor in results of older versions."""
        return self._path.is_file()

    def queries(self) -> dict[str, Text]:
        """The judged queries by id; none where no texts are kept. Raises ResultUnreadable."""
        return {text.id: text for text in self._where("query", None)}

    def documents(self, ids: Collection[str]) -> dict[str, Text]:
        """Those of these documents that are kept, by id. Raises ResultUnreadable."""
        return {text.id: text for text in self._where("document", ids)} if ids else {}

    def all_documents(self) -> Iterator[Text]:
        """Every document that is kept, in the corpus's order. Raises ResultUnreadable."""
        return self._where("document", None)

    def query_table(self) -> pa.Table:
        """The rows of the judged queries, with their metadata. Raises ResultUnreadable."""
        batches = [batch.filter(pc.equal(batch["kind"], "query")) for batch in _batches(self._path, None)]
        return pa.Table.from_batches(batches)

    def document_ids(self) -> set[str]:
        """Ids of all documents that are kept. Raises ResultUnreadable."""
        return {
            name
            for batch in self._batches("kind", "id")
            for name in batch.filter(pc.equal(batch["kind"], "document"))["id"].to_pylist()
        }

    def _batches(self, *columns: str) -> Iterator[pa.RecordBatch]:
        return _batches(self._path, list(columns)) if self.kept else iter(())

    def _where(self, kind: str, ids: Collection[str] | None) -> Iterator[Text]:
        wanted = None if ids is None else pa.array(list(ids), pa.string())
        for batch in self._batches(*FIXED_COLUMNS):
            chosen = pc.equal(batch["kind"], kind)
            if wanted is not None:
                chosen = pc.and_(chosen, pc.is_in(batch["id"], value_set=wanted))
            for row in batch.filter(chosen).to_pylist():
                yield Text(row["id"], row["title"], row["text"], row["cut"], row["characters"])


def read_judgements(folder: Path) -> dict[str, dict[str, int]] | None:
    """Grades by document of each judged query, None where the collection has no judgements. Raises ResultUnreadable.

    They come from `qrels.parquet`, and of a result of an older version from its events.
    """
    path = folder / JUDGEMENTS
    judged: dict[str, dict[str, int]] = {}
    if path.is_file():
        for batch in _batches(path, list(JUDGEMENT_COLUMNS)):
            for row in batch.to_pylist():
                judged.setdefault(row["query_id"], {})[row["document_id"]] = row["grade"]
    else:
        judged = {event["query_id"]: event["expected"] for event in _scored(folder) if event["expected"]}
    return judged or None


def read_query_texts(folder: Path) -> dict[str, Text]:
    """The judged queries by id, as far as their texts are kept. Raises ResultUnreadable.

    A result of an older version holds them in its events.
    """
    kept = KeptTexts(folder)
    if kept.kept:
        return kept.queries()
    told = {event["query_id"]: event["query"] for event in _scored(folder) if event["query"] is not None}
    return {query: Text(query, None, text[:LONGEST_TEXT], len(text) > LONGEST_TEXT, len(text))
            for query, text in told.items()}  # fmt: skip


def _batches(path: Path, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file, pq.ParquetFile(file) as table:
            yield from table.iter_batches(_ROWS_AT_ONCE, columns=columns)
    except (pa.ArrowException, KeyError, OSError) as error:
        raise ResultUnreadable(f"{path}: cannot be read: {error}") from error


def _scored(folder: Path) -> Iterator[dict[str, Any]]:
    """The events of the queries of one system: each system has one for every query. None where there are no events."""
    path, system = folder / EVENTS, None
    try:
        file = os.fdopen(open_own(path, os.O_RDONLY), "rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ResultUnreadable(f"{path}: cannot be read: {error}") from error
    with file:
        for line in file:
            if b'"QueryScored"' not in line:
                continue
            try:
                event = json.loads(line)
                if event.get("event") != "QueryScored":
                    continue
                if system not in (None, event["system"]):
                    return
                system = event["system"]
                yield {name: event[name] for name in ("query_id", "query", "expected")}
            except (ValueError, KeyError, AttributeError, RecursionError) as error:
                raise ResultUnreadable(f"{path}: cannot be read: {error}") from error
