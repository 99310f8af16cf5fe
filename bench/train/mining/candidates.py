"""The candidates of a system of the file, for the queries of pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from adapters.base import Context, Hits
from bench.cache.artifacts import Cache
from bench.cache.digests import deciding
from bench.experiment.negatives import Negatives
from bench.experiment.parts import Experiment, Node, Searched, System
from bench.money.budget import Budget
from bench.quality.materials import Models
from bench.quality.pipeline import Pipeline
from bench.quality.stages import Emit
from bench.train.mining.asked import Asked
from bench.train.mining.rankings import OfQueries, Positions


@dataclass(frozen=True, slots=True)
class FromSystem:
    """A system of one build that can search for any query. experiment: of that system alone. models: those that it
    needs, trained or standing in."""

    experiment: Experiment
    models: Models

    @classmethod
    def of(cls, experiment: Experiment, system: System, build: int, models: Models) -> FromSystem:
        """The system of an experiment, at a build from 0."""
        alone = replace(
            experiment, systems=(experiment.at(system, build),), baseline=None, loads=(), targets={}, trackers={}
        )
        return cls(replace(alone, settings=alone.settings.model_copy(update={"cluster": None})), models)

    @property
    def system(self) -> System:
        """The system itself."""
        return self.experiment.systems[0]

    def identity(self, dimension: int | None) -> list[dict[str, Any]]:
        """What decides its candidates, for keys: of itself and of all that it fuses. dimension: of the data's own
        vectors."""
        context = self.experiment.context(dimension, self.models.folders)
        return [self._of(node, context) for node in self.system.nodes()]

    def _of(self, node: Node, context: Context) -> dict[str, Any]:
        system = node.system
        found: dict[str, Any] = {"filter": system.filter.as_dict() if system.filter else None, "wanted": system.depth}
        if isinstance(system.source, Searched):
            store, pair = system.source.store, system.source.encoders
            found["store"] = [store.adapter, store.plain("index"), store.plain("query")]
            found["address"] = None if store.kind.embedded else store.plain("connection")
            found["encoders"] = [self._encoder(name, context) for name, _ in pair.roles] if pair else None
        if system.fused is not None:
            found["fused"] = [system.fused.by, list(system.fused.weights), system.fused.rrf_k]
        if system.reranker is not None:
            part = self.experiment.rerankers[system.reranker]
            found["reranker"] = deciding(part.kind(part.options, context).identity.as_dict())
            compared = getattr(part.options, "encoder", None)
            found["compared"] = None if compared is None else self._encoder(str(compared), context)
        return found

    def _encoder(self, name: str, context: Context) -> list[Any]:
        part = self.experiment.encoders[name]
        encoder = part.kind(part.options, context)
        roles = [dict(encoder.role_settings(role)) for role in ("query", "document")]
        return [deciding(encoder.identity.as_dict()), str(encoder.similarity), *roles]

    def ranking(
        self, asked: Asked, spec: Negatives, barred: int, cache: Cache, emit: Emit, budget: Budget
    ) -> ByCandidates:
        """Its candidates for the queries of pairs, searched for now. barred: documents of a query that are surely no
        candidates. A reranker scores no more of them than the system says or the pairs need."""
        places, system = spec.last_place, self.system
        if system.reranker is not None and spec.range_max is None:
            places = max(system.depth, spec.range_min - 1 + spec.per_query)
        depth = min(asked.dataset.documents, places + barred)
        dataset = replace(asked.dataset, queries=asked.query_table(), qrels=None, own_rows=None)
        pipeline = Pipeline(self.experiment, dataset, cache, emit, budget, self.models)
        try:
            found = pipeline.ranking(Node(system, depth))
        finally:
            pipeline.close()
        return ByCandidates(asked, Hits(found.rows, found.scores))


class ByCandidates(OfQueries):
    """What a system found for the distinct queries, as it ranks it."""

    def __init__(self, asked: Asked, found: Hits) -> None:
        super().__init__(asked)
        self._found = found
        self.deepest = found.rows.shape[1]

    def of_queries(self, queries: Positions, depth: int) -> Hits:
        return Hits(self._found.rows[queries], self._found.scores[queries])
