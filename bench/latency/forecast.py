"""What the latency pass will take: samples, turns and seconds, known before the run."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from adapters.base.processes import is_this_machine
from bench.experiment.file import LoadPoint
from bench.experiment.parts import System
from bench.latency import turns as latency
from bench.quality.pipeline import Pipeline


def is_live(system: System) -> bool:
    """Whether a system can be asked; a run file cannot."""
    return all(node.system.run_file is None for node in system.nodes())


def bills(pipeline: Pipeline, system: System) -> bool:
    """Whether a live query of this system costs money."""
    for each in (node.system for node in system.nodes()):
        if each.encoders is not None and pipeline.materials.encoder(each.encoders.query).bills:
            return True
        if each.reranker is not None and pipeline.materials.reranker(each.reranker).bills:
            return True
    return False


def samples_wanted(pipeline: Pipeline, system: System, load: LoadPoint) -> int:
    """How many queries of a system are measured. The experiment file says it; the default is smaller where every call
    is billed, and larger where rows are written meanwhile, because those rows decide how long the pass takes. Where
    calls are billed the number is a limit; elsewhere it is reached if there is time."""
    if load.samples is not None:
        return load.samples
    if bills(pipeline, system):
        return latency.DEFAULT_BILLED_SAMPLES
    return latency.DEFAULT_SAMPLES if load.ingest is None else latency.DEFAULT_SAMPLES_WHILE_WRITING


def queries_sent(pipeline: Pipeline, system: System, load: LoadPoint) -> int:
    """The most live queries that are sent to a system that bills, warm-up included."""
    return samples_wanted(pipeline, system, load) + latency.warm_up_queries(load, capped=bills(pipeline, system))


def least_turns(pipeline: Pipeline, systems: Sequence[System], load: LoadPoint) -> tuple[int, float]:
    """How many of the systems have turns that last at least `turn_seconds`, and how many seconds these turns take
    together."""
    count = sum(not bills(pipeline, system) for system in systems) if load.alone else 0
    return count, count * load.planned_rounds * load.turn_seconds


def pass_notes(load: LoadPoint) -> list[str]:
    """How the pass differs from what was asked, and what follows from the plan."""
    if not load.alone:
        return []
    notes: list[str] = []
    if load.rounds is not None and load.rounds < load.planned_rounds:
        notes.append(
            f"{load.label}: {load.rounds} rounds were raised to {load.planned_rounds}, because fewer cannot tell two "
            "systems apart"
        )
    if load.turn_seconds < 1:
        notes.append(
            f"{load.label}: turns of {load.turn_seconds:g} s measure the scheduler: there is no verdict on latency"
        )
    return notes


def servers(pipeline: Pipeline, system: System) -> tuple[int, ...] | None:
    """Processes on this machine that work for a system beside this one; None where they are not known."""
    found: set[int] = set()
    for each in (node.system for node in system.nodes()):
        encoders = [pipeline.materials.encoder(each.encoders.query)] if each.encoders is not None else []
        rerankers = [pipeline.materials.reranker(each.reranker)] if each.reranker is not None else []
        addresses = [encoder.identity.address for encoder in encoders]
        addresses += [reranker.identity.address for reranker in rerankers]
        if any(address is not None and is_this_machine(urlsplit(address).hostname or "") for address in addresses):
            return None
        if each.store is not None:
            own = pipeline.materials.store(each.store).server_processes()
            if own is None:
                return None
            found.update(own)
    return tuple(found)
