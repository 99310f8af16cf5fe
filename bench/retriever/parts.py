"""A system as a tree of the pieces that its adapters export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from adapters.base import AdapterError, CodePiece, CorpusFiles, IndexRef, NoCode, Role, Value
from bench.cache.index_files import damaged_files
from bench.cache.index_records import kept_record
from bench.experiment.parts import Fused, Node, RunFile, Searched, System, plain_name
from bench.quality.pipeline import Pipeline
from bench.retriever.refusal import RetrieverRefused


@dataclass(frozen=True, slots=True)
class SearchPart:
    """A search. undirected: rows whose vector has no direction, which it leaves out. rebuilt: whether its index was
    built again since the measurement, and building twice does not give the same."""

    name: str
    store: str
    engine: CodePiece
    encoder: CodePiece | None
    similarity: str | None
    undirected: tuple[int, ...]
    rebuilt: bool
    build: CodePiece | None = None


@dataclass(frozen=True, slots=True)
class FusionPart:
    """A fusion of parts."""

    name: str
    legs: tuple[StagePart, ...]
    weights: tuple[float, ...]
    by: str
    constant: int
    depth: int


@dataclass(frozen=True, slots=True)
class RerankingPart:
    """A reranker over a part. unscorable: rows that have no vector for it."""

    name: str
    source: StagePart
    scorer: CodePiece
    depth: int
    unscorable: tuple[int, ...]
    build: CodePiece | None = None


StagePart: TypeAlias = SearchPart | FusionPart | RerankingPart


def searches_in(part: StagePart) -> Iterator[SearchPart]:
    """The searches of a tree."""
    match part:
        case SearchPart():
            yield part
        case FusionPart():
            for leg in part.legs:
                yield from searches_in(leg)
        case RerankingPart():
            yield from searches_in(part.source)


def pieces_in(part: StagePart) -> Iterator[CodePiece]:
    """All pieces of a tree, those within others too, perhaps several times."""
    match part:
        case SearchPart():
            yield from with_nested(part.engine)
            if part.encoder is not None:
                yield from with_nested(part.encoder)
        case FusionPart():
            for leg in part.legs:
                yield from pieces_in(leg)
        case RerankingPart():
            yield from with_nested(part.scorer)
            yield from pieces_in(part.source)


def builds_in(part: StagePart) -> Iterator[CodePiece]:
    """What builds the parts of a tree, as far as that is asked for."""
    match part:
        case SearchPart():
            yield from [part.build] if part.build is not None else []
        case FusionPart():
            for leg in part.legs:
                yield from builds_in(leg)
        case RerankingPart():
            yield from [part.build] if part.build is not None else []
            yield from builds_in(part.source)


def nested(piece: CodePiece) -> list[CodePiece]:
    """The pieces among a piece's arguments."""
    return [value for value in piece.arguments.values() if isinstance(value, CodePiece)]


def with_nested(piece: CodePiece) -> Iterator[CodePiece]:
    """A piece, after those among its arguments."""
    for each in nested(piece):
        yield from with_nested(each)
    yield piece


@dataclass(frozen=True, slots=True)
class Collecting:
    """Collects the pieces of a system of a prepared pipeline. documents: the table of documents. folder: makes an empty
    folder of that name for what a reranker writes. again: how the experiment is run again. built_at: when the measured
    index of each system was built. building: whether what builds such parts of other documents is collected too."""

    pipeline: Pipeline
    documents: Path
    folder: Callable[[str], Path]
    again: str
    built_at: Mapping[str, str]
    building: bool = False
    _memo: dict[tuple[str, str], CodePiece] = field(default_factory=dict)

    def collect(self, system: System) -> StagePart:
        """The pieces of a system. Raises RetrieverRefused, naming what has none."""
        try:
            return self._part(system.top)
        except NoCode as error:
            raise RetrieverRefused(f"{system.name}: {error}") from error
        except AdapterError as error:
            raise RetrieverRefused(
                f"{system.name}: {error} If it has changed since, run it again: {self.again}"
            ) from error

    def _part(self, node: Node) -> StagePart:
        system = node.system
        match system.source:
            case RunFile(path):
                raise RetrieverRefused(
                    f"{system.name} reads the run file {path.name}: another program found what is in it, and there is "
                    "nothing to run."
                )
            case Fused() as fused:
                legs = tuple(self._part(leg) for leg in node.legs)
                source: StagePart = FusionPart(system.name, legs, fused.weights, fused.by, fused.rrf_k, system.depth)
            case Searched() as searched:
                source = self._search(system, searched)
        if system.reranker is None:
            return source
        return self._reranking(system, system.reranker, source)

    def _search(self, system: System, searched: Searched) -> SearchPart:
        materials, choice = self.pipeline.materials, searched.store
        store = materials.store(choice)
        ref = self._ref(system, searched)
        needs = store.consumes(choice.query)
        encoder = searched.encoders.query if searched.encoders is not None and "vector" in needs else None
        return SearchPart(
            name=system.name,
            store=choice.adapter,
            engine=store.export(ref, choice.query, filter=system.filter, payload=searched.payload),
            encoder=None if encoder is None else self._encoder(encoder),
            similarity=None if encoder is None else str(ref.similarity),
            undirected=() if "text" in needs else ref.undirected,
            rebuilt=not store.reproducible and self._built_again(system, searched),
            build=self._build(system, searched, ref),
        )

    def _built_again(self, system: System, searched: Searched) -> bool:
        record = self.pipeline.cache.index_ref(self.pipeline.indexes.key(searched)) or {}
        measured = self.built_at.get(system.name)
        # What the result says is of the first build.
        return searched.build == 0 and measured is not None and record.get("built_at") != measured

    def _encoder(self, name: str, role: Role = "query") -> CodePiece:
        key = (role, name)
        if key not in self._memo:
            self._memo[key] = self.pipeline.materials.encoder(name).export(role)
        return self._memo[key]

    def _build(self, system: System, searched: Searched, ref: IndexRef) -> CodePiece | None:
        """What builds such an index."""
        if not self.building:
            return None
        store = self.pipeline.materials.store(searched.store)
        build = store.export_build(ref, filter=system.filter, payload=searched.payload)
        if ref.dimension is None or searched.encoders is None:
            return build
        return self._with_vectors(build, searched.encoders.document, str(ref.similarity))

    def _with_vectors(self, build: CodePiece, encoder: str, similarity: str) -> CodePiece:
        vectors: dict[str, Value] = {"encoder": self._encoder(encoder, "document"), "similarity": similarity}
        return replace(build, arguments={**build.arguments, **vectors})

    def _ref(self, system: System, searched: Searched) -> IndexRef:
        """The index that was measured, whole and unchanged. Raises RetrieverRefused."""
        cache, key = self.pipeline.cache, self.pipeline.indexes.key(searched)
        kept = cache.index_ref(key)
        record = None if kept is None else kept_record(kept, key, cache.folder / "indexes" / key / "data")
        where = f"{system.name}: its index ({searched})"
        if record is None:
            raise RetrieverRefused(
                f"{where} is not in the cache {cache.folder}: it was cleaned, lies in another cache (--cache DIR), or "
                f"the model or data has changed since. Make it again: {self.again}"
            )
        ref = IndexRef.from_dict(record["ref"])
        if not ref.rows:
            raise RetrieverRefused(f"{where} holds no documents: there is nothing to search.")
        folder = self.pipeline.materials.store(searched.store).index_folder(ref)
        files: Mapping[str, str] = record.get("files") or {}
        if folder is not None and (damaged := damaged_files(folder, files)):
            raise RetrieverRefused(
                f"{where} is damaged ({folder / damaged[0]} has changed or is gone). Make it again: {self.again}"
            )
        return ref

    def _reranking(self, system: System, name: str, source: StagePart) -> RerankingPart:
        materials = self.pipeline.materials
        reranker = materials.reranker(name)
        folder = self.folder(plain_name(name))
        corpus = CorpusFiles(self.documents, folder)
        unscorable: Sequence[int] = ()
        if (encoder := reranker.encoder_name) is not None:
            vectors = materials.vectors(encoder, "document")
            np.save(folder / "vectors.npy", vectors.array)
            unscorable = tuple(vectors.failures)
            corpus = replace(
                corpus,
                vectors=folder / "vectors.npy",
                encoder=self._encoder(encoder),
                similarity=str(vectors.similarity),
            )
        build = reranker.export_build() if self.building else None
        if build is not None and encoder is not None:
            build = self._with_vectors(build, encoder, str(corpus.similarity))
        return RerankingPart(system.name, source, reranker.export(corpus), system.depth, tuple(unscorable), build)
