"""What a run knows of each of its systems, and what the result says of it: that is written here alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.base import UnknownIds
from bench.cache.digests import content_key
from bench.experiment.parts import Searched, System
from bench.latency.timings import SystemTimings
from bench.messages.failures import Failure
from bench.messages.wording import counted
from bench.money.cost import SystemCost
from bench.quality.completeness import Refused
from bench.quality.evaluation import Evaluated
from bench.quality.kept_index import BuiltIndex
from bench.quality.pipeline import Pipeline
from bench.results.model import (
    Against,
    Cost,
    Index,
    LatencyAgainst,
    Loss,
    MeasureValue,
    Memory,
    PipelineInfo,
    SystemResult,
    SystemStatus,
    UnknownDocuments,
    Used,
)
from bench.run.description import described, models_of
from bench.statistics.per_query import mean_over_queries, means


class Entry:
    """One system of a run.

    result: what result.json says of it. health: the state of the machines that serve its store, as the run began.
    evaluated: None until it was measured, and for one that ended before. timings: None until the latency pass.
    """

    def __init__(self, pipeline: Pipeline, system: System, health: Sequence[str]) -> None:
        parts = described(pipeline, system)
        self.system = system
        self.health = health
        self.evaluated: Evaluated | None = None
        self.timings: SystemTimings | None = None
        self.result = SystemResult(
            name=system.name,
            status="started",
            hash=content_key(parts)[:16],
            pipeline=PipelineInfo.model_validate(parts),
            models=models_of(pipeline.experiment, system),
        )

    @property
    def name(self) -> str:
        """The system's."""
        return self.system.name

    def note(self, *notes: str) -> None:
        """What a reader of its figures must know."""
        self.result.notes += notes

    # -- the quality pass ----------------------------------------------------------------------------------------

    def failed(self, failure: Failure, status: SystemStatus | None, measures: Mapping[str, MeasureValue]) -> None:
        """It ended before it was measured, and nothing of it counts as measured. status: the failure's own where None.
        measures: null values."""
        entry = self.result
        entry.status = status or failure.status
        entry.error = failure.cause
        entry.ann_recall, entry.loss, entry.builds = {}, [], []
        entry.measures = dict(measures)

    def indexed(self, searched: Searched, built: BuiltIndex, *, builds: int, documents: int) -> None:
        """The effective index, and what its engine has to say of it."""
        entry, effective, note = self.result, built.effective, built.store.note()
        entry.index = Index(
            type=effective.type,
            rows=effective.rows,
            rows_indexed=effective.rows_indexed,
            flat=effective.flat,
            adjusted=list(effective.adjusted),
            parameters=dict(effective.parameters),
            builds=builds,
            reproducible=searched.store.kind.reproducible,
            built_at=built.built_at,
            note=note,
        )
        entry.build_seconds = built.build_seconds
        entry.index_bytes = effective.bytes
        entry.memory = Memory(
            where="this process" if built.store.embedded else "server",
            build_before_bytes=built.build_memory.before_bytes,
            build_peak_bytes=built.build_memory.peak_bytes,
        )
        self.note(*([note] if note else []), *built.store.shortcomings(documents, built.ref.dimension))

    def lacks(self, refused: Sequence[Refused], truncated_pairs: int | None) -> None:
        """What a model's service refused, and pairs that a reranker did not read whole."""
        entry = self.result
        self.note(*(f"{item.part}: {item.share}" for item in refused))
        entry.documents_without_vector = sum(item.count for item in refused if item.what != "pairs")
        entry.unscored_pairs = sum(item.count for item in refused if item.what == "pairs")
        entry.truncated_pairs = truncated_pairs
        if truncated_pairs:
            self.note(f"{truncated_pairs:,} pairs were cut at its reranker's maximum length")

    def truncated(self, texts: int) -> None:
        """How many texts were cut at the length of its encoders."""
        self.result.truncated_texts = texts

    def gaps(self, unknown: UnknownIds, without_line: int | None, without_terms: int | None) -> None:
        """What a run file or a service lacks of the dataset, and the dataset of it."""
        entry = self.result
        if unknown.count:
            entry.unknown_documents = UnknownDocuments(count=unknown.count, of=unknown.of, example=str(unknown.example))
        entry.queries_without_line = without_line
        entry.queries_without_terms = without_terms

    def undirected(self, documents: int, queries: int) -> None:
        """How many vectors have no direction where vectors are compared by cosine."""
        self.result.documents_without_direction = documents
        self.result.queries_without_direction = queries

    def measured(self, evaluated: Evaluated, measures: dict[str, MeasureValue], loss: list[Loss]) -> None:
        """Its quality is known."""
        entry = self.result
        entry.measures = measures
        entry.ann_recall = {str(k): mean_over_queries(v) for k, v in evaluated.ann.items()}
        entry.loss = loss
        entry.builds = _each_build(evaluated)
        if entry.models:
            entry.seeds = list(range(1, len(evaluated.rankings) + 1))
            entry.chosen_seed = evaluated.system.build + 1
        entry.incomplete = evaluated.partial
        entry.status = "partial" if evaluated.partial else "success"
        errors = [f"{item.part}: {item}" for item in evaluated.refused if item.partial]
        if evaluated.failed.any():
            failed = counted(int(evaluated.failed.sum()), "query", "failed")
            errors.insert(0, f"{failed}: {'; '.join(evaluated.failures[:3])}")
        entry.error = "; ".join(errors) or None
        self.evaluated = evaluated

    def against_baseline(self, against: dict[str, Against]) -> None:
        """Its quality compared with the baseline's, by measure."""
        self.result.against_baseline = against

    # -- the latency pass ----------------------------------------------------------------------------------------

    def timed(self, timings: SystemTimings, first: str | None, notes: Sequence[str]) -> None:
        """Its latencies are known. first: label of the first load point, if any. notes: on the client that measured."""
        entry, self.timings = self.result, timings
        entry.loads = timings.latencies
        # A system that was not measured under the first load point must not be compared by another.
        entry.latency = next((latency for latency in timings.latencies if latency.load == first), None)
        if entry.memory is not None:
            entry.memory.search_peak_bytes = timings.memory
        if any(load.agreement is not None and load.agreement < 0.99 for load in timings.latencies):
            self.note("its live rankings differ from those that were judged: the latency is flagged")
        self.note(*notes, *timings.notes)
        if timings.cut_off:
            self.cut_off(timings.cut_off)

    def latency_against_baseline(self, against: dict[str, LatencyAgainst]) -> None:
        """Its latency compared with the baseline's, by figure."""
        self.result.latency_against_baseline = against

    # -- the end -------------------------------------------------------------------------------------------------

    def cut_off(self, causes: Sequence[str]) -> None:
        """Its quality was measured, something else of it not to the end: the next run takes that up again."""
        entry = self.result
        if entry.status == "success":
            entry.status = "partial"
        entry.error = "; ".join([*([entry.error] if entry.error else []), *causes])

    def served_by(self, now: Sequence[str]) -> None:
        """The state of its servers as the run ends. A cluster forgets a dead node after some seconds: it is absent."""
        was = [state for state in self.health if state not in now]
        became = [state for state in now if state not in self.health]
        if was or became:
            self.note(
                f"its servers changed during the run: at its start {', '.join(was) or 'absent'}; "
                f"at its end {', '.join(became) or 'absent'}"
            )

    def costs(self, cost: SystemCost) -> None:
        """What it cost, with the usage of all its parts where it was measured."""
        self.result.cost = Cost.model_validate(cost.as_dict())
        if self.evaluated is not None:
            self.result.usage = Used.model_validate(cost.usage.as_dict())

    def ended(self) -> None:
        """The run ended: a system that it did not come to is cancelled."""
        if self.result.status == "started":
            self.result.status = "cancelled"


def _each_build(evaluated: Evaluated) -> list[dict[str, float | None]]:
    if len(evaluated.rankings) < 2:
        return []
    columns = {str(m): means(v) for m, v in evaluated.values.items()}
    columns |= {f"ANN@{k}": means(v) for k, v in evaluated.ann.items()}
    return [
        {name: None if values is None else values[build] for name, values in columns.items()}
        for build in range(len(evaluated.rankings))
    ]
