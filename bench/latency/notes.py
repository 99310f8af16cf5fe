"""Tells readers of latencies about the client that sent the queries, and about rounds that were disturbed."""

from __future__ import annotations

from collections.abc import Sequence

from bench.experiment.parts import System
from bench.quality.pipeline import Pipeline
from bench.results.model import Latency

CLIENT_SHARE_THAT_BOUNDS = 0.9


def disturbance_notes(latencies: Sequence[Latency]) -> list[str]:
    """One sentence on the rounds of one load point that were disturbed and count nevertheless. latencies: of all
    systems under it."""
    worst = max(latencies, key=lambda latency: latency.disturbed_rounds, default=None)
    if worst is None or not worst.disturbed_rounds:
        return []
    return [
        f"{worst.load}: {worst.disturbed_rounds} of {worst.rounds} rounds were disturbed, and no others could be taken "
        f"instead ({worst.disturbances[0]}): measure on a quiet machine with --remeasure"
    ]


def client_notes(pipeline: Pipeline, system: System, loads: Sequence[Latency]) -> list[str]:
    """One sentence per load point under which a system waited for the client and not for its server, or under which the
    load did not come from as many processes as the experiment file says.

    An embedded engine and local models work in this process, so a busy process says nothing about the client.
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
    if system.fused is not None:
        return any(_works_here(pipeline, leg) for leg in system.legs)
    encoder = None if system.encoders is None else pipeline.materials.encoder(system.encoders.query)
    if encoder is not None and encoder.consumes == "text" and not encoder.bills:
        return True
    if system.reranker is not None and not pipeline.materials.reranker(system.reranker).bills:
        return True
    return system.store is None or system.store.kind.embedded
