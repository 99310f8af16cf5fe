"""Pairs of texts with a similarity, as files hold them: train, dev and test, on a scale from 0 to 1."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from adapters.base import DatasetInvalid, InvalidOptions, listed
from adapters.base.records import SUFFIXES, ending, kind_of, number_of, records, required_text
from bench.data.normal import plain_query
from bench.data.splits import default_dev, hashed
from bench.data.tables import table_digest
from bench.experiment.parts import Experiment, TrainedPart
from bench.experiment.scored import ScoredData
from bench.messages.wording import counted
from bench.train.collection import DEV_NAMES, TRAIN_NAMES
from bench.train.pairs import FEWEST_PAIRS, Leak, PairsReport, WhenLeaked, refusal

TEST_NAMES = ("test",)
HIGHEST = (1.0, 5.0, 100.0)
"""Scores of pairs that mean the same, on the usual scales."""

# The names that collections of this kind use, the first one first.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "first": ("sentence1", "text1", "first"),
    "second": ("sentence2", "text2", "second"),
    "score": ("score", "similarity", "similarity_score", "label"),
}


@dataclass(frozen=True)
class ScoredPairs:
    """Columns first, second (string) and score (float32, from 0 for nothing in common to 1 for the same meaning), in an
    order that depends on their content alone.

    name: of the file or folder. test: None where there is no such file. report: what became of the training pairs.
    notes: sentences on how the files were read.
    """

    name: str
    train: pa.Table
    dev: pa.Table
    test: pa.Table | None
    report: PairsReport
    notes: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """Of what is learned from and of what decides."""
        both = f"{table_digest(self.train)} {table_digest(self.dev)}"
        return hashlib.blake2b(both.encode(), digest_size=16).hexdigest()

    @property
    def rows(self) -> int:
        """How many pairs there are to learn from."""
        return int(self.train.num_rows)

    @cached_property
    def plain_queries(self) -> tuple[str, ...]:
        """The distinct texts that are learned from, in the plain form by which leaks are found, in order."""
        both = (text for name in ("first", "second") for text in self.train.column(name).to_pylist())
        return tuple(sorted({plain_query(text) for text in both}))


class _Row(NamedTuple):
    # In the order that tables are sorted by.
    first: str
    second: str
    score: float
    where: str
    split: str
    key: tuple[str, ...]  # what the pair is told apart by, whichever text comes first


def scored_pairs(experiment: Experiment, model: TrainedPart) -> ScoredPairs:
    """The pairs that a model of the experiment learns from. Raises as `read_scored` does."""
    assert model.scored is not None
    path = experiment.context().path(model.scored.path)
    return read_scored(path, model.scored, leaks=model.leaks, limit=model.pairs, seed=experiment.settings.seed)


def read_scored(
    path: Path, data: ScoredData, *, leaks: WhenLeaked = "drop", limit: int | None = None, seed: int = 0
) -> ScoredPairs:
    """Read pairs with a similarity.

    path: a file, or a folder with files whose names say train, dev (or validation) and test. Without a dev file, dev is
    cut from the training pairs by a hash. data: the scale. leaks: whether a training pair that dev or test has too is
    dropped, or a fault. limit: at most so many pairs, the first by a hash and the seed.
    Raises DatasetInvalid (file and line) for what cannot be read, a score outside its scale and an empty text;
    InvalidOptions for leaks that are refused, too few pairs, and scores that are all alike.
    """
    files = _files(path)
    read = {split: _read(file, split) for split, file in files.items()}
    lowest, highest, notes = _scale(data, [row for found in read.values() for row in found])
    rows = {split: sorted(found) for split, found in read.items()}
    tested = {row.key for row in rows.get("test", ())}
    given, held = rows["train"], {row.key: row for split in ("test", "dev") for row in rows.get(split, ())}
    leaked = [_leak(row, held[row.key]) for row in given if row.key in held]
    if leaked and leaks == "refuse":
        raise InvalidOptions(refusal(leaked), key="leaks")
    distinct = {(row.key, row.score): row for row in reversed(given) if row.key not in held}
    train = sorted(distinct.values())
    if "dev" in rows:
        dev = [row for row in rows["dev"] if row.key not in tested]
        if twice := len(rows["dev"]) - len(dev):
            notes = (*notes, f"{counted(twice, 'pair')} of dev {'is' if twice == 1 else 'are'} in test too, left out.")
    else:
        train, dev = _dev_from(train)
        notes = (*notes, f"{counted(len(dev), 'pair')} of {files['train'].name} decide, cut by a hash of the pair.")
    kept = _first(train, limit, seed)
    _check(kept, path)
    report = PairsReport(
        found=len(given),
        kept=len(kept),
        leaks=tuple(leaked),
        repeated=len(given) - len(leaked) - len(distinct),
        beyond_limit=len(train) - len(kept),
        wanted=limit,
    )
    test = _table(rows["test"], lowest, highest) if "test" in rows else None
    return ScoredPairs(path.name, _table(kept, lowest, highest), _table(dev, lowest, highest), test, report, notes)


def _files(path: Path) -> dict[str, Path]:
    """The file of each split. Raises DatasetInvalid, InvalidOptions."""
    if path.is_file():
        return {"train": path}
    if not path.is_dir():
        raise DatasetInvalid(str(path), f"there is no such file or folder. Give one of pairs ({', '.join(SUFFIXES)}).")
    there = sorted(file for file in path.iterdir() if file.is_file() and ending(file) in SUFFIXES)
    found: dict[str, Path] = {}
    for split, names in (("train", TRAIN_NAMES), ("dev", DEV_NAMES), ("test", TEST_NAMES)):
        fitting = [file for file in there if {*re.split(r"[^a-z0-9]+", file.name.lower())} & {*names}]
        if len(fitting) > 1:
            raise DatasetInvalid(
                str(path), f"holds several files of the split {split}: {', '.join(f.name for f in fitting)}. Keep one."
            )
        if fitting:
            found[split] = fitting[0]
    if "train" not in found:
        held = f" It holds {', '.join(file.name for file in there)}." if there else ""
        raise DatasetInvalid(
            str(path), f"has no file of the split train, such as train.tsv.{held} Add one, or name a file instead."
        )
    return found


def _read(file: Path, split: str) -> list[_Row]:
    columns: dict[str, str] = {}
    rows = []
    for line, row in records(file):
        where = f"{file}:{line}"
        columns = columns or {part: _column(row, names, where) for part, names in _COLUMNS.items()}
        first, second = (_text(row, columns[part], where) for part in ("first", "second"))
        value = row.get(columns["score"])
        score = float(number_of(value))
        if not math.isfinite(score):
            raise DatasetInvalid(where, f'"{columns["score"]}" must be a number, got {kind_of(value)}.')
        key = tuple(sorted((plain_query(first), plain_query(second))))
        rows.append(_Row(first, second, score, where, split, key))
    return rows


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    text = required_text(row, name, where)
    if not text.strip():
        raise DatasetInvalid(where, f'"{name}" is empty. Give the pair two texts, or leave it out.')
    return text


def _column(row: Mapping[str, Any], names: Sequence[str], where: str) -> str:
    found = next((name for name in names if name in row), None)
    if found is None:
        raise DatasetInvalid(where, f'has no column "{names[0]}". It has: {listed(row, names)}.')
    return found


def _scale(data: ScoredData, rows: Sequence[_Row]) -> tuple[float, float, tuple[str, ...]]:
    """The scores of nothing in common and of the same meaning. Raises DatasetInvalid for a score outside of them."""
    lowest = 0.0 if data.lowest is None else data.lowest
    largest = max((row.score for row in rows), default=0.0)
    highest = data.highest
    notes: tuple[str, ...] = ()
    if highest is None:
        highest = next((each for each in HIGHEST if lowest < each >= largest), HIGHEST[-1])
        notes = (f"Scores were read on the scale from {lowest:g} to {highest:g}; the largest is {largest:g}.",)
    for row in rows:
        if not lowest <= row.score <= highest:
            raise DatasetInvalid(
                row.where,
                f"the score {row.score:g} lies outside the scale from {lowest:g} to {highest:g}. Correct it, or say "
                "what the scale is: lowest and highest beside path.",
            )
    return lowest, highest, notes


def _dev_from(rows: Sequence[_Row]) -> tuple[list[_Row], list[_Row]]:
    """What is left to train on, and what decides, by a hash of the pair; equal pairs stay together."""
    size = default_dev(len(rows))
    hashes = {row.key: hashed("\0".join(row.key), "dev") for row in rows}
    if size < 1:
        deciding = {key for key, value in hashes.items() if value < size * 2**64}
    else:
        deciding = set(sorted(hashes, key=lambda key: (hashes[key], key))[: int(size)])
    return [row for row in rows if row.key not in deciding], [row for row in rows if row.key in deciding]


def _first(rows: Sequence[_Row], limit: int | None, seed: int) -> Sequence[_Row]:
    if limit is None or limit >= len(rows):
        return rows
    order = sorted(rows, key=lambda row: (hashed("\0".join((str(seed), *row.key)), "pairs"), row))
    return sorted(order[:limit])


def _leak(row: _Row, held: _Row) -> Leak:
    one, other = (f"{each.first} / {each.second}" for each in (row, held))
    return Leak(one, other, held.split, Path(row.where).name, Path(held.where).name)


def _check(rows: Sequence[_Row], path: Path) -> None:
    if len(rows) < FEWEST_PAIRS:
        raise InvalidOptions(
            f"{path} gives {counted(len(rows), 'pair')} to learn from, and {FEWEST_PAIRS} are the fewest.", key="data"
        )
    if len({row.score for row in rows}) == 1:
        raise InvalidOptions(
            f"{path} gives all {len(rows):,} pairs the score {rows[0].score:g}: there is nothing to learn.", key="data"
        )


def _table(rows: Sequence[_Row], lowest: float, highest: float) -> pa.Table:
    scores = (np.array([row.score for row in rows], np.float64) - lowest) / (highest - lowest)
    return pa.table(
        {
            "first": pa.array([row.first for row in rows], pa.string()),
            "second": pa.array([row.second for row in rows], pa.string()),
            "score": pa.array(scores.astype(np.float32)),
        }
    )
