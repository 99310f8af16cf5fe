"""Rankings of all judged queries, as every stage of the quality pass gives and takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from adapters.base import (
    Flags,
    Floats,
    Rows,
)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rankings of all judged queries in canonical order: rows int32 and scores float32 (n, depth), failed bool (n)."""

    rows: Rows
    scores: Floats
    failed: Flags
    failures: tuple[str, ...] = ()

    def cut(self, depth: int) -> Ranking:
        return replace(self, rows=self.rows[:, :depth], scores=self.scores[:, :depth])
