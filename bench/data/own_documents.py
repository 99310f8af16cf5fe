"""A query's own document: where a corpus holds the queries themselves, finding oneself is no answer.

ArguAna and Quora are such collections, and all published figures for them leave the document of the query's own id
out of its ranking. Source: beir, `EvaluateRetrieval.evaluate`, ignore_identical_ids.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.base import EMPTY_ROW, Hits, Rows

LEAST_SHARE = 0.5  # the share of the queries with a document's id that must have its text too


class OwnDocuments(NamedTuple):
    """rows: the own document of each query, which its ranking leaves out, int32 (queries,), -1 for none; None where
    rankings leave nothing out. notes, warnings: sentences for the result's reader."""

    rows: Rows | None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def own_documents(corpus: pa.Table, queries: pa.Table, qrels: pa.Table | None, exclude: bool | None) -> OwnDocuments:
    """Find the documents that have a query's id.

    exclude: whether they are left out; None: where at least half of them have the query's text, with or without their
    title. A document that is judged relevant to the query stays in any case.
    """
    if exclude is False:
        return OwnDocuments(None)
    found = pc.index_in(queries.column("id"), value_set=corpus.column("id"))
    rows = pc.fill_null(found, EMPTY_ROW).to_numpy().astype(np.int32)
    shared = np.flatnonzero(rows != EMPTY_ROW)
    if not len(shared):
        warning = "exclude_self is true, and no query has the id of a document: there is nothing to leave out."
        return OwnDocuments(None, warnings=(warning,) if exclude else ())
    if exclude is None:
        alike = _alike(queries.take(shared), corpus.take(rows[shared]))
        if alike < LEAST_SHARE * len(shared):
            verb = "has" if alike == 1 else "have"
            note = (
                f"{alike:,} of the {len(shared):,} queries that have the id of a document {verb} its text too. "
                "Rankings may hold such a document; exclude_self: true leaves it out."
            )
            return OwnDocuments(None, notes=(note,) if alike else ())
    if qrels is not None:
        rows[_judged_relevant(queries, qrels)] = EMPTY_ROW
    count = int((rows != EMPTY_ROW).sum())
    if not count:
        return OwnDocuments(None)
    have = "1 query has" if count == 1 else f"{count:,} queries have"
    kept = len(shared) - count
    note = (
        f"{have} an own document of the same id in the corpus. It is left out of the query's rankings and of exact "
        f"search{f', but where it is judged relevant ({kept:,})' if kept else ''}. exclude_self: false keeps it."
    )
    return OwnDocuments(rows, notes=(note,))


def left_out(hits: Hits, own: Rows, limit: int) -> Hits:
    """The first `limit` hits (n, limit) that are not a query's own document: own is int32 (n,), -1 for none."""
    return hits.without((hits.rows == own[:, None]) & (own[:, None] != EMPTY_ROW), limit)


def _alike(queries: pa.Table, documents: pa.Table) -> int:
    """How many queries have the same text as the document at the same position, apart from white space."""
    asked = _words(queries.column("text"))
    title, text = (pc.fill_null(documents.column(name), "") for name in ("title", "text"))
    whole = _words(pc.binary_join_element_wise(title, text, " "))
    same = [bool(query) and query in pair for query, *pair in zip(asked, _words(text), whole, strict=True)]
    return sum(same)


def _words(texts: pa.ChunkedArray) -> list[str]:
    return [" ".join((text or "").split()) for text in texts.to_pylist()]


def _judged_relevant(queries: pa.Table, qrels: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Positions of the queries whose own document is judged relevant to them."""
    itself = pc.and_(
        pc.equal(qrels.column("query_id"), qrels.column("document_id")), pc.greater(qrels.column("grade"), 0)
    )
    names = qrels.column("query_id").filter(itself)
    positions: np.ndarray[tuple[int], np.dtype[np.int32]] = (
        pc.index_in(names, value_set=queries.column("id")).drop_null().to_numpy().astype(np.int32)
    )
    return positions
