"""Small collections with vectors, and negatives mined from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters import registry
from adapters.base import Context, Encoder, Event, Generator, Reranker
from bench.data.dataset import Dataset
from bench.data.tables import table_digest
from bench.experiment.negatives import Negatives
from bench.money.budget import Budget
from bench.money.cost import NO_PRICES
from bench.train.mining.candidates import FromSystem
from bench.train.mining.helpers import Helpers
from bench.train.mining.mine import mine
from bench.train.mining.mined import Mined

Vectors = Sequence[Sequence[float]]


def vector_column(vectors: Vectors) -> pa.Array:
    flat = np.array(vectors, np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])


def dataset(
    documents: Sequence[str],
    queries: Sequence[str],
    relevant: Sequence[tuple[int, int]],
    *,
    vectors: tuple[Vectors, Vectors] | None = None,
    meta: Mapping[str, Sequence[Any]] | None = None,
) -> Dataset:
    """Documents d0, d1 … and queries q0, q1 …; relevant: (query, document). vectors: of documents and queries. meta:
    columns of the documents."""
    corpus = {
        "id": pa.array([f"d{i}" for i in range(len(documents))]),
        "title": pa.nulls(len(documents), pa.string()),
        "text": pa.array(documents, pa.string()),
    }
    asks = {"id": pa.array([f"q{i}" for i in range(len(queries))]), "text": pa.array(queries, pa.string())}
    if vectors is not None:
        corpus["vector"], asks["vector"] = map(vector_column, vectors)
    corpus |= {name: pa.array(values) for name, values in (meta or {}).items()}
    qrels = {
        "query_id": pa.array([f"q{q}" for q, _ in relevant], pa.string()),
        "document_id": pa.array([f"d{d}" for _, d in relevant], pa.string()),
        "grade": pa.array([1] * len(relevant), pa.int32()),
    }
    tables = [pa.table(columns) for columns in (corpus, asks, qrels)]
    fingerprint = "".join(map(table_digest, tables))
    return Dataset("small", "train", *tables, len(queries), fingerprint)


def pairs_of(data: Dataset) -> pa.Table:
    """One pair for each judgement."""
    coded = data.qrels_coded()
    return pa.table(
        {
            "query_id": data.queries.column("id").take(coded.query_rows),
            "document_id": data.corpus.column("id").take(coded.document_rows),
            "query": pa.array([data.query_texts[i] for i in coded.query_rows], pa.string()),
            "positive": pa.array([data.document_texts[i] for i in coded.document_rows], pa.string()),
        }
    )


def own_vectors(data: Dataset, **options: Any) -> Encoder:
    """The mining model whose vectors the dataset carries."""
    kind = registry.load("encoders", "precomputed")
    made: Encoder = kind(kind.Options(**options), Context(vector_dimension=data.vector_dimension))
    return made


def mined(
    data: Dataset,
    cache: Path,
    *,
    pairs: pa.Table | None = None,
    seed: int = 0,
    judge: Reranker | None = None,
    encoder: Encoder | None = None,
    writer: Generator | None = None,
    candidates: FromSystem | None = None,
    events: list[Event] | None = None,
    **options: Any,
) -> Mined:
    """Mine for a dataset's pairs, by its own vectors where the strategy asks for a model and none is given."""
    spec = Negatives(**options)
    if encoder is None and spec.by_vectors:
        encoder = own_vectors(data)
    return mine(
        spec,
        pairs_of(data) if pairs is None else pairs,
        data,
        helpers=Helpers(encoder, judge, writer, candidates),
        seed=seed,
        cache=cache,
        emit=(events if events is not None else []).append,
        budget=Budget(NO_PRICES, None),
    )


def ids(found: Mined) -> list[list[str]]:
    """The negatives of each pair, by their ids."""
    lists: list[list[str]] = found.table.column("negative_ids").to_pylist()
    return lists
