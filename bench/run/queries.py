"""Has the synthetic queries of an experiment written before the run that needs them, once all else is known to be
right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.base import RECKONING_ERROR, hub_offline
from bench.cache.mark import cache_in_use
from bench.data.integrity import full_texts
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.experiment.structured import Structured
from bench.experiment.synthetic import Written
from bench.messages.wording import counted
from bench.money.budget import Budget
from bench.money.cost import price_of
from bench.quality.collection import naming
from bench.quality.stages import Emit
from bench.run.cache_use import using_cache
from bench.run.costs import BillLine, over_limit
from bench.run.preflight import budget_of, prepare, prepare_over
from bench.synthetic.ahead import seconds_ahead, usage_ahead
from bench.synthetic.examples import Examples, check_examples_folder, drawn_examples, write_examples
from bench.synthetic.finding import alone
from bench.synthetic.folder import check_folder, write_folder
from bench.synthetic.writing import Writing, opened

_TOKENS_OF_A_QUESTION = 24  # that questions usually have, with what a model says around them


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Queries that are not written yet. experiment: with what stands in for them. missing: documents that nothing is
    written for. bill: what that will cost. seconds: how long it will take here, None where that is not known."""

    experiment: Experiment
    missing: int
    documents: int
    bill: tuple[BillLine, ...]
    seconds: float | None

    def lines(self, *, alone: bool = False) -> list[str]:
        """In words. alone: whether nothing else is planned with them."""
        assert self.experiment.questions is not None
        spec = self.experiment.questions.spec
        texts = self.missing * spec.per_document
        took = "" if self.seconds is None else f", about {self.seconds:,.0f} s here"
        if not self.missing:
            return [f"  {spec.by}: {counted(self.documents, 'document')}, all written for already"]
        lines = [
            f"  {spec.by}: {counted(texts, 'question')} to write for {self.missing:,} of "
            f"{counted(self.documents, 'document')}{took}"
        ]
        for line in self.bill:
            usd = "price unknown" if line.usd is None else f"{line.usd:,.4f} USD, ± {RECKONING_ERROR:.0%}"
            lines.append(f"    {line.usage.tokens:,} tokens read, {line.usage.output_tokens:,} written: {usd}")
        if spec.round_trip is not None:
            lines.append(f"    each must lead {spec.round_trip.system} to its document within {spec.round_trip.top:,}")
        return lines if alone else [*lines, "    until then, words of the documents stand in for them in what follows"]


def with_queries(experiment: Experiment, cache: Path, emit: Emit) -> Experiment:
    """The experiment with its synthetic queries, where it needs some, and what they cost now. Before anything is
    written, all else is checked with words of the documents in their place.

    Raises ConfigFaults.
    """
    if not experiment.needs_written or experiment.written is not None:
        return experiment
    with checked_queries(experiment, cache, emit) as writing:
        if writing.missing:
            check_all_else(writing, emit)
        return replace(experiment, written=writing.written(), spent=writing.budget.spent)


@contextmanager
def left_alone(
    experiment: Experiment, cache: Path, emit: Emit, *, timed: bool = False
) -> Iterator[tuple[Experiment, Foreseen | None]]:
    """An experiment of which a dry run tells: nobody is asked, and synthetic queries that are not written yet are stood
    in for. These come with it, None where it needs none. timed: as `foreseen`. Raises ConfigFaults, CacheBusy."""
    with using_cache(experiment, cache, emit), hub_offline():
        experiment = replace(experiment, alone=True)
        queries = foreseen(experiment, cache, emit, timed=timed)
        yield (experiment, None) if queries is None else (queries.experiment, queries)


def foreseen(experiment: Experiment, cache: Path, emit: Emit, *, timed: bool = True) -> Foreseen | None:
    """What is to be written for an experiment; None where it needs no synthetic queries. Nobody is asked but a model on
    this machine, for a few questions where the time is to be told. Where everything is written, the experiment has its
    queries. Raises ConfigFaults."""
    if not experiment.needs_written:
        return None
    with checked_queries(experiment, cache, emit) as writing:
        return foreseen_of(writing, timed=timed)


def foreseen_of(writing: Writing, *, timed: bool = True) -> Foreseen:
    """As `foreseen`, of queries that are opened and checked."""
    missing = writing.missing
    written = writing.stand_in() if missing else writing.written()
    seconds = seconds_ahead(writing.answers, [writing.prompts[i] for i in missing]) if timed else None
    return Foreseen(
        replace(writing.experiment, written=written),
        len(missing),
        len(writing.documents),
        tuple(bill(writing, writing.budget)),
        seconds,
    )


@contextmanager
def checked_queries(experiment: Experiment, cache: Path, emit: Emit) -> Iterator[Writing]:
    """The synthetic queries of an experiment, what stands against their generator checked. What fails in the context is
    a fault of `synthetic`. Raises ConfigFaults."""
    file, faults = experiment.file, list[str]()
    with ExitStack() as stack:
        with naming(file, "dataset", faults, set()):
            writing = stack.enter_context(opened(experiment, cache, emit, budget_of(experiment)))
        if not faults:
            with naming(file, writing.questions.generator.key_path, faults, set()):
                (writing.generator.check_alone if experiment.alone else writing.generator.check)()
        if not faults:
            with naming(file, "synthetic", faults, set()):
                _ = writing.prompts
                yield writing
                return
    raise ConfigFaults(faults)


def check_all_else(writing: Writing, emit: Emit) -> None:
    """Check everything that the experiment and the round trip need, before anything is paid for. Raises
    ConfigFaults."""
    experiment, faults = writing.experiment, list[str]()
    standing = writing.stand_in()
    try:
        pipeline, _ = prepare(
            replace(experiment, written=standing), writing.cache, emit, ahead=list(bill(writing, writing.budget))
        )
        pipeline.close()
    except ConfigFaults as error:
        faults += error.faults
    if writing.questions.finder not in experiment.systems:
        faults += _faults_of_finder(writing, emit)
    if faults:
        raise ConfigFaults(list(dict.fromkeys(faults)))


def _faults_of_finder(writing: Writing, emit: Emit) -> Sequence[str]:
    """What stands against the round trip."""
    if (finder := writing.questions.finder) is None:
        return ()
    try:
        dataset = writing.over(writing.stand_in().table)
        pipeline, _ = prepare_over(dataset, alone(writing.experiment, finder), writing.cache, emit)
        pipeline.close()
    except ConfigFaults as error:
        return error.faults
    return ()


def bill(writing: Writing, budget: Budget) -> Sequence[BillLine]:
    """What writing will be billed, with as many tokens as questions usually have."""
    generator, missing = writing.generator, writing.missing
    if not generator.bills or not missing:
        return []
    each = writing.questions.spec.per_document * _TOKENS_OF_A_QUESTION
    usage = usage_ahead(writing.answers, [writing.prompts[i] for i in missing], each)
    identity = generator.identity
    usd = price_of(budget.prices, identity.provider, identity.model, usage)
    what = f"{writing.questions.spec.by}: questions for {counted(len(missing), 'document')}"
    return [BillLine(what, identity.provider, identity.model, usage, usd)]


# -- alone -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Generated:
    """Synthetic queries in a folder. texts: of their documents, by id."""

    folder: Path
    written: Written
    texts: Mapping[str, str]

    def examples(self, count: int) -> list[tuple[str, str]]:
        """Questions with the document that each is for, spread over all."""
        rows = self.written.table.to_pylist()
        step = max(1, len(rows) // count) if count else 1
        return [(row["text"], self.texts[row["document_ids"][0]]) for row in rows[::step][:count]]


def alone_with_queries(experiment: Experiment) -> Experiment:
    """The experiment as it is where synthetic queries are written for their own sake."""
    return replace(experiment, cuts=experiment.cuts.model_copy(update={"queries": "synthetic"}))


def generate(experiment: Experiment, folder: Path, cache: Path, emit: Emit) -> Generated:
    """Have synthetic queries written, and put them into a folder with their documents. Raises ConfigFaults, FolderInUse
    and OSError."""
    experiment = alone_with_queries(experiment)
    check_folder(folder)
    with using_cache(experiment, cache, emit), checked_queries(experiment, cache, emit) as writing:
        if writing.missing:
            _check_alone(writing, emit)
        written = writing.written()
        corpus = writing.tables.corpus
        write_folder(folder, corpus, written)
    texts = zip(corpus.column("id").to_pylist(), full_texts(corpus).to_pylist(), strict=True)
    return Generated(folder, written, dict(texts))


def plan_generate(experiment: Experiment, cache: Path, emit: Emit) -> str:
    """What `generate` would do, as plain text. Raises ConfigFaults."""
    with cache_in_use(cache, experiment.user), hub_offline():
        found = foreseen(replace(alone_with_queries(experiment), alone=True), cache, emit)
    assert found is not None
    return "\n".join(["synthetic queries", *found.lines(alone=True)]) + "\n"


def _check_alone(writing: Writing, emit: Emit) -> None:
    """Check the bill and the round trip, before anything is paid for. Raises ConfigFaults."""
    file = writing.experiment.file
    faults = [f"{file}: {fault}" for fault in over_limit(list(bill(writing, writing.budget)), writing.budget)]
    faults += _faults_of_finder(writing, emit)
    if faults:
        raise ConfigFaults(faults)


def make_examples(experiment: Experiment, folder: Path | None) -> Examples:
    """The labelled examples of a template, written into a folder where one is given. Raises FolderInUse, InvalidOptions
    and OSError."""
    spec = experiment.settings.synthetic
    assert isinstance(spec, Structured)
    if folder is not None:
        check_examples_folder(folder)
    found = drawn_examples(spec, experiment.settings.seed if spec.seed is None else spec.seed)
    if folder is not None:
        write_examples(folder, found, spec.labels)
    return found
