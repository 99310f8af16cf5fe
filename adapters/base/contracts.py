"""The contracts. Public methods check and batch; an author fills in the small core (the `_` methods).

Every adapter is one class in one file with `name`, an `Options` model, and what to install. Heavy packages are
imported inside the methods that need them. The constructor takes validated options and a Context, and does
nothing slow: no model is loaded and no server called before `check` or the first use.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from .arrays import (
    EMPTY_SCORE,
    Context,
    Corpus,
    EffectiveIndex,
    Encoded,
    Floats,
    Hits,
    Identity,
    IndexRef,
    Place,
    Queries,
    Role,
    Rows,
    Scored,
    Similarity,
    Tables,
    TextRows,
    UnknownIds,
    Unmatched,
    check_hits,
    check_vectors,
    numbers,
    returned,
)
from .contacts import Contact, asks_others
from .directions import Counted, all_ordinary, of_ordinary_length
from .errors import AdapterRejected, InvalidOptions, InvalidVectors, MissingDependency, NotIndexed, WrongAnswer
from .events import Delivery, Event
from .filters import Filter

Consumes: TypeAlias = Literal["vector", "text"]

_MOST_BESIDE = 1000  # hits asked for beyond the limit, that documents without a direction may take the places of


class Options(BaseModel):
    """Base of every options model: unknown keys are faults, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoOptions(Options):
    """For adapters that have nothing to set."""


class Adapter(ABC):
    """What all roles share."""

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]] = ()  # importable packages beyond the standard library
    extra: ClassVar[str | None] = None  # the extra of this distribution that brings them

    @classmethod
    def missing(cls) -> MissingDependency | None:
        """The first package that is not installed, as the error to raise; imports nothing."""
        for package in cls.requires:
            if importlib.util.find_spec(package) is None:
                return MissingDependency(cls.name, package, cls.extra)
        return None

    def check(self) -> None:
        """Raise an AdapterError for whatever can be known to fail before the run: a model that is not there, a
        missing key, a server that does not answer. Cheap: seconds at most, nothing billed."""
        if error := self.missing():
            raise error

    def contacts(self) -> Sequence[Contact]:
        """Whom this adapter talks to, known from its options and the environment alone; none for one that works on
        this machine by itself."""
        return ()

    def check_alone(self) -> None:
        """As `check`, but whoever a dry run must leave alone is not asked."""
        if not asks_others(self.contacts()):
            self.check()
        elif error := self.missing():
            raise error

    def remarks(self) -> Sequence[str]:
        """Sentences on how its work went that the reader of a result must know. Called when a run's work is done."""
        return ()

    def close(self) -> None:
        """Give back connections and memory. Called once; the adapter is not used afterwards."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DatasetSource(Adapter):
    """Where a collection comes from."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @abstractmethod
    def load(self) -> Tables:
        """Read the collection. Parses only: what the whole must satisfy is checked by the caller.

        Raises DatasetInvalid (file and line), ModelNotFound (a hub data set that is not there).
        """

    def sources(self) -> tuple[Path, ...] | None:
        """The local files that `load` reads, when they decide all of it: the loaded tables may then be kept until
        one of them changes. None: load anew each time."""
        return None

    def remarks(self) -> tuple[str, ...]:
        """Sentences for the result's reader about what lies beside those files and is not read. Asked at every load,
        also where kept tables are used. The default has nothing to say."""
        return ()


class Encoder(Adapter):
    """Turns texts into vectors."""

    Options: ClassVar[type[BaseModel]] = NoOptions
    consumes: ClassVar[Consumes] = "text"  # "vector": hands on the dataset's own vectors
    bills: bool = False  # every call costs money: budgets apply

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """What decides the vectors, whatever the role. Known without loading the model."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length of a vector. Known without loading the model."""

    @property
    @abstractmethod
    def similarity(self) -> Similarity:
        """How this model's vectors are meant to be compared."""

    @property
    def space(self) -> str:
        """Name of the vector space. Two encoders share it only if their vectors may be compared."""
        identity = self.identity
        return f"{identity.provider}:{identity.model}"

    def role_settings(self, role: Role) -> Mapping[str, Any]:
        """What the role changes (prompt, input type): part of the cache key beside the identity."""
        return {"role": role}

    def encode(self, rows: TextRows, role: Role) -> Encoded:
        """Turn texts into vectors.

        rows: n texts, or vectors where `consumes` is "vector". role: asymmetric models need it.
        Returns float32 (n, dimension), rows in input order, finite, with the usage.
        Raises InvalidVectors, AdapterTimeout, AdapterUnavailable, AdapterRejected (also where just one of the texts is
        refused).
        """
        encoded = self._encode_some(rows, role)
        if encoded.failures:
            position, cause = min(encoded.failures.items())
            raise AdapterRejected(f"{cause} The text: {rows.texts[position][:80]!r}")
        return encoded

    def _encode_some(self, rows: TextRows, role: Role) -> Encoded:
        """As `encode`, with the texts that have no vector among the failures."""
        if not len(rows):
            return Encoded(np.empty((0, self.dimension), np.float32))
        encoded = returned(self._encode(rows, role), Encoded, f"Encoder {self.name}: _encode")
        vectors = check_vectors(encoded.vectors, dimension=self.dimension, where=f"Encoder {self.identity.model}")
        if len(vectors) != len(rows):
            raise WrongAnswer(f"Encoder {self.identity.model} gave {len(vectors)} vectors for {len(rows)} texts.")
        return replace(encoded, vectors=vectors)

    def encode_each(self, rows: TextRows, role: Role) -> Iterator[tuple[Sequence[int], Encoded]]:
        """As `encode`, in parts as they get ready: positions in `rows`, each once, with their vectors. A text that the
        model's service refuses is among the failures of its part, and the others go on.

        An encoder whose parts are paid for gives each as soon as it has come, also those that were under way when
        another failed, before it raises: a caller that keeps every part loses nothing. The default has one part.
        """
        yield range(len(rows)), self._encode_some(rows, role)

    @abstractmethod
    def _encode(self, rows: TextRows, role: Role) -> Encoded:
        """The model's work for at least one row."""


class Session(ABC):
    """One worker's open index."""

    def __init__(self, ref: IndexRef) -> None:
        self.ref = ref

    def configure(self, options: Any) -> None:
        """Set the query options (an instance of the store's Query model) for the searches that follow. Untimed;
        what an engine keeps in the collection is read back. The default keeps them in `self.options`."""
        self.options = options

    def search(self, queries: Queries, limit: int, filter: Filter | None = None) -> Hits:
        """The best `limit` documents of each query, best first, larger scores better.

        Under cosine a zero vector has no direction: such a query finds nothing, and such a document is never among the
        neighbours. An author sees neither: the former are not given to `_search`, the latter are left out of its hits.
        Raises InvalidVectors for NaN or a wrong dimension, AdapterTimeout, AdapterUnavailable.
        """
        vectors = queries.vectors
        if vectors is not None:
            checked = check_vectors(vectors, dimension=self.ref.dimension, where=f"Query for {self.ref.name}")
            if checked is not vectors:
                queries = Queries(checked, queries.texts)
        if not len(queries) or not self.ref.rows:
            return Hits.empty(len(queries), limit)
        if queries.vectors is None or self.ref.similarity is not Similarity.COSINE:
            return self._found(queries, limit, filter)
        if not all_ordinary(queries.vectors):
            return self._by_direction(queries, limit, filter)
        return self._pointing(queries, limit, filter)

    def _by_direction(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        """Search by cosine with vectors of any length, zero among them."""
        assert queries.vectors is not None
        asked = np.flatnonzero(queries.vectors.any(axis=1))
        if not len(asked):
            return Hits.empty(len(queries), limit)
        some = queries.at(asked)
        assert some.vectors is not None
        hits = self._pointing(Queries(of_ordinary_length(some.vectors), some.texts), limit, filter)
        return hits if len(asked) == len(queries) else hits.spread(asked, len(queries))

    def _pointing(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        """Search by cosine with vectors that have a direction."""
        undirected = self.ref.undirected
        if not undirected or queries.texts is not None:
            return self._found(queries, limit, filter)
        hits = self._found(queries, limit + min(len(undirected), _MOST_BESIDE), filter, undirected)
        return hits.without(np.isin(hits.rows, undirected), limit)

    def _found(self, queries: Queries, limit: int, filter: Filter | None, undirected: Sequence[int] = ()) -> Hits:
        """What the author's search gives, checked."""
        where = f"{type(self).__module__}.{type(self).__qualname__}: _search"
        hits = returned(self._search(queries, limit, filter), Hits, where)
        return check_hits(hits, len(queries), limit, where, undirected)

    @abstractmethod
    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        """The engine's work for at least one query over at least one row."""

    def unknown_ids(self) -> UnknownIds:
        """How many of the documents that its searches found so far are not in the corpus. Only a service that holds
        its documents itself can find any; hits do not hold them."""
        return UnknownIds()

    def unmatched(self, texts: Sequence[str]) -> Unmatched | None:
        """Which queries hold no term that stands in the index; None where there are no terms, or the engine does not
        tell. Untimed; asked of sessions that search by text, alone or beside vectors."""
        return None

    def close(self) -> None:
        """Give the handle back."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _NoRows(Session):
    """An index without rows: `search` finds nothing."""

    def _search(self, queries: Queries, limit: int, filter: Filter | None) -> Hits:
        return Hits.empty(len(queries), limit)


class Store(Adapter):
    """An engine that holds an index and searches it.

    Index: options that decide the built bytes. Query: options of a search. Connection: how to reach the engine;
    in no cache key. Batches carry the columns row (int32), id (string), meta.<name> for what filters ask for, text
    (string; only with `uses_text`), vector (fixed-size list of float32; absent when the system has no encoder).
    """

    Index: ClassVar[type[BaseModel]] = NoOptions
    Query: ClassVar[type[BaseModel]] = NoOptions
    Connection: ClassVar[type[BaseModel]] = NoOptions
    reproducible: ClassVar[bool] = False  # building twice gives the same index, so one build tells all
    embedded: ClassVar[bool] = True  # runs in this process and keeps its files in the folder it is given
    filters: ClassVar[bool] = True  # searches under a filter
    similarities: ClassVar[tuple[Similarity, ...]] = tuple(Similarity)  # metrics it has; none where it takes no vectors
    scores_exact: ClassVar[bool] = True  # cosine, inner product or minus the squared distance, not those of codes
    takes_rows: ClassVar[bool] = False  # rows may be inserted while it is searched: `_insert` and `_settle` are there

    @classmethod
    def server_advice(cls) -> str | None:
        """How this machine can have the server that the store needs, as one sentence; None where it needs none."""
        return None

    def __init__(self, index: Any, connection: Any, context: Context = Context()) -> None:
        self.index = index
        self.connection = connection
        self.context = context

    def consumes(self, query: Any) -> frozenset[Consumes]:
        """What a search with these Query options needs: vectors, texts or both. Called before the run: raises
        InvalidOptions (key `query.<option>`) for query options that these index options have no use for."""
        return frozenset({"vector"})

    @property
    def uses_text(self) -> bool:
        """Whether the built index depends on the documents' texts (and so on more than their vectors)."""
        return False

    @property
    def needs_every_row(self) -> bool:
        """Whether an index also holds documents whose vector is zero and so has no direction under cosine. Where
        nothing but vectors is searched they are withheld: engines divide by the length of a vector."""
        return self.uses_text

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Engine, and the versions that decide what it builds. Index options are keyed beside it."""

    def plan(self, rows: int, dimension: int | None, similarity: Similarity | None) -> None:
        """Raise InvalidOptions when the index options cannot work with this many rows of this dimension."""
        return

    def check_columns(self, columns: pa.Table) -> None:
        """Raise InvalidOptions (key `filter.<field>`) for a column that the engine cannot hold, with the cure.

        columns: the corpus's `meta.*` columns that the index will get, because a filter asks for them.
        """
        return

    def compares(self, similarity: Similarity) -> bool:
        """Whether an index of vectors can be built by this metric."""
        return similarity in self.similarities

    def shortcomings(self, rows: int, dimension: int | None) -> tuple[str, ...]:
        """One sentence for each default, or option, that works badly on this many rows of this dimension, with the
        cure: told before the run and in the result. What cannot work at all is refused by `plan`."""
        return ()

    def unmatched(self, documents: Sequence[str], queries: Sequence[str]) -> Unmatched | None:
        """As a session's, before anything is built; None where only the engine knows its terms."""
        return None

    def note(self) -> str | None:
        """One sentence the reader of a result must know of this index, such as a family name that was resolved."""
        return None

    def build(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        place: Place,
        similarity: Similarity,
        dimension: int | None,
    ) -> IndexRef:
        """Load all rows and index them; returns when every row is searchable and indexed.

        dimension: of the vectors, None where the batches carry none. Under cosine, documents whose vector is zero are
        not given to `_build` unless the store `needs_every_row`; the reference names them.
        Raises InvalidVectors, NotIndexed, AdapterUnavailable, AdapterTimeout.
        """
        if dimension is not None and not self.compares(similarity):
            have = " and ".join(self.similarities) or "no metric"
            raise InvalidOptions(f"Store {self.name} compares vectors by {have}, not by {similarity}.", key="store")
        self.__dict__.get("_inserted", {}).pop(place.name, None)
        counted = self._counted(batches, dimension, similarity)
        built = self._build(counted, place, similarity, dimension)
        details = returned(built, Mapping, f"Store {self.name}: _build")  # type: ignore[type-abstract]
        for _ in counted:  # rows the author did not read still count, so that a gap cannot pass
            raise NotIndexed(f"Store {self.name} did not read all batches.")
        ref = IndexRef(
            place.name,
            str(place.folder),
            counted.rows,
            dimension,
            similarity,
            details,
            tuple(counted.withheld),
            tuple(counted.undirected),
        )
        if counted.rows:
            self._check_rows(ref)
        return ref

    def _counted(self, batches: Iterable[pa.RecordBatch], dimension: int | None, similarity: Similarity) -> Counted:
        by_direction = similarity is Similarity.COSINE
        return Counted(batches, dimension, f"Store {self.name}", by_direction, withholding=not self.needs_every_row)

    def _check_rows(self, ref: IndexRef) -> None:
        held = self.effective(ref)
        if held.rows != ref.rows:
            raise NotIndexed(
                f"Store {self.name} was given {ref.rows} rows and holds {held.rows}. Delete the index "
                "(bench clean) and run again."
            )

    @abstractmethod
    def _build(
        self, batches: Iterator[pa.RecordBatch], place: Place, similarity: Similarity, dimension: int | None
    ) -> Mapping[str, Any]:
        """Load and index; returns what `_open` needs beyond the place (JSON-serialisable)."""

    def insert(self, ref: IndexRef, batch: pa.RecordBatch) -> None:
        """Add rows to a built index while sessions search it; from one thread at a time.

        batch: rows that the index does not hold, with the columns that it was built from. Returns when the engine has
        accepted them. Sessions that this store opened earlier find them by the end of `settle` at the latest; an
        embedded engine's find them at once.
        Raises InvalidVectors, InvalidOptions (the store takes no rows), AdapterRejected, AdapterUnavailable,
        AdapterTimeout; which of the rows are then held is not known.
        """
        counted = self._counted((batch,), ref.dimension, ref.similarity)
        for checked in counted:
            self._insert(ref, checked)
        withheld, undirected = self.__dict__.setdefault("_inserted", {}).setdefault(ref.name, ([], []))
        withheld += counted.withheld
        undirected += counted.undirected

    def no_rows(self) -> InvalidOptions:
        """The error for a store whose indexes are built whole."""
        return InvalidOptions(f"store {self.name} takes no rows while it is searched")

    def _insert(self, ref: IndexRef, batch: pa.RecordBatch) -> None:
        """The engine's work for at least one row."""
        raise self.no_rows()

    def settle(self, ref: IndexRef, rows: int) -> IndexRef:
        """End a series of inserts: returns when every row is searchable, indexed and kept, as after `build`.

        rows: all that the store was given. Returns the reference of the grown index.
        Raises NotIndexed when the engine holds another number, AdapterUnavailable, AdapterTimeout.
        """
        withheld, undirected = self.__dict__.get("_inserted", {}).pop(ref.name, ([], []))
        withheld, undirected = (*ref.withheld, *withheld), (*ref.undirected, *undirected)
        grown = replace(ref, rows=rows - len(withheld), withheld=withheld, undirected=undirected)
        self._settle(grown)
        self._check_rows(grown)
        return grown

    def _settle(self, ref: IndexRef) -> None:
        """Index what was inserted, and keep it. ref: the grown index."""
        raise self.no_rows()

    def session(self, ref: IndexRef) -> Session:
        """What searches are asked of: a session on the index, or the answer of one without rows, which is not opened.
        Raises as `open` does."""
        if not ref.rows:
            return _NoRows(ref)
        return returned(self.open(ref), Session, f"Store {self.name}: open")  # type: ignore[type-abstract]

    @abstractmethod
    def open(self, ref: IndexRef) -> Session:
        """A session on a built index of at least one row: cheap, one per worker. Raises IndexMissing,
        AdapterUnavailable."""

    def effective(self, ref: IndexRef) -> EffectiveIndex:
        """What was built, as `describe` reads it back; nothing, where the index has no rows. Raises as it does."""
        if not ref.rows:
            return EffectiveIndex("none", 0, 0, flat=True)
        return returned(self.describe(ref), EffectiveIndex, f"Store {self.name}: describe")

    @abstractmethod
    def describe(self, ref: IndexRef) -> EffectiveIndex:
        """Read back from the engine what was built. Raises IndexMissing, NotIndexed."""

    def health(self) -> tuple[str, ...]:
        """The state of the machines that serve this store, such as `weaviate-1 HEALTHY`; empty for what runs in this
        process. A run tells what changed while it lasted."""
        return ()

    def server_memory(self) -> int | None:
        """Resident bytes, now, of the server that holds the index, all its nodes together; None for what runs in this
        process and for a server that does not tell. Raises an AdapterError for one that should and does not."""
        return None

    def server_processes(self) -> tuple[int, ...] | None:
        """Ids of the processes on this machine that serve the index beside this one: none for what runs in this process
        or on another machine; None where they cannot be told. Their processor time is not another program's."""
        return () if self.embedded else None

    def index_folder(self, ref: IndexRef) -> Path | None:
        """The folder that holds this index's files and no others. A file there that is not what it was after the build
        is damage, and the index is built again. None where the files are out of reach, or searches change them."""
        return Path(ref.folder) if self.embedded else None

    def stored_vectors(self, ref: IndexRef, rows: Rows) -> Floats | None:
        """The vectors that a server holds of these rows (n,): float32 (n, dimension), NaN for a row that it lacks. They
        are compared with those it was given before an index is used again. None where it cannot be asked.

        Raises IndexMissing, AdapterUnavailable, AdapterTimeout.
        """
        return None

    def drop(self, ref: IndexRef) -> None:
        """Delete the index from the engine. The folder of an embedded engine is deleted by the caller."""
        return


class Reranker(Adapter):
    """Scores the candidates of a query."""

    Options: ClassVar[type[BaseModel]] = NoOptions
    needs: ClassVar[Consumes] = "text"  # "vector": the option `encoder` names the encoder whose vectors it gets
    depends_on_corpus: ClassVar[bool] = False  # a pair's score depends on other documents too (IDF)
    bills: bool = False  # as for an encoder

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """What decides the scores. Known without loading the model."""

    def prepare(self, corpus: Corpus) -> None:
        """Take what may be known beforehand: texts by row, vectors where `needs` is "vector". Untimed."""
        self.corpus = corpus

    def score(self, queries: Queries, candidates: Rows) -> Scored:
        """Score candidates.

        queries: n queries with texts, and vectors where `needs` is "vector". candidates: rows (n, depth), -1 for
        empty. Returns float32 (n, depth), -inf at empty places and where the model's service refuses just that pair,
        and the usage.
        Raises InvalidVectors for NaN, AdapterTimeout, AdapterUnavailable, AdapterRejected (also where all pairs of one
        query are refused).
        """
        scored = self._score_some(queries, candidates)
        for query in {query for query, _ in scored.failures}:
            if not (scored.scores[query] > EMPTY_SCORE).any():
                cause = next(cause for (of, _), cause in scored.failures.items() if of == query)
                raise AdapterRejected(f"{cause} All candidates of the query were refused.")
        return scored

    def _score_some(self, queries: Queries, candidates: Rows) -> Scored:
        """As `score`, whatever was refused."""
        if not candidates.size or not (candidates >= 0).any():
            return Scored(np.full(candidates.shape, -np.inf, np.float32))
        scored = returned(self._score(queries, candidates), Scored, f"Reranker {self.name}: _score")
        scores = numbers(scored.scores, f"Reranker {self.name}: scores")
        if scores.shape != candidates.shape:
            raise WrongAnswer(f"Reranker {self.name} gave shape {scores.shape} for {candidates.shape}.")
        scores = np.where(candidates >= 0, scores, np.float32(-np.inf))
        expected = candidates >= 0
        for refused in scored.failures:
            expected[refused] = False
        if not np.isfinite(scores[expected]).all():
            raise InvalidVectors(f"Reranker {self.name} gave scores that are not finite.")
        return replace(scored, scores=scores)

    def score_each(self, queries: Queries, candidates: Rows) -> Iterator[tuple[Sequence[int], Scored]]:
        """As `score`, in parts as they get ready: positions of queries with scores (len(positions), depth), -inf also
        where another part has the score. Failures are by the place of the query in its part.

        A reranker whose parts are paid for gives each as soon as it has come, as an encoder does. The default has one
        part.
        """
        yield range(len(queries)), self._score_some(queries, candidates)

    def unmatched(self, texts: Sequence[str]) -> Unmatched | None:
        """Which queries hold no term of the prepared corpus; None for a reranker that does not go by terms."""
        return None

    @abstractmethod
    def _score(self, queries: Queries, candidates: Rows) -> Scored:
        """The model's work for at least one pair."""


class Tracker(Adapter):
    """Where events are sent. `on` is called off every timed path and only takes notes; `finish` delivers. Neither
    raises for a service that is away, and no failure of a tracker fails a run."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: Any, context: Context = Context()) -> None:
        self.options = options
        self.context = context

    @abstractmethod
    def on(self, event: Event) -> None:
        """Take notice of what happened. Returns at once."""

    @abstractmethod
    def finish(self, timeout_seconds: float) -> Delivery:
        """Deliver what was taken in, within the time, and say what arrived. Called once, after RunFinished."""
