"""Runs an experiment: quality pass, latency pass, comparisons. Goes on after a failure, resumes what was cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pyarrow as pa

from adapters.base import Event, QueryScored, RunFinished, RunStarted, SystemFinished, Warned
from bench.cache.drafts import remove_drafts
from bench.cache.machine_lock import at_work
from bench.experiment.parts import Experiment
from bench.latency.timings import CHOSEN, Timings
from bench.machine.clock import utc_now
from bench.messages.failures import failure_of
from bench.quality.evaluation import Evaluated, Evaluator
from bench.quality.pipeline import Pipeline
from bench.quality.stages import waiting
from bench.results.model import (
    RESULT_FILE,
    DetectableBasis,
    Result,
    Status,
    SystemStatus,
    Tracked,
    WorkDone,
    write_result,
)
from bench.results.seal import digests_of
from bench.run.cache_use import using_cache
from bench.run.costs import Costs, LiveSeconds
from bench.run.description import dataset_info, provenance_of
from bench.run.entries import Entry
from bench.run.folder import EventLog, Listener, Places, Relay, Warnings, opened_folder
from bench.run.latency_pass import LatencyPass
from bench.run.preflight import prepare
from bench.run.quality_pass import QualityPass
from bench.run.queries import with_queries
from bench.run.records import TABLES, RunFiles, scored_queries, write_tables
from bench.run.tracking import Tracking


def run(
    experiment: Experiment,
    places: Places,
    *,
    listeners: Sequence[Listener] = (),
    remeasure: bool = False,
    retrain: bool = False,
) -> tuple[Path, Result]:
    """Run an experiment to its end and return the result folder with the result as written there.

    remeasure: take kept latencies again. retrain: train kept models again.

    Raises ConfigFaults for everything that can be known before the start, CacheBusy while somebody has the cache alone.
    KeyboardInterrupt leaves a result with status "cancelled" and passes on.
    """
    with ExitStack() as stack:
        early: list[Event] = []
        relay = Relay([early.append, *listeners])
        warnings = Warnings(relay)
        stack.enter_context(using_cache(experiment, places.cache, warnings))
        experiment = with_queries(experiment, places.cache, warnings)
        pipeline, costs = prepare(experiment, places.cache, warnings, remeasure=remeasure, retrain=retrain)
        stack.callback(pipeline.close)
        folder, resumed = stack.enter_context(opened_folder(experiment, places.output))
        remove_drafts(folder)
        write = stack.enter_context(closing(EventLog(folder)))
        for event in early:
            write(event)
        tracking = Tracking.of(experiment)
        relay.hand_to([write, *listeners, tracking])
        run = _Run(pipeline, costs, folder, relay, warnings, write, tracking, remeasure, resumed)
        return folder, run.execute()


class _Run:
    def __init__(
        self,
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
        self.experiment = pipeline.experiment
        self.pipeline = pipeline
        self.costs = costs
        self.folder = folder
        self.emit = emit
        self.warnings = warnings
        self.log = log
        self.tracking = tracking
        self.resumed = resumed
        self.evaluator = Evaluator(pipeline)
        self.runs = RunFiles(folder, pipeline)
        self.entries: dict[str, Entry] = {}
        self.quality = QualityPass(pipeline, self.evaluator, self.runs, emit, warnings)
        self.latency = LatencyPass(
            self.evaluator, self.entries, costs, emit=emit, warnings=warnings, remeasure=remeasure
        )
        self.samples: list[pa.Table] = []
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
            timings = Timings()
            with self._going_on("the latency pass"):
                timings = self._latency()
            with self._going_on("the choice of settings for targets"):
                self._equal_recall(timings)
        except KeyboardInterrupt:
            self._finish("cancelled")
            raise
        self._finish(None)
        return self.result

    def _started(self) -> Result:
        dataset = dataset_info(self.pipeline.dataset, self.experiment)
        return Result(
            status="started",
            experiment=dict(self.experiment.resolved),
            config_hash=self.experiment.hash,
            started_at=utc_now(),
            dataset=dataset,
            provenance=provenance_of(self.pipeline, self.emit, resumed=self.resumed),
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
            for entry in self.entries.values():
                if entry.evaluated is not None:
                    entry.cut_off([failure.of(f"{what} failed").cause])

    # -- the passes ----------------------------------------------------------------------------------------------

    def _quality(self) -> None:
        self.pipeline.materials.begin()
        for system in self.experiment.systems:
            entry = Entry(self.pipeline, system, self.quality.health(system))
            self.entries[system.name] = entry
            with at_work(waiting(self.emit)):  # not before another run has measured
                pass
            self.quality.measure(entry)
        baseline = self.experiment.baseline
        if baseline is not None and self.entries[baseline].evaluated is None:
            status = self.entries[baseline].result.status.replace("_", " ")
            self._warn(baseline, f"the baseline was not measured ({status}), so nothing is compared: no verdicts.")
        self.quality.tell_remarks()

    def _latency(self) -> Timings:
        timings = self.latency.take()
        self.samples += timings.tables
        self.result.latency_samples = timings.taken
        self.result.encoding = timings.encodings
        self.result.latency_notes = list(timings.remarks)
        self.latency.enter(timings)
        return timings

    def _equal_recall(self, timings: Timings) -> None:
        """Fronts, and for each target the cheapest setting of each build, its latency measured after the choice."""
        comparison = self.latency.at_equal_recall(timings)
        self.result.fronts = comparison.fronts()
        again = self.latency.again(comparison.chosen())
        self.result.targets = self.latency.targets(comparison, again)
        self.result.latency_samples += again.taken
        self.result.latency_notes += [f"{note} ({CHOSEN})" for note in again.remarks if note not in timings.remarks]
        self.samples += again.tables

    # -- the end -------------------------------------------------------------------------------------------------

    def _finish(self, status: Status | None) -> None:
        """status: None for what the systems' own come to."""
        entries = list(self.entries.values())
        evaluated = [entry.evaluated for entry in entries if entry.evaluated is not None]
        for entry in entries:
            entry.served_by(self.quality.health(entry.system))
        with self._going_on("the comparison with the baseline"):
            for name, against in self.evaluator.compare(evaluated).items():
                self.entries[name].against_baseline(against)
        for entry in entries:
            try:
                self._cost(entry)
            except BaseException as error:
                failure = failure_of(error)
                if failure.cause == entry.result.error:
                    continue  # what ended it, such as a training: told already
                self.warnings(failure.warned(entry.name, "its cost is not known"))
                entry.cut_off([failure.of("its cost is not known").cause])
        status = status or _status([entry.result.status for entry in entries])
        for entry in entries:
            entry.ended()
        self.result.systems = [entry.result for entry in entries]
        self.result.models = self.pipeline.materials.trained.results()
        self.result.work = WorkDone.model_validate(self.pipeline.materials.work.as_dict())
        smallest = self.evaluator.detectable(evaluated)
        self.result.detectable_difference = smallest.difference
        self.result.detectable_basis = DetectableBasis(
            deviation=smallest.deviation, system=smallest.system, systems=smallest.family
        )
        self.result.status = status
        self.result.finished_at = utc_now()
        self._restore(evaluated)
        if status != "cancelled":
            write_tables(self.folder, self.pipeline, evaluated, self.samples, self.evaluator.clusters)
            for event in self._queries():
                self.emit(event)
        tables = (self.folder / name for name in TABLES)
        self.result.files = digests_of(self.folder, [*self.runs.written, *tables])
        for entry in entries:
            shown = entry.result
            self.emit(SystemFinished(entry.name, shown.status, shown.error, shown.model_dump(mode="json")))
        self._write()
        self._close()
        self.emit(RunFinished(status, str(self.folder)))
        if status != "cancelled":
            self._deliver()

    def _restore(self, evaluated: Sequence[Evaluated]) -> None:
        """Write again what somebody removed from the folder while the run lasted."""
        missing = [self.folder / RESULT_FILE] if not (self.folder / RESULT_FILE).is_file() else []
        missing += [path for one in evaluated for path in self.runs.write(one)]
        if self.log.restore() or missing:
            self._warn("run", "files of its result folder were removed while it lasted; they are written again.")

    def _cost(self, entry: Entry) -> None:
        measured = entry.evaluated is not None
        entry.costs(self.costs.of(entry.system, _live(entry)) if measured else self.costs.so_far(entry.system))

    def _close(self) -> None:
        """Close the adapters once the result is safe: one may hang, or take the process with it."""
        told = len(self.warnings.texts)
        self.pipeline.close()
        if len(self.warnings.texts) > told:
            self._write()

    def _queries(self) -> Iterator[QueryScored]:
        for entry in self.entries.values():
            if (evaluated := entry.evaluated) is None:
                continue
            cost = entry.result.cost
            per_1000 = cost.per_1000_queries_usd if cost else None
            scores, seconds = self.evaluator.tracked_scores(evaluated), entry.timings.per_query if entry.timings else {}
            yield from scored_queries(self.pipeline, evaluated, scores, seconds, per_1000)

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


def _live(entry: Entry) -> LiveSeconds | None:
    """What a live query of a system takes under the first load point, None where nothing was measured."""
    if (timings := entry.timings) is None or timings.means is None:
        return None
    rounds = timings.rounds
    return LiveSeconds(timings.means, rounds.means if rounds else {}, bool(rounds and rounds.disturbed.any()))


def _status(systems: Sequence[SystemStatus]) -> Status:
    """success: every system success or not_indexed; partial: some measured; error: none."""
    if all(status in ("success", "not_indexed") for status in systems):
        return "success"
    return "partial" if any(status in ("success", "partial") for status in systems) else "error"
