"""TREC run files, read and written; `bench.results.ids` says how ids stand in them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapters.base import DatasetInvalid, Floats, Hits, Rows, UnknownIds, numbered_lines
from bench.cache.artifacts import write_atomically
from bench.experiment.faults import ConfigFaults
from bench.messages.wording import counted
from bench.results.ids import CANNOT_STAND, encode_id, known_id

# trec_eval separates by these alone: str.split() would also cut an id at a no-break space.
_FIELD = re.compile(r"[^ \t\r\f\v]+")


@dataclass(frozen=True)
class FileRankings:
    """What a run file holds: entries in file order, as positions into the lists of ids."""

    query_ids: list[str]
    document_ids: list[str]
    query_of: npt.NDArray[np.int32]
    document_of: npt.NDArray[np.int32]
    scores: Floats

    def documents_as(self, known: Container[str]) -> list[str]:
        """The file's document ids as the dataset's; those that the dataset does not have stay as they stand."""
        return [known_id(name, known) or name for name in self.document_ids]

    def queries_as(self, known: Container[str]) -> list[str | None]:
        """The file's query ids as the dataset's, None for those that the dataset does not have."""
        return [known_id(name, known) for name in self.query_ids]

    def hits(self, query_ids: Sequence[str], document_ids: Sequence[str]) -> tuple[Hits, list[int]]:
        """Rankings of the given queries by score, as long as the longest, and the positions of queries that the file
        does not hold. document_ids: ids by row; every document of the file must be among them."""
        row_of = {name: row for row, name in enumerate(document_ids)}
        rows = np.array([row_of[name] for name in self.documents_as(row_of)], dtype=np.int32)[self.document_of]
        position = {name: i for i, name in enumerate(query_ids)}
        places = [-1 if name is None else position[name] for name in self.queries_as(position)]
        of_entry = np.array(places, dtype=np.int32)[self.query_of]
        order = np.argsort(of_entry, kind="stable")
        bounds = np.searchsorted(of_entry[order], np.arange(len(query_ids) + 1))
        counts = np.diff(bounds)
        hits = Hits.empty(len(query_ids), max(1, int(counts.max(initial=0))))
        for i, count in enumerate(counts):
            found = order[bounds[i] : bounds[i + 1]]
            hits.rows[i, :count] = rows[found]
            hits.scores[i, :count] = self.scores[found]
        return hits, np.flatnonzero(counts == 0).tolist()


@dataclass(frozen=True, slots=True)
class RunFileGaps:
    """What the dataset has and the run file lacks, and what the file has and the dataset lacks.

    without_line: judged queries that the file does not hold. unknown: documents that the file names for judged queries
    and the corpus lacks. foreign: how many of the file's `queries` are not judged, with an example.
    """

    without_line: int
    judged: int
    unknown: UnknownIds
    queries: int
    foreign: int
    foreign_example: str | None

    def sentences(self) -> Iterator[str]:
        """What a reader of the system's numbers must know."""
        if self.without_line:
            yield (
                f"its run file holds no line for {self.without_line:,} of {counted(self.judged, 'judged query')}: "
                "what has none found nothing and scores 0"
            )
        if self.unknown.count:
            yield f"its run file: {self.unknown}; they take places and are not relevant"
        if self.foreign:
            share = f"{100 * self.foreign / self.queries:.0f} %"
            yield (
                f"of the {counted(self.queries, 'query')} in its run file, {self.foreign:,} ({share}) are not judged, "
                f"such as {self.foreign_example!r}, and are left out"
            )


def read_hits(
    path: Path, query_ids: Sequence[str], document_ids: Sequence[str], in_dataset: int
) -> tuple[Hits, RunFileGaps]:
    """A run file over a dataset. document_ids: by row, the first `in_dataset` of them the dataset's own, the others
    those of run files. Raises ConfigFaults."""
    run = read_run_file(path)
    hits, absent = run.hits(query_ids, document_ids)
    foreign = [
        name for name, known in zip(run.query_ids, run.queries_as(frozenset(query_ids)), strict=True) if known is None
    ]
    unknown = hits.rows[hits.rows >= in_dataset]
    ids = UnknownIds(len(unknown), int((hits.rows >= 0).sum()), document_ids[unknown[0]] if len(unknown) else None)
    example = foreign[0] if foreign else None
    return hits, RunFileGaps(len(absent), len(query_ids), ids, len(run.query_ids), len(foreign), example)


def read_run_file(path: Path) -> FileRankings:
    """Read a run file: query Q0 document rank score tag. Ranks are ignored, as trec_eval ignores them.

    Raises ConfigFaults naming file and line.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise ConfigFaults([f"{path}: cannot be read: {error.strerror}."]) from error
    return _read_run_file(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _read_run_file(path: Path, changed: int, size: int) -> FileRankings:
    queries: dict[str, int] = {}
    documents: dict[str, int] = {}
    query_of: list[int] = []
    document_of: list[int] = []
    scores: list[float] = []
    try:
        for number, line in numbered_lines(path):
            query, document, value = _entry(path, number, line)
            query_of.append(queries.setdefault(query, len(queries)))
            document_of.append(documents.setdefault(document, len(documents)))
            scores.append(value)
    except DatasetInvalid as error:
        raise ConfigFaults([str(error)]) from error
    if not scores:
        raise ConfigFaults([f"{path}: the run is empty."])
    return FileRankings(
        list(queries),
        list(documents),
        np.array(query_of, dtype=np.int32),
        np.array(document_of, dtype=np.int32),
        np.array(scores, dtype=np.float32),
    )


def _entry(path: Path, number: int, line: str) -> tuple[str, str, float]:
    """Query, document and score of a line."""
    fields = _FIELD.findall(line)
    try:
        query, _, document, _, score, *rest = fields
        if not score.isascii() or "_" in score:  # Python's float takes 1_0 and digits of other scripts
            raise ValueError
        value = float(score)
    except ValueError:
        raise ConfigFaults([_expected(path, number, line)]) from None
    if len(rest) > 1:  # read on, a blank in an id would shift every field after it
        raise ConfigFaults([f"{_expected(path, number, line)} An id cannot hold a blank; write %20."])
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.float32(value))
    if not finite:
        raise ConfigFaults([f"{path}:{number}: the score {score} is not a finite number of 32 bits."])
    return query, document, value


def _expected(path: Path, number: int, line: str) -> str:
    return f"{path}:{number}: expected `query Q0 document rank score tag`, got {line.strip()[:80]!r}."


def write_run_file(
    path: Path, query_ids: Sequence[str], document_ids: Sequence[str], rows: Rows, scores: Floats, tag: str
) -> None:
    """Write rankings (n, k) in canonical order, scores with 9 significant digits (float32 survives)."""
    queries = frozenset(query_ids)
    encoded = [encode_id(name, queries) for name in query_ids]
    names = {row: document_ids[row] for row in np.unique(rows).tolist() if row >= 0}
    clashing = any(CANNOT_STAND.search(name) for name in names.values())
    documents = frozenset(document_ids) if clashing else frozenset()
    ids = {row: encode_id(name, documents) for row, name in names.items()}
    system = encode_id(tag)
    lines: list[str] = []
    for query, query_rows, query_scores in zip(encoded, rows.tolist(), scores.tolist(), strict=True):
        for rank, (row, score) in enumerate(zip(query_rows, query_scores, strict=True), 1):
            if row >= 0:
                lines.append(f"{query} Q0 {ids[row]} {rank} {score:.9g} {system}\n")
    write_atomically(path, "".join(lines).encode("utf-8"))
