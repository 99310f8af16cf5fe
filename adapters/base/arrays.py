"""The values that cross the seam between the harness and an adapter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base.errors import InvalidOptions, InvalidVectors, WrongAnswer
from adapters.base.paths import resolve_path

Role: TypeAlias = Literal["query", "document"]
Floats: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[np.int32]
Flags: TypeAlias = npt.NDArray[np.bool_]

T = TypeVar("T")

EMPTY_ROW = -1
EMPTY_SCORE = np.float32(-np.inf)


class Similarity(StrEnum):
    """How two vectors are compared. Scores are larger-is-better for all three: l2 is minus the squared distance."""

    COSINE = "cosine"
    DOT = "dot"
    L2 = "l2"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call cost, as the provider's answer reports it; zero for work done in this process. tokens: those that
    were read. output_tokens: those that a generator wrote."""

    requests: int = 0
    tokens: int = 0
    search_units: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything about a model that can change its output, as cache keys and provenance record it.

    address: where requests go when that is not the provider's own default, else None; a result obtained
        through such an address says so wherever it is shown.
    settings: revision or weight hash, prompts, dtype, maximum length, library versions that matter.
    """

    provider: str
    model: str
    address: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"provider": self.provider, "model": self.model, "address": self.address, **self.settings}


@dataclass(frozen=True, slots=True)
class UnknownIds:
    """How many of the documents that were found are not in the corpus, and the id of one of them."""

    count: int = 0
    of: int = 0
    example: str | None = None

    @property
    def all(self) -> bool:
        """Whether documents were found and none of them is in the corpus."""
        return 0 < self.of == self.count

    def __add__(self, other: UnknownIds) -> UnknownIds:
        return UnknownIds(self.count + other.count, self.of + other.of, self.example or other.example)

    def __str__(self) -> str:
        part = "none is" if self.all else f"{self.count:,} ({100 * self.count / self.of:.0f} %) are not"
        return f"of {self.of:,} found documents, {part} in the corpus, such as {self.example!r}"


@dataclass(frozen=True, slots=True)
class Context:
    """What an adapter may know about the run it serves.

    base: folder that relative paths in the config start from.
    vector_dimension: dimension of the vectors that the dataset carries, None if it carries none.
    seed: the experiment's seed.
    own_addresses: what the command line gave for addresses, hosts, ports and names of variables; any other in the
        options is the file's.
    alone: a dry run; whoever `asks_others` finds among an adapter's contacts is not asked for anything.
    models: folders of the models that the experiment trains, by how options name them (`trained:NAME#SEED`); it grows
        as they are trained.
    """

    base: Path = Path()
    vector_dimension: int | None = None
    seed: int = 0
    own_addresses: frozenset[str] = frozenset()
    alone: bool = False
    models: Mapping[str, Path] = field(default_factory=dict)

    def path(self, given: str | Path) -> Path:
        """Where a path of the options leads. Raises InvalidOptions when it holds an undefined variable."""
        try:
            return resolve_path(self.base, given)
        except ValueError as error:
            raise InvalidOptions(str(error)) from error


@dataclass(frozen=True, slots=True)
class Tables:
    """A collection as a dataset source gives it.

    corpus: columns id (string), title (string or null), text (string or null), vector? (fixed-size list of
        float32), meta.<name>…
    queries: columns id (string), text (string or null), vector?, meta.<name>…
    qrels: columns query_id, document_id (string), grade (int32); None where the collection has no judgements.
    notes: sentences that a reader of the result must know, such as how relevance was derived.
    provenance: versions and origins of what the tables were made from.

    A table whose rows come from the lines of one file may tell so, and messages then name the line: a column line
    (int32, from 1), and the file's path under the key `file` of its schema's metadata. Neither counts as content.
    """

    corpus: pa.Table
    queries: pa.Table
    qrels: pa.Table | None
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextRows:
    """What an encoder gets: n texts, or for an encoder with `consumes = "vector"` the dataset's own vectors (n, d)."""

    texts: Sequence[str]
    vectors: Floats | None = None

    def __len__(self) -> int:
        return len(self.texts) if self.vectors is None else len(self.vectors)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors float32 (n, dimension) in input order; truncated: which texts were cut at the model's length. failures:
    why a text has no vector, by position; its row holds zeros that mean nothing."""

    vectors: Floats
    usage: Usage = Usage()
    truncated: Flags | None = None
    failures: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queries:
    """n queries: vectors float32 (n, d), texts, or both, as the store's search consumes them."""

    vectors: Floats | None = None
    texts: Sequence[str] | None = None

    def __len__(self) -> int:
        if self.vectors is not None:
            return len(self.vectors)
        return len(self.texts or ())

    def at(self, index: npt.NDArray[np.int64] | slice) -> Queries:
        """The queries at these positions."""
        positions = range(len(self))[index] if isinstance(index, slice) else index.tolist()
        return Queries(
            vectors=None if self.vectors is None else self.vectors[index],
            texts=None if self.texts is None else [self.texts[i] for i in positions],
        )


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search found: rows int32 and scores float32, both (n, limit), best first, larger is better.

    Empty places hold row -1 and score -inf, after all hits. texts: for each query the text of each hit, in their order,
    null where the document has none; only where texts were asked for (`Session.payload`).
    """

    rows: Rows
    scores: Floats
    texts: Sequence[Sequence[str | None]] | None = None

    @staticmethod
    def empty(n: int, limit: int) -> Hits:
        """n queries without a hit."""
        return Hits(np.full((n, limit), EMPTY_ROW, np.int32), np.full((n, limit), EMPTY_SCORE, np.float32))

    def without(self, dropped: Flags, limit: int) -> Hits:
        """The first `limit` hits without the dropped ones. dropped: bool, shaped as the rows."""
        order = np.argsort(dropped, axis=1, kind="stable")[:, :limit]
        rows = np.take_along_axis(np.where(dropped, np.int32(EMPTY_ROW), self.rows), order, axis=1)
        scores = np.take_along_axis(np.where(dropped, EMPTY_SCORE, self.scores), order, axis=1)
        if self.texts is None:
            return Hits(rows, scores)
        texts = [
            [given[place] for place in places if place < len(given) and not gone[place]]
            for given, places, gone in zip(self.texts, order.tolist(), dropped, strict=True)
        ]
        return Hits(rows, scores, texts)

    def spread(self, positions: npt.NDArray[np.intp], count: int) -> Hits:
        """Hits of `count` queries: these at the given positions, and none for the others."""
        whole = Hits.empty(count, self.rows.shape[1])
        whole.rows[positions], whole.scores[positions] = self.rows, self.scores
        if self.texts is None:
            return whole
        texts: list[Sequence[str | None]] = [[] for _ in range(count)]
        for position, found in zip(positions.tolist(), self.texts, strict=True):
            texts[position] = found
        return Hits(whole.rows, whole.scores, texts)


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a reranker may know beforehand: texts by row, and vectors (n, d) of its named encoder where it has one."""

    texts: Sequence[str]
    vectors: Floats | None = None
    similarity: Similarity = Similarity.COSINE


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores float32, shaped as the candidates: -inf where the candidate row is -1.

    truncated: which pairs were cut at the model's length, shaped alike; None where that is not known. failures: why a
    candidate has no score, by its query and place; its score is -inf.
    """

    scores: Floats
    usage: Usage = Usage()
    truncated: Flags | None = None
    failures: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Which of n queries hold no term of a lexical index, bool (n,). advice: a sentence on tokenizers that help."""

    queries: Flags
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store may put an index: a name made from the content hash, and an empty folder of its own."""

    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class IndexRef:
    """A built index, as JSON can hold it: enough for `Store.open` in another process.

    rows: how many the engine holds. withheld, undirected: rows of documents whose vector is zero and so has no
    direction under cosine. Withheld ones were not given to the engine; undirected ones were, for their texts.
    """

    name: str
    folder: str
    rows: int
    dimension: int | None
    similarity: Similarity
    details: Mapping[str, Any] = field(default_factory=dict)
    withheld: tuple[int, ...] = ()
    undirected: tuple[int, ...] = ()

    @property
    def given(self) -> int:
        """Rows that the store was given."""
        return self.rows + len(self.withheld)

    def as_dict(self) -> dict[str, Any]:
        without = {"withheld": list(self.withheld), "undirected": list(self.undirected)}
        return {**asdict(self), "similarity": str(self.similarity), **without}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> IndexRef:
        without = {name: tuple(data.get(name, ())) for name in ("withheld", "undirected")}
        return IndexRef(**{**data, "similarity": Similarity(data["similarity"]), **without})


@dataclass(frozen=True, slots=True)
class EffectiveIndex:
    """What the engine says it built, read back from it.

    type: the engine's own word for what searches really use; rows: rows it holds; rows_indexed: rows its index
    covers; flat: whether a search is exact by construction; parameters: as effective, not as asked;
    adjusted: one sentence per parameter that differs from what was asked.
    """

    type: str
    rows: int
    rows_indexed: int
    flat: bool
    bytes: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    adjusted: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "adjusted": list(self.adjusted)}


def returned(value: Any, kind: type[T], where: str) -> T:
    """The value. Raises WrongAnswer where an author's method returned another type than its contract says."""
    if not isinstance(value, kind):
        raise WrongAnswer(
            f"{where} returned {type(value).__name__}, not {kind.__name__}. It is a fault of the adapter."
        )
    return value


def numbers(values: Any, where: str) -> Floats:
    """An author's numbers as float32. Raises WrongAnswer where they are no numbers or do not make one array."""
    if isinstance(values, np.ndarray) and values.dtype == np.float32:
        return values
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise WrongAnswer(f"{where}: not an array of numbers ({error}).") from error
    if array.dtype.kind not in "fiu":
        raise WrongAnswer(f"{where}: not an array of numbers, but of type {array.dtype}. It is a fault of the adapter.")
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which is reported later
        return array.astype(np.float32, copy=False)


def check_hits(
    hits: Hits, queries: int, limit: int, where: str, undirected: Sequence[int] = (), *, texts: bool = False
) -> Hits:
    """The same hits as int32 and float32 (queries, limit). Raises WrongAnswer for another shape or type, and
    InvalidVectors for a hit whose score is NaN: it has no place in an order. undirected: rows whose scores mean
    nothing and become -inf. texts: whether there must be one for each hit."""
    rows = np.asarray(hits.rows)
    scores = numbers(hits.scores, f"{where}: scores")
    for name, array in (("rows", rows), ("scores", scores)):
        if array.shape != (queries, limit):
            raise WrongAnswer(
                f"{where}: {name} have shape {array.shape}, not {(queries, limit)} for {queries} queries at limit "
                f"{limit}. Fill empty places with row {EMPTY_ROW} and score -inf."
            )
    if rows.dtype.kind not in "iu":
        raise WrongAnswer(f"{where}: rows are of type {rows.dtype}, not whole numbers. It is a fault of the adapter.")
    if rows.size and int(rows.min()) < EMPTY_ROW:
        raise WrongAnswer(f"{where}: row {int(rows.min())} is no document. An empty place is {EMPTY_ROW}.")
    if undirected:
        scores = np.where(np.isin(rows, undirected), EMPTY_SCORE, scores)
    if math.isnan(np.vdot(scores, scores)):  # the square of -inf, the score of an empty place, is not NaN
        raise InvalidVectors(f"{where}: {int(np.isnan(scores).sum())} scores are NaN, which no order can hold.")
    told = _check_texts(hits.texts, rows, where) if texts else hits.texts
    if rows is hits.rows and scores is hits.scores and told is hits.texts and rows.dtype == np.int32:
        return hits
    return Hits(rows.astype(np.int32, copy=False), scores, told)


def _check_texts(texts: Any, rows: npt.NDArray[Any], where: str) -> list[list[str | None]]:
    """One text, or null, for each hit of each query. Raises WrongAnswer."""
    if texts is None:
        raise WrongAnswer(
            f"{where}: texts are missing, which this session was asked for. It is a fault of the adapter."
        )
    if len(texts) != len(rows):
        raise WrongAnswer(f"{where}: there are texts for {len(texts)} queries, not for {len(rows)}.")
    told: list[list[str | None]] = []
    for found, count in zip(texts, (rows >= 0).sum(axis=1).tolist(), strict=True):
        if len(found) < count:
            raise WrongAnswer(
                f"{where}: {count} hits of a query have {len(found)} texts. It is a fault of the adapter."
            )
        told.append(list(found[:count]))
        for text in told[-1]:
            if text is not None and not isinstance(text, str):
                raise WrongAnswer(f"{where}: a text is of type {type(text).__name__}, not str or None.")
    return told


def check_vectors(vectors: Floats, *, dimension: int | None, where: str) -> Floats:
    """The same vectors as C-contiguous float32 (n, dimension), or InvalidVectors naming the first bad row."""
    array = np.ascontiguousarray(numbers(vectors, where))
    if array.ndim != 2:
        raise InvalidVectors(f"{where}: expected a matrix (n, dimension), got shape {array.shape}.")
    if dimension is not None and array.shape[1] != dimension:
        raise InvalidVectors(f"{where}: vectors have dimension {array.shape[1]}, expected {dimension}.")
    # A sum of squares is finite exactly when no element is NaN or infinite, short of overflow, which the second look
    # rules out. For one query it takes a tenth of the time of any other look, and a live search pays for it.
    if not math.isfinite(np.vdot(array, array)):
        bad = ~np.isfinite(array).all(axis=1)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise InvalidVectors(
                f"{where}: {int(bad.sum())} of {len(array)} vectors hold NaN or infinity, first at row {first}."
            )
    return array


def vectors_of(batch: pa.RecordBatch | pa.Table) -> Any:
    """The `vector` column as float32 (rows, dimension), without copying where Arrow allows."""
    column = batch.column("vector")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
