"""Computes what the systems of a run cost, from usage and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from adapters.base import RECKONING_ERROR, Encoder, Reranker, Role, Rows, Usage
from bench.experiment.parts import System
from bench.latency.forecast import queries_sent
from bench.latency.kept import unmeasured
from bench.latency.timings import CHOSEN, EVERYONE
from bench.money.budget import Budget
from bench.money.cost import (
    ABOUT,
    Integers,
    Of,
    PartWork,
    Prices,
    Projection,
    SystemCost,
    embedding_usage,
    price_of,
    reranking_usage,
    system_cost,
)
from bench.quality.pipeline import Pipeline
from bench.statistics.arrays import Values

StageSeconds: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LiveSeconds:
    """The time of a live query by part: mean seconds, and means by round, float64 (rounds,). disturbed: whether some of
    the rounds were disturbed."""

    means: StageSeconds
    rounds: Mapping[str, Values]
    disturbed: bool = False


@dataclass(frozen=True, slots=True)
class BillLine:
    """What one part of a run will be billed. usd: None where the model has no price."""

    what: str
    provider: str
    model: str
    usage: Usage
    usd: float | None


def over_limit(lines: Sequence[BillLine], budget: Budget) -> list[str]:
    """Why what is to be billed may not be begun: it would pass `max_cost`, or cannot be known."""
    if budget.limit is None:
        return []
    unknown = sorted({f"{line.provider} {line.model}" for line in lines if line.usd is None})
    if unknown:
        return [f"max_cost cannot be kept: no price is known of {', '.join(unknown)}. Add it under `prices`."]
    total = budget.spent + sum(line.usd or 0.0 for line in lines)
    if total > budget.limit:
        return [
            f"max_cost ({budget.limit:g} USD) would be passed: this is estimated at {total:,.4f} USD, "
            f"± {RECKONING_ERROR:.0%}. --dry-run shows the bill; raise max_cost, or ask for less: fewer texts, fewer "
            "candidates to rerank, or fewer samples of the latency pass."
        ]
    return []


def bill_of_texts(name: str, encoder: Encoder, role: Role, sizes: Integers, prices: Prices) -> BillLine:
    """What embedding texts will be billed. name: of the encoder in the file. sizes: of the texts that have no vector
    yet, by script."""
    return bill_line(f"{name}: {len(sizes):,} {role} texts", encoder, embedding_usage(sizes, ABOUT).total(), prices)


def bill_line(what: str, adapter: Encoder | Reranker, usage: Usage, prices: Prices) -> BillLine:
    """What a model will be billed for, at its price."""
    identity = adapter.identity
    usd = price_of(prices, identity.provider, identity.model, usage)
    return BillLine(what, identity.provider, identity.model, usage, usd)


def bill_lines(bill: Sequence[BillLine]) -> list[str]:
    """A bill for people, nothing where nothing bills."""
    if not bill:
        return []
    shown = [f"  {line.what}: {_dollars(line.usd)} ({line.provider} {line.model})" for line in bill]
    known = sum(line.usd for line in bill if line.usd is not None)
    more = " and what has no price" if any(line.usd is None for line in bill) else ""
    low, high = (_dollars(known * (1 + sign * RECKONING_ERROR)) for sign in (-1, 1))
    return [
        "",
        f"bill, estimated: tokens are reckoned from the texts' scripts, ± {RECKONING_ERROR:.0%}",
        *shown,
        f"  total: {_dollars(known)}{more}; probably between {low} and {high}",
    ]


def _dollars(usd: float | None) -> str:
    return "price unknown" if usd is None else f"{usd:,.4f} USD"


class Costs:
    """Prices of one experiment, applied to its pipeline before, during and after a run. ahead: what is billed before
    the systems are."""

    def __init__(self, pipeline: Pipeline, budget: Budget, ahead: Sequence[BillLine] = ()) -> None:
        self._pipeline = pipeline
        self._ahead = tuple(ahead)
        settings = pipeline.experiment.settings
        self._budget = budget
        self._prices, self._limit = budget.prices, budget.limit
        self._machine = settings.machine_usd_per_hour
        self._projection = Projection(**settings.projection.model_dump()) if settings.projection else None

    # -- before --------------------------------------------------------------------------------------------------

    def bill(self, *, remeasure: bool = False) -> list[BillLine]:
        """What a run would be billed: texts not embedded yet, pairs to score at most, live queries."""
        lines = list(self._ahead)
        for (name, role), encoder in encoders_in_use(self._pipeline).items():
            if encoder.bills:
                sizes = self._pipeline.materials.embedding.sizes_pending(encoder, role)
                lines.append(bill_of_texts(name, encoder, role, sizes, self._prices))
        queries = self._pipeline.dataset.judged
        for name in dict.fromkeys(s.reranker for s in self._pipeline.experiment.systems if s.reranker):
            reranker = self._pipeline.materials.reranker(name)
            if reranker.bills:
                depths = [depth for s in self._pipeline.experiment.systems for depth in self._depths(s, name)]
                usage = sum((self._rankings(queries, depth) for depth in depths), Usage())
                lines.append(self._line(f"{name}: at most {len(depths) * queries:,} rankings", reranker, usage))
        return [line for line in lines + self._live_bill(remeasure) if line.usage != Usage()]

    def faults(self, *, remeasure: bool = False) -> list[str]:
        """Why a run may not start: its bill would pass `max_cost`, or cannot be known."""
        return over_limit(self.bill(remeasure=remeasure), self._budget) if self._limit is not None else []

    def _depths(self, system: System, reranker: str) -> list[int]:
        """How many candidates a reranker scores for a system: one number for each use by the system or one of its
        legs."""
        return [node.limit for node in system.nodes() if node.system.reranker == reranker]

    def _rankings(self, queries: int, depth: int) -> Usage:
        """The usage of ranking that many documents of mean length for each of that many queries of mean length."""
        depth = min(depth, self._pipeline.dataset.documents)
        query = np.array([self._mean_size("query")])
        documents = np.full((1, depth), self._mean_size("document"))
        return _scaled(reranking_usage(query, documents, ABOUT).total(), queries)

    def _live_bill(self, remeasure: bool) -> list[BillLine]:
        lines: list[BillLine] = []
        systems = self._pipeline.experiment.systems
        again = (CHOSEN,) if self._pipeline.experiment.targets else ()
        for load in self._pipeline.experiment.loads:
            for occasion in (EVERYONE, *again):
                for system in unmeasured(self._pipeline, load, systems, remeasure=remeasure, occasion=occasion):
                    sent = queries_sent(self._pipeline, system, load)
                    once_more = " if it is chosen for a target" if occasion == CHOSEN else ""
                    for what, adapter, usage in self._per_live_query(system):
                        text = f"{system.name}: {sent:,} live queries{once_more}, {what}"
                        lines.append(self._line(text, adapter, _scaled(usage, sent)))
        return lines

    def _per_live_query(self, system: System) -> list[tuple[str, Encoder | Reranker, Usage]]:
        found: dict[str, tuple[str, Encoder | Reranker, Usage]] = {}
        query = embedding_usage(np.array([self._mean_size("query")]), ABOUT).total()
        for node in system.nodes():
            encoders, reranker = node.system.encoders, node.system.reranker
            if encoders and self._pipeline.materials.encoder(encoders.query).bills:
                # One call serves all legs of a query.
                found[encoders.query] = (encoders.query, self._pipeline.materials.encoder(encoders.query), query)
            if reranker and self._pipeline.materials.reranker(reranker).bills:
                usage = self._rankings(1, node.limit)
                found[f"{node.system.name} reranked"] = (reranker, self._pipeline.materials.reranker(reranker), usage)
        return list(found.values())

    def _mean_size(self, role: Role) -> int:
        """Mean size of a text, by its script."""
        texts = self._pipeline.dataset.document_texts if role == "document" else self._pipeline.dataset.query_texts
        step = max(1, len(texts) // 500)
        sizes = ABOUT.sizes(texts[i] for i in range(0, len(texts), step))
        return round(float(sizes.mean())) if len(sizes) else 0

    def _line(self, what: str, adapter: Encoder | Reranker, usage: Usage) -> BillLine:
        return bill_line(what, adapter, usage, self._prices)

    # -- during --------------------------------------------------------------------------------------------------

    def live_refusals(
        self, systems: Sequence[System], rankings: Mapping[str, Rows], *, remeasure: bool, occasion: str = EVERYONE
    ) -> dict[str, str]:
        """By system, why its latency is not measured: its live queries could pass `max_cost`. The queries of the other
        systems are counted as spent. rankings: by system, the rankings that kept timings must belong to."""
        expected = dict.fromkeys((system.name for system in systems), 0.0)
        for load in self._pipeline.experiment.loads if self._limit is not None else ():
            missing = unmeasured(
                self._pipeline, load, systems, remeasure=remeasure, occasion=occasion, rankings=rankings
            )
            for system in missing:
                sent = queries_sent(self._pipeline, system, load)
                for what, adapter, usage in self._per_live_query(system):
                    expected[system.name] += self._line(what, adapter, _scaled(usage, sent)).usd or 0.0
        refused: dict[str, str] = {}
        for name, usd in expected.items():
            if not self._budget.reserve(usd):
                refused[name] = f"its live queries (about {usd:,.4f} USD) could pass max_cost ({self._limit:g} USD)"
        return refused

    # -- after ---------------------------------------------------------------------------------------------------

    def so_far(self, system: System) -> SystemCost:
        """The sheet of a system that was not measured: what this run used of the models that the system needs,
        whichever system used them. No cost of a document or a query follows from that."""
        found: dict[int, PartWork] = {}
        for node in system.nodes():
            adapters: list[tuple[str, Of, Encoder | Reranker]] = [
                ("encoder", "corpus" if role == "document" else "queries", self._pipeline.materials.encoder(name))
                for name, role in encoder_roles(self._pipeline, node.system)
            ]
            if node.system.reranker is not None:
                adapters.append(("reranker", "queries", self._pipeline.materials.reranker(node.system.reranker)))
            for part, of, adapter in adapters:
                if (used := self._budget.used(adapter)) is not None:
                    found.setdefault(id(adapter), self._billed(part, of, 0, adapter, used, 0.0))
        return system_cost(list(found.values()), self._prices, machine_usd_per_hour=self._machine)

    def of(self, system: System, live: LiveSeconds | None) -> SystemCost:
        """The cost sheet of a system. live: the time of a live query; None where it was not measured. The machine's
        part of a query is then unknown, because times of batches say nothing about it."""
        work = self._work(system, live.means if live else None)
        return system_cost(
            work,
            self._prices,
            machine_usd_per_hour=self._machine,
            projection=self._projection,
            machine_seconds=None if live is None else self._machine_seconds(work, live),
            disturbed=live is not None and live.disturbed,
        )

    def _machine_seconds(self, work: Sequence[PartWork], live: LiveSeconds) -> Values | None:
        """Seconds of this machine that a query takes, by round; None where a part of it is not known by round."""
        parts = [part for part in work if part.of == "queries" and part.provider is None]
        columns = [live.rounds.get(part.stage) for part in parts if part.stage is not None]
        known = [column for column in columns if column is not None]
        return np.sum(known, axis=0) if known and len(known) == len(columns) else None

    def _work(self, system: System, seconds: StageSeconds | None) -> list[PartWork]:
        """The parts of a system and of the legs it fuses, each part once."""
        queries, documents = self._pipeline.dataset.judged, self._pipeline.dataset.documents
        live = {stage: value * queries for stage, value in (seconds or {}).items()}
        nothing = None if seconds is None else 0.0  # for a part whose time is contained in another part's
        parts: dict[str, PartWork] = {}
        for node in system.nodes():
            for name, role in encoder_roles(self._pipeline, node.system):
                encoder, vectors = self._pipeline.materials.encoder(name), self._pipeline.materials.vectors(name, role)
                if encoder.consumes == "vector" or f"{name} {role}" in parts:
                    continue
                of: Of = "corpus" if role == "document" else "queries"
                stage = f"encode {name}" if role == "query" else None
                time = vectors.seconds if stage is None else live.get(stage, nothing)
                parts[f"{name} {role}"] = self._billed(
                    "encoder", of, len(vectors.array), encoder, vectors.usage, time, stage
                )
            if node.system.searched is not None:
                built = self._pipeline.indexes.built(node.system.searched)
                parts[f"index {built.key}"] = PartWork("index", "corpus", documents, seconds=built.build_seconds)
            if (reranks := node.system.reranker) is not None:
                rows = self._pipeline.reranked_rows(node, reranks)
                usage = self._pipeline.reranking.pair_scores(reranks).usage(rows)  # of this system alone
                stage = "rerank" if "rerank" in live else None  # a live query has one time for all of its rerankers
                time = live.pop("rerank", nothing)
                reranker = self._pipeline.materials.reranker(reranks)
                parts[f"reranker {node.system.name}"] = self._billed(
                    "reranker", "queries", queries, reranker, usage, time, stage
                )
        for stage in ("search", "fuse"):
            if stage in live:
                parts[stage] = PartWork(stage, "queries", queries, seconds=live[stage], stage=stage)
        if seconds is None and system.run_file is None:
            parts["search"] = PartWork("search", "queries", queries)  # searching takes time, but it was not measured
        return list(parts.values())

    def _billed(
        self,
        part: str,
        of: Of,
        count: int,
        adapter: Encoder | Reranker,
        usage: Usage,
        seconds: float | None,
        stage: str | None = None,
    ) -> PartWork:
        if not adapter.bills:
            return PartWork(part, of, count, seconds=seconds, stage=stage)
        identity = adapter.identity
        return PartWork(part, of, count, identity.provider, identity.model, usage, seconds)


def encoders_in_use(pipeline: Pipeline) -> dict[tuple[str, Role], Encoder]:
    """Every encoder that the systems need, with the role it is needed in."""
    return {
        (name, role): pipeline.materials.encoder(name)
        for system in pipeline.experiment.systems
        for build in range(pipeline.experiment.builds_of(system))
        for name, role in encoder_roles(pipeline, pipeline.experiment.at(system, build))
    }


def encoder_roles(pipeline: Pipeline, system: System) -> list[tuple[str, Role]]:
    """The encoders of one system's own search and of its reranker, by role."""
    names = list(system.encoders.roles) if system.encoders else []
    if system.reranker and (encoder := pipeline.materials.reranker(system.reranker).encoder_name) is not None:
        names += [(encoder, "document"), (encoder, "query")]
    return names


def _scaled(usage: Usage, times: int) -> Usage:
    return Usage(usage.requests * times, usage.tokens * times, usage.search_units * times)
