"""One system's stages, each keyed by what it depends on, so that what two systems share is computed once.

    vectors(encoder, role) ─► index(store, vectors, build) ─► candidates(query options, limit) ─► fusion ─► reranker

This is the quality pass: batched, cached and untimed. What is measured live is in `bench.latency.steps`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.base import (
    Floats,
    Hits,
    Rows,
    UnknownIds,
)
from bench.cache.artifacts import Cache
from bench.data.dataset import Dataset
from bench.experiment.parts import Experiment, Fused, Node, RunFile, Searched, System
from bench.messages.failures import as_failure
from bench.money.budget import Budget
from bench.quality.fusion import reciprocal_rank, weighted_scores
from bench.quality.indexes import Indexes
from bench.quality.materials import Materials, Models, NoModels
from bench.quality.ranking import Ranking
from bench.quality.reranking import Reranking
from bench.quality.searches import Searches
from bench.quality.stages import Emit


class Pipeline:
    """The stages of one experiment over one dataset."""

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        cache: Cache,
        emit: Emit,
        budget: Budget,
        models: Models = NoModels(),
    ) -> None:
        self.experiment = experiment
        self.dataset = dataset
        self.cache = cache
        self.emit = emit
        self.systems = {system.name: system for system in experiment.systems}
        self.materials = Materials(experiment, dataset, cache, emit, budget, models)
        self.indexes = Indexes(self.materials)
        self.searches = Searches(self.materials, self.indexes)
        self.reranking = Reranking(self.materials)

    def candidates(self, system: System, limit: int) -> Ranking:
        """What a system's source (store, fusion or run file) returns for every judged query when asked for `limit`."""
        match system.source:
            case RunFile(path):
                # In TREC's form a query without hits has no line, so a query that is missing found nothing and did not
                # fail.
                return self.materials.once(("run", path, limit), lambda: self.searches.run_file_ranking(path, limit))
            case Fused() as fused:
                key = ("fusion", system.name, system.build, system.payload, limit)
                return self.materials.once(key, lambda: self._fused(fused, system.depth, limit))
            case Searched() as searched:
                self.materials.embed(searched)
                found = ("search", self.searches.key(searched, system.filter, limit))
                return self.materials.once(found, lambda: self.searches.ranking(system, searched, limit))

    def unknown_ids(self, system: System) -> UnknownIds:
        """The documents that a system's search or run file found and the corpus does not hold."""
        match system.source:
            case RunFile(path):
                return self.searches.run_file_gaps(path).unknown
            case Searched() as searched:
                self.candidates(system, system.limit)
                return self.searches.unknown_ids(self.searches.key(searched, system.filter, system.limit))
            case Fused():
                return UnknownIds()

    def _fused(self, fused: Fused, depth: int, limit: int) -> Ranking:
        legs: list[Ranking] = []
        for leg in fused.legs:
            with as_failure(f"its leg {leg.name} failed"):
                legs.append(self.ranking(Node(leg, depth)))
        hits = fuse(fused, [leg.rows for leg in legs], [leg.scores for leg in legs])
        failed = {int(i): "a fused system failed" for leg in legs for i in np.flatnonzero(leg.failed)}
        return self.materials.ordered(hits, limit, failed)

    def ranking(self, node: Node) -> Ranking:
        """The final ranking of a system at its place, as long as that place wants it."""
        system = node.system
        if system.reranker is None:
            return self.candidates(system, node.wanted)
        name, key = system.reranker, ("rerank", system.name, system.build, system.payload, node.limit)

        def reranked() -> Ranking:
            return self.reranking.ranking(name, self.candidates(system, node.limit))

        return self.materials.once(key, reranked).cut(node.wanted)

    def reranked_rows(self, node: Node, name: str) -> Rows:
        """The candidates of a system at its place that its reranker, of that name, can score."""
        return self.reranking.scorable(name, self.candidates(node.system, node.limit).rows)[0]

    def close(self) -> None:
        """Close the adapters, once."""
        self.materials.close()


def fuse(fused: Fused, rows: Sequence[Rows], scores: Sequence[Floats]) -> Hits:
    """Fuse the legs' rankings as the system says."""
    if fused.by == "rrf":
        return reciprocal_rank(rows, fused.weights, constant=fused.rrf_k)
    return weighted_scores(rows, scores, fused.weights)
