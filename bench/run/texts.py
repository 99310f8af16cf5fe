"""Writes what a result keeps of its collection: judgements, and the texts of what its reader will look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.base import Rows
from bench.cache.artifacts import written_atomically
from bench.data.dataset import Dataset
from bench.data.integrity import has_text
from bench.results.texts import FIRST_HITS, FIXED_COLUMNS, JUDGEMENT_COLUMNS, LONGEST_TEXT

# Whole texts are in memory for one batch at a time, and what was cut of them for one group of rows.
_BATCH = 500
_GROUP = 20_000


def write_judgements(path: Path, dataset: Dataset) -> None:
    """The judgements of the judged queries, with the collection's own ids; nothing where it has none."""
    if dataset.qrels is None:
        return
    with written_atomically(path) as file:
        pq.write_table(dataset.qrels.select(list(JUDGEMENT_COLUMNS)), file)


def write_texts(path: Path, dataset: Dataset, rankings: Iterable[Rows], *, wanted: bool) -> None:
    """A row for each judged query, then one for each document that is relevant to one of them or among the first hits
    of a ranking, in the corpus's order; nothing where the collection has no texts. rankings: rows (n, k)."""
    if not wanted or not (has_text(dataset.queries) or has_text(dataset.corpus)):
        return
    queries = _cut(dataset.queries, "query")
    meta = [name for name in dataset.queries.column_names if name.startswith("meta.")]
    for name in meta:
        queries = queries.append_column(name, dataset.queries.column(name))
    documents = _batches(dataset.corpus, _rows(dataset, rankings))
    with written_atomically(path) as file, pq.ParquetWriter(file, queries.schema, compression="zstd") as writer:
        writer.write_table(queries, row_group_size=_GROUP)
        group: list[pa.Table] = []
        for part in documents:
            group.append(_as_wide(part, queries.schema))
            if sum(map(len, group)) >= _GROUP:
                writer.write_table(pa.concat_tables(group))
                group = []
        if group:
            writer.write_table(pa.concat_tables(group))


def _rows(dataset: Dataset, rankings: Iterable[Rows]) -> Rows:
    """The documents whose texts are kept, by row of the corpus."""
    found = np.empty(0, np.int32)
    if dataset.qrels is not None:
        coded = dataset.qrels_coded()
        found = np.unique(coded.document_rows[coded.grades > 0])
    for rows in rankings:
        found = np.union1d(found, rows[:, :FIRST_HITS])
    kept: Rows = found[(found >= 0) & (found < dataset.documents)].astype(np.int32)  # others are no rows of the corpus
    return kept


def _batches(corpus: pa.Table, rows: Rows) -> Iterator[pa.Table]:
    """The texts of ascending rows. Chunk by chunk: taking rows of a column of several chunks may copy all of it."""
    columns = corpus.select(["id", "title", "text"])
    first = 0
    for chunk in columns.to_batches():
        here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(chunk))] - first
        for start in range(0, len(here), _BATCH):
            yield _cut(pa.table(chunk.take(pa.array(here[start : start + _BATCH]))), "document")
        first += len(chunk)


def _cut(table: pa.Table, kind: str) -> pa.Table:
    absent = pa.nulls(len(table), pa.string())
    title, text = (table.column(name) if name in table.column_names else absent for name in ("title", "text"))
    lengths = [pc.fill_null(pc.utf8_length(column), 0) for column in (title, text)]
    beyond = [pc.greater(length, LONGEST_TEXT) for length in lengths]
    columns = (
        pa.array([kind] * len(table), pa.string()),
        table.column("id"),
        pc.utf8_slice_codeunits(title, 0, LONGEST_TEXT),
        pc.utf8_slice_codeunits(text, 0, LONGEST_TEXT),
        pc.or_(*beyond),
        pc.add(*lengths).cast(pa.int64()),
    )
    return pa.table(dict(zip(FIXED_COLUMNS, columns, strict=True)))


def _as_wide(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with nulls in the columns that only queries have."""
    for name in schema.names[len(table.column_names) :]:
        table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
    return table
