"""Rankings by BM25, of the store of that name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters import registry
from adapters.base import Context, Hits, Place, Queries, Session, Similarity, Store
from bench.cache.artifacts import SCRATCH, new_folder
from bench.data.dataset import Dataset
from bench.quality.stages import Emit, Stage

_ROWS = 8192  # documents given at once
_QUERIES = 256  # searched between two reports of progress


def bm25() -> Store:
    """The store with its defaults. Raises MissingDependency."""
    kind = registry.load("stores", "bm25")
    store: Store = kind(kind.Index(), kind.Connection(), Context())
    store.check()
    return store


class Lexical:
    """An open index of a corpus's texts."""

    def __init__(self, session: Session, texts: Sequence[str], emit: Emit) -> None:
        self._session = session
        self._texts = texts
        self._emit = emit

    def ranking(self, queries: npt.NDArray[np.int64], depth: int) -> Hits:
        """The best documents of some queries, (n, depth), best first."""
        found = Hits.empty(len(queries), depth)
        with Stage(self._emit, "search", "negatives (bm25)", len(queries), "queries") as advance:
            for first in range(0, len(queries), _QUERIES):
                part = queries[first : first + _QUERIES].tolist()
                hits = self._session.search(Queries(texts=[self._texts[i] for i in part]), depth)
                found.rows[first : first + len(part)] = hits.rows
                found.scores[first : first + len(part)] = hits.scores
                advance(len(part))
        return found


@contextmanager
def lexical(dataset: Dataset, texts: Sequence[str], *, folder: Path, emit: Emit) -> Iterator[Lexical]:
    """Index the corpus below a folder for the time of the context. texts: the queries."""
    store = bm25()
    folder.mkdir(parents=True, exist_ok=True)
    place = Place("negatives", new_folder(folder, SCRATCH))
    try:
        with Stage(emit, "build", "negatives (bm25)", dataset.documents, "documents") as advance:
            batches = _batches(dataset, advance)
            ref = store.build(batches, place=place, similarity=Similarity.COSINE, dimension=None)
        with store.session(ref) as session:
            session.configure(store.Query())
            yield Lexical(session, texts, emit)
    finally:
        shutil.rmtree(place.folder, ignore_errors=True)


def _batches(dataset: Dataset, advance: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
    ids = dataset.corpus.column("id")
    for first in range(0, dataset.documents, _ROWS):
        texts = dataset.document_texts[first : first + _ROWS]
        rows = np.arange(first, first + len(texts), dtype=np.int32)
        names = pa.array(ids.slice(first, len(texts)).to_pylist(), pa.string())
        yield pa.RecordBatch.from_pydict({"row": pa.array(rows), "id": names, "text": pa.array(texts, pa.string())})
        advance(len(texts))
