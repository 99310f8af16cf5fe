"""The contract of a store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel

from adapters.base.adapter import Adapter, Consumes, NoOptions
from adapters.base.arrays import (
    Context,
    EffectiveIndex,
    Floats,
    Identity,
    IndexRef,
    Place,
    Rows,
    Similarity,
    Unmatched,
    returned,
)
from adapters.base.code import CodePiece, NoCode
from adapters.base.directions import Counted
from adapters.base.errors import InvalidOptions, NotIndexed
from adapters.base.filters import Filter
from adapters.base.index_names import is_index_name
from adapters.base.session import NoRows, Session


class Store(Adapter):
    """An engine that holds an index and searches it.

    Index: options that decide the built bytes. Query: options of a search. Connection: how to reach the engine;
    in no cache key. Batches carry the columns row (int32), id (string), meta.<name> for what filters ask for, text
    (string; only with `uses_text`), payload (string: what searches shall return as text; only where they shall and the
    store does not hold it in any case), vector (fixed-size list of float32; absent when the system has no encoder).
    """

    Index: ClassVar[type[BaseModel]] = NoOptions
    Query: ClassVar[type[BaseModel]] = NoOptions
    Connection: ClassVar[type[BaseModel]] = NoOptions
    reproducible: ClassVar[bool] = False  # building twice gives the same index, so one build is enough
    embedded: ClassVar[bool] = True  # runs in this process and keeps its files in the folder it is given
    filters: ClassVar[bool] = True  # searches under a filter
    similarities: ClassVar[tuple[Similarity, ...]] = tuple(Similarity)  # of the engine; none: it takes no vectors
    scores_exact: ClassVar[bool] = True  # cosine, inner product or minus the squared distance, not those of codes
    keeps_settings: ClassVar[bool] = False  # query settings live in the engine: one run at a time searches
    takes_rows: ClassVar[bool] = False  # rows may be inserted while it is searched: `_insert` and `_settle` are there

    @classmethod
    def server_advice(cls) -> str | None:
        """How this machine can have the server that the store needs, as one sentence; None where it needs none."""
        return None

    returns_text: bool = False  # its sessions return the documents' texts with the hits where `payload` is set

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
    def holds_text(self) -> bool:
        """Whether searches can return the documents' texts from any index of these options, because it holds them for
        another purpose or the engine has them already. It is then given no column `payload`."""
        return False

    @property
    def needs_every_row(self) -> bool:
        """Whether an index also holds documents whose vector is zero and so has no direction under cosine. Where
        nothing but vectors is searched they are withheld: engines divide by the length of a vector."""
        return self.uses_text

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """The engine, and the versions that determine what it builds. Index options are part of the key beside it."""

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
        """As `Session.unmatched`, before anything is built; None where only the engine knows its terms."""
        return None

    def note(self) -> str | None:
        """One sentence about this index that readers of a result must know, such as how a family name was resolved."""
        return None

    def build(
        self, batches: Iterable[pa.RecordBatch], *, place: Place, similarity: Similarity, dimension: int | None
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
        for _ in counted:  # rows that the author did not read count too, so that a gap is noticed
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

    def no_texts(self) -> InvalidOptions:
        """The error for a store that is asked for texts and returns none."""
        return InvalidOptions(f"store {self.name} returns no texts; leave payload out.", key="payload")

    def _insert(self, ref: IndexRef, batch: pa.RecordBatch) -> None:
        """The engine's own work, for at least one row."""
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

    def session(self, ref: IndexRef, *, payload: bool = False) -> Session:
        """A session to search with: one on the index, or one that finds nothing where the index has no rows and is not
        opened. payload: whether hits shall carry the documents' texts, which the index then has to hold.
        Raises as `open` does, and InvalidOptions where the store returns no texts."""
        if payload and not self.returns_text:
            raise self.no_texts()
        session: Session = NoRows(ref)
        if ref.rows:
            session = returned(self.open(ref), Session, f"Store {self.name}: open")  # type: ignore[type-abstract]
        session.payload = payload
        return session

    @abstractmethod
    def open(self, ref: IndexRef) -> Session:
        """A session on a built index of at least one row: cheap, one per worker. Raises IndexMissing,
        AdapterUnavailable."""

    def effective(self, ref: IndexRef) -> EffectiveIndex:
        """What was built, as `describe` reads it back. An index of no rows is not asked for. Raises as `describe`
        does."""
        if not ref.rows:
            return EffectiveIndex("none", 0, 0, flat=True)
        return returned(self.describe(ref), EffectiveIndex, f"Store {self.name}: describe")

    @abstractmethod
    def describe(self, ref: IndexRef) -> EffectiveIndex:
        """Read back from the engine what was built. Raises IndexMissing, NotIndexed."""

    def built_earlier(self, ref: IndexRef) -> float | None:
        """How many seconds the original build took, where the engine already held the index when `build` was called;
        None where it was built now."""
        return None

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
        """Delete the index from the engine. The folder of an embedded engine is deleted by the caller.

        Raises InvalidOptions where the name is none that `index_name` makes: it is a table of the user's.
        """
        if not is_index_name(ref.name):
            raise InvalidOptions(f"{ref.name!r} is no index of this program: nothing of that name is dropped.")
        self._drop(ref)

    def _drop(self, ref: IndexRef) -> None:
        """The engine's own work. The default does nothing, for engines that keep everything in the folder."""
        return

    def export(self, ref: IndexRef, query: Any, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        """The code of a `SearchEngine` that searches a built index of at least one row without this project, and finds
        what a session would. query: an instance of `Query`. payload: whether its hits carry the documents' texts.

        What sessions do for every store, the retriever does too: a query without direction is not searched for,
        documents without direction are left out of the hits. Opens nothing that takes long. Raises NoCode, which the
        default does, and IndexMissing.
        """
        raise NoCode(self.name)

    def export_build(self, ref: IndexRef, *, filter: Filter | None = None, payload: bool = False) -> CodePiece:
        """The code that builds such an index from other documents, as a `BuiltPart` of adapters/code/building without
        its encoder, for a system with this filter and payload. Raises NoCode, which the default does."""
        raise NoCode(self.name, "that builds its index", "package", "export_build")
