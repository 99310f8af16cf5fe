"""The rankings of a result, read from its run files a column at a time: a million lines take about a second."""

from __future__ import annotations

import io
from collections.abc import Container
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from bench.cache.file_names import safe_name
from bench.cache.own_files import read_own
from bench.results.ids import known_id
from bench.results.model import ResultUnreadable, SystemResult

_COLUMNS = ("query", "zero", "document", "rank", "score", "system")
_BLOCK = 8 << 20  # bytes, longer than any line: an id of 4 MiB is refused long before


class Hit(NamedTuple):
    """A document at its place (from 1) in a ranking."""

    place: int
    document: str
    score: float


def run_file(folder: Path, system: str, build: int) -> Path:
    """Where the rankings of a system's build, counted from 0, lie in a result's folder."""
    suffix = "" if build == 0 else f".build{build + 1}"
    return folder / "runs" / f"{safe_name(system)}{suffix}.trec"


def shown_build(system: SystemResult) -> int:
    """The build, counted from 0, that a user would take: that of the seed that dev chose, else the first."""
    return system.seeds.index(system.chosen_seed) if system.chosen_seed in system.seeds else 0


class Rankings:
    """The rankings of one build of a system, by query.

    queries and documents: the ids that the result knows. An id of the file is told from an encoded one by them.
    """

    def __init__(self, path: Path, queries: Container[str], documents: Container[str]) -> None:
        self._path = path
        self._queries = queries
        self._documents = documents

    @property
    def kept(self) -> bool:
        """Whether the run file is there: a system that was not measured has none."""
        return self._path.is_file()

    def of(self, query: str) -> list[Hit]:
        """The hits of a query, best first; none where the system found nothing. Raises ResultUnreadable."""
        if (bounds := self._bounds.get(query)) is None:
            return []
        rows = pa.array(self._order[slice(*bounds)])
        names = self._table["document"].take(rows).to_pylist()
        scores = self._table["score"].take(rows).to_pylist()
        return [
            Hit(place, known_id(name, self._documents) or name, score)
            for place, (name, score) in enumerate(zip(names, scores, strict=True), 1)
        ]

    def table(self) -> pa.Table:
        """All hits, query by query, best first: columns query_id, place, document_id and score."""
        table = self._table.take(pa.array(self._order))
        starts = np.repeat([start for start, _ in self._bounds.values()], [b - a for a, b in self._bounds.values()])
        return pa.table(
            {
                "query_id": _decoded(table["query"], self._queries),
                "place": pa.array(np.arange(len(table)) - starts + 1, pa.int64()),
                "document_id": _decoded(table["document"], self._documents),
                "score": table["score"],
            }
        )

    @cached_property
    def _table(self) -> pa.Table:
        """Raises ResultUnreadable."""
        try:
            data = read_own(self._path)
            if not data:
                return pa.table({name: pa.array([], pa.string()) for name in ("query", "document")}
                                | {"score": pa.array([], pa.float64())})  # fmt: skip
            return csv.read_csv(
                io.BytesIO(data),
                read_options=csv.ReadOptions(column_names=_COLUMNS, block_size=_BLOCK),
                parse_options=csv.ParseOptions(delimiter=" ", quote_char=False, double_quote=False),
                convert_options=csv.ConvertOptions(
                    include_columns=["query", "document", "score"],
                    column_types={"query": pa.string(), "document": pa.string(), "score": pa.float64()},
                    strings_can_be_null=False,
                    null_values=[],
                ),
            )
        except (pa.ArrowException, OSError) as error:
            raise ResultUnreadable(f"{self._path}: cannot be read: {error}") from error

    @cached_property
    def _codes(self) -> tuple[npt.NDArray[np.int32], list[str]]:
        """The number of each row's query, and the queries by number."""
        column = self._table["query"]
        coded = (
            pc.dictionary_encode(column).combine_chunks()
            if len(column)
            else pa.array([], pa.string()).dictionary_encode()
        )
        return coded.indices.to_numpy(), coded.dictionary.to_pylist()

    @cached_property
    def _order(self) -> npt.NDArray[np.int64]:
        """The rows query by query, in the file's order, which is that of the ranking."""
        return np.argsort(self._codes[0], kind="stable")

    @cached_property
    def _bounds(self) -> dict[str, tuple[int, int]]:
        """Where the rows of each query begin and end in that order."""
        codes, names = self._codes
        ends = np.cumsum(np.bincount(codes, minlength=len(names))).tolist()
        known = [known_id(name, self._queries) or name for name in names]
        return dict(zip(known, zip([0, *ends], ends, strict=False), strict=True))


def _decoded(column: pa.ChunkedArray, known: Container[str]) -> pa.ChunkedArray:
    """The ids of a column as the result knows them; each is looked at once."""
    names = pc.unique(column)
    read = pa.array([known_id(name, known) or name for name in names.to_pylist()], pa.string())
    return read.take(pc.index_in(column, value_set=names))
