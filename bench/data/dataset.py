"""Turns three tables into a Dataset: checks them as a whole, chooses the judged queries, and hashes everything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import DatasetSource, Flags, Floats, InvalidOptions, Rows, listed
from bench.cache.locks import Waiting, untold
from bench.data.integrity import Check, Dangling, DatasetFaults, full_texts, has_text, vector_matrix
from bench.data.own_documents import own_documents
from bench.data.tables import load_tables, scalars, table_digest


class CodedQrels(NamedTuple):
    """Judgements by row number, each int32 (judgements,): a document row of `documents` or more is dangling."""

    query_rows: Rows
    document_rows: Rows
    grades: Rows


class Chosen(NamedTuple):
    """Which of n judged queries belong to a part: bool (n,). notes: sentences on how they were chosen."""

    flags: Flags
    notes: tuple[str, ...] = ()


Choose: TypeAlias = Callable[[pa.Table], Chosen]
"""Chooses among the judged queries, columns as `adapters.base.Tables` names them."""


class TextColumn(Sequence[str]):
    """Strings in Arrow memory, read as Python strings one or one slice at a time."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return list(self._column.slice(start, max(0, stop - start)).to_pylist())
            return [self[i] for i in range(start, stop, step)]
        row = int(index)
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return str(self._column[row % len(self)].as_py())

    def __iter__(self) -> Iterator[str]:
        for chunk in self._column.chunks:
            for start in range(0, len(chunk), 10_000):
                yield from chunk.slice(start, 10_000).to_pylist()

    @property
    def column(self) -> pa.ChunkedArray:
        """The same strings in Arrow."""
        return self._column


@dataclass(frozen=True)
class Dataset:
    """A collection that is fit to be measured.

    corpus, queries, qrels: Arrow tables with the columns that `adapters.base.Tables` names. They hold only the
    evaluated queries, in the file's order, and their judgements; qrels is None where the collection has none.
    queries_in_file: how many queries the file holds. fingerprint: hash of the three tables' content. notes and
    warnings: sentences for the result's reader. own_rows: int32 (judged,), the document that is the query itself and
    that its rankings leave out, -1 for none; None where rankings leave nothing out.
    """

    name: str
    split: str | None
    corpus: pa.Table
    queries: pa.Table
    qrels: pa.Table | None
    queries_in_file: int
    fingerprint: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    own_rows: Rows | None = None

    @property
    def documents(self) -> int:
        return int(self.corpus.num_rows)

    @property
    def judged(self) -> int:
        """Queries that are evaluated; without qrels that is all of them."""
        return int(self.queries.num_rows)

    @property
    def document_ids(self) -> TextColumn:
        return TextColumn(self.corpus.column("id"))

    @property
    def query_ids(self) -> TextColumn:
        return TextColumn(self.queries.column("id"))

    @cached_property
    def document_texts(self) -> TextColumn:
        """The texts of the documents: title, a space, text, without white space at either end; "" where both are
        absent."""
        return TextColumn(full_texts(self.corpus))

    @cached_property
    def query_texts(self) -> TextColumn:
        return TextColumn(pc.fill_null(self.queries.column("text"), ""))

    @property
    def has_text(self) -> bool:
        """Whether documents and queries both have texts to search by."""
        return has_text(self.corpus) and has_text(self.queries)

    @cached_property
    def document_vectors(self) -> Floats | None:
        """float32 (documents, dimension) as the collection carries them, read-only, not copied."""
        return vector_matrix(self.corpus) if "vector" in self.corpus.column_names else None

    @cached_property
    def query_vectors(self) -> Floats | None:
        """float32 (judged, dimension) as the collection carries them, read-only, not copied."""
        return vector_matrix(self.queries) if "vector" in self.queries.column_names else None

    @property
    def vector_dimension(self) -> int | None:
        """Length of the vectors that the collection carries."""
        if "vector" not in self.corpus.column_names:
            return None
        return int(self.corpus.schema.field("vector").type.list_size)

    def cluster_codes(self, column: str) -> npt.NDArray[np.int64]:
        """Which evaluated queries belong together: codes (judged,) by a column `meta.<name>` of the queries.

        A query without a value is a group of its own. Raises InvalidOptions for a column that is not there.
        """
        name = column if column.startswith("meta.") else f"meta.{column}"
        if name not in self.queries.column_names:
            have = [n for n in self.queries.column_names if n.startswith("meta.")]
            there = listed(have, [name]) if have else "no meta columns"
            raise InvalidOptions(f"The queries have no column {name}. They have: {there}.", key="cluster")
        values = scalars(self.queries.column(name))
        found = pc.index_in(values, value_set=pc.unique(values.drop_null()))
        codes: npt.NDArray[np.int64] = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        alone = codes < 0
        codes[alone] = codes.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
        return codes

    def qrels_coded(self) -> CodedQrels:
        """The judgements in the table's order, ids as row numbers. Dangling documents are numbered from `documents`.

        Raises ValueError without qrels.
        """
        if self.qrels is None:
            raise ValueError(f"The data set {self.name} has no judgements.")
        queries = pc.index_in(self.qrels.column("query_id"), value_set=self.queries.column("id"))
        names = self.qrels.column("document_id")
        documents = pc.index_in(names, value_set=self.corpus.column("id"))
        rows = pc.fill_null(documents, -1).to_numpy().astype(np.int32)
        nowhere = names.filter(pc.is_null(documents))
        rows[rows < 0] = self.documents + pc.index_in(nowhere, value_set=pc.unique(nowhere)).to_numpy()
        grades = self.qrels.column("grade").to_numpy().astype(np.int32)
        return CodedQrels(queries.to_numpy().astype(np.int32), rows, grades)


def load_dataset(
    source: DatasetSource,
    *,
    name: str,
    split: str | None,
    needs_judgements: bool,
    dangling: Dangling = "error",
    exclude_self: bool | None = None,
    kept_in: Path | None = None,
    choose: Choose | None = None,
) -> Dataset:
    """Read and check a collection.

    needs_judgements: whether a measure needs qrels. dangling: "keep" allows judgements of documents and queries that do
    not exist: such a document stays relevant and is never found, such a query is left out. exclude_self: whether a
    query's own document is left out of its rankings; None: where query ids stand in the corpus with the same texts.
    kept_in: folder where parsed tables are kept while their files stay the same. choose: which of the judged queries
    are evaluated; None: all. Raises DatasetFaults with every fault of the whole, and what the source raises for a
    malformed file.
    """
    (dataset,) = load_parts(
        source,
        {split: choose},
        name=name,
        judged_split=split,
        needs_judgements=needs_judgements,
        dangling=dangling,
        exclude_self=exclude_self,
        kept_in=kept_in,
    )
    return dataset


def load_parts(
    source: DatasetSource,
    parts: Mapping[str | None, Choose | None],
    *,
    name: str,
    judged_split: str | None,
    needs_judgements: bool,
    dangling: Dangling = "error",
    exclude_self: bool | None = None,
    kept_in: Path | None = None,
    wait: Waiting = untold,
) -> list[Dataset]:
    """As `load_dataset`, several times over one reading: a collection for each part of the judged queries, which bears
    that part's name as its split. judged_split: what the parts are parts of.
    wait: tells that another run reads the same."""
    tables, corpus_digest = load_tables(source, kept_in, wait)
    check = Check(tables, judged_split, dangling)
    check.texts()
    check.vectors()
    check.identifiers()
    qrels = check.judgements()
    queries = check.evaluated(qrels, needs_judgements)
    if check.faults:
        raise DatasetFaults(check.faults)
    notes, corpus = (*tables.notes, *source.remarks(), *check.notes), _content(tables.corpus)
    found = []
    for split, choose in parts.items():
        chosen = Chosen(np.ones(queries.num_rows, np.bool_)) if choose is None else choose(queries)
        asked = queries.filter(pa.array(chosen.flags))
        judged = qrels
        if qrels is not None:
            judged = qrels.filter(pc.is_in(qrels.column("query_id"), value_set=asked.column("id")))
        own = own_documents(tables.corpus, asked, judged, exclude_self)
        digests = [corpus_digest, table_digest(asked), "none" if judged is None else table_digest(judged)]
        dataset = Dataset(
            name=name,
            split=split,
            corpus=corpus,
            queries=_content(asked),
            qrels=None if judged is None else _content(judged),
            queries_in_file=tables.queries.num_rows,
            fingerprint=hashlib.blake2b(" ".join(digests).encode(), digest_size=16).hexdigest(),
            notes=(*notes, *chosen.notes, *own.notes),
            warnings=(*check.warnings, *own.warnings),
            provenance=tables.provenance,
            own_rows=own.rows,
        )
        found.append(dataset)
    return found


def _content(table: pa.Table) -> pa.Table:
    """The table without the columns that only messages need."""
    table = table.drop_columns(["line"]) if "line" in table.column_names else table
    return table.replace_schema_metadata(None)
