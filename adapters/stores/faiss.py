"""faiss, in this process: the reference implementation of the index families."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from adapters.base import (
    EMPTY_SCORE,
    AdapterRejected,
    CodePiece,
    Consumes,
    EffectiveIndex,
    Filter,
    Floats,
    Hits,
    Identity,
    IndexMissing,
    IndexRef,
    InvalidOptions,
    InvalidVectors,
    NotIndexed,
    Options,
    OutOfMemory,
    Place,
    Queries,
    Session,
    Similarity,
    Store,
    Value,
    vectors_of,
)
from adapters.code.faiss_search import faiss_library, faiss_parameters, faiss_selector, of_unit_length
from adapters.inference import first_line, lacks_memory
from adapters.stores._quantizing import few_codes
from adapters.stores._rows import RowsFile, RowsWriter, folder_bytes
from adapters.versions import version

Kind: TypeAlias = Literal["FLAT", "IVF_FLAT", "IVF_PQ", "HNSW"]
Positive: TypeAlias = Annotated[int, Field(ge=1)]

_FILE = "index.faiss"
_IVF = ("IVF_FLAT", "IVF_PQ")
_ROWS_TO_TRAIN = 39  # per centroid; with fewer faiss warns: ClusteringParameters.min_points_per_centroid
_APPLIES: Mapping[str, tuple[str, ...]] = {
    "nlist": _IVF,
    "pq_m": ("IVF_PQ",),
    "pq_nbits": ("IVF_PQ",),
    "hnsw_m": ("HNSW",),
    "ef_construction": ("HNSW",),
    "seed": (*_IVF, "HNSW"),
}


class FaissIndex(Options):
    """Build options, by faiss's own names. The default number of lists is the one that faiss advises."""

    type: Kind = Field(
        "FLAT",
        description="Family of the index: FLAT compares with every vector, IVF_FLAT and IVF_PQ with those of the "
        "nearest lists, HNSW walks a graph.",
    )
    nlist: Positive | None = Field(
        None,
        description="Inverted lists that IVF makes; left out, four times the root of the rows, at most a 39th of them.",
    )
    pq_m: Positive | None = Field(
        None,
        description="Sub-vectors that IVF_PQ gives a code each, a divisor of the dimension; left out, one for "
        "every 8 dimensions where that divides.",
    )
    pq_nbits: Annotated[int, Field(ge=1, le=16)] | None = Field(
        None, description="Bits of a sub-vector's code in IVF_PQ, 1 to 16; left out, 8."
    )
    hnsw_m: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Neighbours of a node in the HNSW graph, at least 2; left out, 32."
    )
    ef_construction: Positive | None = Field(
        None, description="Candidates looked at for each node while the HNSW graph is built; left out, 40."
    )
    seed: int | None = Field(
        None, description="Seed of k-means and of the graph's levels; left out, the library's own."
    )

    @field_validator("type", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        for option, kinds in _APPLIES.items():
            if getattr(self, option) is not None and self.type not in kinds:
                raise ValueError(f"{option} has no effect on type {self.type}; it belongs to {', '.join(kinds)}.")
        return self

    def lists(self, rows: int) -> int:
        """Inverted lists for this many rows."""
        return self.nlist or max(1, min(round(4 * rows**0.5), rows // 39))

    def sub_vectors(self, dimension: int) -> int:
        """Sub-vectors of a product quantizer for vectors of this dimension."""
        return self.pq_m or next(m for m in (dimension // 8, dimension // 4, 1) if m and dimension % m == 0)

    @property
    def bits(self) -> int:
        return self.pq_nbits or 8


class FaissQuery(Options):
    """Search options, by faiss's own names."""

    nprobe: Positive | None = Field(None, description="Inverted lists that a search looks into; left out, 1.")
    ef_search: Positive | None = Field(
        None, description="Candidates that a search keeps in the HNSW graph; left out, 16."
    )


_SEED, _NEIGHBOURS, _CONSTRUCTION = 1234, 32, 40  # the library's defaults


class FaissStore(Store):
    """Cosine is the inner product of vectors brought to length 1."""

    name = "faiss"
    requires = ("faiss",)
    brought_by: ClassVar[Mapping[str, str]] = {"faiss": "faiss-cpu"}
    extra = "faiss"
    scores_exact = False  # those of IVF_PQ are of its codes
    takes_rows = True
    returns_text = True
    Index = FaissIndex
    Query = FaissQuery

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._loaded: dict[str, Loaded] = {}  # one copy in memory for all sessions
        self._lock = threading.Lock()

    @property
    def identity(self) -> Identity:
        return Identity("faiss", "faiss", settings={"layout": 1, "faiss": version("faiss-cpu")})

    def consumes(self, query: Any) -> frozenset[Consumes]:
        for option, kinds in (("nprobe", _IVF), ("ef_search", ("HNSW",))):
            if getattr(query, option) is not None and self.index.type not in kinds:
                raise InvalidOptions(
                    f"{option} has no effect on type {self.index.type}; it belongs to {', '.join(kinds)}.",
                    key=f"query.{option}",
                )
        return frozenset({"vector"})

    def plan(self, rows: int, dimension: int | None, similarity: Similarity | None) -> None:
        if dimension is None:
            raise InvalidOptions("Store faiss needs vectors: give the system an encoder.", key="store")
        if self.index.type == "IVF_PQ" and dimension % self.index.sub_vectors(dimension):
            raise InvalidOptions(f"pq_m {self.index.pq_m} does not divide the dimension {dimension}.", key="index.pq_m")

    def shortcomings(self, rows: int, dimension: int | None) -> tuple[str, ...]:
        found: list[str] = []
        index = self.index
        if dimension is not None and index.type == "IVF_PQ":
            if index.pq_m is None:
                codes = index.sub_vectors(dimension)
                found += few_codes("IVF_PQ", dimension, codes, 16, option="index.pq_m", instead="IVF_FLAT")
            if rows < _ROWS_TO_TRAIN << index.bits:
                found.append(
                    f"IVF_PQ trains {1 << index.bits:,} codes on {rows:,} rows, and faiss advises {_ROWS_TO_TRAIN} for "
                    "each. Lower index.pq_nbits, or take more documents."
                )
        if index.nlist is not None and rows < _ROWS_TO_TRAIN * index.nlist:
            found.append(
                f"{index.nlist:,} lists are trained on {rows:,} rows, and faiss advises {_ROWS_TO_TRAIN} for each. "
                "Lower index.nlist."
            )
        return tuple(found)

    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        faiss = faiss_library()
        self.plan(0, dimension, similarity)
        parts = []
        with RowsWriter(place.folder) as rows:
            for batch in batches:
                rows.write(batch)
                parts.append(_prepared(vectors_of(batch), similarity))
        count, width = sum(map(len, parts)), int(dimension or 0)
        with _working(f"build {self.index.type} of {count:,} vectors of {width} dimensions"):
            vectors = np.concatenate(parts) if parts else np.empty((0, width), np.float32)
            index = self._empty(len(vectors), width, similarity)
            if len(vectors):
                index.train(vectors)
                index.add(vectors)
            faiss.write_index(index, str(place.folder / _FILE))
        return {"similarity": str(similarity)}

    def _empty(self, rows: int, dimension: int, similarity: Similarity) -> Any:
        """The index before its training. Raises NotIndexed where there is too little to train on."""
        faiss = faiss_library()

        metric = faiss.METRIC_L2 if similarity is Similarity.L2 else faiss.METRIC_INNER_PRODUCT
        flat = faiss.IndexFlatL2 if similarity is Similarity.L2 else faiss.IndexFlatIP
        options, seed = self.index, self.index.seed if self.index.seed is not None else _SEED
        if options.type == "FLAT" or not rows:
            return flat(dimension)
        if options.type == "HNSW":
            index = faiss.IndexHNSWFlat(dimension, options.hnsw_m or _NEIGHBOURS, metric)
            index.hnsw.efConstruction = options.ef_construction or _CONSTRUCTION
            index.hnsw.rng = faiss.RandomGenerator(seed)
            return index
        lists = options.lists(rows)
        needed = max(lists, 1 << options.bits if options.type == "IVF_PQ" else 1)
        if rows < needed:
            raise NotIndexed(
                f"faiss cannot train {options.type} on {rows} rows: it needs one for each of {lists} lists "
                "(index.nlist)"
                + (f" and for each of {1 << options.bits} codes (index.pq_nbits)." if options.type == "IVF_PQ" else ".")
            )
        quantizer = flat(dimension)
        if options.type == "IVF_FLAT":
            index = faiss.IndexIVFFlat(quantizer, dimension, lists, metric)
        else:
            sub_vectors = options.sub_vectors(dimension)
            index = faiss.IndexIVFPQ(quantizer, dimension, lists, sub_vectors, options.bits, metric)
            index.pq.cp.seed = seed
            index.pq.cp.min_points_per_centroid = 1
        index.cp.seed = seed
        # It only sets when faiss prints a warning about few rows. The training is the same, and `shortcomings` tells of
        # it.
        index.cp.min_points_per_centroid = 1
        return index

    def open(self, ref: IndexRef) -> FaissSession:
        return FaissSession(ref, self._load(ref), self.index.type)

    def export_build(self, ref: IndexRef, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        options = self.index
        arguments: dict[str, Value] = {
            "kind": options.type,
            "similarity": str(ref.similarity),
            "seed": options.seed if options.seed is not None else _SEED,
            "lists": options.nlist,
            "sub_vectors": options.sub_vectors(ref.dimension or 0) if options.type == "IVF_PQ" else None,
            "bits": options.bits,
            "neighbours": options.hnsw_m or _NEIGHBOURS,
            "construction": options.ef_construction or _CONSTRUCTION,
            "fields": [] if filter is None else list(filter.fields),
            "text": payload,
        }
        builder = CodePiece("adapters.code.faiss_builder", "FaissBuilder", arguments, requires=("faiss-cpu",))
        return CodePiece("adapters.code.building", "BuiltPart", {"builder": builder, "argument": "folder"})

    def export(self, ref: IndexRef, query: Any, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        return CodePiece(
            "adapters.code.faiss_search",
            "FaissSearch",
            {
                "kind": self.index.type,
                "similarity": str(ref.similarity),
                "options": search_options(self.index.type, query),
                "allowed": RowsFile(Path(ref.folder)).filtering(filter),
                "payload": payload,
            },
            requires=("faiss-cpu", "numpy", "pyarrow"),
            files={"folder": Path(ref.folder)},
        )

    def _insert(self, ref: IndexRef, batch: pa.RecordBatch) -> None:
        """The trained centroids stay as they are. Searches wait until the rows are in."""
        loaded, vectors = self._load(ref), _prepared(vectors_of(batch), ref.similarity)
        rows = loaded.rows.with_rows(batch)
        with loaded.gate.inserting(), _working(f"add {len(vectors):,} vectors to {self.index.type}"):
            loaded.index.add(vectors)
            loaded.rows = rows

    def _settle(self, ref: IndexRef) -> None:
        loaded = self._load(ref)
        faiss_library().write_index(loaded.index, str(Path(ref.folder) / _FILE))
        loaded.rows.save()

    def _load(self, ref: IndexRef) -> Loaded:
        faiss = faiss_library()

        path = Path(ref.folder) / _FILE
        if not path.is_file():
            raise IndexMissing(f"No complete index in {ref.folder}: it has to be built again.")
        if (built := ref.details["similarity"]) != ref.similarity:
            raise NotIndexed(f"The faiss index in {ref.folder} compares by {built}, not by {ref.similarity}.")
        with self._lock:
            if ref.folder not in self._loaded:
                try:
                    self._loaded[ref.folder] = Loaded(faiss.read_index(str(path)), RowsFile(Path(ref.folder)))
                except RuntimeError as error:
                    raise IndexMissing(f"{path} cannot be read ({error}): it has to be built again.") from error
            return self._loaded[ref.folder]

    def describe(self, ref: IndexRef) -> EffectiveIndex:
        index, rows = self._load(ref).index, len(RowsFile(Path(ref.folder)))
        if not index.is_trained or index.ntotal != rows:
            raise NotIndexed(f"The faiss index in {ref.folder} holds {index.ntotal} of {rows} rows. Build it again.")
        kind = _kind(index)
        parameters: dict[str, Any] = {"faiss": version("faiss-cpu"), "class": type(index).__name__}
        if kind in _IVF:
            sizes = [index.invlists.list_size(i) for i in range(index.nlist)]
            parameters |= {"nlist": index.nlist, "empty_lists": sizes.count(0), "largest_list": max(sizes)}
        if kind == "IVF_PQ":
            parameters |= {"pq_m": index.pq.M, "pq_nbits": index.pq.nbits}
        if kind == "HNSW":
            parameters |= {"hnsw_m": index.hnsw.nb_neighbors(1), "ef_construction": index.hnsw.efConstruction}
        return EffectiveIndex(
            type=kind,
            rows=rows,
            rows_indexed=index.ntotal,
            flat=kind == "FLAT",
            bytes=folder_bytes(Path(ref.folder)),
            parameters=parameters,
        )

    def _drop(self, ref: IndexRef) -> None:
        with self._lock:
            self._loaded.pop(ref.folder, None)

    def close(self) -> None:
        self._loaded.clear()


class Gate:
    """A lock for many searches or one insert: in faiss searches may run side by side, but none beside an `add`. Source:
    faiss wiki, "Threads and asynchronous calls". An insert that waits lets no further search begin."""

    def __init__(self) -> None:
        self._entrance = threading.Lock()
        self._count = threading.Condition()
        self._searches = 0

    @contextmanager
    def searching(self) -> Iterator[None]:
        with self._entrance, self._count:
            self._searches += 1
        try:
            yield
        finally:
            with self._count:
                self._searches -= 1
                self._count.notify_all()

    @contextmanager
    def inserting(self) -> Iterator[None]:
        with self._entrance, self._count:
            self._count.wait_for(lambda: not self._searches)
            yield


@dataclass(slots=True)
class Loaded:
    """An index in memory, with the rows that its positions stand for."""

    index: Any
    rows: RowsFile
    gate: Gate = field(default_factory=Gate)


class FaissSession(Session):
    """Searches are safe from many threads: options travel with each search, and inserts are kept apart."""

    def __init__(self, ref: IndexRef, loaded: Loaded, kind: Kind) -> None:
        super().__init__(ref)
        self.options = FaissQuery()
        self._loaded = loaded
        self._kind = kind

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        if queries.vectors is None:
            raise InvalidVectors("Store faiss searches by vector and was given none.")
        vectors = _prepared(queries.vectors, self.ref.similarity)
        with self._loaded.gate.searching():
            index, rows = self._loaded.index, self._loaded.rows
            selector = None if filter is None else faiss_selector(rows.mask(filter))
            parameters = faiss_parameters(self._kind, search_options(self._kind, self.options), selector)
            k = min(limit, index.ntotal)
            with _working(f"search {self._kind} for {len(vectors):,} queries at limit {k}"):
                scores, found = index.search(vectors, k, params=parameters)
        if self.ref.similarity is Similarity.L2:
            scores = -scores
        hits = Hits.empty(len(queries), limit)
        hits.rows[:, :k] = rows.rows(found)
        hits.scores[:, :k] = np.where(found >= 0, scores, EMPTY_SCORE)
        return replace(hits, texts=rows.texts(found)) if self.payload else hits


@contextmanager
def _working(what: str) -> Iterator[None]:
    """Map what faiss raises inside: its errors of C++ are RuntimeErrors, a lack of memory is a MemoryError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if lacks_memory(error):
            raise OutOfMemory(
                f"No memory is left in this process to {what} with faiss (float32, on the processor). Take IVF_PQ, "
                f"which keeps codes, or fewer documents. ({first_line(error)})"
            ) from error
        raise AdapterRejected(f"faiss could not {what}: {first_line(error)}") from error


def search_options(kind: Kind, query: FaissQuery) -> dict[str, int]:
    """The options of a search in an index of that kind, by faiss's names of its parameters."""
    if kind in _IVF:
        return {"nprobe": query.nprobe or 1}
    return {"efSearch": query.ef_search or 16} if kind == "HNSW" else {}


def _prepared(vectors: Floats, similarity: Similarity) -> Floats:
    """C-contiguous float32, of length 1 for cosine."""
    if similarity is not Similarity.COSINE:
        return np.ascontiguousarray(vectors, np.float32)
    return of_unit_length(vectors)


def _kind(index: Any) -> Kind:
    faiss = faiss_library()

    kinds: Mapping[Any, Kind] = {
        faiss.IndexIVFPQ: "IVF_PQ",
        faiss.IndexIVFFlat: "IVF_FLAT",
        faiss.IndexHNSWFlat: "HNSW",
    }
    return next((kind for known, kind in kinds.items() if isinstance(index, known)), "FLAT")
