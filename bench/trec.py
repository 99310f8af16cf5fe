"""TREC run files, read and written. Whitespace in ids is percent-encoded there, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from adapters.base import Floats, Hits, Rows
from bench.artifacts import write_atomically
from bench.config import ConfigFaults

# A percent sign is encoded only where it would read as an encoding, so that decoding gives back the id.
_TO_ENCODE = re.compile(r"\s|%(?=[0-9A-Fa-f]{2})")


def encode_id(name: str) -> str:
    """An id as a run file holds it."""
    return _TO_ENCODE.sub(lambda match: quote(match[0], safe=""), name)


def decode_id(name: str) -> str:
    """The id that `encode_id` was given."""
    return unquote(name)


@dataclass(frozen=True)
class RunFile:
    """A parsed run: entries in file order, as positions into the lists of ids."""

    query_ids: list[str]
    document_ids: list[str]
    query_of: npt.NDArray[np.int32]
    document_of: npt.NDArray[np.int32]
    scores: Floats

    def hits(self, query_ids: Sequence[str], document_ids: Sequence[str], limit: int) -> tuple[Hits, list[int]]:
        """Rankings of the given queries, the `limit` best by score each, and the positions of queries that the file
        does not hold. document_ids: ids by row; every document of the file must be among them."""
        row_of = {name: row for row, name in enumerate(document_ids)}
        rows = np.array([row_of[name] for name in self.document_ids], dtype=np.int32)[self.document_of]
        entries: dict[int, npt.NDArray[np.intp]] = {}
        order = np.argsort(self.query_of, kind="stable")
        bounds = np.searchsorted(self.query_of[order], np.arange(len(self.query_ids) + 1))
        for i in range(len(self.query_ids)):
            entries[i] = order[bounds[i] : bounds[i + 1]]
        position = {name: i for i, name in enumerate(self.query_ids)}
        longest = max((len(e) for e in entries.values()), default=0)
        hits = Hits.empty(len(query_ids), max(longest, limit, 1))
        absent = []
        for i, name in enumerate(query_ids):
            if name not in position:
                absent.append(i)
                continue
            found = entries[position[name]]
            hits.rows[i, : len(found)] = rows[found]
            hits.scores[i, : len(found)] = self.scores[found]
        return hits, absent


@lru_cache(maxsize=8)
def read_run(path: Path) -> RunFile:
    """Read a run file: query Q0 document rank score tag. Ranks are ignored, as trec_eval ignores them.

    Raises ConfigFaults naming file and line.
    """
    queries: dict[str, int] = {}
    documents: dict[str, int] = {}
    query_of: list[int] = []
    document_of: list[int] = []
    scores: list[float] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if not fields:
                continue
            try:
                query, _, document, _, score = fields[:5]
                value = float(score)
            except ValueError:
                raise ConfigFaults(
                    [f"{path}:{number}: expected `query Q0 document rank score tag`, got {line.strip()[:80]!r}."]
                ) from None
            if not np.isfinite(value):
                raise ConfigFaults([f"{path}:{number}: the score {score} is not a finite number."])
            query_of.append(queries.setdefault(decode_id(query), len(queries)))
            document_of.append(documents.setdefault(decode_id(document), len(documents)))
            scores.append(value)
    if not scores:
        raise ConfigFaults([f"{path}: the run is empty."])
    return RunFile(
        list(queries),
        list(documents),
        np.array(query_of, dtype=np.int32),
        np.array(document_of, dtype=np.int32),
        np.array(scores, dtype=np.float32),
    )


def write_run(
    path: Path, query_ids: Sequence[str], document_ids: Sequence[str], rows: Rows, scores: Floats, tag: str
) -> None:
    """Write rankings (n, k) in canonical order, scores with 9 significant digits (float32 survives)."""
    encoded = [encode_id(name) for name in query_ids]
    system = encode_id(tag)
    lines: list[str] = []
    for query, query_rows, query_scores in zip(encoded, rows.tolist(), scores.tolist(), strict=True):
        for rank, (row, score) in enumerate(zip(query_rows, query_scores, strict=True), 1):
            if row >= 0:
                lines.append(f"{query} Q0 {encode_id(document_ids[row])} {rank} {score:.9g} {system}\n")
    write_atomically(path, "".join(lines).encode("utf-8"))
