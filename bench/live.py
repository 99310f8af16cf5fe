"""A system as a user meets it: one query at a time through every stage, nothing cached.

The steps only do the work; `bench.latency` holds the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from adapters.base import EMPTY_ROW, Hits, Queries, Rows, Session, TextRows
from bench.expansion import System
from bench.measures import canonical
from bench.pipeline import Pipeline, fuse

StageName: TypeAlias = Literal["encode", "search", "fuse", "rerank"]
STAGES: tuple[StageName, ...] = ("encode", "search", "fuse", "rerank")


class NotLive(Exception):
    """A system that cannot be asked, such as a run file."""


@dataclass(slots=True)
class State:
    """What the steps of one query pass on."""

    query: int = 0
    vectors: dict[str, np.ndarray[tuple[int, int], np.dtype[np.float32]]] = field(default_factory=dict)
    found: dict[str, Hits] = field(default_factory=dict)
    waited: float = 0.0  # seconds that the step just done spent in our own rate limiter


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of work and the stage its time belongs to; stage None is not timed (it costs a user nothing)."""

    stage: StageName | None
    run: Callable[[State], None]


class LiveSystem:
    """One worker's way through a system. Sessions are its own; models are shared."""

    def __init__(self, pipeline: Pipeline, system: System) -> None:
        self.name = system.name
        self._pipeline = pipeline
        self._system = system
        self._sessions: list[tuple[Session, object]] = []
        self._encoded: set[str] = set()
        self.steps: tuple[Step, ...] = tuple(self._plan(system, None))
        self.stages = tuple(dict.fromkeys(step.stage for step in self.steps if step.stage))

    def configure(self) -> None:
        """Set the query options again: a system that shares the index may have changed them."""
        for session, options in self._sessions:
            session.configure(options)

    def start(self, query: int) -> State:
        """The state that the steps of one query pass on."""
        return State(query)

    def answer(self, state: State) -> Rows:
        """The final ranking of a finished query: rows (k,), canonical order, not timed."""
        hits = state.found[self.name]
        rows, _ = canonical(hits.rows, hits.scores, self._pipeline.ranks, self._system.k)
        ranked: Rows = rows[0]
        return ranked

    def close(self) -> None:
        """Close the sessions."""
        for session, _ in self._sessions:
            session.close()

    def _plan(self, system: System, depth: int | None) -> list[Step]:
        """The steps that put a system's hits into the state; depth: how many a fusion wants from it as a leg."""
        if system.run is not None:
            raise NotLive(f"{system.name} is a run file; nobody can be asked how long it took.")
        limit = depth or system.k
        if system.reranker is not None:
            limit = max(system.depth, depth or 0)
        steps = self._fused(system) if system.fusion is not None else self._searched(system, limit)
        return steps + (self._reranked(system) if system.reranker is not None else [])

    def _searched(self, system: System, limit: int) -> list[Step]:
        assert system.store is not None
        built = self._pipeline.index(system)
        session = built.store.open(built.ref)
        session.configure(system.store.query)
        self._sessions.append((session, system.store.query))
        needs = built.store.consumes(system.store.query)
        texts = self._pipeline.dataset.query_texts
        encoder = system.query_encoder if "vector" in needs else None
        name, condition = system.name, system.filter
        steps = self._encoding(encoder) if encoder else []

        def search(state: State) -> None:
            vectors = state.vectors[encoder] if encoder else None
            queries = Queries(vectors, [texts[state.query]] if "text" in needs else None)
            state.found[name] = session.search(queries, limit, condition)

        return [*steps, Step("search", search)]

    def _encoding(self, name: str) -> list[Step]:
        """One encoder serves all legs and the reranker of a query once."""
        if name in self._encoded:
            return []
        self._encoded.add(name)
        encoder = self._pipeline.encoder(name)
        if encoder.consumes == "vector":
            array = self._pipeline.vectors(name, "query").array

            def look_up(state: State) -> None:
                state.vectors[name] = array[state.query : state.query + 1]

            return [Step(None, look_up)]
        texts = self._pipeline.dataset.query_texts

        def encode(state: State) -> None:
            encoded = encoder.encode(TextRows([texts[state.query]]), "query")
            state.vectors[name] = encoded.vectors
            state.waited = encoded.usage.waited_seconds

        return [Step("encode", encode)]

    def _fused(self, system: System) -> list[Step]:
        assert system.fusion is not None
        legs = self._pipeline.legs(system)
        steps = [step for leg in legs for step in self._plan(leg, system.depth)]

        def combine(state: State) -> None:
            found = [state.found[leg.name] for leg in legs]
            ordered = [canonical(hits.rows, hits.scores, self._pipeline.ranks, system.depth) for hits in found]
            state.found[system.name] = fuse(system, [rows for rows, _ in ordered], [scores for _, scores in ordered])

        return [*steps, Step("fuse", combine)]

    def _reranked(self, system: System) -> list[Step]:
        assert system.reranker is not None
        reranker = self._pipeline.prepared(system.reranker)
        texts = self._pipeline.dataset.query_texts
        encoder = reranker.options.encoder if reranker.needs == "vector" else None
        steps = self._encoding(encoder) if encoder else []
        documents = self._pipeline.dataset.documents

        def score(state: State) -> None:
            hits = state.found[system.name]
            candidates, _ = canonical(hits.rows, hits.scores, self._pipeline.ranks, system.depth)
            candidates = np.where(candidates < documents, candidates, EMPTY_ROW)
            queries = Queries(state.vectors[encoder] if encoder else None, [texts[state.query]])
            scored = reranker.score(queries, candidates)
            state.found[system.name] = Hits(candidates, scored.scores)
            state.waited = scored.usage.waited_seconds

        return [*steps, Step("rerank", score)]
