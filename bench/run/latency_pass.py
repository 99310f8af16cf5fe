"""The latency pass of a run: what is timed, and what the times say of each system beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adapters.base import Rows, Warned
from bench.experiment.parts import System
from bench.latency.against_baseline import against_baseline, comparable
from bench.latency.figures import RoundFigures
from bench.latency.notes import client_notes
from bench.latency.timings import CHOSEN, EVERYONE, Timings, take_timings
from bench.quality.evaluation import Evaluator
from bench.results.model import Target
from bench.run.costs import Costs
from bench.run.entries import Entry
from bench.run.folder import Listener, Warnings
from bench.run.fronts import EqualRecall


class LatencyPass:
    """Times the systems of one pipeline. entries: by name, of all its systems."""

    def __init__(
        self,
        evaluator: Evaluator,
        entries: Mapping[str, Entry],
        costs: Costs,
        *,
        emit: Listener,
        warnings: Warnings,
        remeasure: bool,
    ) -> None:
        self._evaluator = evaluator
        self._pipeline = evaluator.pipeline
        self._experiment = evaluator.experiment
        self._entries = entries
        self._costs = costs
        self._emit = emit
        self._warnings = warnings
        self._remeasure = remeasure

    def take(self) -> Timings:
        """Time every system that was measured."""
        measured = [entry.system for entry in self._entries.values() if entry.evaluated is not None]
        return self._taken(measured, EVERYONE, "its latency was not measured")

    def enter(self, timings: Timings) -> None:
        """Say of each system what its times come to, and compare them with the baseline's."""
        loads = self._experiment.loads
        for name, of in timings.systems.items():
            entry = self._entries[name]
            entry.timed(of, loads[0].label if loads else None, client_notes(self._pipeline, entry.system, of.latencies))
        self._compare(timings)

    def at_equal_recall(self, timings: Timings) -> EqualRecall:
        """Fronts and targets of what was timed."""
        return EqualRecall(self._evaluator, self._entries, self._rounds(timings))

    def again(self, chosen: Sequence[System]) -> Timings:
        """Time the settings that were chosen for targets once more: what was lucky in the choice is not in it."""
        again = self._taken(chosen, CHOSEN, "its latency was not measured again for a target")
        for name, of in again.systems.items():
            if of.cut_off:
                self._entries[name].cut_off([f"measured again for a target, {cause}" for cause in of.cut_off])
        return again

    def targets(self, comparison: EqualRecall, again: Timings) -> list[Target]:
        """The targets, with what was timed after the choice."""
        latencies = {name: of.latencies for name, of in again.systems.items()}
        return comparison.targets(latencies, self._rounds(again))

    def _taken(self, systems: Sequence[System], occasion: str, refused: str) -> Timings:
        """refused: what is told of a system that `max_cost` leaves out."""
        rankings: dict[str, Rows] = {
            entry.name: entry.evaluated.ranking.rows for entry in self._entries.values() if entry.evaluated
        }
        refusals = self._costs.live_refusals(systems, rankings, remeasure=self._remeasure, occasion=occasion)
        for name, reason in refusals.items():
            self._warnings(Warned(name, f"{refused}: {reason}."))
        return take_timings(
            self._pipeline,
            self._experiment.loads,
            [system for system in systems if system.name not in refusals],
            rankings,
            emit=self._emit,
            remeasure=self._remeasure,
            occasion=occasion,
        )

    def _rounds(self, timings: Timings) -> Mapping[str, RoundFigures]:
        """The rounds by which systems are compared; none where turns are too short for that."""
        loads = self._experiment.loads
        return timings.rounds if loads and comparable(loads[0]) else {}

    def _compare(self, timings: Timings) -> None:
        """Verdicts on latency, from the rounds of the first load point."""
        if (baseline := self._experiment.baseline) is None:
            return
        results = {name: entry.result for name, entry in self._entries.items()}
        failing = [name for name, e in results.items() if e.status != "success" or (e.latency and e.latency.failed)]
        compared = against_baseline(
            self._rounds(timings),
            baseline,
            margin=self._experiment.latency_margin,
            rng=np.random.default_rng([self._experiment.settings.seed, 6]),
            never_faster=failing,
        )
        for name, against in compared.items():
            self._entries[name].latency_against_baseline(against)
