"""A collection whose queries are synthetic: its documents, with questions that were written for them.

Splits are cut by a hash of the document, so that no document's questions stand in two splits, and documents with equal
texts stand in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import DatasetSource, InvalidOptions, Tables

TRAIN, DEV, TEST = "train", "dev", "test"
SCHEMA = pa.schema(
    {"id": pa.string(), "text": pa.string(), "document_ids": pa.list_(pa.string()), "share": pa.float64()}
)
"""Of questions: their ids and texts, the documents that each is for, and where these documents' hash lies (0 to 1)."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Which parts of the documents' hash are evaluated (test, the lowest) and decide (dev, the next); the others
    train."""

    test: float
    dev: float

    def bounds(self, split: str) -> tuple[float, float]:
        """Where a split begins and ends."""
        return {
            TEST: (0.0, self.test),
            DEV: (self.test, self.test + self.dev),
            TRAIN: (self.test + self.dev, 1.0),
        }[split]


EVALUATING = Shares(1.0, 0.0)
"""Where nothing is trained, all questions are evaluated."""
BOTH = Shares(0.3, 0.1)
TRAINING = Shares(0.0, 0.1)
"""Where the collection's own queries are evaluated."""


class WrittenSource(DatasetSource):
    """The documents of a source with synthetic queries. tables: what the source holds. questions: as SCHEMA has them.
    title: what the collection is called."""

    name: ClassVar[str] = "synthetic"

    def __init__(
        self,
        source: DatasetSource,
        tables: Tables,
        questions: pa.Table,
        shares: Shares,
        *,
        title: str,
        notes: Sequence[str] = (),
        split: str = TEST,
    ) -> None:
        super().__init__(source.options, source.context)
        self._source = source
        self._tables = tables
        self._questions = questions
        self._shares = shares
        self._title = title
        self._notes = tuple(notes)
        self._split = split

    @property
    def title(self) -> str:
        return self._title

    @property
    def judged_split(self) -> str:
        return self._split

    def splits(self) -> tuple[str, ...]:
        """The splits that hold a part of the hash."""
        return tuple(s for s in (TRAIN, DEV, TEST) if self._shares.bounds(s)[0] < self._shares.bounds(s)[1])

    def of_split(self, split: str) -> Self:
        kind = type(self)
        return kind(
            self._source,
            self._tables,
            self._questions,
            self._shares,
            title=self._title,
            notes=self._notes,
            split=split,
        )

    def load(self) -> Tables:
        """Raises InvalidOptions where no question is left for the split."""
        low, high = self._shares.bounds(self._split)
        place = self._questions.column("share")
        chosen = self._questions.filter(pc.and_(pc.greater_equal(place, low), pc.less(place, high)))
        if not chosen.num_rows:
            raise InvalidOptions(
                f"of {self._questions.num_rows:,} synthetic queries none falls into the split {self._split}. Have more "
                "written: synthetic.sample, synthetic.per_document.",
                key="queries",
            )
        return Tables(
            corpus=self._tables.corpus,
            queries=chosen.select(["id", "text"]),
            qrels=judgements(chosen),
            notes=(*self._tables.notes, *self._notes),
            provenance=self._tables.provenance,
        )

    def remarks(self) -> tuple[str, ...]:
        return self._source.remarks()


def judgements(questions: pa.Table) -> pa.Table:
    """Every question with the documents that it is for."""
    documents = questions.column("document_ids").combine_chunks()
    names = questions.column("id").combine_chunks().take(pc.list_parent_indices(documents))
    judged = documents.flatten()
    return pa.table({"query_id": names, "document_id": judged, "grade": pa.array([1] * len(judged), pa.int32())})
