"""Lexical search by BM25 (bm25s), in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters._bm25 import Bm25Index, Bm25Options, unmatched_before
from adapters.base import (
    CodePiece,
    Consumes,
    EffectiveIndex,
    Filter,
    Hits,
    Identity,
    IndexRef,
    InvalidOptions,
    NotIndexed,
    Place,
    Queries,
    Session,
    Similarity,
    Store,
    Unmatched,
    Value,
)
from adapters.code.bm25_engine import best_matches
from adapters.stores._rows import RowsFile, RowsWriter, folder_bytes

_INDEX = "bm25s"


class Bm25Store(Store):
    """Documents that hold no term of the query, or only terms without weight, are not found."""

    name = "bm25"
    reproducible = True
    returns_text = True
    similarities = ()
    requires = ("bm25s",)
    Index = Bm25Options

    @property
    def identity(self) -> Identity:
        return Identity("bm25s", "bm25", settings={"layout": 2, **self.index.versions})

    @property
    def uses_text(self) -> bool:
        return True

    def consumes(self, query: Any) -> frozenset[Consumes]:
        return frozenset({"text"})

    def check(self) -> None:
        super().check()
        self.index.check(self.name, "index.")

    def unmatched(self, documents: Sequence[str], queries: Sequence[str]) -> Unmatched | None:
        return unmatched_before(documents, queries, self.index)

    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        with RowsWriter(place.folder) as rows:
            index = Bm25Index.build(_texts(batches, rows), self.index)
        index.save(place.folder / _INDEX)
        return {}

    def open(self, ref: IndexRef) -> Bm25Session:
        return Bm25Session(ref, self.index)

    def export_build(self, ref: IndexRef, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        kept: dict[str, Value] = {"fields": [] if filter is None else list(filter.fields), "text": payload}
        built: CodePiece = self.index.builder_code(kept)
        return built

    def export(self, ref: IndexRef, query: Any, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        terms = self.index.terms_code()
        return CodePiece(
            "adapters.code.bm25_search",
            "Bm25Search",
            {"terms": terms, "allowed": RowsFile(Path(ref.folder)).filtering(filter), "payload": payload},
            requires=("numpy", "pyarrow", *terms.requires),
            files={"folder": Path(ref.folder)},
        )

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        folder = Path(ref.folder)
        count = len(RowsFile(folder))
        index = Bm25Index.open(folder / _INDEX, count, self.index)
        if index.documents != count:
            raise NotIndexed(f"Store bm25 holds {count} rows and scores {index.documents}. Build the index again.")
        return EffectiveIndex(
            type="bm25",
            rows=count,
            rows_indexed=index.documents,
            flat=False,
            bytes=folder_bytes(folder),
            parameters={**self.index.model_dump(mode="json"), "vocabulary": index.vocabulary_size},
        )


class Bm25Session(Session):
    """Searches are safe from many threads."""

    def __init__(self, ref: IndexRef, options: Bm25Options) -> None:
        super().__init__(ref)
        self._rows = RowsFile(Path(ref.folder))
        self._index = Bm25Index.open(Path(ref.folder) / _INDEX, len(self._rows), options)
        self._id_order = self._rows.id_order()

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        if queries.texts is None:
            raise InvalidOptions("Store bm25 searches by text and was given none.", key="store")
        allowed = None if filter is None else self._rows.mask(filter)
        hits = self._nothing(len(queries), limit)
        texts: list[list[str | None]] = [[] for _ in queries.texts]
        for i, text in enumerate(queries.texts):
            match = self._index.match(text)
            if match is not None:
                best = best_matches(match, limit, self._id_order, allowed)
                hits.rows[i, : len(best)] = self._rows.rows(best)
                hits.scores[i, : len(best)] = match.scores[best]
                if self.payload:
                    texts[i] = self._rows.texts(best[None])[0]
        return replace(hits, texts=texts) if self.payload else hits

    def unmatched(self, texts: Sequence[str]) -> Unmatched | None:
        return self._index.unmatched(texts)


def _texts(batches: Iterator[pa.RecordBatch], rows: RowsWriter) -> Iterator[str | None]:
    for batch in batches:
        rows.write(batch)
        yield from batch.column("text").to_pylist()
