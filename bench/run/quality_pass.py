"""The quality pass of a run: every system is measured for itself, and the warnings that belong to its figures told."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Role, Warned
from bench.experiment.parts import System
from bench.messages.failures import Failure, failure_of
from bench.messages.wording import counted
from bench.quality import lexical
from bench.quality.completeness import truncated_pairs
from bench.quality.embedding import PLURAL
from bench.quality.evaluation import Evaluated, Evaluator
from bench.quality.pipeline import Pipeline
from bench.results.model import MeasureValue, SystemStatus
from bench.run.description import undirected
from bench.run.entries import Entry
from bench.run.folder import Listener, Warnings
from bench.run.records import RunFiles

TRUNCATED_SHARE_THAT_WARNS = 0.01


class QualityPass:
    """Measures the quality of one pipeline's systems. emit: hears what the events tell of a system; warnings: what the
    result warns of besides."""

    def __init__(self, pipeline: Pipeline, evaluator: Evaluator, runs: RunFiles, emit: Listener, warnings: Warnings):
        self._pipeline = pipeline
        self._evaluator = evaluator
        self._runs = runs
        self._emit = emit
        self._warnings = warnings

    def measure(self, entry: Entry) -> None:
        """Measure a system. What fails ends that system alone."""
        try:
            self._measure(entry)
        except BaseException as error:
            self._failed(entry, failure_of(error))

    def health(self, system: System) -> tuple[str, ...]:
        """The state of the machines that serve a system's store."""
        if system.store is None:
            return ()
        try:
            return tuple(str(state) for state in self._pipeline.materials.store(system.store).health())
        except BaseException as error:
            failure = failure_of(error)
            if failure.foreign:
                self._warnings(failure.warned(system.name, "the state of its servers is not known"))
            return (failure.cause,)

    def tell_remarks(self) -> None:
        """What the models have to say of their work."""
        for part, adapter in self._pipeline.materials.models().items():
            try:
                remarks = list(adapter.remarks())
            except BaseException as error:
                remarks = [failure_of(error).where]
            for remark in remarks:
                self._warn(part, f"{remark}.")

    def _warn(self, about: str, message: str) -> None:
        self._warnings(Warned(about, message))

    def _failed(self, entry: Entry, failure: Failure, status: SystemStatus | None = None) -> None:
        """End a system: nothing of it counts as measured, and the next run takes it up again."""
        unmeasured = MeasureValue(mean=None, interval=None, queries=self._pipeline.dataset.judged, failed=0)
        entry.failed(failure, status, {str(measure): unmeasured for measure in self._pipeline.experiment.measures})
        self._emit(failure.warned(entry.name, entry.result.status.replace("_", " ")))

    def _measure(self, entry: Entry) -> None:
        evaluated = self._evaluator.evaluate(entry.system)
        entry.system = system = evaluated.system
        if (searched := system.searched) is not None:
            built, builds = self._pipeline.indexes.built(searched), self._pipeline.experiment.builds_of(system)
            entry.indexed(searched, built, builds=builds, documents=self._pipeline.dataset.documents)
        entry.truncated(self._truncated(system))
        for item in evaluated.refused:
            self._warn(item.part, f"{item}.")
        entry.lacks(evaluated.refused, truncated_pairs(self._pipeline, system))
        self._tell_gaps(entry)
        entry.undirected(self._undirected(system, "document"), self._undirected(system, "query"))
        if missed := self._flat_misses(entry):
            cause = (
                f"its flat index missed neighbours that exact search finds, for {missed} of "
                f"{self._pipeline.dataset.judged} queries: nothing measured through it can be trusted."
            )
            self._failed(entry, Failure(cause), "void")
            return
        values = self._evaluator.measure_values(evaluated)
        if (warning := self._evaluator.few_neighbours(evaluated)) is not None:
            self._warn(system.name, warning)
        self._tell_emptiness(entry, evaluated)
        loss = self._evaluator.loss(evaluated)
        self._runs.write(evaluated)
        entry.measured(evaluated, values, loss)

    def _flat_misses(self, entry: Entry) -> int:
        """Queries for which an engine's own flat index missed what exact search finds."""
        encoders = self._evaluator.dense(entry.system)
        if entry.result.index is None or not entry.result.index.flat or encoders is None:
            return 0
        return self._evaluator.flat_misses(entry.system, encoders)

    def _tell_gaps(self, entry: Entry) -> None:
        """What a run file or a service lacks of the dataset, and the dataset of it."""
        system = entry.system
        unknown = self._pipeline.unknown_ids(system)
        notes: list[str] = []
        without_line = without_terms = None
        if system.run_file is not None:
            gaps = self._pipeline.searches.run_file_gaps(system.run_file)
            without_line = gaps.without_line
            notes += gaps.sentences()
        elif unknown.count:
            notes.append(f"its service: {unknown}; they were left out")
        if (unmatched := lexical.after(self._pipeline, system)) is not None:
            without_terms = int(unmatched.queries.sum())
            notes += [told] if (told := lexical.sentence(unmatched)) else []
        entry.gaps(unknown, without_line, without_terms)
        self._tell(entry, notes)

    def _tell_emptiness(self, entry: Entry, evaluated: Evaluated) -> None:
        """That a system found nothing at all, where nothing else tells why: it may not work and pass as a weak one."""
        judged = self._pipeline.dataset.judged
        told = judged in (entry.result.queries_without_terms, entry.result.queries_without_direction)
        if told or evaluated.failed.any() or any((ranking.rows >= 0).any() for ranking in evaluated.rankings):
            return
        self._tell(entry, [f"it found nothing for any of {counted(judged, 'query')}: ask it one of them by hand"])

    def _tell(self, entry: Entry, notes: Sequence[str]) -> None:
        entry.note(*notes)
        for note in notes:
            self._emit(Warned(entry.name, note))

    def _undirected(self, system: System, role: Role) -> int:
        """How many vectors have no direction; said once of each encoder, by name."""
        positions = self._pipeline.materials.undirected(system.encoders, role)
        if system.encoders and len(positions):
            self._warn(f"encoders.{system.encoders.of(role)}", undirected(self._pipeline.dataset, role, positions))
        return len(positions)

    def _truncated(self, system: System) -> int:
        total = 0
        for name, role in system.encoders.roles if system.encoders else ():
            vectors = self._pipeline.materials.vectors(name, role)
            total += vectors.truncated
            if vectors.truncated > TRUNCATED_SHARE_THAT_WARNS * len(vectors.array):
                share = 100 * vectors.truncated / len(vectors.array)
                self._warn(
                    f"encoders.{name}",
                    f"{vectors.truncated:,} of {len(vectors.array):,} {PLURAL[role]} ({share:.0f} %) were cut at "
                    "the model's maximum length; what stands behind the cut cannot be found.",
                )
        return total
