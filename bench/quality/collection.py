"""The experiment's collection as it is evaluated, or a part of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from adapters.base import DatasetSource, InvalidOptions
from bench.data.dataset import Choose, Chosen, Dataset, load_parts
from bench.data.integrity import DatasetFaults
from bench.data.splits import cut
from bench.data.tables import load_tables
from bench.data.written import BOTH, EVALUATING, TRAINING, WrittenSource
from bench.experiment.cuts import Cuts
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.experiment.trust import contacts_with
from bench.messages.failures import closing, failure_of, told
from bench.quality.stages import Emit, waiting


@contextmanager
def naming(file: str, key_path: str, faults: list[str], broken: set[str]) -> Iterator[None]:
    """Turn what an adapter refuses, or raises unforeseen, into a fault at this place, and note the place as broken."""
    try:
        yield
        return
    except InvalidOptions as error:
        faults.append(f"{file}: {key_path}{f'.{error.key}' if error.key else ''}: {told(error)}")
    except ConfigFaults as error:
        faults += error.faults
    except DatasetFaults as error:
        faults += [f"{file}: {key_path}: {fault}" for fault in error.faults]
    except BaseException as error:
        faults.append(f"{file}: {key_path}: {failure_of(error).where}")
    broken.add(key_path)


@contextmanager
def source_of(
    experiment: Experiment, emit: Emit, cache_folder: Path, *, training: bool = False
) -> Iterator[DatasetSource]:
    """The source of the queries that are evaluated, or of those that models learn from, checked, and closed afterwards.
    Raises what the adapter raises."""
    use = experiment.cuts.synthetic
    if use != "all" and not (training and use == "train"):
        with own_source(experiment, emit) as source:
            yield source
        return
    if (written := experiment.written) is None:
        raise InvalidOptions(
            "the synthetic queries are not written yet. Write them: bench generate FILE", key="queries"
        )
    with own_source(experiment, emit, documents_alone=use == "all") as source:
        tables, _ = load_tables(source, cache_folder / "datasets", waiting(emit))
        shares = TRAINING if use == "train" else BOTH if experiment.models else EVALUATING
        title = f"{source.title or experiment.dataset.adapter}, synthetic queries"
        yield WrittenSource(source, tables, written.table, shares, title=title, notes=written.about["notes"])


@contextmanager
def own_source(experiment: Experiment, emit: Emit, *, documents_alone: bool = False) -> Iterator[DatasetSource]:
    """The dataset's own source, checked, and closed afterwards. Raises what the adapter raises."""
    part, context = experiment.dataset, experiment.context()
    others = [each for each in contacts_with(part.kind, [part.options], context) or () if not each.own]
    if experiment.alone and others:
        raise InvalidOptions(
            f"a dry run does not ask {others[0].host} for it. Run it without --dry-run.", key="adapter"
        )
    source: DatasetSource = part.kind(part.options, context)
    with checked(source.documents_alone() if documents_alone else source, emit) as opened:
        yield opened


@contextmanager
def checked(source: DatasetSource, emit: Emit) -> Iterator[DatasetSource]:
    """A source, checked, and closed afterwards. Raises what the adapter raises."""
    try:
        source.check()
        yield source
    finally:
        for failure in closing([source.close]):
            emit(failure.warned("dataset", "it was read and could not be closed"))


def parts_of(
    source: DatasetSource,
    experiment: Experiment,
    cache_folder: Path,
    parts: Mapping[str | None, Choose | None],
    emit: Emit,
    *,
    needs_judgements: bool,
) -> list[Dataset]:
    """Parts of the queries that the source's split judges, one collection each, by the name of its split. Raises
    DatasetFaults, and what the adapter raises."""
    return load_parts(
        source,
        parts,
        name=source.title or experiment.dataset.adapter,
        judged_split=source.judged_split,
        needs_judgements=needs_judgements,
        dangling=experiment.settings.dangling,
        exclude_self=experiment.settings.exclude_self,
        kept_in=cache_folder / "datasets",
        wait=waiting(emit),
    )


def evaluated_data(experiment: Experiment, cache_folder: Path, emit: Emit) -> Dataset:
    """The collection with the queries that are evaluated. Raises DatasetFaults, and what the adapter raises."""
    needed = experiment.primary.needs_judgements
    with source_of(experiment, emit, cache_folder) as source:
        parts = {source.judged_split: _evaluated(experiment.cuts)}
        (dataset,) = parts_of(source, experiment, cache_folder, parts, emit, needs_judgements=needed)
    return dataset


def load_data(experiment: Experiment, cache_folder: Path) -> Dataset:
    """As `evaluated_data`. Raises ConfigFaults."""
    faults: list[str] = []
    with naming(experiment.file, "dataset", faults, set()):
        return evaluated_data(experiment, cache_folder, lambda event: None)
    raise ConfigFaults(faults)


def _evaluated(cuts: Cuts) -> Choose | None:
    """How the evaluated queries are chosen; None for all."""
    if cuts.sample is None and cuts.test_size is None:
        return None

    def choose(queries: pa.Table) -> Chosen:
        parts = cut(queries, sample=cuts.sample, test=cuts.test_size or 0, dev=0)
        flags = parts.sampled if cuts.test_size is None else parts.test
        given = {"sample": cuts.sample, "test_size": cuts.test_size}
        sizes = ", ".join(f"{key}: {size:g}" for key, size in given.items() if size is not None)
        if not flags.any():
            raise InvalidOptions(f"of {len(flags):,} judged queries none is evaluated ({sizes}). Write a larger size.")
        note = f"{int(flags.sum()):,} of {len(flags):,} judged queries are evaluated, chosen by a hash ({sizes})."
        return Chosen(flags, (note,))

    return choose
