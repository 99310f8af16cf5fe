"""Builds an index of faiss with the options that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.code.building import IndexBuilder
from adapters.code.contract import RetrieverError
from adapters.code.faiss_search import faiss_library, of_unit_length
from adapters.code.local_builders import write_index_rows


class FaissBuilder(IndexBuilder):
    """kind: FLAT, IVF_FLAT, IVF_PQ or HNSW. lists: of IVF. sub_vectors, bits: of PQ. neighbours, construction: of HNSW.
    fields: metadata that filters ask for; text: whether texts are kept."""

    def __init__(
        self,
        *,
        kind: str,
        similarity: str,
        seed: int,
        lists: int | None = None,
        sub_vectors: int | None = None,
        bits: int = 8,
        neighbours: int = 32,
        construction: int = 40,
        fields: Sequence[str] = (),
        text: bool = False,
    ) -> None:
        self._kind = kind
        self._similarity = similarity
        self._seed = seed
        self._lists = lists
        self._sub_vectors = sub_vectors
        self._bits = bits
        self._graph = neighbours, construction
        self._fields = fields
        self._text = text

    def build(self, documents: pa.Table, vectors: npt.NDArray[np.float32] | None, folder: Path) -> None:
        assert vectors is not None
        prepared = of_unit_length(vectors) if self._similarity == "cosine" else np.ascontiguousarray(vectors)
        index = self._empty(*prepared.shape)
        index.train(prepared)
        index.add(prepared)
        library = faiss_library()
        library.write_index(index, str(folder / "index.faiss"))
        write_index_rows(documents, folder, self._fields, text=self._text)
        if (held := library.read_index(str(folder / "index.faiss")).ntotal) != len(prepared):
            raise RetrieverError(f"{folder}: faiss holds {held} of {len(prepared)} vectors.")

    def _empty(self, rows: int, dimension: int) -> Any:
        """The index before its training. Raises RetrieverError where there is too little to train on."""
        library = faiss_library()
        squared = self._similarity == "l2"
        metric = library.METRIC_L2 if squared else library.METRIC_INNER_PRODUCT
        flat = library.IndexFlatL2 if squared else library.IndexFlatIP
        if self._kind == "FLAT":
            return flat(dimension)
        if self._kind == "HNSW":
            neighbours, construction = self._graph
            index = library.IndexHNSWFlat(dimension, neighbours, metric)
            index.hnsw.efConstruction = construction
            index.hnsw.rng = library.RandomGenerator(self._seed)
            return index
        lists = self._lists or max(1, min(round(4 * rows**0.5), rows // 39))
        needed = max(lists, 1 << self._bits if self._kind == "IVF_PQ" else 1)
        if rows < needed:
            raise RetrieverError(f"faiss cannot train {self._kind} on {rows} documents: it needs {needed} at least.")
        if self._kind == "IVF_FLAT":
            index = library.IndexIVFFlat(flat(dimension), dimension, lists, metric)
        else:
            index = library.IndexIVFPQ(flat(dimension), dimension, lists, self._sub_vectors, self._bits, metric)
            index.pq.cp.seed = self._seed
            index.pq.cp.min_points_per_centroid = 1
        index.cp.seed = self._seed
        index.cp.min_points_per_centroid = 1
        return index
