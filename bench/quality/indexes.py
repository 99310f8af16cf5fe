"""The indexes of a run: each is built once per build options, corpus and vectors, or found kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.base import (
    Floats,
    IndexRef,
    Place,
    Similarity,
    index_name,
)
from bench.cache.digests import content_key
from bench.cache.locks import entry_locked
from bench.cache.machine_lock import at_work
from bench.experiment.parts import Searched, StoreChoice, plain_name
from bench.machine.memory import BuildMemory, of_build
from bench.messages.failures import failure_of
from bench.quality.kept_index import BuiltIndex, KeptIndexes, foreign_vectors, index_record, room_given_back
from bench.quality.materials import Materials
from bench.quality.stages import Stage, waiting

ROWS_PER_BATCH = 8192
# The layout of the columns that filters ask for. A higher number rebuilds the indexes that have such columns.
_COLUMNS_LAYOUT = 2


class Indexes:
    """Builds indexes, and knows everything that decides their bytes."""

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._silent: set[str] = set()

    def built(self, searched: Searched) -> BuiltIndex:
        """The index that is searched, built once per build options, corpus and vectors."""
        self._materials.embed(searched)
        key = self.key(searched)
        return self._materials.once(("index", key), lambda: self._found_or_made(searched, key))

    def key(self, searched: Searched) -> str:
        """The key of the index that is searched: everything that decides its bytes."""
        store, fields = self._materials.store(searched.store), self.asked_fields(searched)
        texts = self.keeps_texts(searched)
        encoder = searched.encoders.document if searched.encoders else None
        return content_key(
            {
                "store": store.identity.as_dict(),
                "index": searched.store.plain("index"),
                "corpus": self._materials.corpus_fingerprint(texts=store.uses_text or texts, fields=fields),
                **({"columns": _COLUMNS_LAYOUT} if fields else {}),
                **({"payload": "text"} if texts else {}),
                "vectors": self._materials.vectors_key(encoder, "document") if encoder else None,
                "similarity": str(self._materials.encoder(encoder).similarity) if encoder else None,
                "build": searched.build,
            }
        )

    def keeps_texts(self, searched: Searched) -> bool:
        """Whether the index that is searched holds texts for no other purpose than to return them."""
        return searched.payload and not self._materials.store(searched.store).holds_text

    def asked_fields(self, searched: Searched) -> tuple[str, ...]:
        """The fields that filters of this experiment ask of the index, sorted. The index gets no others: a field that
        nobody asks for cannot fail in an engine, and a change of it rebuilds nothing."""

        def index_of(each: Searched) -> Any:
            store, encoders = each.store, each.encoders
            return (
                store.adapter,
                store.plain("index"),
                store.plain("connection"),
                encoders and plain_name(encoders.document),
            )

        filters = [
            each.filter
            for each in self._materials.experiment.systems
            if each.searched is not None and index_of(each.searched) == index_of(searched)
        ]
        return tuple(sorted({field for condition in filters if condition for field in condition.fields}))

    def _found_or_made(self, searched: Searched, key: str) -> BuiltIndex:
        """The index, made by one run at a time: the others find it made."""
        wait = waiting(self._materials.emit)
        with entry_locked(self._materials.cache.folder, f"indexes-{key}", wait), at_work(wait):
            return self._found_or_built(searched, key)

    def _found_or_built(self, searched: Searched, key: str) -> BuiltIndex:
        store, label = self._materials.store(searched.store), searched.store.name
        indexes = KeptIndexes(self._materials.cache, self._materials.emit)

        def vectors() -> Floats | None:
            encoders = searched.encoders
            return None if encoders is None else self._materials.vectors(encoders.document, "document").array

        undirected = bool(len(self._materials.undirected(searched.encoders, "document")))
        kept = indexes.find(key, store, label, vectors, undirected=undirected)
        if kept is not None:
            self._materials.work.indexes_built.reused += 1
            return kept
        ref, seconds, memory = self._build(searched, key)
        if store.built_earlier(ref) is not None and (cause := foreign_vectors(store, ref, vectors)) is not None:
            indexes.lost(store, ref, label, cause)
            ref, seconds, memory = self._build(searched, key)
        if (earlier := store.built_earlier(ref)) is not None:
            seconds, memory = earlier, BuildMemory()
        built = indexes.keep(key, store, ref, seconds, memory)
        self._materials.work.indexes_built.computed += 1
        return built

    def _build(self, searched: Searched, key: str) -> tuple[IndexRef, float, BuildMemory]:
        """Build an index in its folder of the cache. Returns the index, and the seconds and the memory that the build
        took."""
        store = self._materials.store(searched.store)
        folder = self._materials.cache.index_folder(key)
        vectors = self._materials.vectors(searched.encoders.document, "document") if searched.encoders else None
        rows = self._materials.dataset.documents
        with (
            Stage(self._materials.emit, "build", searched.store.name, rows, "rows") as advance,
            of_build(store, partial(self.server_memory, searched.store)) as memory,
        ):
            similarity = vectors.similarity if vectors else Similarity.COSINE
            dimension = vectors.array.shape[1] if vectors else None
            place = Place(index_name(key), folder)
            begun = IndexRef(place.name, str(folder), self._materials.dataset.documents, dimension, similarity)
            self._materials.cache.begin_index(folder.parent, index_record(store, begun))
            began = time.perf_counter()
            with room_given_back(folder):
                ref = store.build(
                    self.batches(searched, vectors.array if vectors else None, advance=advance),
                    place=place,
                    similarity=similarity,
                    dimension=dimension,
                )
            seconds = time.perf_counter() - began
        return ref, seconds, memory

    def server_memory(self, choice: StoreChoice) -> int | None:
        """Resident bytes of a store's server. None, with one warning, where the server should tell them and does
        not."""
        try:
            return self._materials.store(choice).server_memory()
        except BaseException as error:
            failure = failure_of(error)
            if choice.name not in self._silent:
                self._silent.add(choice.name)
                self._materials.emit(failure.warned(choice.name, "its server's memory is not known"))
            return None

    def batches(
        self,
        searched: Searched,
        vectors: Floats | None,
        *,
        start: int = 0,
        stop: int | None = None,
        advance: Callable[[int], None] = lambda rows: None,
    ) -> Iterator[pa.RecordBatch]:
        """The corpus as the store that is searched is given it, or its rows from start to before stop, without
        documents that have no vector. vectors: (n, dimension), n at least stop."""
        store, keeps_texts = self._materials.store(searched.store), self.keeps_texts(searched)
        corpus = self._materials.dataset.corpus if stop is None else self._materials.dataset.corpus.slice(0, stop)
        columns = ["id", *(f"meta.{field}" for field in self.asked_fields(searched))]
        for first in range(start, corpus.num_rows, ROWS_PER_BATCH):
            part = corpus.select(columns).slice(first, ROWS_PER_BATCH).combine_chunks()
            arrays = {"row": pa.array(np.arange(first, first + part.num_rows, dtype=np.int32))}
            arrays |= {name: _whole(part.column(name)) for name in columns}
            if store.uses_text or keeps_texts:
                texts = self._materials.dataset.document_texts
                told = pa.array([texts[i] for i in range(first, first + part.num_rows)], type=pa.string())
                arrays |= ({"text": told} if store.uses_text else {}) | ({"payload": told} if keeps_texts else {})
            if vectors is not None:
                flat = pa.array(vectors[first : first + part.num_rows].ravel())
                arrays["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
            batch = pa.RecordBatch.from_pydict(arrays)
            if vectors is not None:
                missing = np.isnan(vectors[first : first + part.num_rows]).any(axis=1)
                batch = batch.filter(pa.array(~missing)) if missing.any() else batch
            yield batch
            advance(part.num_rows)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
