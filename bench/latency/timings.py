"""Timings as artefacts: which of the kept ones are valid, which have to be taken, and the figures of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa

from adapters.base import Rows, Warned, index_name
from bench.cache.machine_lock import measuring
from bench.experiment.file import LoadPoint
from bench.experiment.parts import System
from bench.latency import ingest
from bench.latency import turns as latency
from bench.latency.figures import LoadFigures, RoundFigures
from bench.latency.forecast import bills, is_live, pass_notes, samples_wanted, servers
from bench.latency.kept import Kept, Taken
from bench.latency.notes import disturbance_notes
from bench.latency.processes import Portable
from bench.latency.steps import LiveSystem, PartsOfRun
from bench.latency.tables import samples_table, written_table
from bench.latency.turns import Subject
from bench.machine.memory import Reading, of_search
from bench.messages.failures import Failure, failure_of
from bench.quality.pipeline import Pipeline
from bench.quality.stages import Emit, waiting
from bench.results.model import Encoding, Latency

EVERYONE, CHOSEN = "all systems", "chosen for a target"  # occasions on which timings are taken


@dataclass(slots=True)
class SystemTimings:
    """One system's. latencies: in the order of the load points. Of the first load point: rounds, its figures by round;
    per_query, mean seconds by query position; means, mean seconds per live query by stage, None where nothing was
    measured. memory: the most bytes of its engine in any turn, where they are known. notes: why it cannot be measured
    under a load point. cut_off: what ended its measuring before its last turn."""

    latencies: list[Latency] = field(default_factory=list)
    rounds: RoundFigures | None = None
    per_query: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    means: Mapping[str, float] | None = None
    memory: int | None = None
    notes: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Timings:
    """systems: by name, those that are searched live. taken: live samples that this run measured. encodings: what the
    encoders take, each once per load point. tables: all raw samples. remarks: how the passes differed from what was
    asked."""

    systems: dict[str, SystemTimings] = field(default_factory=dict)
    taken: int = 0
    encodings: list[Encoding] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def rounds(self) -> dict[str, RoundFigures]:
        """The figures of the first load point by round, of the systems that were measured under it."""
        return {name: one.rounds for name, one in self.systems.items() if one.rounds is not None}


def take_timings(
    pipeline: Pipeline,
    loads: Sequence[LoadPoint],
    systems: Sequence[System],
    rankings: Mapping[str, Rows],
    *,
    emit: Emit,
    remeasure: bool,
    occasion: str = EVERYONE,
) -> Timings:
    """Timings of every system under every load point: kept ones where system, ranking, plan, machine and packages are
    the same, the others measured together. rankings: each system's quality-pass rows (n, k). occasion: timings taken
    on another occasion are others, and kept beside these."""
    taking = _Taking(pipeline, systems, rankings, emit, occasion)
    for number, load in enumerate(loads):
        taking.take(load, first=number == 0, remeasure=remeasure)
    return taking.timings


class _Taking:
    """Takes the timings of systems, load point by load point. timings: what they come to so far."""

    def __init__(
        self, pipeline: Pipeline, systems: Sequence[System], rankings: Mapping[str, Rows], emit: Emit, occasion: str
    ) -> None:
        self._pipeline = pipeline
        self._systems = [system for system in systems if is_live(system)]
        self._rankings = rankings
        self._emit = emit
        self._occasion = occasion
        self.timings = Timings({system.name: SystemTimings() for system in self._systems})

    def take(self, load: LoadPoint, *, first: bool, remeasure: bool) -> None:
        kept = Kept(self._pipeline, load, self._systems, self._occasion)
        for name, failure in kept.failures.items():
            self._failed(name, load, failure)
        fresh, taken = self._taken(load, kept, remeasure=remeasure)
        if not taken:
            return
        seed = self._pipeline.experiment.settings.seed
        figures = LoadFigures(load, {name: one.samples for name, one in taken.items()}, seed=seed)
        rounds = figures.rounds() if first else {}
        for name, (samples, written) in taken.items():
            own = self.timings.systems[name]
            if name in fresh:
                self.timings.taken += int(samples.measured.sum())
            own.latencies.append(figures.latency(name, reused=name not in fresh, written=written))
            self.timings.tables.append(
                samples_table(self._pipeline.dataset.query_ids, name, load, samples, self._occasion)
            )
            if written is not None:
                self.timings.tables.append(written_table(name, load, written, self._occasion))
            elif not np.isnan(samples.memory_bytes).all():
                own.memory = max(int(np.nanmax(samples.memory_bytes)), own.memory or 0)
            if first:
                own.per_query, own.means, own.rounds = figures.per_query(name), figures.means(name), rounds[name]
        self.timings.encodings += figures.encodings()
        latest = [self.timings.systems[name].latencies[-1] for name in taken]
        self.timings.remarks += [*pass_notes(load), *disturbance_notes(latest)]

    def _taken(self, load: LoadPoint, kept: Kept, *, remeasure: bool) -> tuple[dict[str, Taken], dict[str, Taken]]:
        """What was measured now, and all that can be used, by name. Other runs pause while it is measured."""
        if not (missing := kept.missing(self._rankings, remeasure=remeasure)):
            return {}, self._usable(kept, (), {})
        self._make_ready(missing)
        with measuring(waiting(self._emit)):
            kept = Kept(self._pipeline, load, self._systems, self._occasion)  # another run may have measured them
            missing = kept.missing(self._rankings, remeasure=remeasure)
            fresh = self._measure(load, missing, kept)
            return fresh, self._usable(kept, missing, fresh)

    def _make_ready(self, systems: Sequence[System]) -> None:
        """Make what live systems are made of, while other runs may still be waited for. What fails is told by the
        system that needs it."""
        for node in (node for system in systems for node in system.nodes()):
            try:
                if (searched := node.system.searched) is not None:
                    self._pipeline.indexes.built(searched)
                if node.system.reranker is not None:
                    self._pipeline.reranking.prepared(node.system.reranker)
            except BaseException as error:
                failure_of(error)

    def _usable(self, kept: Kept, missing: Sequence[System], fresh: Mapping[str, Taken]) -> dict[str, Taken]:
        """Kept and fresh timings by name; fresh ones that are whole are kept."""
        taken: dict[str, Taken] = {}
        for system in kept.systems:
            found = fresh.get(system.name, None if system in missing else kept.found[system.name])
            if found is None:
                continue
            if found.samples.cut_off is not None:
                self.timings.systems[system.name].cut_off.append(found.samples.cut_off)
                if not found.samples.measured.any():
                    continue
            elif system.name in fresh:
                kept.write(system.name, found, self._rankings[system.name])
            taken[system.name] = found
        return taken

    def _failed(self, name: str, load: LoadPoint, failure: Failure) -> None:
        """What no adapter mapped."""
        what = f"its latency under {load.label} was not measured"
        self._emit(failure.warned(name, what))
        self.timings.systems[name].cut_off.append(failure.of(what).cause)

    def _measure(self, load: LoadPoint, systems: Sequence[System], kept: Kept) -> dict[str, Taken]:
        """Measure the systems together."""
        subjects: list[Subject] = []
        scratches: dict[str, ingest.Scratch] = {}
        of_run = PartsOfRun(self._pipeline)
        with ExitStack() as stack:
            for system in systems:
                if load.ingest is None:
                    subjects.append(self._subject(load, system, of_run))
                elif (own := self._scratch(load, system, kept, stack)) is not None:
                    scratches[system.name] = own
                    subject = self._subject(load, system, own)
                    subjects.append(replace(subject, background=own.writing, seconds=own.seconds))
            if not subjects:
                return {}
            seed = self._pipeline.experiment.settings.seed
            measured = latency.measure(load, subjects, seed=seed, emit=self._emit)
            written = {name: scratches[name].written() for name in measured if name in scratches}
        for name, scratch in scratches.items():
            if scratch.ended is not None:
                what = f"what was written under {load.label} could not be counted"
                self._emit(scratch.ended.warned(name, what))
                cause = measured[name].cut_off or scratch.ended.of(what).cause
                measured[name] = replace(measured[name], cut_off=cause)
        return {name: Taken(samples, written.get(name)) for name, samples in measured.items()}

    def _scratch(self, load: LoadPoint, system: System, kept: Kept, stack: ExitStack) -> ingest.Scratch | None:
        """An index to write into; None, and told, where it cannot be made."""
        name = index_name(kept.keys[system.name], "ingest")
        try:
            return stack.enter_context(ingest.scratch(self._pipeline, system, load, name))
        except BaseException as error:
            failure = failure_of(error)
            if failure.foreign:
                self._failed(system.name, load, failure)
            else:
                note = f"its latency under {load.label} was not measured: {failure.cause}"
                self.timings.systems[system.name].notes.append(note)
                self._emit(Warned(system.name, note))
            return None

    def _subject(self, load: LoadPoint, system: System, parts: PartsOfRun) -> Subject:
        pipeline, rows = self._pipeline, self._rankings[system.name]
        return Subject(
            name=system.name,
            open=partial(LiveSystem, parts, system),
            expected=rows,
            samples=samples_wanted(pipeline, system, load),
            capped=bills(pipeline, system),
            portable=partial(Portable.of, parts, system, pipeline.materials.context, rows),
            servers=partial(servers, pipeline, system),
            memory=_memory(pipeline, system),
        )


def _memory(pipeline: Pipeline, system: System) -> Callable[[], Reading]:
    """What watches the memory of a system's store; a fusion has none of its own."""
    if system.store is None:
        return lambda: lambda: None
    return of_search(pipeline.materials.store(system.store), partial(pipeline.indexes.server_memory, system.store))
