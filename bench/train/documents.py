"""The texts that a model learns from where it needs no judgements: the documents of a collection, and the queries of
its train split without those that are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from adapters.base import InvalidOptions
from bench.cache.digests import content_key
from bench.data.dataset import Dataset
from bench.data.normal import normalised, plain_query
from bench.data.tables import table_digest
from bench.messages.wording import counted
from bench.train.pairs import Leak, WhenLeaked, evaluated_queries, refusal

FEWEST_DOCUMENTS = 8


@dataclass(frozen=True, slots=True)
class DocumentsReport:
    """What became of a collection's texts. repeated, empty: documents that were left out. leaks: one for each query
    that was dropped because it is evaluated."""

    leaks: tuple[Leak, ...] = ()
    near_copies: tuple[Leak, ...] = ()
    repeated: int = 0
    empty: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was left out beside leaks, which are listed."""
        told = [
            (self.repeated, "left out, because another one has the same text"),
            (self.empty, "left out, because there is no text"),
        ]
        return tuple(f"{counted(n, 'document')} {'is' if n == 1 else 'are'} {fate}." for n, fate in told if n)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be looked at: nothing, as no answer is learnt."""
        return ()


@dataclass(frozen=True)
class TrainingDocuments:
    """documents: columns document_id, text. queries: columns query_id, text; None where the split has none. Both are in
    an order that depends on their content alone."""

    documents: pa.Table
    queries: pa.Table | None
    report: DocumentsReport

    @cached_property
    def digest(self) -> str:
        """Of the texts' content."""
        return content_key([table_digest(self.documents), self.queries and table_digest(self.queries)])

    @property
    def rows(self) -> int:
        """How many texts there are."""
        return int(self.documents.num_rows + (self.queries.num_rows if self.queries else 0))

    @property
    def plain_queries(self) -> tuple[str, ...]:
        """The queries in the plain form by which leaks are found, in order."""
        found = [] if self.queries is None else self.queries.column("text").to_pylist()
        return tuple(sorted({plain_query(text) for text in found}))

    @property
    def told(self) -> str:
        """How many there are, in words."""
        queries = f" and {counted(self.queries.num_rows, 'query')}" if self.queries else ""
        return f"{counted(self.documents.num_rows, 'document')}{queries}"


def training_documents(
    train: Dataset, evaluation: Sequence[Dataset], *, leaks: WhenLeaked = "drop"
) -> TrainingDocuments:
    """The texts of a train split. evaluation: collections whose queries must not be learned.

    Raises InvalidOptions for leaks that are refused, and for too few documents.
    """
    documents, repeated, empty = _documents(train)
    if documents.num_rows < FEWEST_DOCUMENTS:
        raise InvalidOptions(
            f"there {'is' if documents.num_rows == 1 else 'are'} {counted(documents.num_rows, 'document')} with a text "
            f"of its own to learn from, and {FEWEST_DOCUMENTS} are the fewest. Give the collection more documents."
        )
    queries, leaked = _queries(train, evaluation)
    if leaked and leaks == "refuse":
        raise InvalidOptions(refusal(leaked), key="leaks")
    return TrainingDocuments(documents, queries, DocumentsReport(tuple(leaked), (), repeated, empty))


def _documents(train: Dataset) -> tuple[pa.Table, int, int]:
    """The documents in order, how many were left out as repeated, and how many as empty."""
    texts = list(train.document_texts)
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        if text.strip():
            key = normalised(text)
            first[key] = min(first.get(key, row), row, key=lambda each: (texts[each], train.document_ids[each]))
    rows = sorted(first.values(), key=lambda row: (texts[row], train.document_ids[row]))
    columns = {"document_id": [train.document_ids[row] for row in rows], "text": [texts[row] for row in rows]}
    there = sum(bool(text.strip()) for text in texts)
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return table, there - len(rows), len(texts) - there


def _queries(train: Dataset, evaluation: Sequence[Dataset]) -> tuple[pa.Table | None, list[Leak]]:
    """The split's queries without those that are evaluated, and the latter."""
    evaluated = evaluated_queries(evaluation)
    kept: dict[str, tuple[str, str]] = {}
    leaked: list[Leak] = []
    given = sorted(zip(train.query_texts, train.query_ids, strict=True))
    for text, name in given:
        key = plain_query(text)
        if not text.strip():
            continue
        if key in evaluated:
            other = evaluated[key]
            leaked.append(Leak(text, other.text, other.split, name, other.name))
        else:
            kept.setdefault(key, (text, name))
    if not kept:
        return None, leaked
    texts, names = zip(*sorted(kept.values()), strict=True)
    return pa.table({"query_id": pa.array(names, pa.string()), "text": pa.array(texts, pa.string())}), leaked
