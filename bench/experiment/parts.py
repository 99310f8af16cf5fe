"""What an experiment consists of once it is read: parts with validated options, systems, and the experiment itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adapters.base import Context, Filter, Role
from bench.cache.artifacts import content_key
from bench.experiment.file import ExperimentFile, LoadPoint
from bench.statistics.measures import Measure

_FILE_UNSAFE = re.compile(r"[^A-Za-z0-9._+=,()>-]+")
_FILE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Part:
    """A named dataset, encoder, reranker or tracker: its adapter class and validated options."""

    name: str
    adapter: str
    kind: type[Any]
    options: Any
    key_path: str


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """A store part with one combination of its index and query options."""

    name: str
    adapter: str
    kind: type[Any]
    index: Any
    query: Any
    connection: Any
    key_path: str


@dataclass(frozen=True, slots=True)
class Fusion:
    """Legs are names of systems. rrf: sum of weight / (rrf_k + rank). weighted: sum of weight × min-max score."""

    by: Literal["rrf", "weighted"]
    legs: tuple[str, ...]
    weights: tuple[float, ...]
    rrf_k: int

    def as_dict(self) -> dict[str, Any]:
        weights = dict(zip(self.legs, self.weights, strict=True))
        return {"by": self.by, "legs": list(self.legs), "weights": weights} | (
            {"rrf_k": self.rrf_k} if self.by == "rrf" else {}
        )


@dataclass(frozen=True, slots=True)
class System:
    """One pipeline: a source of candidates (store, fusion or run file), then perhaps a reranker.

    depth: candidates asked for where fusion or a reranker follows. k: length of the final ranking.
    """

    name: str
    key_path: str
    document_encoder: str | None = None
    query_encoder: str | None = None
    store: StoreChoice | None = None
    fusion: Fusion | None = None
    run: Path | None = None
    reranker: str | None = None
    depth: int = 100
    k: int = 10
    filter: Filter | None = None
    shared_space: bool = False

    @property
    def limit(self) -> int:
        """How many documents its source of candidates is asked for."""
        return self.depth if self.reranker else self.k

    def scored(self, depth: int | None) -> int:
        """How many candidates its reranker scores. depth: what a fusion wants of it as a leg, None where it is none."""
        return max(self.depth, depth or 0)

    @property
    def encoders(self) -> list[tuple[str, Role]]:
        """The encoders of its index and of its queries, each with what it encodes."""
        named: list[tuple[str | None, Role]] = [(self.document_encoder, "document"), (self.query_encoder, "query")]
        return [(name, role) for name, role in named if name is not None]

    @property
    def file_name(self) -> str:
        """The name, safe for files, and no longer than file systems take it with an ending."""
        safe = _FILE_UNSAFE.sub("_", self.name)
        return safe if len(safe) <= _FILE_LENGTH else f"{safe[:_FILE_LENGTH]}-{content_key(self.name)[:12]}"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A valid experiment, its matrix expanded.

    resolved: the file with --set applied, as result.json keeps it. hash: 12 hex digits of everything in it that
    can change a result (so not the cache's place). own_addresses: what --set gave for addresses; all others are the
    file's, which somebody else may have written. alone: this is a dry run, which asks nobody but servers of the user's
    own on this machine that take no key.
    """

    name: str
    file: str
    base: Path
    dataset: Part
    encoders: Mapping[str, Part]
    rerankers: Mapping[str, Part]
    trackers: Mapping[str, Part]
    systems: tuple[System, ...]
    measures: tuple[Measure, ...]
    baseline: str | None
    margin: float | None
    latency_margin: float | None
    loads: tuple[LoadPoint, ...]
    targets: Mapping[Measure, tuple[float, ...]]
    settings: ExperimentFile
    resolved: Mapping[str, Any]
    hash: str
    own_addresses: frozenset[str] = frozenset()
    alone: bool = False

    def context(self, vector_dimension: int | None = None) -> Context:
        """What its adapters may know of it."""
        return Context(self.base, vector_dimension, self.settings.seed, self.own_addresses, self.alone)

    @property
    def kinds(self) -> tuple[type[Any], ...]:
        """The classes of the adapters that make its figures, each once."""
        kinds = [part.kind for part in (self.dataset, *self.encoders.values(), *self.rerankers.values())]
        kinds += [system.store.kind for system in self.systems if system.store is not None]
        return tuple(dict.fromkeys(kinds))

    @property
    def primary(self) -> Measure:
        """The measure that decides."""
        return self.measures[0]
