"""Reads two results, and puts their queries side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.cache.own_files import read_own
from bench.comparing.model import CannotCompare
from bench.messages.wording import counted
from bench.results.folders import result_in
from bench.results.model import RESULT_FILE, Result, ResultUnreadable, read_result
from bench.results.per_query import PER_QUERY, KeptFigures, read_figures
from bench.results.seal import changes
from bench.results.texts import read_judgements
from bench.statistics.arrays import Labels
from bench.statistics.comparison import SystemFigures

_UNFINISHED = "its run has not ended: run the same command again, which goes on"


@dataclass(frozen=True, slots=True)
class Side:
    """A result. figures: its values by query; None where its folder has none. doubts: what must be known before it is
    believed, a sentence each."""

    folder: Path
    result: Result
    figures: KeptFigures | None
    doubts: tuple[str, ...]

    @property
    def judged(self) -> int:
        return self.result.dataset.judged if self.figures is None else len(self.figures.query_ids)


@dataclass(frozen=True, slots=True)
class Aligned:
    """The same queries of two results, in the same order. without: how many that both judged are left out because their
    judgements differ; None where nobody can tell."""

    query_ids: list[str]
    old: Mapping[str, SystemFigures]
    new: Mapping[str, SystemFigures]
    clusters: Labels | None
    without: int | None = 0


def read_side(path: Path) -> Side:
    """A result folder, its result.json, or the newest result below a folder. Raises ResultUnreadable, and CannotCompare
    for a run that has not ended."""
    path = path if path.is_file() else result_in(path)
    folder = path if path.is_dir() else path.parent
    result = read_result(path)
    if result.status == "started":
        raise CannotCompare(f"{path}: {_UNFINISHED}.")
    doubts = [f"{change}." for change in _changes(path, folder)]
    if result.status == "cancelled":
        doubts.append(f"{path}: the run was cut off, so that systems may be missing.")
    return Side(folder, result, _figures(folder, result), tuple(doubts))


def _changes(path: Path, folder: Path) -> Sequence[str]:
    """What is not as the run wrote it, but for files that a copy may leave out."""
    file = path / RESULT_FILE if path.is_dir() else path
    found = changes(folder, json.loads(read_own(file)))
    return [change for change in found if " is gone after its run wrote it" not in change]


def _figures(folder: Path, result: Result) -> KeptFigures | None:
    path = folder / PER_QUERY
    if not path.is_file() or not any(system.measures for system in result.systems):
        return None
    try:
        return read_figures(folder, result)
    except (pa.ArrowException, LookupError, ValueError, OSError) as error:
        raise ResultUnreadable(
            f"{path}: cannot be read: {error}. Copy the folder again, or run the experiment again."
        ) from error


def aligned(old: Side, new: Side, *, shared: bool) -> Aligned | None:
    """The queries that both judged; None where a result has no values by query. shared: whether they may be a part of
    each result's. Raises CannotCompare."""
    if old.figures is None or new.figures is None:
        return None
    place = {query: i for i, query in enumerate(old.figures.query_ids)}
    rows = [(place[query], i) for i, query in enumerate(new.figures.query_ids) if query in place]
    if not shared and not len(rows) == len(place) == len(new.figures.query_ids):
        raise CannotCompare(f"queries: of {len(place):,} and {new.judged:,} are {len(rows):,} the same.")
    ids = [new.figures.query_ids[i] for _, i in rows]
    without: int | None = 0
    if shared:
        agreeing = _agreeing(old, new, ids)
        without = None if agreeing is None else len(ids) - len(agreeing)
        rows = [pair for pair, query in zip(rows, ids, strict=True) if agreeing is None or query in agreeing]
        ids = [query for query in ids if agreeing is None or query in agreeing]
    if not rows:
        raise CannotCompare(_nothing_shared(without))
    left, right = (np.array(column, np.intp) for column in zip(*rows, strict=True))
    return Aligned(
        ids,
        {name: _taken(of, left) for name, of in old.figures.systems.items()},
        {name: _taken(of, right) for name, of in new.figures.systems.items()},
        _clusters(old.figures.clusters, new.figures.clusters, left, right),
        without,
    )


def _nothing_shared(without: int | None) -> str:
    if without:
        return f"queries: both judged {counted(without, 'query')}, and of each the judgements differ."
    return "queries: there is none that both judged."


def _agreeing(old: Side, new: Side, ids: Sequence[str]) -> set[str] | None:
    """Those of the queries whose judgements are the same; None where a result does not hold them."""
    sides = [read_judgements(side.folder) for side in (old, new)]
    unjudged = [side.result.primary.startswith("ANN@") for side in (old, new)]
    if all(judged is None for judged in sides) and all(unjudged):
        return set(ids)
    if any(judged is None for judged in sides):
        return None
    one, other = ({query: _relevant(judged or {}, query) for query in ids} for judged in sides)
    return {query for query in ids if one[query] == other[query]}


def _relevant(judged: Mapping[str, Mapping[str, int]], query: str) -> dict[str, int]:
    return dict(judged.get(query, {}))


def _taken(figures: SystemFigures, rows: npt.NDArray[np.intp]) -> SystemFigures:
    values = {m: None if values is None else values[:, rows] for m, values in figures.values.items()}
    return replace(figures, values=values)


def _clusters(
    old: Labels | None, new: Labels | None, left: npt.NDArray[np.intp], right: npt.NDArray[np.intp]
) -> Labels | None:
    """Queries that stand together in either result are resampled together: those of the new one first."""
    if new is not None:
        return new[right]
    return None if old is None else old[left]
