"""Tells what a run would do: stages to compute, stages in the cache, size, time, and the smallest difference that it
could detect."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np

from adapters.base import (
    HUB,
    Encoder,
    InvalidOptions,
    Role,
    TextRows,
    asks_others,
)
from bench.experiment.faults import ConfigFaults
from bench.experiment.file import LoadPoint
from bench.experiment.parts import Experiment, Searched, System, plain_name
from bench.latency.forecast import is_live, least_turns, pass_notes, samples_wanted
from bench.latency.ingest import rows_held_back
from bench.latency.kept import Kept
from bench.latency.timings import EVERYONE
from bench.latency.turns import QUERIES_IN_A_TURN
from bench.messages.failures import failure_of
from bench.messages.wording import counted
from bench.quality import lexical
from bench.quality.embedding import PLURAL
from bench.quality.evaluation import Evaluator
from bench.quality.pipeline import Pipeline
from bench.quality.stages import Emit
from bench.run.build_time import BuildTimes
from bench.run.costs import Costs, bill_lines, encoders_in_use
from bench.run.export import export_ahead
from bench.run.mining import MiningAhead, Wish, mining_ahead
from bench.run.preflight import prepare
from bench.run.queries import Foreseen, left_alone
from bench.statistics.detectable import PRIOR_SPREAD_OF_SEEDS
from bench.statistics.equal_recall import attainable
from bench.train.forecast import forecast, of_writing
from bench.train.training import Training

_HUB_NOT_ASKED = (
    f"A dry run asks nobody, not the {HUB} either. The run itself downloads what is not here yet; to plan it "
    "first, download it: hf download NAME"
)
_SAMPLE = 24  # texts that are embedded to estimate the rate


def plan(experiment: Experiment, cache: Path, *, emit: Emit, remeasure: bool = False) -> str:
    """The plan as plain text. Nothing is billed; local encoders embed a few texts so that time can be estimated. Nobody
    is asked but servers of the user's own on this machine that take no key.

    Raises ConfigFaults, CacheBusy as a run would.
    """
    try:
        with left_alone(experiment, cache, emit, timed=True) as (experiment, queries):
            ahead = () if queries is None else queries.bill
            pipeline, costs = prepare(experiment, cache, emit, remeasure=remeasure, ahead=ahead)
            try:
                return _Plan(pipeline, costs, remeasure, queries).text()
            finally:
                pipeline.close()
    except ConfigFaults as error:
        if any(re.search(r"\bhub\b", fault) for fault in error.faults):
            raise ConfigFaults([*error.faults, _HUB_NOT_ASKED]) from error
        raise


def plan_mining(experiment: Experiment, wish: Wish, cache: Path, *, emit: Emit) -> str:
    """The plan of `bench mine` as plain text. As `plan`, it bills nothing. Raises ConfigFaults."""
    with mining_ahead(experiment, wish, cache=cache, emit=emit) as ahead:
        return _mining(ahead, cache, emit)


def plan_export(experiment: Experiment, wish: Wish, cache: Path, *, emit: Emit) -> str:
    """The plan of `bench export-training` as plain text. As `plan`, it bills nothing. Raises ConfigFaults."""
    with export_ahead(experiment, wish=wish, cache=cache, emit=emit) as ahead:
        return _mining(ahead, cache, emit)


def _mining(ahead: MiningAhead, cache: Path, emit: Emit) -> str:
    wish, spec = ahead.wish, ahead.wish.spec
    by = next((f" by {part.name}" for part in (wish.writer, wish.miner) if part is not None), "")
    by += "" if spec.system is None else f" {spec.system}"
    each = counted(spec.per_query, "negative")
    lines = [f"{counted(ahead.pairs.num_rows, 'pair')}, {each} for each, strategy {spec.strategy}{by}"]
    lines += [f"· {note}" for note in ahead.notes]
    lines += [] if ahead.queries is None else ["", "synthetic queries", *ahead.queries.lines()]
    if ahead.kept:
        lines += ["", "they are kept: nothing is mined"]
    elif ahead.trained:
        lines += ["", "training, before negatives are mined with what is trained", *ahead.trained]
    elif ahead.miners is not None and ahead.miners.prepared is not None:
        pipeline, costs = ahead.miners.prepared
        written = ahead.miners.to_write(cache, emit)
        told = (
            [] if written is None or wish.writer is None else [f"  {s}" for s in of_writing(written, wish.writer.name)]
        )
        told += _Plan(pipeline, costs, False, None).of_mining(wish, ahead.pairs.num_rows)
        lines += ["", "mining", *told] if told else ["", "nothing is embedded, scored or written"]
    return "\n".join(lines) + "\n"


class _Plan:
    def __init__(self, pipeline: Pipeline, costs: Costs, remeasure: bool, queries: Foreseen | None) -> None:
        self.queries = queries
        self.remeasure = remeasure
        self.pipeline = pipeline
        self.costs = costs
        self.experiment = pipeline.experiment

    def text(self) -> str:
        dataset = self.pipeline.dataset
        lines = [
            f"{dataset.name} · {dataset.judged:,} of {dataset.queries_in_file:,} queries judged · "
            f"{counted(dataset.documents, 'document')} · fingerprint {dataset.fingerprint[:12]}",
            f"{counted(len(self.experiment.systems), 'system')}, first measure {self.experiment.primary}",
            *(f"· {note}" for note in dataset.notes),
        ]
        lines += self._detectable()
        lines += self._targets()
        lines += self._run_files()
        lines += [] if self.queries is None else ["", "synthetic queries", *self.queries.lines()]
        lines += self._training()
        lines += ["", "quality pass", *self._embedding(), *self._indexes(), *self._searches(), *self._reranking()]
        lines += [
            "",
            "latency pass",
            *self._latency(),
            *bill_lines(self.costs.bill(remeasure=self.remeasure)),
            "",
            "systems",
        ]
        lines += [f"  {system.name}" for system in self.experiment.systems]
        return "\n".join(lines) + "\n"

    def of_mining(self, wish: Wish, pairs: int) -> list[str]:
        """Lines on the searches that mining stands for."""
        lines = self._embedding()
        lines += [] if wish.candidates is None else [*self._indexes(), *self._reranking()]
        if wish.judge is not None:
            scored = counted(pairs * wish.spec.per_query, "pair")
            lines.append(f"  {wish.judge.name}: {scored} of texts to score, and one more for each that it throws out")
        return [*lines, *bill_lines(self.costs.bill())]

    def _detectable(self) -> list[str]:
        """The smallest difference that this test set shows, and what was assumed for it."""
        if self.experiment.baseline is None:
            return []
        smallest = Evaluator(self.pipeline).detectable()
        assumed = (
            f"{counted(smallest.family, 'system')} at once, deviation of differences assumed to be "
            f"{smallest.deviation:g} by query as in earlier real runs"
        )
        if any(self.experiment.seeds_of(system) > 1 for system in self.experiment.systems):
            assumed += f", and seeds of a model assumed to differ by {PRIOR_SPREAD_OF_SEEDS:g} as in earlier trainings"
        return [
            f"differences under {smallest.difference:.3f} {self.experiment.primary} cannot be detected by this test "
            f"set (80 % power, {assumed})",
            *(
                f"models.{model.name}: one seed, so verdicts are on this very model; how far another training would "
                "differ is not tried: seeds: 3"
                for model in self.experiment.models.values()
                if model.seeds == 1
            ),
        ]

    def _training(self) -> list[str]:
        """What is trained, and what that takes."""
        models = self.pipeline.materials.trained
        return ["", "training", *forecast(models, models.in_use())] if isinstance(models, Training) else []

    def _targets(self) -> list[str]:
        """The targets that no setting can be shown to reach with this many queries."""
        half = self.pipeline.dataset.judged // 2
        lines: list[str] = []
        for measure, targets in self.experiment.targets.items():
            rng = np.random.default_rng(self.experiment.settings.seed)
            highest = attainable(half, measure, rng) if half else 0.0
            if beyond := [f"{target:g}" for target in targets if target > highest]:
                lines.append(
                    f"targets {measure} {', '.join(beyond)} cannot be shown reached: {half:,} queries choose, and on "
                    f"so many a setting that misses nothing is shown to reach {highest:.3f}"
                )
        return lines

    def _run_files(self) -> list[str]:
        return [
            f"! {system.name}: {sentence}"
            for system in self.experiment.systems
            if system.run_file is not None
            for sentence in self.pipeline.searches.run_file_gaps(system.run_file).sentences()
        ]

    def _embedding(self) -> list[str]:
        lines: list[str] = []
        for (name, role), encoder in encoders_in_use(self.pipeline).items():
            missing, total, length = self.pipeline.materials.embedding.pending(encoder, role)
            if encoder.consumes == "vector":
                lines.append(f"  {name} ({PLURAL[role]}): vectors come with the dataset")
            elif not missing:
                lines.append(f"  {name} ({PLURAL[role]}): {counted(total, 'text')}, all cached")
            else:
                size = missing * encoder.dimension * 4 / 2**20
                lines.append(
                    f"  {name} ({PLURAL[role]}): {missing:,} of {total:,} texts to embed, {length:,.0f} characters, "
                    f"{size:,.1f} MiB of vectors{self._duration(encoder, role, missing)}"
                )
        return lines

    def _duration(self, encoder: Encoder, role: Role, missing: int) -> str:
        if encoder.bills:
            return ""
        if asks_others(encoder.contacts()):
            return f", time not estimated, a dry run does not ask {encoder.contacts()[0].host}"
        texts = self.pipeline.dataset.document_texts if role == "document" else self.pipeline.dataset.query_texts
        rng = np.random.default_rng(self.experiment.settings.seed)
        sample = [texts[int(i)] for i in rng.choice(len(texts), min(_SAMPLE, len(texts)), replace=False)]
        try:
            list(encoder.encode_each(TextRows(sample[:1]), role))  # loads the model; a text may be refused
            began = time.perf_counter()
            list(encoder.encode_each(TextRows(sample), role))
        except BaseException as error:
            return f", time not estimated, a few of them cannot be embedded: {failure_of(error).where}"
        seconds = (time.perf_counter() - began) / len(sample) * missing
        return f", about {seconds:,.0f} s here"

    def _indexes(self) -> list[str]:
        lines: list[str] = []
        seen: set[str] = set()
        times = BuildTimes(self.pipeline)
        for system in self.experiment.systems:
            estimate: str | None = None  # one for all builds of an index
            for build in range(self.experiment.builds_of(system)):
                if (searched := self.experiment.at(system, build).searched) is None:
                    continue
                key = self.pipeline.indexes.key(searched)
                if key in seen:
                    continue
                seen.add(key)
                if self.pipeline.cache.index_ref(key):
                    state = "cached"
                else:
                    estimate = estimate or times.sentence(searched)
                    state = f"{self._rows()} to load and index, {estimate}"
                lines.append(f"  index {searched}{f' build {searched.build + 1}' if searched.build else ''}: {state}")
                lines += [] if build else [f"    ! {sentence}" for sentence in self._shortcomings(system, searched)]
        return lines

    def _shortcomings(self, system: System, searched: Searched) -> list[str]:
        """Which defaults fit this data badly, and how many queries the index cannot answer by text."""
        encoders = searched.encoders
        dimension = self.pipeline.materials.encoder(encoders.document).dimension if encoders else None
        store = self.pipeline.materials.store(searched.store)
        found = list(store.shortcomings(self.pipeline.dataset.documents, dimension))
        unmatched = lexical.before(self.pipeline, system)
        told = None if unmatched is None else lexical.sentence(unmatched)
        return [*found, *([told] if told else [])]

    def _rows(self) -> str:
        return counted(self.pipeline.dataset.documents, "row")

    def _searches(self) -> list[str]:
        experiment = self.experiment
        builds = [experiment.at(s, build) for s in experiment.systems for build in range(experiment.builds_of(s))]
        keys = {self.pipeline.searches.key(s.searched, s.filter, s.limit) for s in builds if s.searched is not None}
        count = self.pipeline.dataset.judged
        cached = sum((self.pipeline.cache.folder / "candidates" / key).is_dir() for key in keys)
        return [f"  searches: {len(keys)} × {counted(count, 'query')}, {cached} of them cached"] if keys else []

    def _reranking(self) -> list[str]:
        lines: list[str] = []
        for name in dict.fromkeys(s.reranker for s in self.experiment.systems if s.reranker):
            depth = max(s.depth for s in self.experiment.systems if s.reranker == name)
            users = sum(s.reranker == name for s in self.experiment.systems)
            seeds = self.experiment.rerankers[plain_name(name)].seeds
            pairs = seeds * users * depth * self.pipeline.dataset.judged
            lines.append(
                f"  reranker {plain_name(name)}: at most {counted(pairs, 'pair')} (shared ones are scored once)"
            )
        return lines

    def _latency(self) -> list[str]:
        if not self.experiment.loads:
            return ["  none"]
        return [line for load in self.experiment.loads for line in self._load_point(load)]

    def _load_point(self, load: LoadPoint) -> list[str]:
        live = [system for system in self.experiment.systems if is_live(system)]
        kept = Kept(self.pipeline, load, live, EVERYONE)
        missing = kept.missing(None, remeasure=self.remeasure)
        seconds = f"{load.seconds:,g} s in all"
        if load.alone:
            least = f"a system's turn lasts at least {load.turn_seconds:g} s and {QUERIES_IN_A_TURN} queries"
            plan = f"about {seconds}, {load.planned_rounds} rounds, {least}"
        else:
            plan = f"at most {seconds}, {load.planned_rounds} rounds"
        samples = max((samples_wanted(self.pipeline, system, load) for system in live), default=0)
        state = "" if len(missing) == len(live) else f", {len(missing)} of {len(live)} systems to measure"
        again = "; then again for the settings chosen for targets" if self.experiment.targets else ""
        lines = [f"  {load.label}: {samples:,} samples a system, {plan}{state}{again}"]
        absent = sum(found is None for found in kept.found.values())
        if missing and not self.remeasure and absent < len(missing):
            lines.append(
                f"    {absent} of {len(live)} systems have no timings yet: all are measured, because rounds compare "
                "only within one pass"
            )
        count, least_seconds = least_turns(self.pipeline, missing, load)
        if least_seconds > load.seconds:
            lines.append(
                f"    at least {count} systems × {load.planned_rounds} rounds × {load.turn_seconds:g} s = "
                f"{least_seconds:,g} s, more than the {load.seconds:,g} s asked for"
            )
        lines += [f"    {note.removeprefix(f'{load.label}: ')}" for note in pass_notes(load)]
        return lines + self._ingest(load)

    def _ingest(self, load: LoadPoint) -> list[str]:
        """Tells what is written during the queries, and that no kept index is changed."""
        if (plan := load.ingest) is None:
            return []
        documents = self.pipeline.dataset.documents
        try:
            rows = rows_held_back(plan, documents, load.planned_rounds)
        except InvalidOptions as error:
            return [f"    not measured: {error}"]
        return [
            f"    {rows:,} rows written at {plan.rows_per_second:,g} a second, {rows / plan.rows_per_second:,.1f} s a "
            f"system, into a scratch index of the other {documents - rows:,} that is built for each"
        ]
