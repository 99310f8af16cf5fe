"""Rankings to figures: measures per query, recall against the oracle, the loss split, comparisons. Touches no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.experiment.parts import EncoderPair, System
from bench.quality.completeness import Refused, refused
from bench.quality.oracle import Oracle
from bench.quality.pipeline import Pipeline
from bench.quality.ranking import Ranking
from bench.results.model import Against, Loss, MeasureValue
from bench.statistics.comparison import Compared, SystemFigures, against_baseline
from bench.statistics.detectable import Detectable, detectable
from bench.statistics.measures import Judgements, Measure, evaluate
from bench.statistics.per_query import PerQuery, defined, mean_over_queries
from bench.statistics.significance import Interval, builds_interval

ANN_RECALL_THAT_WARNS = 0.5  # at 10


@dataclass(slots=True)
class Evaluated:
    """One system's figures per query: values by measure, float64 (builds, n), None where not measured, NaN for a query
    for which the measure is not defined.

    system: its build that a user would take, whose number is `system.build`; rankings: of all builds, in their order.
    """

    system: System
    values: dict[Measure, PerQuery | None]
    ann: dict[int, PerQuery | None]
    failed: npt.NDArray[np.bool_]
    failures: tuple[str, ...]
    rankings: list[Ranking] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def partial(self) -> bool:
        """Whether queries failed, or more of what it ranks is missing than a whole system may lack."""
        return bool(self.failed.any()) or any(item.partial for item in self.refused)

    @property
    def ranking(self) -> Ranking:
        """The ranking of the build that a user would take."""
        return self.rankings[self.system.build]

    def per_query(self, measure: Measure) -> PerQuery | None:
        """Mean over the builds: float64 (n,)."""
        values = self.values[measure]
        return None if values is None else values.mean(axis=0)


class Evaluator:
    """Evaluates the systems of one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.experiment = pipeline.experiment
        self.oracle = Oracle(pipeline)
        self._judgements: dict[Any, Judgements] = {}
        column = self.experiment.settings.cluster
        self.clusters = pipeline.dataset.cluster_codes(column) if column else None

    def _rng(self, *path: int) -> np.random.Generator:
        """One generator per use, so that a further system or measure changes no other's interval."""
        return np.random.default_rng([self.experiment.settings.seed, *path])

    def judgements(self, system: System) -> Judgements | None:
        """The qrels, restricted to the documents that pass the system's filter; None without labels."""
        if self.pipeline.dataset.qrels is None:
            return None
        if system.filter not in self._judgements:
            coded = self.pipeline.dataset.qrels_coded()
            whole = Judgements.from_pairs(*coded, query_count=self.pipeline.dataset.judged)
            eligible = self.pipeline.materials.eligible(system.filter)
            self._judgements[system.filter] = whole if eligible is None else whole.restrict(eligible)
        return self._judgements[system.filter]

    def dense(self, system: System) -> EncoderPair | None:
        """The encoders of a system that searches by vector alone, so that recall against exact search is defined."""
        if system.store is None or system.encoders is None:
            return None
        dense = self.pipeline.materials.store(system.store).consumes(system.store.query) == {"vector"}
        return system.encoders if dense else None

    def ann_cutoffs(self, system: System) -> tuple[int, ...]:
        """The cut-offs at which recall against exact search is told."""
        wanted = [m.cutoff for m in (*self.experiment.measures, *self.experiment.targets) if m.kind == "ANN"]
        return tuple(sorted(set(wanted) | {min(10, system.k)}))

    # -- per query -----------------------------------------------------------------------------------------------

    def evaluate(self, system: System) -> Evaluated:
        """Run a system's stages and measure its rankings, once per build."""
        builds = [self.experiment.at(system, build) for build in range(self.experiment.builds_of(system))]
        rankings = [self.pipeline.ranking(each.top) for each in builds]
        system = builds[self.pipeline.materials.trained.chosen(system)]
        ann: dict[int, PerQuery | None] = dict.fromkeys(self.ann_cutoffs(system))
        if self.dense(system):
            per_build = [self._ann(each) for each in builds]
            ann = {k: np.stack([values[k] for values in per_build]) for k in ann}
        relevance = [self._relevance(system, ranking) for ranking in rankings]
        values: dict[Measure, PerQuery | None] = {}
        for measure in self.experiment.measures:
            if measure.kind == "ANN":
                values[measure] = ann[measure.cutoff]
            else:
                parts = [figures.get(measure) for figures in relevance]
                values[measure] = None if parts[0] is None else np.stack([p for p in parts if p is not None])
        failed = np.any([ranking.failed for ranking in rankings], axis=0)
        failures = tuple(dict.fromkeys(cause for ranking in rankings for cause in ranking.failures))
        return Evaluated(system, values, ann, failed, failures, rankings, refused(self.pipeline, system))

    def _relevance(self, system: System, ranking: Ranking) -> dict[Measure, PerQuery | None]:
        judgements = self.judgements(system)
        wanted = [m for m in self.experiment.measures if m.kind != "ANN"]
        if judgements is None:
            return dict.fromkeys(wanted)
        figures = evaluate(wanted, ranking.rows, judgements)
        return {m: None if v is None else np.where(ranking.failed, 0.0, v) for m, v in figures.items()}

    def _ann(self, system: System) -> dict[int, PerQuery]:
        encoders = system.encoders
        assert encoders is not None
        failed = self.pipeline.candidates(system, system.limit).failed
        recall = self._recall(system, encoders, self.ann_cutoffs(system))
        return {k: np.where(failed & ~np.isnan(values), 0.0, values) for k, values in recall.items()}

    def flat_misses(self, system: System, encoders: EncoderPair) -> int:
        """Queries for which an engine's own flat index did not find exactly what the oracle finds."""
        failed = self.pipeline.candidates(system, system.limit).failed
        recall = self._recall(system, encoders, (system.limit,))[system.limit]
        return int(((recall < 1.0) & ~failed).sum())

    def _recall(self, system: System, encoders: EncoderPair, cutoffs: Sequence[int]) -> dict[int, PerQuery]:
        rows = self.pipeline.candidates(system, system.limit).rows
        depth = max(*self.ann_cutoffs(system), system.limit)
        return self.oracle.recall(encoders, system.filter, rows, cutoffs, depth)

    def few_neighbours(self, evaluated: Evaluated) -> str | None:
        """What to say of a search by vector that finds so little that it is more likely wrong than coarse."""
        cutoff = min(10, evaluated.system.k)
        recall, encoders = mean_over_queries(evaluated.ann[cutoff]), evaluated.system.encoders
        if recall is None or recall >= ANN_RECALL_THAT_WARNS or encoders is None:
            return None
        similarity = self.pipeline.materials.encoder(encoders.document).similarity
        return (
            f"ANN@{cutoff} is {recall:.3f}: its search finds less than half of the nearest vectors. Likely causes: the "
            f"store compares by another metric than the encoder's ({similarity}); vectors are normalised on one side "
            "only; ids or rows are mixed up; the index or query settings are too coarse."
        )

    def tracked_scores(self, evaluated: Evaluated) -> dict[str, PerQuery]:
        """What trackers are told of every query: the experiment's measures, and MRR, Recall and nDCG at 1, 3, 5 and 10
        where there are judgements and the rankings are long enough."""
        scores = {str(m): v for m in self.experiment.measures if (v := evaluated.per_query(m)) is not None}
        judgements = self.judgements(evaluated.system)
        usual = [
            Measure(kind, k) for kind in ("MRR", "Recall", "nDCG") for k in (1, 3, 5, 10) if k <= evaluated.system.k
        ]
        wanted = [measure for measure in usual if str(measure) not in scores]
        if judgements is not None and wanted:
            ranking = evaluated.ranking
            for measure, values in evaluate(wanted, ranking.rows, judgements).items():
                if values is not None:
                    scores[str(measure)] = np.where(ranking.failed, 0.0, values)
        return scores

    # -- summaries -----------------------------------------------------------------------------------------------

    def interval(self, values: PerQuery, measure: Measure) -> Interval:
        """The interval of a mean over queries and builds. values: float64 (builds, n)."""
        there = defined(values.mean(axis=0))
        clusters = None if self.clusters is None else self.clusters[there]
        return builds_interval(values[:, there], rng=self._rng(1), binary=measure.is_binary, clusters=clusters)

    def measure_values(self, evaluated: Evaluated) -> dict[str, MeasureValue]:
        """Mean and interval of every measure of the experiment."""
        return {
            str(measure): self._measure_value(evaluated.values[measure], measure, evaluated)
            for measure in self.experiment.measures
        }

    def _measure_value(self, values: PerQuery | None, measure: Measure, evaluated: Evaluated) -> MeasureValue:
        failed = int(evaluated.failed.sum())
        mean = mean_over_queries(values)
        if values is None or mean is None:
            return MeasureValue(mean=None, interval=None, queries=len(evaluated.failed), failed=failed)
        interval = self.interval(values, measure)
        count = int(defined(values.mean(axis=0)).sum())
        return MeasureValue(mean=mean, interval=(interval.low, interval.high), queries=count, failed=failed)

    def loss(self, evaluated: Evaluated) -> list[Loss]:
        """The primary measure after each stage, from exact search to the final ranking: of all builds, as the measure
        itself."""
        measure = self.experiment.primary
        system = evaluated.system
        if measure.kind == "ANN" or self.judgements(system) is None:
            return []
        builds = [self.experiment.at(system, build) for build in range(len(evaluated.rankings))]
        stages = [self._stages(build, final) for build, final in zip(builds, evaluated.rankings, strict=True)]
        if len(stages[0]) < 2:
            return []
        return [
            self._loss(stage, [rankings[stage, leg] for rankings in stages], system, leg) for stage, leg in stages[0]
        ]

    def _stages(self, system: System, final: Ranking) -> dict[tuple[str, str | None], Ranking]:
        """The rankings of one build after each stage, by the stage and the leg that it belongs to."""
        found: dict[tuple[str, str | None], Ranking] = {}
        for leg in system.legs or (system,):
            depth = system.depth if system.legs else system.limit
            label = leg.name if system.legs else None
            encoders = self.dense(leg)
            if encoders:
                found["exact", label] = self.oracle.ranking(encoders, leg.filter, depth)
                if leg.store is not None and leg.store.adapter != "exact":
                    found["ann", label] = self.pipeline.candidates(leg, depth)
            elif system.reranker:
                found["retrieved", label] = self.pipeline.candidates(leg, depth)
        if system.legs:
            found["fused", None] = self.pipeline.candidates(system, system.limit)
        if system.reranker:
            found["reranked", None] = final
        return found

    def _loss(self, stage: str, rankings: Sequence[Ranking], system: System, leg: str | None) -> Loss:
        measure = self.experiment.primary
        judgements = self.judgements(system)
        assert judgements is not None
        per_build = []
        for ranking in rankings:
            found = evaluate([measure], ranking.rows[:, : max(measure.cutoff, 1)], judgements)[measure]
            assert found is not None
            per_build.append(np.where(ranking.failed, 0.0, found))
        values = np.stack(per_build)
        interval = self.interval(values, measure)
        return Loss(
            stage=stage,
            measure=str(measure),
            mean=float(values.mean()),
            interval=(interval.low, interval.high),
            leg=leg,
        )

    # -- comparisons ---------------------------------------------------------------------------------------------

    def figures(self, evaluated: Evaluated) -> SystemFigures:
        """What is compared of a system."""
        system = evaluated.system
        reproducible = True
        if (searched := system.searched) is not None:
            reproducible = searched.store.kind.reproducible or self.pipeline.indexes.built(searched).effective.flat
        condition = system.filter.as_dict() if system.filter else None
        return SystemFigures(evaluated.values, evaluated.partial, reproducible, condition)

    def compare(self, evaluated: Iterable[Evaluated]) -> dict[str, dict[str, Against]]:
        """Every system against the baseline, by name and measure."""
        experiment = self.experiment
        found = against_baseline(
            {one.system.name: self.figures(one) for one in evaluated},
            experiment.baseline,
            experiment.measures,
            margin=experiment.margin,
            seed=experiment.settings.seed,
            clusters=self.clusters,
        )
        return {
            name: {str(measure): _against(compared) for measure, compared in by_measure.items()}
            for name, by_measure in found.items()
        }

    def detectable(self, evaluated: Iterable[Evaluated] = ()) -> Detectable:
        """The smallest true difference on the primary measure that this test set detects with 80 % power, from the
        deviations seen (the largest of the family), or before a run from a prior."""
        return detectable(
            {one.system.name: self.figures(one) for one in evaluated},
            self.experiment.baseline,
            self.experiment.primary,
            queries=self.pipeline.dataset.judged,
            family=len(self.experiment.systems) - 1,
            seeds={system.name: self.experiment.seeds_of(system) for system in self.experiment.systems},
            clusters=self.clusters,
        )


def _against(compared: Compared) -> Against:
    comparison = compared.comparison
    interval = comparison.interval
    return Against.model_validate(
        {
            "difference": comparison.difference,
            "percent": compared.percent,
            "interval": (interval.low, interval.high) if interval is not None else None,
            "p": comparison.p,
            "p_corrected": comparison.p_corrected,
            "verdict": comparison.verdict,
            "queries_to_decide": comparison.queries_to_decide,
            "wins": comparison.wins,
            "ties": comparison.ties,
            "losses": comparison.losses,
        }
    )
