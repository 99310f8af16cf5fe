"""Searches stores for the judged queries, and reads run files. Each chunk is kept as soon as it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from adapters.base import (
    EMPTY_ROW,
    AdapterError,
    AdapterRejected,
    AdapterUnavailable,
    Filter,
    Hits,
    IndexRef,
    Queries,
    Session,
    Store,
    UnknownIds,
    WrongAnswer,
)
from bench.cache.digests import array_digest, content_key
from bench.cache.locks import entry_locked
from bench.cache.machine_lock import at_work, engine_locked, pause
from bench.experiment.parts import Searched, System
from bench.messages.failures import closing
from bench.quality.indexes import Indexes
from bench.quality.kept_index import BuiltIndex
from bench.quality.materials import ROLES, Materials
from bench.quality.ranking import Ranking
from bench.quality.stages import Emit, Stage, waiting
from bench.quality.trec import RunFileGaps, read_hits

QUERIES_PER_CHUNK = 512

Search: TypeAlias = Callable[[Queries, int, Filter | None], Hits]


class _Chunk(NamedTuple):
    """Queries from start to stop, searched for together and kept under the name."""

    start: int
    stop: int
    name: str


@dataclass(slots=True)
class _Found:
    """What a search has found so far. failures: causes by query."""

    hits: Hits
    failures: dict[int, str] = field(default_factory=dict)
    unknown: UnknownIds = field(default_factory=UnknownIds)


class Searches:
    """Searches of the quality pass: many queries at once, untimed."""

    def __init__(self, materials: Materials, indexes: Indexes) -> None:
        self._materials = materials
        self._indexes = indexes
        self._unknown: dict[str, UnknownIds] = {}

    def queries(self, searched: Searched) -> Queries:
        """The judged queries as the store that is searched consumes them."""
        needs = self._materials.store(searched.store).consumes(searched.store.query)
        vectors = self._materials.vectors(searched.encoders.query, "query").array if searched.encoders else None
        return Queries(
            vectors=vectors if "vector" in needs else None,
            texts=self._materials.dataset.query_texts if "text" in needs else None,
        )

    def key(self, searched: Searched, condition: Filter | None, limit: int) -> str:
        """The key of a search: index, query options, what it is asked for, filter and queries."""
        needs = self._materials.store(searched.store).consumes(searched.store.query)
        encoder = searched.encoders.query if searched.encoders and "vector" in needs else None
        return content_key(
            {
                "index": self._indexes.key(searched),
                "query": searched.store.plain("query"),
                "limit": self._materials.asked(limit),
                "filter": condition.as_dict() if condition else None,
                "vectors": self._materials.vectors_key(encoder, "query") if encoder else None,
                "texts": content_key(array_digest(self._materials.query_digests)) if "text" in needs else None,
                **({"payload": "text"} if searched.payload else {}),
            }
        )

    def ranking(self, system: System, searched: Searched, limit: int) -> Ranking:
        """What a search finds for every judged query, in canonical order."""
        key = self.key(searched, system.filter, limit)
        queries, asked = self.queries(searched), self._materials.asked(limit)
        found = _Found(Hits.empty(len(queries), asked))
        # Versions that did not tell vectors without a direction apart found other documents.
        apart = any(len(self._materials.undirected(searched.encoders, role)) for role in ROLES)
        # What another build of an index found says nothing of this one.
        build_id = "" if searched.store.kind.reproducible else self._indexes.built(searched).build_id
        starts = range(0, len(queries), QUERIES_PER_CHUNK)
        chunks = [
            _Chunk(start, min(start + QUERIES_PER_CHUNK, len(queries)), f"{key}/{'directed-' if apart else ''}{start}")
            for start in starts
        ]
        todo = self._not_kept(chunks, build_id, found)
        if todo:
            built = self._indexes.built(searched)
            with self._alone(built, key):
                if todo := self._not_kept(todo, build_id, found):  # another run may have found them meanwhile
                    self._search(system, searched, queries, todo, build_id, found)
        missing = sum(chunk.stop - chunk.start for chunk in todo)
        self._materials.work.queries_searched.computed += missing
        self._materials.work.queries_searched.reused += len(queries) - missing
        if found.unknown.all:
            raise AdapterRejected(
                f"{searched.store.name}: {found.unknown}. Give the service the same corpus with the same ids."
            )
        self._unknown[key] = found.unknown
        return self._materials.ordered(self._materials.without_own(found.hits, limit), limit, found.failures)

    def _not_kept(self, chunks: Sequence[_Chunk], build_id: str, found: _Found) -> list[_Chunk]:
        """The chunks that have to be searched; the others are taken from the cache."""
        todo: list[_Chunk] = []
        for chunk in chunks:
            start, stop, name = chunk
            arrays = self._kept_candidates(name, build_id, stop - start, found.hits.rows.shape[1])
            if arrays is None:
                todo.append(chunk)
                continue
            found.unknown += _unknown(arrays)
            found.hits.rows[start:stop], found.hits.scores[start:stop] = arrays["rows"], arrays["scores"]
        return todo

    @contextmanager
    def _alone(self, built: BuiltIndex, key: str) -> Iterator[None]:
        """Search while no other run makes the same search, or changes the settings of the index where its engine keeps
        them."""
        wait = waiting(self._materials.emit)
        search = entry_locked(self._materials.cache.folder, f"candidates-{key}", wait)
        shared = nullcontext() if built.store.keeps_settings else search
        with configured_alone(built, self._materials.emit), shared, at_work(wait):
            yield

    def _search(
        self,
        system: System,
        searched: Searched,
        queries: Queries,
        todo: Sequence[_Chunk],
        build_id: str,
        found: _Found,
    ) -> None:
        """Search for the queries of these chunks, and keep each as it is found."""
        materials, asked = self._materials, found.hits.rows.shape[1]
        refused: Mapping[int, str] = {}
        if searched.encoders and queries.vectors is not None:
            refused = materials.vectors(searched.encoders.query, "query").failures
        built, count = self._indexes.built(searched), sum(chunk.stop - chunk.start for chunk in todo)
        with (
            Stage(materials.emit, "search", system.name, count, "queries") as advance,
            opened(built.store, built.ref, materials.emit, payload=searched.payload) as session,
        ):
            session.configure(searched.store.query)
            search = self._with_texts_compared(searched, session) if searched.payload else session.search
            for start, stop, name in todo:
                before = session.unknown_ids()
                without = {i - start: cause for i, cause in refused.items() if start <= i < stop}
                part, failed = search_others(search, queries.at(slice(start, stop)), asked, system.filter, without)
                _check_rows(part, built.store, materials.dataset.documents)
                found.hits.rows[start:stop], found.hits.scores[start:stop] = part.rows, part.scores
                found.failures |= {start + i: cause for i, cause in failed.items()}
                now = session.unknown_ids()
                here = UnknownIds(now.count - before.count, now.of - before.of, now.example)
                found.unknown += here
                if not failed and not here.all:  # what failed is asked again by the next run
                    stamp = {"build": np.array(build_id)} if build_id else {}
                    arrays = {"rows": part.rows, "scores": part.scores, **stamp, **_told(here)}
                    materials.cache.write("candidates", name, arrays)
                advance(stop - start)
                if not built.store.keeps_settings:
                    pause(waiting(materials.emit))

    def _with_texts_compared(self, searched: Searched, session: Session) -> Search:
        """The session's search, which raises WrongAnswer where a text is another than the index was given. A service
        that holds its documents itself was given none."""
        store, told = self._materials.store(searched.store), self._materials.dataset.document_texts
        given = store.uses_text or self._indexes.keeps_texts(searched)

        def search(queries: Queries, limit: int, condition: Filter | None) -> Hits:
            hits = session.search(queries, limit, condition)
            for rows, texts in zip(hits.rows.tolist(), hits.texts or (), strict=True):
                for row, text in zip(rows, texts, strict=False):
                    if given and row < len(told) and text != told[row]:
                        raise WrongAnswer(
                            f"Store {store.name} returned another text for row {row} than the one that it was given."
                        )
            return hits

        return search

    def _kept_candidates(
        self, name: str, build_id: str, queries: int, asked: int
    ) -> dict[str, npt.NDArray[Any]] | None:
        arrays = self._materials.cache.read_ranking(name, queries, self._materials.dataset.documents)
        if arrays is None or arrays["rows"].shape[1] != asked:
            return None
        return arrays if str(arrays.get("build", "")) == build_id else None

    def run_file_gaps(self, path: Path) -> RunFileGaps:
        """What a run file lacks of the dataset, and the dataset of it."""
        return self._run_file_read(path)[1]

    def run_file_ranking(self, path: Path, limit: int) -> Ranking:
        hits = self._run_file_read(path)[0]
        return self._materials.ordered(self._materials.without_own(hits, hits.rows.shape[1]), limit)

    def _run_file_read(self, path: Path) -> tuple[Hits, RunFileGaps]:
        materials = self._materials
        return materials.once(
            ("run file", path),
            lambda: read_hits(path, materials.dataset.query_ids, materials.document_ids, len(materials.dataset_ids)),
        )

    def unknown_ids(self, key: str) -> UnknownIds:
        """The documents that a search of that key, which was made, found and the corpus does not hold."""
        return self._unknown[key]


def _check_rows(hits: Hits, store: Store, documents: int) -> None:
    if (beyond := int(hits.rows.max(initial=EMPTY_ROW))) >= documents:
        raise WrongAnswer(
            f"Store {store.name} found row {beyond}, and the corpus has rows 0 to {documents - 1}. A hit names the "
            "`row` of the batches it was built from."
        )


def search_others(
    search: Search,
    queries: Queries,
    limit: int,
    condition: Filter | None,
    refused: Mapping[int, str],
) -> tuple[Hits, dict[int, str]]:
    """As `search_each`, for the queries that have a vector."""
    if not refused:
        return search_each(search, queries, limit, condition)
    asked = np.array([i for i in range(len(queries)) if i not in refused], np.int64)
    hits, failures = Hits.empty(len(queries), limit), dict(refused)
    if len(asked):
        found, failed = search_each(search, queries.at(asked), limit, condition)
        hits.rows[asked], hits.scores[asked] = found.rows, found.scores
        failures |= {int(asked[i]): cause for i, cause in failed.items()}
    return hits, failures


def search_each(search: Search, queries: Queries, limit: int, condition: Filter | None) -> tuple[Hits, dict[int, str]]:
    """Search all queries at once; where that fails for another cause than a server that is away, one by one, so
    that only the queries that really fail are lost. Returns the hits and the failures by position."""
    try:
        return search(queries, limit, condition), {}
    except (AdapterUnavailable, WrongAnswer):
        raise
    except AdapterError as whole:
        if len(queries) == 1:
            return Hits.empty(1, limit), {0: str(whole)}
    hits, failures = Hits.empty(len(queries), limit), {}
    for i in range(len(queries)):
        part, failed = search_each(search, queries.at(slice(i, i + 1)), limit, condition)
        hits.rows[i], hits.scores[i] = part.rows[0], part.scores[0]
        failures.update(dict.fromkeys([i] if failed else [], next(iter(failed.values()), "")))
    return hits, failures


def configured_alone(built: BuiltIndex, emit: Emit) -> AbstractContextManager[None]:
    """Keep other runs from an index whose engine keeps the settings of searches, from before they are set."""
    return engine_locked(built.ref.name, waiting(emit)) if built.store.keeps_settings else nullcontext()


@contextmanager
def opened(store: Store, ref: IndexRef, emit: Emit, *, payload: bool = False) -> Iterator[Session]:
    """A session on a built index. A session that cannot be closed is a warning, and what it has found counts. payload:
    whether its hits carry the documents' texts."""
    session = store.session(ref, payload=payload)
    try:
        yield session
    finally:
        for failure in closing([session.close]):
            emit(failure.warned(store.name, "a search of it was over and could not be closed"))


def _told(unknown: UnknownIds) -> dict[str, npt.NDArray[Any]]:
    """What a chunk of candidates keeps about ids that the corpus lacks. Nothing is kept for an engine that holds the
    corpus itself."""
    if not unknown.of:
        return {}
    return {"unknown": np.array([unknown.count, unknown.of]), "unknown_example": np.array(unknown.example or "")}


def _unknown(arrays: Mapping[str, npt.NDArray[Any]]) -> UnknownIds:
    if "unknown" not in arrays:
        return UnknownIds()
    count, of = arrays["unknown"].tolist()
    return UnknownIds(count, of, str(arrays["unknown_example"]) or None)
