"""Timings as artefacts: which are still valid, which have to be taken, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa

from adapters.base import Rows, Warned, index_name
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
from bench.quality.stages import Emit
from bench.results.model import Encoding, Latency

EVERYONE, CHOSEN = "all systems", "chosen for a target"  # occasions on which timings are taken


@dataclass(slots=True)
class Timings:
    """latencies: by system, in the order of the load points. taken: live samples that this run measured.
    encodings: what the encoders take, each once per load point. rounds: by system, its figures by round of the first
    load point. per_query: by system and query position, mean seconds of the first load point. means: by system, mean
    seconds per live query by stage there. table: all raw samples. memory: by system, the most bytes of its engine in
    any turn, where they are known. remarks: what the passes came to otherwise than asked. notes: by system, why it
    cannot be measured under a load point. cut_off: by system, what ended its measuring before its last turn."""

    latencies: dict[str, list[Latency]]
    taken: int
    encodings: list[Encoding] = field(default_factory=list)
    rounds: dict[str, RoundFigures] = field(default_factory=dict)
    per_query: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    table: pa.Table | None = None
    means: dict[str, dict[str, float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    cut_off: dict[str, list[str]] = field(default_factory=dict)

    def stage_means(self, system: str) -> dict[str, float] | None:
        """Mean seconds per live query by stage under the first load point, None where nothing was measured."""
        return self.means.get(system)


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
    timings = Timings({s.name: [] for s in systems if is_live(s)}, 0)
    tables: list[pa.Table] = []

    def note(name: str, text: str) -> None:
        timings.notes.setdefault(name, []).append(text)
        emit(Warned(name, text))

    def ended(name: str, cause: str) -> None:
        timings.cut_off.setdefault(name, []).append(cause)

    def failed(name: str, load: LoadPoint, failure: Failure) -> None:
        what = f"its latency under {load.label} was not measured"
        emit(failure.warned(name, what))
        ended(name, failure.of(what).cause)

    for number, load in enumerate(loads):
        live = [system for system in systems if system.name in timings.latencies]
        kept = Kept(pipeline, load, live, occasion, failed)
        missing = kept.missing(rankings, remeasure=remeasure)
        fresh = _measure(pipeline, load, [(s, kept.keys[s.name]) for s in missing], rankings, emit, note, failed)
        taken: dict[str, Taken] = {}
        for system in kept.systems:
            found = fresh.get(system.name, None if system in missing else kept.found[system.name])
            if found is None:
                continue
            if found.samples.cut_off is not None:
                ended(system.name, found.samples.cut_off)
                if not found.samples.measured.any():
                    continue
            elif system.name in fresh:
                kept.write(system.name, found, rankings[system.name])
            taken[system.name] = found
        if not taken:
            continue
        seed = pipeline.experiment.settings.seed
        figures = LoadFigures(load, {name: one.samples for name, one in taken.items()}, seed=seed)
        for name, (samples, written) in taken.items():
            if name in fresh:
                timings.taken += int(samples.measured.sum())
            timings.latencies[name].append(figures.latency(name, reused=name not in fresh, written=written))
            tables.append(samples_table(pipeline.dataset.query_ids, name, load, samples, occasion))
            if written is not None:
                tables.append(written_table(name, load, written, occasion))
            elif not np.isnan(samples.memory_bytes).all():
                most = int(np.nanmax(samples.memory_bytes))
                timings.memory[name] = max(most, timings.memory.get(name, 0))
            if number == 0:
                timings.per_query[name] = figures.per_query(name)
                timings.means[name] = figures.means(name)
        timings.encodings += figures.encodings()
        timings.remarks += [*pass_notes(load), *disturbance_notes([timings.latencies[name][-1] for name in taken])]
        if number == 0:
            timings.rounds = figures.rounds()
    if tables:
        timings.table = pa.concat_tables(tables, promote_options="default")
    return timings


def _measure(
    pipeline: Pipeline,
    load: LoadPoint,
    systems: Sequence[tuple[System, str]],
    rankings: Mapping[str, Rows],
    emit: Emit,
    note: Callable[[str, str], None],
    failed: Callable[[str, LoadPoint, Failure], None],
) -> dict[str, Taken]:
    """What is measured of the systems, together. systems: with the keys of their timings. note: takes a system's name
    and why it cannot be measured; failed: what no adapter mapped."""
    subjects: list[Subject] = []
    scratches: dict[str, ingest.Scratch] = {}
    of_run = PartsOfRun(pipeline)
    with ExitStack() as stack:
        for system, key in systems:
            parts: PartsOfRun = of_run
            if load.ingest is not None:
                try:
                    own = stack.enter_context(ingest.scratch(pipeline, system, load, index_name(key, "ingest")))
                except BaseException as error:
                    failure = failure_of(error)
                    if failure.foreign:
                        failed(system.name, load, failure)
                    else:
                        note(system.name, f"its latency under {load.label} was not measured: {failure.cause}")
                    continue
                parts = scratches[system.name] = own
            rows = rankings[system.name]

            def opened(parts: PartsOfRun = parts, system: System = system) -> LiveSystem:
                return LiveSystem(parts, system)

            def portable(parts: PartsOfRun = parts, system: System = system, rows: Rows = rows) -> Portable | None:
                return Portable.of(parts, system, pipeline.materials.context, rows)

            subject = Subject(
                name=system.name,
                open=opened,
                expected=rows,
                samples=samples_wanted(pipeline, system, load),
                capped=bills(pipeline, system),
                portable=portable,
                servers=partial(servers, pipeline, system),
                memory=_memory(pipeline, system),
            )
            if (scratch := scratches.get(system.name)) is not None:
                subject = replace(subject, background=scratch.writing, seconds=scratch.seconds)
            subjects.append(subject)
        if not subjects:
            return {}
        measured = latency.measure(load, subjects, seed=pipeline.experiment.settings.seed, emit=emit)
        written = {name: scratches[name].written() for name in measured if name in scratches}
    for name, scratch in scratches.items():
        if scratch.ended is not None:
            what = f"what was written under {load.label} could not be counted"
            emit(scratch.ended.warned(name, what))
            measured[name].cut_off = measured[name].cut_off or scratch.ended.of(what).cause
    return {name: Taken(samples, written.get(name)) for name, samples in measured.items()}


def _memory(pipeline: Pipeline, system: System) -> Callable[[], Reading]:
    """What watches the memory of a system's store; a fusion has none of its own."""
    if system.store is None:
        return lambda: lambda: None
    return of_search(pipeline.materials.store(system.store), partial(pipeline.indexes.server_memory, system.store))
