"""Runs an experiment: quality pass, latency pass, comparisons. Goes on after a failure, resumes what was cut off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.base import (
    Event,
    QueryScored,
    Role,
    RunFinished,
    RunStarted,
    SystemFinished,
    Usage,
    Warned,
)
from bench.cache.artifacts import content_key, locked
from bench.cache.drafts import remove_drafts
from bench.cache.mark import cache_in_use
from bench.cache.own_files import own_folder
from bench.experiment.parts import Experiment, System
from bench.latency.against_baseline import against_baseline, comparable
from bench.latency.figures import RoundFigures
from bench.latency.notes import client_notes
from bench.latency.timings import CHOSEN, Timings, take_timings
from bench.machine import provenance
from bench.machine.clock import utc_now
from bench.messages.failures import Failure, failure_of
from bench.messages.wording import counted
from bench.quality import lexical
from bench.quality.completeness import Refused, truncated_pairs
from bench.quality.embedding import PLURAL
from bench.quality.evaluation import Evaluated, Evaluator
from bench.quality.pipeline import Pipeline
from bench.quality.trec import write_run_file
from bench.results.model import (
    RESULT_FILE,
    Index,
    MeasureValue,
    Memory,
    Result,
    Status,
    SystemResult,
    SystemStatus,
    Tracked,
    UnknownDocuments,
    WorkDone,
    write_result,
)
from bench.results.seal import digests_of
from bench.run.costs import Costs, LiveSeconds
from bench.run.description import dataset_info, described, origins, undirected
from bench.run.folder import EventLog, Listener, Places, Relay, Warnings, open_folder
from bench.run.fronts import EqualRecall
from bench.run.preflight import prepare
from bench.run.records import TABLES, scored_queries, write_tables
from bench.run.tracking import Tracking
from bench.statistics.per_query import mean_over_queries, means

TRUNCATED_SHARE_THAT_WARNS = 0.01


def run(
    experiment: Experiment,
    places: Places,
    *,
    listeners: Sequence[Listener] = (),
    remeasure: bool = False,
) -> tuple[Path, Result]:
    """Run an experiment to its end and return the result folder with the result as written there.

    Raises ConfigFaults for everything that can be known before the start, CacheBusy when another run uses the
    cache. KeyboardInterrupt leaves a result with status "cancelled" and passes on.
    """
    with ExitStack() as stack:
        unmarked = stack.enter_context(cache_in_use(places.cache))
        early: list[Event] = []
        relay = Relay([early.append, *listeners])
        warnings = Warnings(relay)
        if unmarked:
            warnings(Warned("cache", unmarked))
        pipeline, costs = prepare(experiment, places.cache, warnings, remeasure=remeasure)
        stack.callback(pipeline.close)
        folder, resumed = open_folder(experiment, places.output)
        stack.enter_context(locked(folder, "The result folder"))
        remove_drafts(folder)
        write = stack.enter_context(closing(EventLog(folder)))
        for event in early:
            write(event)
        tracking = Tracking.of(experiment)
        relay.listeners = [write, *listeners, tracking]
        run = _Run(experiment, pipeline, costs, folder, relay, warnings, write, tracking, remeasure, resumed)
        return folder, run.execute()


class _Run:
    def __init__(
        self,
        experiment: Experiment,
        pipeline: Pipeline,
        costs: Costs,
        folder: Path,
        emit: Listener,
        warnings: Warnings,
        log: EventLog,
        tracking: Tracking,
        remeasure: bool,
        resumed: bool,
    ) -> None:
        self.experiment = experiment
        self.pipeline = pipeline
        self.costs = costs
        self.folder = folder
        self.emit = emit
        self.warnings = warnings
        self.log = log
        self.tracking = tracking
        self.remeasure = remeasure
        self.resumed = resumed
        self.evaluator = Evaluator(pipeline)
        self.evaluated: dict[str, Evaluated] = {}
        self.written: set[Path] = set()
        self.entries: dict[str, SystemResult] = {}
        self.health: dict[str, tuple[str, ...]] = {}
        self.timings: Timings = Timings({}, 0)
        self.result = self._started()

    def execute(self) -> Result:
        self._write()
        info = self.result.dataset
        about = {"name": info.name, "documents": info.documents, "judged": info.judged}
        names = [system.name for system in self.experiment.systems]
        self.emit(RunStarted(dict(self.experiment.resolved), str(self.folder), about, names, self.resumed))
        for warning in info.warnings:
            self._warn("dataset", warning)
        try:
            self._quality()
            with self._going_on("the latency pass"):
                self._latency()
            with self._going_on("the choice of settings for targets"):
                self._equal_recall()
        except KeyboardInterrupt:
            self._finish("cancelled")
            raise
        self._finish(None)
        return self.result

    def _started(self) -> Result:
        dataset = dataset_info(self.pipeline.dataset)
        origin = {**provenance.provenance(self.experiment.kinds), **origins(self.pipeline, self.emit)}
        return Result(
            status="started",
            experiment=dict(self.experiment.resolved),
            config_hash=self.experiment.hash,
            started_at=utc_now(),
            dataset=dataset,
            provenance={**origin, "seed": self.experiment.settings.seed, "resumed": self.resumed},
            baseline=self.experiment.baseline,
            primary=str(self.experiment.primary),
            margin=self.experiment.margin,
            latency_margin=self.experiment.latency_margin,
        )

    def _warn(self, about: str, message: str) -> None:
        self.warnings(Warned(about, message))

    def _write(self) -> None:
        self.result.warnings = list(dict.fromkeys([*self.result.dataset.warnings, *self.warnings.texts]))
        write_result(self.folder, self.result)

    @contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """What fails inside for all systems together ends neither the run nor what was measured before."""
        try:
            yield
        except BaseException as error:
            failure = failure_of(error)
            self.warnings(failure.warned("run", f"{what} failed"))
            for name in self.evaluated:
                self._cut_off(self.entries[name], [failure.of(f"{what} failed").cause])

    # -- the quality pass ----------------------------------------------------------------------------------------

    def _quality(self) -> None:
        for system in self.experiment.systems:
            entry = SystemResult(
                name=system.name,
                status="started",
                hash=content_key(described(self.experiment, system))[:16],
                pipeline=described(self.experiment, system),
            )
            self.entries[system.name] = entry
            self.health[system.name] = self._health(system)
            try:
                self._measure(system, entry)
            except BaseException as error:
                self._failed(entry, failure_of(error))
        baseline = self.experiment.baseline
        if baseline is not None and baseline not in self.evaluated:
            status = self.entries[baseline].status.replace("_", " ")
            self._warn(baseline, f"the baseline was not measured ({status}), so nothing is compared: no verdicts.")

        for part, adapter in self.pipeline.materials.models().items():
            try:
                remarks = list(adapter.remarks())
            except BaseException as error:
                remarks = [failure_of(error).where]
            for remark in remarks:
                self._warn(part, f"{remark}.")

    def _health(self, system: System) -> tuple[str, ...]:
        """The state of the machines that serve a system's store."""
        if system.store is None:
            return ()
        try:
            return tuple(str(state) for state in self.pipeline.materials.store(system.store).health())
        except BaseException as error:
            failure = failure_of(error)
            if failure.foreign:
                self.warnings(failure.warned(system.name, "the state of its servers is not known"))
            return (failure.cause,)

    def _note_changed_health(self) -> None:
        """Say of each system what happened to its servers while the run lasted."""
        for system in self.experiment.systems:
            if system.name not in self.health:
                continue
            then, now = self.health[system.name], self._health(system)
            was, became = ([state for state in a if state not in b] for a, b in ((then, now), (now, then)))
            if was or became:  # a cluster forgets a dead node after some seconds: it is absent then
                self.entries[system.name].notes.append(
                    f"its servers changed during the run: at its start {', '.join(was) or 'absent'}; "
                    f"at its end {', '.join(became) or 'absent'}"
                )

    def _failed(self, entry: SystemResult, failure: Failure, status: SystemStatus | None = None) -> None:
        """End a system: nothing of it counts as measured, and the next run takes it up again."""
        entry.status = status or failure.status
        entry.error = failure.cause
        entry.ann_recall, entry.loss, entry.builds = {}, [], []
        self.emit(failure.warned(entry.name, entry.status.replace("_", " ")))
        unmeasured = MeasureValue(mean=None, interval=None, queries=self.pipeline.dataset.judged, failed=0)
        entry.measures = {str(measure): unmeasured for measure in self.experiment.measures}

    def _measure(self, system: System, entry: SystemResult) -> None:
        evaluated = self.evaluator.evaluate(system)
        self._describe_index(system, entry)
        entry.truncated_texts = self._truncated(system)
        self._tell_refused(system, entry, evaluated.refused)
        self._tell_gaps(system, entry)
        entry.documents_without_direction = self._undirected(system, "document")
        entry.queries_without_direction = self._undirected(system, "query")
        if missed := self._flat_misses(system, entry):
            cause = (
                f"its flat index missed neighbours that exact search finds, for {missed} of "
                f"{self.pipeline.dataset.judged} queries: nothing measured through it can be trusted."
            )
            self._failed(entry, Failure(cause), "void")
            return
        entry.measures = self.evaluator.measure_values(evaluated)
        entry.ann_recall = {str(k): mean_over_queries(v) for k, v in evaluated.ann.items()}
        if (warning := self.evaluator.few_neighbours(evaluated)) is not None:
            self._warn(system.name, warning)
        self._tell_emptiness(entry, evaluated)
        entry.loss = self.evaluator.loss(evaluated)
        entry.builds = self._each_build(evaluated)
        entry.incomplete = evaluated.partial
        entry.status = "partial" if evaluated.partial else "success"
        errors = [f"{item.part}: {item}" for item in evaluated.refused if item.partial]
        if evaluated.failed.any():
            failed = counted(int(evaluated.failed.sum()), "query", "failed")
            errors.insert(0, f"{failed}: {'; '.join(evaluated.failures[:3])}")
        entry.error = "; ".join(errors) or None
        self._write_run_files(evaluated)
        self.evaluated[system.name] = evaluated

    def _write_run_files(self, evaluated: Evaluated) -> list[Path]:
        """Write a system's rankings that do not stand in the folder; their files."""
        system, written = evaluated.system, []
        for build, ranking in enumerate(evaluated.rankings):
            suffix = "" if build == 0 else f".build{build + 1}"
            path = self.folder / "runs" / f"{system.file_name}{suffix}.trec"
            if path not in self.written or not path.is_file():
                ids, query_ids = self.pipeline.materials.document_ids, self.pipeline.dataset.query_ids
                own_folder(path.parent)
                write_run_file(path, query_ids, ids, ranking.rows, ranking.scores, system.name)
                written.append(path)
        self.written.update(written)
        return written

    def _flat_misses(self, system: System, entry: SystemResult) -> int:
        """Queries for which an engine's own flat index missed what exact search finds."""
        encoders = self.evaluator.dense(system)
        if entry.index is None or not entry.index.flat or encoders is None:
            return 0
        return self.evaluator.flat_misses(system, encoders)

    def _restore(self) -> None:
        """Write again what somebody removed from the folder while the run lasted."""
        missing = [self.folder / RESULT_FILE] if not (self.folder / RESULT_FILE).is_file() else []
        missing += [path for evaluated in self.evaluated.values() for path in self._write_run_files(evaluated)]
        if self.log.restore() or missing:
            self._warn("run", "files of its result folder were removed while it lasted; they are written again.")

    def _tell_refused(self, system: System, entry: SystemResult, refused: Sequence[Refused]) -> None:
        """What is missing because a model's service refused it, and what a reranker did not read whole."""
        for item in refused:
            self._warn(item.part, f"{item}.")
            entry.notes.append(f"{item.part}: {item.share}")
        entry.documents_without_vector = sum(item.count for item in refused if item.what != "pairs")
        entry.unscored_pairs = sum(item.count for item in refused if item.what == "pairs")
        entry.truncated_pairs = truncated_pairs(self.pipeline, system)
        if entry.truncated_pairs:
            entry.notes.append(f"{entry.truncated_pairs:,} pairs were cut at its reranker's maximum length")

    def _tell_gaps(self, system: System, entry: SystemResult) -> None:
        """What a run file or a service lacks of the dataset, and the dataset of it."""
        unknown = self.pipeline.unknown_ids(system)
        if unknown.count:
            entry.unknown_documents = UnknownDocuments(count=unknown.count, of=unknown.of, example=str(unknown.example))
        notes: list[str] = []
        if system.run_file is not None:
            gaps = self.pipeline.searches.run_file_gaps(system.run_file)
            entry.queries_without_line = gaps.without_line
            notes += gaps.sentences()
        elif unknown.count:
            notes.append(f"its service: {unknown}; they were left out")
        if (unmatched := lexical.after(self.pipeline, system)) is not None:
            entry.queries_without_terms = int(unmatched.queries.sum())
            notes += [told] if (told := lexical.sentence(unmatched)) else []
        entry.notes += notes
        for note in notes:
            self.emit(Warned(entry.name, note))

    def _tell_emptiness(self, entry: SystemResult, evaluated: Evaluated) -> None:
        """That a system found nothing at all, where nothing else tells why: it may not work and pass as a weak one."""
        judged = self.pipeline.dataset.judged
        told = judged in (entry.queries_without_terms, entry.queries_without_direction)
        if told or evaluated.failed.any() or any((ranking.rows >= 0).any() for ranking in evaluated.rankings):
            return
        note = f"it found nothing for any of {counted(judged, 'query')}: ask it one of them by hand"
        entry.notes.append(note)
        self.emit(Warned(entry.name, note))

    def _undirected(self, system: System, role: Role) -> int:
        """How many vectors have no direction; said once of each encoder, by name."""
        positions = self.pipeline.materials.undirected(system.encoders, role)
        if system.encoders and len(positions):
            self._warn(f"encoders.{system.encoders.of(role)}", undirected(self.pipeline.dataset, role, positions))
        return len(positions)

    def _each_build(self, evaluated: Evaluated) -> list[dict[str, float | None]]:
        if len(evaluated.rankings) < 2:
            return []
        columns = {str(m): means(v) for m, v in evaluated.values.items()}
        columns |= {f"ANN@{k}": means(v) for k, v in evaluated.ann.items()}
        return [
            {name: None if values is None else values[build] for name, values in columns.items()}
            for build in range(len(evaluated.rankings))
        ]

    def _describe_index(self, system: System, entry: SystemResult) -> None:
        if system.searched is None:
            return
        built = self.pipeline.indexes.built(system.searched)
        note = built.store.note()
        entry.index = Index(
            type=built.effective.type,
            rows=built.effective.rows,
            rows_indexed=built.effective.rows_indexed,
            flat=built.effective.flat,
            adjusted=list(built.effective.adjusted),
            parameters=dict(built.effective.parameters),
            builds=self.evaluator.builds(system),
            reproducible=system.searched.store.kind.reproducible,
            built_at=built.built_at,
            note=note,
        )
        entry.build_seconds = built.build_seconds
        entry.index_bytes = built.effective.bytes
        entry.memory = Memory(
            where="this process" if built.store.embedded else "server",
            build_before_bytes=built.build_memory.before_bytes,
            build_peak_bytes=built.build_memory.peak_bytes,
        )
        if note:
            entry.notes.append(note)
        entry.notes += built.store.shortcomings(self.pipeline.dataset.documents, built.ref.dimension)

    def _truncated(self, system: System) -> int:
        total = 0
        for name, role in system.encoders.roles if system.encoders else ():
            vectors = self.pipeline.materials.vectors(name, role)
            total += vectors.truncated
            if vectors.truncated > TRUNCATED_SHARE_THAT_WARNS * len(vectors.array):
                share = 100 * vectors.truncated / len(vectors.array)
                self._warn(
                    f"encoders.{name}",
                    f"{vectors.truncated:,} of {len(vectors.array):,} {PLURAL[role]} ({share:.0f} %) were cut at "
                    "the model's maximum length; what stands behind the cut cannot be found.",
                )
        return total

    # -- the latency pass ----------------------------------------------------------------------------------------

    def _latency(self) -> None:
        measured = [s for s in self.experiment.systems if s.name in self.evaluated]
        rankings = {name: e.rankings[0].rows for name, e in self.evaluated.items()}
        refusals = self.costs.live_refusals(measured, rankings, remeasure=self.remeasure)
        for name, reason in refusals.items():
            self._warn(name, f"its latency was not measured: {reason}.")
            measured.remove(self.pipeline.systems[name])
        loads = self.experiment.loads
        self.timings = take_timings(self.pipeline, loads, measured, rankings, emit=self.emit, remeasure=self.remeasure)
        self.result.latency_samples = self.timings.taken
        self.result.encoding = self.timings.encodings
        self.result.latency_notes = list(self.timings.remarks)
        for name, taken in self.timings.latencies.items():
            entry = self.entries[name]
            entry.loads = taken
            # A system that was not measured under the first load point must not be compared by another.
            entry.latency = next((latency for latency in taken if latency.load == loads[0].label), None)
            if entry.memory is not None:
                entry.memory.search_peak_bytes = self.timings.memory.get(name)
            if any(load.agreement is not None and load.agreement < 0.99 for load in taken):
                entry.notes.append("its live rankings differ from those that were judged: the latency is flagged")
            entry.notes += client_notes(self.pipeline, self.pipeline.systems[name], taken)
            entry.notes += self.timings.notes.get(name, [])
        for name, causes in self.timings.cut_off.items():
            self._cut_off(self.entries[name], causes)
        self._compare_latencies()

    def _rounds(self, timings: Timings) -> Mapping[str, RoundFigures]:
        """The rounds by which systems are compared; none where turns are too short for that."""
        loads = self.experiment.loads
        return timings.rounds if loads and comparable(loads[0]) else {}

    def _compare_latencies(self) -> None:
        """Verdicts on latency, from the rounds of the first load point."""
        if (baseline := self.experiment.baseline) is None:
            return
        failing = [
            name for name, e in self.entries.items() if e.status != "success" or (e.latency and e.latency.failed)
        ]
        compared = against_baseline(
            self._rounds(self.timings),
            baseline,
            margin=self.experiment.latency_margin,
            rng=np.random.default_rng([self.experiment.settings.seed, 6]),
            never_faster=failing,
        )
        for name, against in compared.items():
            self.entries[name].latency_against_baseline = against

    def _cut_off(self, entry: SystemResult, causes: Sequence[str]) -> None:
        """Its quality was measured, its latency not to the end: the next run takes that up again."""
        if entry.status == "success":
            entry.status = "partial"
        entry.error = "; ".join([*([entry.error] if entry.error else []), *causes])

    def _equal_recall(self) -> None:
        """Fronts, and for each target the cheapest setting of each build, its latency measured after the choice."""
        comparison = EqualRecall(self.evaluator, self.evaluated, self.entries, self._rounds(self.timings))
        self.result.fronts = comparison.fronts()
        chosen = comparison.chosen()
        rankings = {name: e.rankings[0].rows for name, e in self.evaluated.items()}
        refusals = self.costs.live_refusals(chosen, rankings, remeasure=self.remeasure, occasion=CHOSEN)
        for name, reason in refusals.items():
            self._warn(name, f"its latency was not measured again for a target: {reason}.")
        again = take_timings(
            self.pipeline,
            self.experiment.loads,
            [system for system in chosen if system.name not in refusals],
            rankings,
            emit=self.emit,
            remeasure=self.remeasure,
            occasion=CHOSEN,
        )
        for name, causes in again.cut_off.items():
            self._cut_off(self.entries[name], [f"measured again for a target, {cause}" for cause in causes])
        self.result.targets = comparison.targets(again.latencies, self._rounds(again))
        self.result.latency_samples += again.taken
        self.result.latency_notes += [
            f"{note} ({CHOSEN})" for note in again.remarks if note not in self.timings.remarks
        ]
        tables = [table for table in (self.timings.table, again.table) if table is not None]
        self.timings.table = pa.concat_tables(tables, promote_options="default") if tables else None

    # -- the end -------------------------------------------------------------------------------------------------

    def _finish(self, status: Status | None) -> None:
        """status: None for what the systems' own come to."""
        self._note_changed_health()
        with self._going_on("the comparison with the baseline"):
            for name, against in self.evaluator.compare(self.evaluated.values()).items():
                self.entries[name].against_baseline = against
        for name, entry in self.entries.items():
            try:
                self._cost(name, entry)
            except BaseException as error:
                failure = failure_of(error)
                self.warnings(failure.warned(name, "its cost is not known"))
                self._cut_off(entry, [failure.of("its cost is not known").cause])
        status = status or _status([entry.status for entry in self.entries.values()])
        for entry in self.entries.values():
            if entry.status == "started":
                entry.status = "cancelled"
        self.result.systems = list(self.entries.values())
        self.result.work = WorkDone.model_validate(self.pipeline.materials.work.as_dict())
        self.result.detectable_difference = self.evaluator.detectable_difference(self.evaluated.values())
        self.result.status = status
        self.result.finished_at = utc_now()
        self._restore()
        if status != "cancelled":
            write_tables(self.folder, self.pipeline, self.evaluated.values(), self.timings, self.evaluator.clusters)
            for event in self._queries():
                self.emit(event)
        tables = (self.folder / name for name in TABLES)
        self.result.files = digests_of(self.folder, [*self.written, *tables])
        for entry in self.entries.values():
            self.emit(SystemFinished(entry.name, entry.status, entry.error, entry.model_dump(mode="json")))
        self._write()
        self._close()
        self.emit(RunFinished(status, str(self.folder)))
        if status != "cancelled":
            self._deliver()

    def _cost(self, name: str, entry: SystemResult) -> None:
        evaluated = self.evaluated.get(name)
        if evaluated is None:
            entry.cost = self.costs.so_far(self.pipeline.systems[name]).as_dict()
            return
        entry.cost = self.costs.of(evaluated.system, self._live_seconds(name)).as_dict()
        entry.usage = self._usage(entry.cost)

    def _close(self) -> None:
        """Close the adapters once the result is safe: one may hang, or take the process with it."""
        told = len(self.warnings.texts)
        self.pipeline.close()
        if len(self.warnings.texts) > told:
            self._write()

    def _live_seconds(self, name: str) -> LiveSeconds | None:
        """What a live query of a system takes under the first load point, None where nothing was measured."""
        means, rounds = self.timings.stage_means(name), self.timings.rounds.get(name)
        if means is None:
            return None
        return LiveSeconds(means, rounds.means if rounds else {}, bool(rounds and rounds.disturbed.any()))

    def _queries(self) -> Iterator[QueryScored]:
        for name, evaluated in self.evaluated.items():
            per_1000 = (self.entries[name].cost or {}).get("per_1000_queries_usd")
            scores = self.evaluator.tracked_scores(evaluated)
            yield from scored_queries(self.pipeline, evaluated, scores, self.timings.per_query.get(name, {}), per_1000)

    def _deliver(self) -> None:
        for delivery in self.tracking.deliver():
            self.result.tracked.append(
                Tracked(
                    tracker=delivery.tracker,
                    sent=delivery.sent,
                    unsent=delivery.unsent,
                    link=delivery.link,
                    notes=list(delivery.notes),
                )
            )
        for name, failure in self.tracking.failures.items():
            self.warnings(failure.warned(f"trackers.{name}"))
        if self.result.tracked:
            self._write()

    def _usage(self, cost: dict[str, Any]) -> dict[str, Any]:
        """Usage summed over the parts that bill; what each part used stands in the cost's parts."""
        total = Usage()
        for part in cost["parts"]:
            total += Usage(**part["usage"])
        return total.as_dict()


def _status(systems: Sequence[SystemStatus]) -> Status:
    """success: every system success or not_indexed; partial: some measured; error: none."""
    if all(status in ("success", "not_indexed") for status in systems):
        return "success"
    return "partial" if any(status in ("success", "partial") for status in systems) else "error"
