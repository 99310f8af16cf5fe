"""What the systems of a run cost, from what was used and how long it took; and the budget that stops it in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from adapters.base import AdapterError, Encoder, Reranker, Role, Usage
from bench.cost import (
    Of,
    Prices,
    Projection,
    SystemCost,
    Work,
    estimated_embedding,
    estimated_reranking,
    load_prices,
    price_of,
    system_cost,
)
from bench.expansion import System
from bench.pipeline import Pipeline
from bench.timing import samples_wanted

StageSeconds: TypeAlias = Mapping[str, float]


class BudgetExceeded(AdapterError):
    """The next request could take the bill over `max_cost`."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """What one part of a run will be billed. usd: None where the model has no price."""

    what: str
    provider: str
    model: str
    usage: Usage
    usd: float | None


class Costs:
    """Prices of one experiment, applied to its pipeline before, during and after a run."""

    def __init__(self, pipeline: Pipeline) -> None:
        """Raises PriceFaults when the experiment's `prices` cannot be read."""
        self._pipeline = pipeline
        settings = pipeline.experiment.settings
        self._prices: Prices = load_prices(settings.prices)
        self._machine = settings.machine_usd_per_hour
        self._limit = settings.max_cost
        self._projection = Projection(**settings.projection.model_dump()) if settings.projection else None
        self.spent = 0.0

    # -- before --------------------------------------------------------------------------------------------------

    def bill(self) -> list[BillLine]:
        """What a run would be billed: texts not embedded yet, pairs to score at most, live queries."""
        lines: list[BillLine] = []
        for (name, role), encoder in encoders_in_use(self._pipeline).items():
            if encoder.bills:
                missing, _, characters = self._pipeline.embedding.pending(encoder, role)
                usage = estimated_embedding(missing, characters)
                lines.append(self._line(f"{name}: {missing:,} {role} texts", encoder, usage))
        lengths = self._mean_characters("query"), self._mean_characters("document")
        queries = self._pipeline.dataset.judged
        for name in dict.fromkeys(s.reranker for s in self._pipeline.experiment.systems if s.reranker):
            reranker = self._pipeline.reranker(name)
            if reranker.bills:
                users = [s for s in self._pipeline.experiment.systems if s.reranker == name]
                usage = Usage()
                for system in users:
                    usage += estimated_reranking(queries, system.depth, *lengths)
                lines.append(self._line(f"{name}: at most {len(users) * queries:,} rankings", reranker, usage))
        return [line for line in lines + self._live_bill() if line.usage != Usage()]

    def faults(self) -> list[str]:
        """Why a run may not start: its bill would pass `max_cost`, or cannot be known."""
        if self._limit is None:
            return []
        lines = self.bill()
        unknown = sorted({f"{line.provider} {line.model}" for line in lines if line.usd is None})
        if unknown:
            return [f"max_cost cannot be kept: no price is known of {', '.join(unknown)}. Add it under `prices`."]
        total = sum(line.usd or 0.0 for line in lines)
        if total > self._limit:
            return [
                f"max_cost ({self._limit:,.2f} USD) would be passed: this run is estimated at {total:,.4f} USD. See "
                "the bill with --dry-run; raise max_cost, or lower the samples of the latency pass."
            ]
        return []

    def _live_bill(self) -> list[BillLine]:
        lines: list[BillLine] = []
        for load in self._pipeline.experiment.loads:
            for system in self._pipeline.experiment.systems:
                for what, adapter, usage in self._per_live_query(system):
                    samples = samples_wanted(self._pipeline, system, load)
                    total = _scaled(usage, samples)
                    lines.append(self._line(f"{system.name}: {samples:,} live queries, {what}", adapter, total))
        return lines

    def _per_live_query(self, system: System) -> list[tuple[str, Encoder | Reranker, Usage]]:
        found: list[tuple[str, Encoder | Reranker, Usage]] = []
        query = self._mean_characters("query")
        if system.query_encoder and self._pipeline.encoder(system.query_encoder).bills:
            encoder = self._pipeline.encoder(system.query_encoder)
            found.append((system.query_encoder, encoder, estimated_embedding(1, query)))
        if system.reranker and self._pipeline.reranker(system.reranker).bills:
            usage = estimated_reranking(1, system.depth, query, self._mean_characters("document"))
            found.append((system.reranker, self._pipeline.reranker(system.reranker), usage))
        for leg in self._pipeline.legs(system):
            found += self._per_live_query(leg)
        return found

    def _mean_characters(self, role: Role) -> float:
        texts = self._pipeline.dataset.document_texts if role == "document" else self._pipeline.dataset.query_texts
        step = max(1, len(texts) // 500)
        return float(np.mean([len(texts[i]) for i in range(0, len(texts), step)])) if len(texts) else 0.0

    def _line(self, what: str, adapter: Encoder | Reranker, usage: Usage) -> BillLine:
        identity = adapter.identity
        usd = price_of(self._prices, identity.provider, identity.model, usage)
        return BillLine(what, identity.provider, identity.model, usage, usd)

    # -- during --------------------------------------------------------------------------------------------------

    def before(self, adapter: Encoder | Reranker, expected: Usage) -> None:
        """Called before a request that bills. Raises BudgetExceeded when it could pass `max_cost`."""
        if self._limit is None or not adapter.bills:
            return
        price = self._line("", adapter, expected).usd
        if price is not None and self.spent + price > self._limit:
            raise BudgetExceeded(
                f"max_cost ({self._limit:,.2f} USD) would be passed: {self.spent:,.4f} USD are spent and the next "
                f"request to {adapter.identity.model} costs about {price:,.4f} USD. What was paid for is kept; raise "
                "max_cost and run again."
            )

    def live_refusal(self, system: System) -> str | None:
        """Why a system's latency is not measured: its live queries could pass `max_cost`."""
        if self._limit is None:
            return None
        expected = 0.0
        for load in self._pipeline.experiment.loads:
            samples = samples_wanted(self._pipeline, system, load)
            for what, adapter, usage in self._per_live_query(system):
                expected += self._line(what, adapter, _scaled(usage, samples)).usd or 0.0
        if not expected or self.spent + expected <= self._limit:
            return None
        return f"its live queries (about {expected:,.4f} USD) could pass max_cost ({self._limit:,.2f} USD)"

    def after(self, adapter: Encoder | Reranker, used: Usage) -> None:
        """Called after a request that billed."""
        if adapter.bills:
            self.spent += self._line("", adapter, used).usd or 0.0

    # -- after ---------------------------------------------------------------------------------------------------

    def of(self, system: System, seconds: StageSeconds | None) -> SystemCost:
        """The cost sheet of a system. seconds: mean seconds per live query by stage, None where not measured."""
        return system_cost(
            self._work(system, seconds),
            self._prices,
            machine_usd_per_hour=self._machine,
            projection=self._projection,
        )

    def _work(self, system: System, seconds: StageSeconds | None) -> list[Work]:
        """The parts of a system and of the legs it fuses, each part once."""
        queries, documents = self._pipeline.dataset.judged, self._pipeline.dataset.documents
        live = {stage: value * queries for stage, value in (seconds or {}).items()}
        parts: dict[str, Work] = {}
        for node in self._nodes(system):
            for name, role in self._encoders(node):
                encoder, vectors = self._pipeline.encoder(name), self._pipeline.vectors(name, role)
                if encoder.consumes == "vector":
                    continue
                of: Of = "corpus" if role == "document" else "queries"
                time = vectors.seconds
                if role == "query" and not encoder.bills and "encode" in live:
                    time = live.pop("encode")  # one clock for all of a query's encoders
                parts.setdefault(
                    f"{name} {role}", self._billed("encoder", of, len(vectors.array), encoder, vectors.usage, time)
                )
            if node.store is not None:
                built = self._pipeline.index(node)
                parts[f"index {built.key}"] = Work("index", "corpus", documents, seconds=built.build_seconds)
            if node.reranker is not None:
                usage, spent = self._pipeline.rerank_usage(node)
                time = live.pop("rerank", 0.0 if node is not system and seconds else spent)
                reranker = self._pipeline.reranker(node.reranker)
                parts[f"reranker {node.name}"] = self._billed("reranker", "queries", queries, reranker, usage, time)
        for stage in ("search", "fuse"):
            if stage in live:
                parts[stage] = Work(stage, "queries", queries, seconds=live[stage])
        return list(parts.values())

    def _nodes(self, system: System) -> list[System]:
        return [system, *(node for leg in self._pipeline.legs(system) for node in self._nodes(leg))]

    def _encoders(self, system: System) -> list[tuple[str, Role]]:
        return [(name, role) for name, role in encoder_roles(self._pipeline, system) if name is not None]

    def _billed(self, part: str, of: Of, count: int, adapter: Encoder | Reranker, usage: Usage, seconds: float) -> Work:
        if not adapter.bills:
            return Work(part, of, count, seconds=seconds)
        identity = adapter.identity
        return Work(part, of, count, identity.provider, identity.model, usage, seconds)


def encoders_in_use(pipeline: Pipeline) -> dict[tuple[str, Role], Encoder]:
    """Every encoder that the systems need, with the role it is needed in."""
    return {
        (name, role): pipeline.encoder(name)
        for system in pipeline.experiment.systems
        for name, role in encoder_roles(pipeline, system)
        if name is not None
    }


def encoder_roles(pipeline: Pipeline, system: System) -> list[tuple[str | None, Role]]:
    """The encoders of one system and of its reranker, by role; None where it has none."""
    names: list[tuple[str | None, Role]] = [(system.document_encoder, "document"), (system.query_encoder, "query")]
    if system.reranker and pipeline.reranker(system.reranker).needs == "vector":
        encoder = pipeline.reranker(system.reranker).options.encoder
        names += [(encoder, "document"), (encoder, "query")]
    return names


def _scaled(usage: Usage, times: int) -> Usage:
    return Usage(usage.requests * times, usage.tokens * times, usage.search_units * times)
