"""Timings as artefacts: which are still valid, which have to be taken, and what they come to."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base import Rows, Warned
from bench import ingest, latency
from bench.artifacts import content_key
from bench.expansion import System
from bench.experiment_file import LoadPoint
from bench.failures import Failure, failure_of
from bench.generators import Portable
from bench.latency import Samples, Subject, percentiles, saturated
from bench.live import LiveSystem, PartsOfRun
from bench.load import COLUMNS
from bench.memory import Reading, of_search
from bench.pipeline import Pipeline
from bench.provenance import machine, packages
from bench.results import Latency, StageLatency
from bench.stages import Emit

CLIENT_SHARE_THAT_BOUNDS = 0.9
EVERYONE, CHOSEN = "all systems", "chosen for a target"  # occasions on which timings are taken
_FIELDS = (
    "seconds", "query", "phase", "round", "failed", "overlap", "started", "turn_seconds", "processor_seconds",
    "other_seconds", "generators", "memory_bytes",
)  # fmt: skip


@dataclass(slots=True)
class Timings:
    """latencies: by system, in the order of the load points. taken: live samples that this run measured.
    per_query: by system and query position, mean seconds of the first load point. table: all raw samples.
    memory: by system, the most bytes of its engine in any turn, where they are known. notes: by system, why it
    cannot be measured under a load point. cut_off: by system, what ended its measuring before its last turn."""

    latencies: dict[str, list[Latency]]
    taken: int
    per_query: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    table: pa.Table | None = None
    means: dict[str, dict[str, float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    cut_off: dict[str, list[str]] = field(default_factory=dict)

    def stage_means(self, system: str) -> dict[str, float] | None:
        """Mean seconds per live query by stage under the first load point, None where nothing was measured."""
        return self.means.get(system)


class _Taken(NamedTuple):
    """What was measured of a system under a load point. written: the rows that were written meanwhile."""

    samples: Samples
    written: ingest.Written | None = None


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
    """Timings of every system under every load point: kept ones where system, plan, machine and packages are the
    same, the others measured together. rankings: each system's quality-pass rows (n, k). occasion: timings taken on
    another occasion are others, and kept beside these."""
    timings = Timings({s.name: [] for s in systems if _is_live(pipeline, s)}, 0)
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
        keys: dict[str, str] = {}
        for system in live:
            try:
                keys[system.name] = _key(pipeline, system, load, len(live), occasion)
            except BaseException as error:
                failed(system.name, load, failure_of(error))
        live = [system for system in live if system.name in keys]
        kept = {name: None if remeasure else _read(pipeline, key) for name, key in keys.items()}
        missing = [(s, keys[s.name]) for s in live if kept[s.name] is None]
        fresh = _measure(pipeline, load, missing, rankings, emit, note, failed)
        for system in live:
            taken = fresh.get(system.name, kept[system.name])
            if taken is None:
                continue
            samples, written = taken
            reused = system.name not in fresh
            if samples.cut_off is not None:
                ended(system.name, samples.cut_off)
                if not samples.measured.any():
                    continue
            elif not reused:
                pipeline.cache.write("timings", keys[system.name], _arrays(taken))
            if not reused:
                timings.taken += int(samples.measured.sum())
            timings.latencies[system.name].append(
                summary(load, samples, reused=reused, embedded=_is_embedded(pipeline, system), written=written)
            )
            tables.append(_table(pipeline, system.name, load, samples, occasion))
            if written is not None:
                tables.append(_written_table(system.name, load, written, occasion, tables[-1].schema))
            elif not np.isnan(samples.memory_bytes).all():
                most = int(np.nanmax(samples.memory_bytes))
                timings.memory[system.name] = max(most, timings.memory.get(system.name, 0))
            if number == 0:
                timings.per_query[system.name] = _per_query(samples)
                timings.means[system.name] = _stage_means(samples)
    if tables:
        timings.table = pa.concat_tables(tables)
    return timings


def samples_wanted(pipeline: Pipeline, system: System, load: LoadPoint) -> int:
    """Measured queries per system: as the plan says, by default fewer where every call is billed, and more where the
    rows that are written meanwhile decide how long it takes."""
    if load.samples is not None:
        return load.samples
    if bills(pipeline, system):
        return latency.DEFAULT_BILLED_SAMPLES
    return latency.DEFAULT_SAMPLES if load.ingest is None else latency.DEFAULT_SAMPLES_WHILE_WRITING


def queries_sent(pipeline: Pipeline, system: System, load: LoadPoint) -> int:
    """Live queries at most, those of the warm-up among them."""
    return samples_wanted(pipeline, system, load) + latency.warm_up_queries(load)


def unmeasured(
    pipeline: Pipeline, load: LoadPoint, systems: Sequence[System], *, remeasure: bool, occasion: str
) -> list[System]:
    """Those of the systems that can be asked and have no timings that are still valid."""
    live = [system for system in systems if _is_live(pipeline, system)]
    keys = [_key(pipeline, system, load, len(live), occasion) for system in live]
    return [s for s, key in zip(live, keys, strict=True) if remeasure or _read(pipeline, key) is None]


def bills(pipeline: Pipeline, system: System) -> bool:
    """Whether a live query of this system costs money."""
    encoder = system.query_encoder is not None and pipeline.encoder(system.query_encoder).bills
    reranker = system.reranker is not None and pipeline.reranker(system.reranker).bills
    return encoder or reranker or any(bills(pipeline, leg) for leg in pipeline.legs(system))


def client_notes(pipeline: Pipeline, system: System, loads: Sequence[Latency]) -> list[str]:
    """One sentence per load point under which the client, not the server it asked, was what a system waited for, or
    under which it was not put on as many processes as the plan says.

    An embedded engine works in this process, and so do local models: there being busy says nothing.
    """
    planned = {point.label: point.processes or 1 for point in pipeline.experiment.loads}
    notes = [
        f"under {load.load} the queries came from {load.processes} process, not {planned[load.load]}: an engine, a "
        "model or a reranker of it works in this one, or there are no more workers"
        for load in loads
        if load.processes < planned[load.load]
    ]
    most = {point.label: point.max_in_flight for point in pipeline.experiment.loads}
    notes += [
        f"under {load.load} the rate was not kept with at most {most[load.load]} queries under way (max_in_flight)"
        for load in loads
        if load.saturated
    ]
    if _works_here(pipeline, system):
        return notes
    return notes + [
        f"under {load.load} the process that sends the queries{_of(load)} was busy {100 * load.client_share:.0f} % of "
        "the time: the figures are those of the client, not of the server"
        for load in loads
        if load.client_share is not None and load.client_share > CLIENT_SHARE_THAT_BOUNDS
    ]


def _of(load: Latency) -> str:
    return f" (the busiest of {load.processes})" if load.processes > 1 else ""


def _works_here(pipeline: Pipeline, system: System) -> bool:
    """Whether some stage's own work is done in this process."""
    if system.fusion is not None:
        return any(_works_here(pipeline, leg) for leg in pipeline.legs(system))
    encoder = None if system.query_encoder is None else pipeline.encoder(system.query_encoder)
    if encoder is not None and encoder.consumes == "text" and not encoder.bills:
        return True
    if system.reranker is not None and not pipeline.reranker(system.reranker).bills:
        return True
    return system.store is None or system.store.kind.embedded


def _measure(
    pipeline: Pipeline,
    load: LoadPoint,
    systems: Sequence[tuple[System, str]],
    rankings: Mapping[str, Rows],
    emit: Emit,
    note: Callable[[str, str], None],
    failed: Callable[[str, LoadPoint, Failure], None],
) -> dict[str, _Taken]:
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
                    own = stack.enter_context(ingest.scratch(pipeline, system, load, f"bench_ingest_{key}"))
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
                return Portable.of(parts, system, pipeline.context, rows)

            wanted, memory = samples_wanted(pipeline, system, load), _memory(pipeline, system)
            subject = Subject(system.name, opened, rows, wanted, portable, memory)
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
    return {name: _Taken(samples, written.get(name)) for name, samples in measured.items()}


def _memory(pipeline: Pipeline, system: System) -> Callable[[], Reading]:
    """What watches the memory of a system's store; a fusion has none of its own."""
    if system.store is None:
        return lambda: lambda: None
    return of_search(pipeline.store(system.store), partial(pipeline.server_memory, system.store))


def _is_live(pipeline: Pipeline, system: System) -> bool:
    return system.run is None and all(_is_live(pipeline, leg) for leg in pipeline.legs(system))


def _key(pipeline: Pipeline, system: System, load: LoadPoint, company: int, occasion: str) -> str:
    """System, plan, machine and packages. `seconds` is shared by all systems of the pass, so their number counts."""
    plan = load.model_dump(mode="json", exclude={"name"})
    seed = pipeline.experiment.settings.seed
    return content_key([_FIELDS, _stages(pipeline, system), plan, company, occasion, seed, machine(), packages()])


def _stages(pipeline: Pipeline, system: System) -> Any:
    legs = [_stages(pipeline, leg) for leg in pipeline.legs(system)]
    return {
        "search": pipeline.search_key(system, system.limit) if system.store else None,
        "connection": system.store.connection.model_dump(mode="json") if system.store else None,
        "fusion": system.fusion.as_dict() if system.fusion else None,
        "legs": legs,
        "reranker": pipeline.score_key(system.reranker) if system.reranker else None,
        "depth": system.depth,
        "k": system.k,
    }


def _arrays(taken: _Taken) -> dict[str, npt.NDArray[Any]]:
    arrays = {name: getattr(taken.samples, name) for name in _FIELDS}
    arrays["measured_at"] = np.array(taken.samples.measured_at)
    if taken.written is not None:
        arrays["written"] = np.array(taken.written.model_dump_json())
    return arrays


def _read(pipeline: Pipeline, key: str) -> _Taken | None:
    arrays = pipeline.cache.read("timings", key)
    if arrays is None:
        return None
    fields: dict[str, Any] = {name: arrays[name] for name in _FIELDS}
    samples = Samples(**fields, measured_at=str(arrays["measured_at"]))
    written = arrays.get("written")
    return _Taken(samples, None if written is None else ingest.Written.model_validate_json(str(written)))


def summary(
    load: LoadPoint,
    samples: Samples,
    *,
    reused: bool,
    embedded: bool = True,
    written: ingest.Written | None = None,
) -> Latency:
    """What the samples come to. Percentiles are null where the load could not be kept up (saturated)."""
    chosen = samples.measured & ~samples.failed
    achieved, overrun = saturated(load, samples)
    wall = float(samples.turn_seconds.sum())
    stages: dict[str, StageLatency | None] = {}
    for column, name in enumerate(COLUMNS):
        seconds = samples.seconds[chosen, column]
        present = bool((~np.isnan(seconds)).any())
        found = percentiles(seconds)
        stages[name] = (
            StageLatency(
                p50_ms=None if overrun else found.p50_ms,
                p95_ms=None if overrun else found.p95_ms,
                p99_ms=None if overrun else found.p99_ms,
                samples=found.samples,
            )
            if present
            else None
        )
    return Latency(
        load=load.label,
        mode=load.mode,
        workers=load.workers if load.mode == "closed" else None,
        rate=load.rate if load.mode == "open" else None,
        measured_at=samples.measured_at,
        reused=reused,
        distinct_queries=len(np.unique(samples.query[chosen])),
        agreement=float(samples.overlap[chosen].mean()) if chosen.any() and load.ingest is None else None,
        failed=int((samples.measured & samples.failed).sum()),
        achieved_per_second=achieved,
        saturated=overrun,
        processes=int(samples.generators.max(initial=1)),
        ingest=None if written is None or load.ingest is None else written.summary(load.ingest),
        client_share=float(samples.processor_seconds.sum()) / wall if wall else None,
        others_share=_others_share(samples) if embedded else None,
        wait=stages["wait"],
        encode=stages["encode"],
        search=stages["search"],
        fuse=stages["fuse"],
        rerank=stages["rerank"],
        total=stages["total"],
    )


def _stage_means(samples: Samples) -> dict[str, float]:
    chosen = samples.seconds[samples.measured & ~samples.failed]
    return {
        name: float(np.nanmean(chosen[:, column]))
        for column, name in enumerate(COLUMNS)
        if len(chosen) and not np.isnan(chosen[:, column]).all()
    }


def _others_share(samples: Samples) -> float | None:
    """Which share of the machine's processors other programs took while this was measured."""
    wall = float(samples.turn_seconds.sum())
    others = float(samples.other_seconds.sum())
    return others / (wall * (os.cpu_count() or 1)) if wall and not math.isnan(others) else None


def _is_embedded(pipeline: Pipeline, system: System) -> bool:
    """Whether all engines of a system run in this process: a server's work is not another program's."""
    own = system.store is None or bool(system.store.kind.embedded)
    return own and all(_is_embedded(pipeline, leg) for leg in pipeline.legs(system))


def _per_query(samples: Samples) -> dict[int, dict[str, float]]:
    chosen = samples.measured & ~samples.failed
    found: dict[int, dict[str, float]] = {}
    for query in np.unique(samples.query[chosen]).tolist():
        rows = samples.seconds[chosen & (samples.query == query)]
        found[query] = {
            f"{name}_seconds": float(np.nanmean(rows[:, column]))
            for column, name in enumerate(COLUMNS)
            if not np.isnan(rows[:, column]).all()
        }
    return found


def _table(pipeline: Pipeline, name: str, load: LoadPoint, samples: Samples, occasion: str) -> pa.Table:
    n = len(samples.query)
    ids = pa.array(list(pipeline.dataset.query_ids), type=pa.string())
    columns = {
        "system": pa.array([name] * n, type=pa.string()),
        "load": pa.array([load.label] * n, type=pa.string()),
        "occasion": pa.array([occasion] * n, type=pa.string()),
        "phase": pa.array(np.where(samples.measured, "measured", "warm-up")),
        "round": pa.array(samples.round + 1),
        "query_id": ids.take(pa.array(samples.query)),
        "started_seconds": pa.array(samples.started),
        "failed": pa.array(samples.failed),
        "overlap": pa.array(samples.overlap),
    }
    for column, stage in enumerate(COLUMNS):
        columns[f"{stage}_seconds"] = pa.array(samples.seconds[:, column], from_pandas=True)
    return pa.table(columns)


def _written_table(name: str, load: LoadPoint, written: ingest.Written, occasion: str, schema: pa.Schema) -> pa.Table:
    """The batches that were written while queries ran, as further rows: phase `insert`, no query."""
    rows = [
        {
            "system": name,
            "load": load.label,
            "occasion": occasion,
            "phase": "insert",
            "round": batch.round + 1,
            "started_seconds": batch.started,
            "failed": batch.failed,
            "wait_seconds": batch.waited,
            "total_seconds": batch.waited + batch.lasted,
        }
        for batch in written.batches
    ]
    return pa.Table.from_pylist(rows, schema=schema)
