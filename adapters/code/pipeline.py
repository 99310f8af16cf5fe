"""The stages of a retriever: search, fusion and reranking, each as it was measured."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adapters.code.contract import CandidateScorer, Hit, Part, QueryEncoder, RetrieverError, SearchEngine
from adapters.code.directions import of_ordinary_length
from adapters.code.documents import Documents

_MOST_BESIDE = 1000  # additional hits, because documents without a direction may take up places


class Candidate(NamedTuple):
    """A document on its way to the ranking. text: as an engine returned it."""

    row: int
    id: str
    score: float
    text: str | None = None


class Call:
    """A query on its way. excluded: ids of documents that its ranking leaves out. Its vectors are computed once."""

    def __init__(self, query: str, excluded: frozenset[str] = frozenset()) -> None:
        self.query = query
        self.excluded = excluded
        self._vectors: dict[int, npt.NDArray[np.float32]] = {}
        self._tasks: dict[int, asyncio.Task[npt.NDArray[np.float32]]] = {}

    def vector(self, encoder: QueryEncoder) -> npt.NDArray[np.float32]:
        """The query's vector (dimension,)."""
        if id(encoder) not in self._vectors:
            self._vectors[id(encoder)] = _only(encoder.encode([self.query]))
        return self._vectors[id(encoder)]

    async def avector(self, encoder: QueryEncoder) -> npt.NDArray[np.float32]:
        """As `vector`."""
        if id(encoder) not in self._tasks:
            self._tasks[id(encoder)] = asyncio.ensure_future(self._encoded(encoder))
        return await self._tasks[id(encoder)]

    async def _encoded(self, encoder: QueryEncoder) -> npt.NDArray[np.float32]:
        return _only(await encoder.aencode([self.query]))


class Stage(ABC):
    """Finds candidates. name: what decides their order: search, fusion or reranking."""

    name: str

    @abstractmethod
    def find(self, call: Call, limit: int) -> list[Candidate]:
        """The best `limit` candidates, best first."""

    @abstractmethod
    async def afind(self, call: Call, limit: int) -> list[Candidate]:
        """As `find`, without holding up the event loop."""

    @abstractmethod
    def parts(self) -> Iterator[Part]:
        """What has to be closed, perhaps several times."""


class Search(Stage):
    """A search in one engine. encoder: None where it searches by text alone. similarity: how vectors are compared.
    undirected: rows of documents whose vector is zero, which no query is near to by cosine."""

    name = "search"

    def __init__(
        self,
        engine: SearchEngine,
        documents: Documents,
        *,
        encoder: QueryEncoder | None = None,
        similarity: str | None = None,
        undirected: Sequence[int] = (),
    ) -> None:
        self._engine = engine
        self._documents = documents
        self._encoder = encoder
        self._similarity = similarity
        self._undirected = frozenset(undirected)

    def find(self, call: Call, limit: int) -> list[Candidate]:
        """The best `limit` documents of the engine; none for a query without direction."""
        vector = None
        if self._encoder is not None and (vector := self._pointing(call.vector(self._encoder))) is None:
            return []
        hits = self._engine.search(call.query, vector, self._asked(call, limit))
        return self._candidates(hits, call, limit)

    async def afind(self, call: Call, limit: int) -> list[Candidate]:
        """As `find`."""
        vector = None
        if self._encoder is not None and (vector := self._pointing(await call.avector(self._encoder))) is None:
            return []
        hits = await self._engine.asearch(call.query, vector, self._asked(call, limit))
        return self._candidates(hits, call, limit)

    def parts(self) -> Iterator[Part]:
        """The engine and the encoder."""
        yield self._engine
        if self._encoder is not None:
            yield self._encoder

    def _pointing(self, vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """The vector as engines take it; None where it is zero and so has no direction under cosine."""
        if self._similarity != "cosine":
            return vector
        return of_ordinary_length(vector[None])[0] if vector.any() else None

    def _asked(self, call: Call, limit: int) -> int:
        return limit + len(call.excluded) + min(len(self._undirected), _MOST_BESIDE)

    def _candidates(self, hits: Iterable[Hit], call: Call, limit: int) -> list[Candidate]:
        directed = [hit for hit in hits if hit.document not in self._undirected][: limit + len(call.excluded)]
        rows = [(self._documents.row(hit.document), hit) for hit in directed]
        found = [Candidate(row, self._documents.id(row), hit.score, hit.text) for row, hit in rows if row is not None]
        return ordered([each for each in found if each.id not in call.excluded][:limit], limit)


class Fusion(Stage):
    """Makes one ranking of several. by: rrf, the sum of weight / (constant + rank), or weighted, the sum of weight ×
    score, each ranking's scores first scaled to 0..1. depth: candidates that each is asked for."""

    name = "fusion"

    def __init__(
        self, legs: Sequence[Stage], *, weights: Sequence[float], by: str, constant: int = 60, depth: int
    ) -> None:
        self._legs = legs
        self._weights = weights
        self._by = by
        self._constant = constant
        self._depth = depth

    def find(self, call: Call, limit: int) -> list[Candidate]:
        """The best `limit` documents of all rankings."""
        depth = max(self._depth, limit)
        return self._fused([leg.find(call, depth) for leg in self._legs], limit)

    async def afind(self, call: Call, limit: int) -> list[Candidate]:
        """As `find`; the rankings are made at the same time."""
        depth = max(self._depth, limit)
        return self._fused(await asyncio.gather(*(leg.afind(call, depth) for leg in self._legs)), limit)

    def parts(self) -> Iterator[Part]:
        """The parts of all rankings."""
        for leg in self._legs:
            yield from leg.parts()

    def _fused(self, rankings: Sequence[Sequence[Candidate]], limit: int) -> list[Candidate]:
        """Gains are added in the order of the rankings, so that sums are reproducible."""
        sums: dict[int, float] = {}
        known: dict[int, Candidate] = {}
        for ranking, weight in zip(rankings, self._weights, strict=True):
            for each, gain in zip(ranking, self._gains(ranking, weight), strict=True):
                sums[each.row] = sums.get(each.row, 0.0) + gain
                if each.row not in known or known[each.row].text is None:
                    known[each.row] = each
        return ordered([known[row]._replace(score=total) for row, total in sums.items()], limit)

    def _gains(self, ranking: Sequence[Candidate], weight: float) -> list[float]:
        if self._by == "rrf":
            return [weight / (self._constant + rank) for rank in range(1, len(ranking) + 1)]
        scores = [each.score for each in ranking]
        low, high = min(scores, default=0.0), max(scores, default=0.0)
        if high <= low:  # all are equally good
            return [weight] * len(scores)
        return [weight * ((score - low) / (high - low)) for score in scores]


class Reranking(Stage):
    """Orders candidates by another model's scores. depth: how many it is given. unscorable: rows of documents that the
    model cannot score."""

    name = "reranking"

    def __init__(
        self,
        source: Stage,
        scorer: CandidateScorer,
        documents: Documents,
        *,
        depth: int,
        unscorable: Sequence[int] = (),
    ) -> None:
        self._source = source
        self._scorer = scorer
        self._documents = documents
        self._depth = depth
        self._unscorable = frozenset(unscorable)

    def find(self, call: Call, limit: int) -> list[Candidate]:
        """The best `limit` candidates by the model. Raises RetrieverError where it refuses all of them."""
        candidates = self._scorable(self._source.find(call, max(self._depth, limit)))
        if not candidates:
            return []
        return self._reranked(candidates, self._scorer.score(call.query, *self._given(candidates)), limit)

    async def afind(self, call: Call, limit: int) -> list[Candidate]:
        """As `find`."""
        candidates = self._scorable(await self._source.afind(call, max(self._depth, limit)))
        if not candidates:
            return []
        return self._reranked(candidates, await self._scorer.ascore(call.query, *self._given(candidates)), limit)

    def parts(self) -> Iterator[Part]:
        """The model, and what finds the candidates."""
        yield self._scorer
        yield from self._source.parts()

    def _scorable(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return [each for each in candidates if each.row not in self._unscorable]

    def _given(self, candidates: Sequence[Candidate]) -> tuple[list[int], list[str]]:
        return [each.row for each in candidates], [self._documents.text(each.row) for each in candidates]

    def _reranked(self, candidates: Sequence[Candidate], scores: Sequence[float], limit: int) -> list[Candidate]:
        """Candidates without a score stand behind those that have one, as they were found."""
        lowest = min((np.float32(score) for score in scores if score > -math.inf), default=None)
        if lowest is None:
            raise RetrieverError("The reranking model refused all candidates of the query.")
        step = max(np.float32(1.0), abs(lowest)) * np.float32(1e-3)
        scored = [
            each._replace(score=score if score > -math.inf else float(lowest - step * np.float32(place)))
            for place, (each, score) in enumerate(zip(candidates, scores, strict=True), start=1)
        ]
        return ordered(scored, limit)


class Pipeline:
    """The whole: the last stage, and the documents. limit: how many documents it was measured with."""

    def __init__(self, top: Stage, documents: Documents, *, limit: int) -> None:
        self.top = top
        self.documents = documents
        self._limit = limit

    def find(self, call: Call, k: int) -> list[Candidate]:
        """The best k documents, found as it was measured and then cut; for more, engines are asked for more."""
        return self.top.find(call, max(k, self._limit))[:k]

    async def afind(self, call: Call, k: int) -> list[Candidate]:
        """As `find`."""
        return (await self.top.afind(call, max(k, self._limit)))[:k]

    def parts(self) -> list[Part]:
        """Its parts, each once."""
        return list({id(part): part for part in self.top.parts()}.values())


def ordered(candidates: Iterable[Candidate], limit: int) -> list[Candidate]:
    """The best `limit` candidates: scores compared as float32, ties by id descending; a document stands once.

    Raises RetrieverError for a score that is NaN."""
    best: dict[int, Candidate] = {}
    for each in candidates:
        rounded = each._replace(score=float(np.float32(each.score)))
        if math.isnan(rounded.score):
            raise RetrieverError(f"The score of document {each.id!r} is NaN, which no order can hold.")
        if rounded.score > -math.inf and (each.row not in best or best[each.row].score < rounded.score):
            best[each.row] = rounded
    ranking = sorted(best.values(), key=lambda each: each.id, reverse=True)
    return sorted(ranking, key=lambda each: -each.score)[:limit]


def _only(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The vector of one text, float32 (dimension,). Raises RetrieverError where it is none."""
    vector = np.ascontiguousarray(vectors, np.float32)
    if vector.ndim != 2 or len(vector) != 1 or not np.isfinite(vector).all():
        raise RetrieverError(f"The encoder gave no vector for the query, but an array of shape {vector.shape}.")
    only: npt.NDArray[np.float32] = vector[0]
    return only
