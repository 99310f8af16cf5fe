"""The queries that models are trained on, and those that decide while they are: never one that is evaluated.

Splits are the collection's own where it has some, else they are cut by a hash of the query, as `dataset` says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.base import DatasetSource, Flags, InvalidOptions
from bench.data.dataset import Choose, Chosen, Dataset
from bench.data.splits import LEAST_DEV, MOST_DEV, cut, keys_of
from bench.experiment.cuts import Cuts
from bench.experiment.faults import ConfigFaults
from bench.experiment.parts import Experiment
from bench.messages.wording import counted
from bench.quality.collection import checked, evaluated_data, naming, parts_of, source_of
from bench.quality.stages import Emit

TRAIN_NAMES = ("train", "training")
DEV_NAMES = ("dev", "validation", "valid", "val", "development")
_WRITE_SIZES = (
    "Say how many queries are evaluated, and the others train: test_size: 0.2 (a share, or a number of queries), and "
    "dev_size for those that decide between models."
)


@dataclass(frozen=True, slots=True)
class Splits:
    """What a model learns from (train) and what decides while it learns (dev): collections with texts and judgements.

    The corpus is that of the evaluated queries, unless the collection's splits bring documents of their own. notes:
    sentences on where the splits come from. lacks: where no judged queries train, why and what to write; train then has
    documents alone, and dev is None where no judged queries decide either.
    """

    train: Dataset
    dev: Dataset | None
    notes: tuple[str, ...]
    lacks: str | None = None

    def evaluated(self, test: Dataset) -> list[Dataset]:
        """The collections whose queries nobody learns from."""
        return [test] if self.dev is None else [self.dev, test]


def load_splits(
    experiment: Experiment,
    cache_folder: Path,
    emit: Emit = lambda event: None,
    *,
    evaluated: Dataset | None = None,
    labels: bool = True,
) -> Splits:
    """Load the train and dev splits. labels: whether there must be judged queries to train on.

    evaluated: the collection with the queries that are evaluated, loaded here where it is not given. A query that
    equals one of them does not decide; among the training queries it stays, and is dropped where pairs are made.
    Raises ConfigFaults where there is nothing to train on, with what to write.
    """
    faults: list[str] = []
    with naming(experiment.file, "dataset", faults, set()):
        test = evaluated_data(experiment, cache_folder, emit) if evaluated is None else evaluated
        barred = frozenset(keys_of(test.queries))
        with source_of(experiment, emit, cache_folder, training=True) as source:
            loading = _Loading(experiment, cache_folder, emit, barred)
            lacks = loading.lacks(source)
            if lacks is not None and not labels:
                return loading.unlabelled(source, test, lacks)
            splits = loading.splits(source)
        for dataset in splits.evaluated(splits.train):
            if not dataset.has_text:
                raise InvalidOptions("models learn from texts, and the data has none.")
        if experiment.written is not None and experiment.cuts.synthetic is not None:
            splits = replace(splits, notes=(*splits.notes, *experiment.written.about["notes"]))
        if not splits.train.corpus.equals(test.corpus):
            told = f"The training queries have a corpus of their own, {counted(splits.train.documents, 'document')}."
            return replace(splits, notes=(*splits.notes, told))
        return splits
    raise ConfigFaults(faults)


def lacks_training_queries(experiment: Experiment, cache_folder: Path) -> str | None:
    """Why the collection has no judged queries to train on, and what to write; None where it has some. Looks at the
    names of its splits alone. Raises what the adapter raises."""
    with source_of(experiment, lambda event: None, cache_folder, training=True) as source:
        return _Loading(experiment, cache_folder, lambda event: None, frozenset()).lacks(source)


@dataclass(frozen=True, slots=True)
class _Loading:
    """barred: queries that do not decide, in plain form."""

    experiment: Experiment
    cache_folder: Path
    emit: Emit
    barred: Collection[str]

    def lacks(self, source: DatasetSource) -> str | None:
        """Why there are no judged queries to train on, if there are none."""
        evaluated, there = source.judged_split, source.splits()
        if _named(there, TRAIN_NAMES, evaluated) is not None or self.experiment.cuts.test_size is not None:
            return None
        return _nothing_to_train_on(evaluated, there)

    def unlabelled(self, source: DatasetSource, test: Dataset, lacks: str) -> Splits:
        """The documents alone, and the collection's dev split where it has one."""
        dev = _named(source.splits(), DEV_NAMES, source.judged_split)
        qrels = None if test.qrels is None else test.qrels.slice(0, 0)
        train = replace(test, split=None, queries=test.queries.slice(0, 0), qrels=qrels, own_rows=None)
        if dev is None:
            told = "No judged queries decide while it learns, without a dev split: the last step's weights are kept."
            return Splits(train, None, (told,), lacks)
        (deciding,) = self._load(source, dev, {"dev": _of_dev(self.experiment.cuts.dev_size, self.barred)})
        return Splits(train, deciding, (f"{counted(deciding.judged, 'query')} of split {dev} decide.",), lacks)

    def splits(self, source: DatasetSource) -> Splits:
        cuts, evaluated, there = self.experiment.cuts, source.judged_split, source.splits()
        train, dev = (_named(there, names, evaluated) for names in (TRAIN_NAMES, DEV_NAMES))
        if (lacks := self.lacks(source)) is not None:
            raise InvalidOptions(lacks)
        if train is not None:  # what is cut from the evaluated split does not concern it
            cuts = Cuts(dev_size=cuts.dev_size)
        of = train or evaluated
        parts: dict[str | None, Choose | None] = {"train": _cut("train", cuts, self.barred, own_dev=dev is not None)}
        if dev is None:
            parts["dev"] = _cut("dev", cuts, self.barred)
        learnt, *cut_off = self._load(source, train, parts)
        if dev is None:
            return Splits(learnt, cut_off[0], _told(learnt, cut_off[0], of, cuts))
        (deciding,) = self._load(source, dev, {"dev": _of_dev(cuts.dev_size, self.barred)})
        named = f" of split {of}" if of else ""
        note = f"{counted(learnt.judged, 'query')}{named} train, {deciding.judged:,} of split {dev} decide."
        return Splits(learnt, deciding, (note,))

    def _load(
        self, source: DatasetSource, split: str | None, parts: Mapping[str | None, Choose | None]
    ) -> list[Dataset]:
        """Parts of another split of the collection; of the evaluated one where none is named."""
        if split is None:
            return parts_of(source, self.experiment, self.cache_folder, parts, self.emit, needs_judgements=True)
        with checked(source.of_split(split), self.emit) as other:
            return parts_of(other, self.experiment, self.cache_folder, parts, self.emit, needs_judgements=True)


def _named(there: Sequence[str], names: Sequence[str], evaluated: str | None) -> str | None:
    """The first of these splits that is there and not the one that is evaluated."""
    return next((name for name in names if name in there and name != evaluated), None)


def _cut(part: str, cuts: Cuts, barred: Collection[str], *, own_dev: bool = False) -> Choose:
    """How the train or dev split is cut from the queries of one split. barred: queries that do not decide. own_dev:
    whether the collection has a dev split, so that none is cut."""

    def choose(queries: pa.Table) -> Chosen:
        parts = cut(queries, sample=cuts.sample, test=cuts.test_size or 0, dev=0 if own_dev else cuts.dev_size)
        deciding = parts.dev & ~_among(queries, barred)
        flags = deciding if part == "dev" else parts.sampled & ~parts.test & ~deciding
        if not flags.any():
            cure = "Write a larger dev_size" if part == "dev" and cuts.dev_size is not None else "Write smaller sizes"
            raise InvalidOptions(f"of {queries.num_rows:,} judged queries none is left for the split {part}. {cure}.")
        return Chosen(flags)

    return choose


def _of_dev(size: float | None, barred: Collection[str]) -> Choose:
    """How queries are chosen from a dev split that the collection has."""

    def choose(queries: pa.Table) -> Chosen:
        chosen = np.ones(queries.num_rows, np.bool_) if size is None else cut(queries, dev=size).dev
        flags = chosen & ~_among(queries, barred)
        if not flags.any():
            raise InvalidOptions(f"all {queries.num_rows:,} queries of its dev split are evaluated: none decides.")
        left = int(chosen.sum() - flags.sum())
        note = f"{counted(left, 'query')} of the dev split {'is' if left == 1 else 'are'} evaluated too, and left out."
        return Chosen(flags, (note,) if left else ())

    return choose


def _among(queries: pa.Table, keys: Collection[str]) -> Flags:
    return np.array([key in keys for key in keys_of(queries)], np.bool_)


def _told(train: Dataset, dev: Dataset, of: str | None, cuts: Cuts) -> tuple[str, ...]:
    default = f"no dev_size is given: a tenth, {LEAST_DEV} to {MOST_DEV}"
    by = default if cuts.dev_size is None else f"dev_size: {cuts.dev_size:g}"
    named = f"Of the judged queries of split {of}" if of else "Of the judged queries"
    return (f"{named}, {train.judged:,} train and {dev.judged:,} decide, cut by a hash of the query ({by}).",)


def _nothing_to_train_on(evaluated: str | None, there: Sequence[str]) -> str:
    if evaluated is None or not there:
        return f"has no split to train on. {_WRITE_SIZES}"
    others = [name for name in there if name != evaluated]
    known = f"; besides, it has {', '.join(others)}" if others else ""
    return f"has no split {TRAIN_NAMES[0]} to train on beside {evaluated}, which is evaluated{known}. {_WRITE_SIZES}"
