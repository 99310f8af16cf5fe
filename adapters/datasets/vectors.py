"""Vectors that were computed elsewhere: .npy or Parquet, with judgements and texts where there are any."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from adapters import base
from adapters.base import DatasetInvalid, DatasetSource, FilePath, Floats, InvalidOptions, Tables, open_matrix
from adapters.base.records import parquet_table
from adapters.datasets._columns import as_ids, as_text, as_vectors, column_of, matrix_column, meta_columns
from adapters.datasets._qrels import read_qrels
from adapters.datasets._tables import with_vectors_of
from adapters.datasets.beir import read_texts

_IDS = ("id", "_id")


class VectorFilesOptions(base.Options):
    corpus: FilePath = Field(description="File of the documents' vectors: .npy (documents, dimension) or .parquet.")
    queries: FilePath = Field(description="File of the queries' vectors: .npy (queries, dimension) or .parquet.")
    qrels: FilePath | None = Field(
        None,
        description="File of judgements: .tsv, .csv, TREC's form, .jsonl or .parquet; with none, or left out, "
        "ANN@k is measured alone.",
    )
    corpus_texts: FilePath | None = Field(
        None, description="File with texts and ids of the corpus' .npy rows: JSON Lines as in BEIR."
    )
    query_texts: FilePath | None = Field(
        None, description="File with texts and ids of the queries' .npy rows: JSON Lines as in BEIR."
    )
    vector: str = Field("vector", description="Column of the Parquet files that holds the vectors.")

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        columns = any(path.suffix == ".parquet" for path in (self.corpus, self.queries))
        self.refuse_idle("vector", "a Parquet file", heeded=columns)
        return self


class VectorFiles(DatasetSource):
    """A Parquet file may hold id, title, text and further columns, which become meta.<name>.

    Without ids, the row's number from 0 is its id.
    """

    name: ClassVar[str] = "vectors"
    Options = VectorFilesOptions

    def check(self) -> None:
        super().check()
        self.sources()

    def sources(self) -> tuple[Path, ...]:
        """All files. Raises DatasetInvalid for one that is not there, InvalidOptions for texts beside Parquet."""
        options = self.options
        for vectors, texts in (("corpus", "corpus_texts"), ("queries", "query_texts")):
            path = getattr(options, vectors)
            if path.suffix not in (".npy", ".parquet"):
                raise InvalidOptions(f"{path} is neither .npy nor .parquet.", key=vectors)
            if getattr(options, texts) and path.suffix != ".npy":
                raise InvalidOptions(f"{path.name} is Parquet: put the texts into its column text.", key=texts)
        given = [options.corpus, options.queries, self._qrels(), options.corpus_texts, options.query_texts]
        files = tuple(self.context.path(path) for path in given if path is not None)
        for file in files:
            if not file.is_file():
                raise DatasetInvalid(str(file), "there is no such file.")
        return files

    def load(self) -> Tables:
        self.sources()
        options, qrels = self.options, self._qrels()
        judgements, notes = (None, ()) if qrels is None else read_qrels(self.context.path(qrels))
        return Tables(
            corpus=self._table(options.corpus, options.corpus_texts, titled=True),
            queries=self._table(options.queries, options.query_texts, titled=False),
            qrels=judgements,
            notes=notes,
        )

    def _qrels(self) -> Path | None:
        qrels: Path | None = self.options.qrels
        return None if qrels is None or str(qrels) == "none" else qrels

    def _table(self, vectors: Path, texts: Path | None, *, titled: bool) -> pa.Table:
        path = self.context.path(vectors)
        if path.suffix == ".parquet":
            return with_vectors_of(_from_parquet(path, self.options.vector, titled=titled), path)
        matrix = _matrix(path)
        column = matrix_column(matrix, matrix.shape[1])
        if texts is None:
            ids = pa.array(np.arange(len(matrix))).cast(pa.string())
            nothing = pa.nulls(len(matrix), pa.string())
            fixed = {"id": ids, **({"title": nothing} if titled else {}), "text": nothing}
            return with_vectors_of(pa.table({**fixed, "vector": column}), path)
        file = self.context.path(texts)
        table = read_texts(file, titled=titled)
        if table.num_rows != len(matrix):
            raise DatasetInvalid(str(file), f"has {table.num_rows:,} rows, {path} has {len(matrix):,} vectors.")
        return with_vectors_of(table.append_column("vector", column), path)


def _matrix(path: Path) -> Floats:
    """float32 (rows, dimension), mapped from the file where it holds just that. Raises DatasetInvalid."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is a fault of the whole
        return np.ascontiguousarray(open_matrix(path), dtype=np.float32)


def _from_parquet(path: Path, vector: str, *, titled: bool) -> pa.Table:
    table = parquet_table(path)
    vectors = as_vectors(column_of(table, vector, str(path)), f"{path}, column {vector}")
    there = set(table.column_names)
    key = next((name for name in _IDS if name in there), None)
    columns = {
        "id": pa.chunked_array([pa.array(np.arange(table.num_rows)).cast(pa.string())])
        if key is None
        else as_ids(table.column(key), f"{path}, column {key}")
    }
    for name in ("title", "text") if titled else ("text",):
        columns[name] = (
            as_text(table.column(name), f"{path}, column {name}")
            if name in there
            else pa.chunked_array([pa.nulls(table.num_rows, pa.string())])
        )
    return pa.table({**columns, "vector": vectors, **meta_columns(table, {vector, key or "", *columns}, str(path))})
