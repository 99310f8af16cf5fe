"""A system as a user meets it: one query at a time through every stage, nothing cached.

The steps only do the work; `bench.latency.turns` holds the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from adapters.base import EMPTY_ROW, Encoder, Floats, Hits, IndexRef, Queries, Reranker, Rows, Session, Store, TextRows
from bench.data.own_documents import left_out
from bench.experiment.parts import Fused, Node, RunFile, Searched, System
from bench.messages.failures import close_all, closing
from bench.quality.pipeline import Pipeline, fuse
from bench.statistics.order import canonical

StageName: TypeAlias = Literal["encode", "search", "fuse", "rerank"]
STAGES: tuple[StageName, ...] = ("encode", "search", "fuse", "rerank")


class NotLive(Exception):
    """A system that cannot be asked, such as a run file."""


@dataclass(slots=True)
class State:
    """What one step of a query hands to the next."""

    query: int = 0
    vectors: dict[str, np.ndarray[tuple[int, int], np.dtype[np.float32]]] = field(default_factory=dict)
    found: dict[str, Hits] = field(default_factory=dict)
    with_texts: list[Hits] = field(default_factory=list)  # what searches returned that return texts too
    waited: float = 0.0  # seconds that the last step spent in our own rate limiter


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work and the stage its time belongs to; stage None is not timed (it costs a user nothing).
    encoder: the one that works, in an encoding step."""

    stage: StageName | None
    run: Callable[[State], None]
    encoder: str | None = None


class Parts(Protocol):
    """What live systems are made of. Workers share it. documents: their number. id_order: the place of each document's
    id in ascending order, which decides between equal scores. own_rows: by query, the own document that no ranking
    holds, as `Dataset.own_rows`."""

    @property
    def documents(self) -> int: ...

    @property
    def id_order(self) -> npt.NDArray[np.int32]: ...

    @property
    def own_rows(self) -> Rows | None: ...

    @property
    def query_texts(self) -> Sequence[str]: ...

    def built(self, name: str, searched: Searched) -> tuple[Store, IndexRef]:
        """The store and the index that the system of that name searches."""

    def given_vectors(self, encoder: str) -> Floats | None:
        """The dataset's own vectors of the queries, (n, dimension); None where the encoder makes them."""

    def encoder(self, name: str) -> Encoder: ...

    def reranker(self, name: str) -> Reranker:
        """The reranker of that name, prepared: it knows the corpus."""


class PartsOfRun:
    """The parts as the run's pipeline has them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.documents = pipeline.dataset.documents
        self.id_order = pipeline.materials.id_order
        self.own_rows = pipeline.dataset.own_rows
        self.query_texts = pipeline.dataset.query_texts

    def built(self, name: str, searched: Searched) -> tuple[Store, IndexRef]:
        """The store and its index."""
        index = self._pipeline.indexes.built(searched)
        return index.store, index.ref

    def given_vectors(self, encoder: str) -> Floats | None:
        """The dataset's own vectors."""
        given = self._pipeline.materials.encoder(encoder).consumes == "vector"
        return self._pipeline.materials.vectors(encoder, "query").array if given else None

    def encoder(self, name: str) -> Encoder:
        """The encoder of that name."""
        return self._pipeline.materials.encoder(name)

    def reranker(self, name: str) -> Reranker:
        """The reranker of that name."""
        return self._pipeline.reranking.prepared(name)


class LiveSystem:
    """One worker's way through a system. Sessions are its own; models are shared."""

    def __init__(self, parts: Parts, system: System) -> None:
        self.name = system.name
        self._parts = parts
        self._system = system
        self._sessions: list[tuple[Session, object]] = []
        self._encoded: set[str] = set()
        try:
            self.steps: tuple[Step, ...] = tuple(self._plan(system.top))
        except BaseException:
            list(closing(session.close for session, _ in self._sessions))  # the failure to open is what must be told
            raise
        self.encoders: tuple[str, ...] = tuple(step.encoder for step in self.steps if step.encoder is not None)

    def configure(self) -> None:
        """Set the query options again: a system that shares the index may have changed them."""
        for session, options in self._sessions:
            session.configure(options)

    def start(self, query: int) -> State:
        """The state that the steps of one query pass on."""
        return State(query)

    def answer(self, state: State) -> Rows:
        """The final ranking of a finished query: rows (k,), canonical order, not timed."""
        ranked: Rows = self.ranking(state).rows[0]
        return ranked

    def ranking(self, state: State) -> Hits:
        """The final ranking of a finished query: rows and scores (1, k), canonical order, not timed. Where the system
        returns texts each document has the one that a search returned it with, whatever fused or reranked it since."""
        hits = state.found[self.name]
        rows, scores = canonical(hits.rows, hits.scores, self._parts.id_order, self._system.k)
        if not state.with_texts:
            return Hits(rows, scores)
        told = {
            row: text
            for found in state.with_texts
            for row, text in zip(found.rows[0].tolist(), (found.texts or [[]])[0], strict=False)
        }
        return Hits(rows, scores, [[told[row] for row in rows[0].tolist() if row != EMPTY_ROW]])

    def close(self) -> None:
        """Close the sessions. Raises Failed, when all are closed, for one that raised."""
        close_all(session.close for session, _ in self._sessions)

    def _plan(self, node: Node) -> list[Step]:
        """The steps that put the hits of a system into the state, at the system's place in its tree."""
        system = node.system
        match system.source:
            case RunFile():
                raise NotLive(f"{system.name} is a run file; nobody can be asked how long it took.")
            case Fused() as fused:
                steps = self._fused(node, fused)
            case Searched() as searched:
                steps = self._searched(node, searched)
        return steps + (self._reranked(node, system.reranker) if system.reranker is not None else [])

    def _searched(self, node: Node, searched: Searched) -> list[Step]:
        name, condition, limit = node.system.name, node.system.filter, node.limit
        store, ref = self._parts.built(name, searched)
        session = store.session(ref, payload=searched.payload)
        self._sessions.append((session, searched.store.query))
        session.configure(searched.store.query)
        needs = store.consumes(searched.store.query)
        texts = self._parts.query_texts
        encoder = searched.encoders.query if searched.encoders and "vector" in needs else None
        steps = self._encoding(encoder) if encoder else []
        own = self._parts.own_rows
        asked = limit if own is None else limit + 1

        def search(state: State) -> None:
            vectors = state.vectors[encoder] if encoder else None
            queries = Queries(vectors, [texts[state.query]] if "text" in needs else None)
            hits = session.search(queries, asked, condition)
            if searched.payload:
                state.with_texts.append(hits)
            state.found[name] = hits if own is None else left_out(hits, own[state.query : state.query + 1], limit)

        return [*steps, Step("search", search)]

    def _encoding(self, name: str) -> list[Step]:
        """An encoder works once per query, for all legs and the reranker together."""
        if name in self._encoded:
            return []
        self._encoded.add(name)
        given = self._parts.given_vectors(name)
        if given is not None:

            def look_up(state: State) -> None:
                state.vectors[name] = given[state.query : state.query + 1]

            return [Step(None, look_up)]
        encoder, texts = self._parts.encoder(name), self._parts.query_texts

        def encode(state: State) -> None:
            encoded = encoder.encode(TextRows([texts[state.query]]), "query")
            state.vectors[name] = encoded.vectors
            state.waited = encoded.usage.waited_seconds

        return [Step("encode", encode, name)]

    def _fused(self, node: Node, fused: Fused) -> list[Step]:
        system, legs = node.system, fused.legs
        steps = [step for leg in node.legs for step in self._plan(leg)]

        def combine(state: State) -> None:
            found = [state.found[leg.name] for leg in legs]
            ordered = [canonical(hits.rows, hits.scores, self._parts.id_order, system.depth) for hits in found]
            state.found[system.name] = fuse(fused, [rows for rows, _ in ordered], [scores for _, scores in ordered])

        return [*steps, Step("fuse", combine)]

    def _reranked(self, node: Node, name: str) -> list[Step]:
        system, limit = node.system, node.limit
        reranker = self._parts.reranker(name)
        texts = self._parts.query_texts
        encoder = reranker.encoder_name
        steps = self._encoding(encoder) if encoder else []
        documents = self._parts.documents

        def score(state: State) -> None:
            hits = state.found[system.name]
            candidates, _ = canonical(hits.rows, hits.scores, self._parts.id_order, limit)
            candidates = np.where(candidates < documents, candidates, EMPTY_ROW)
            queries = Queries(state.vectors[encoder] if encoder else None, [texts[state.query]])
            scored = reranker.score(queries, candidates)
            state.found[system.name] = Hits(candidates, scored.scores)
            state.waited = scored.usage.waited_seconds

        return [*steps, Step("rerank", score)]
