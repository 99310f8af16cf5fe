"""What a reranker learns from: for each query one list of documents, the relevant ones first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base import Floats, InvalidOptions


class RankedList(NamedTuple):
    """A query and its documents, each text once; the first `relevant` of them are relevant."""

    query: str
    documents: tuple[str, ...]
    relevant: int

    @property
    def grades(self) -> npt.NDArray[np.float64]:
        """1 for each relevant document, 0 for each other."""
        return (np.arange(len(self.documents)) < self.relevant).astype(np.float64)


class Tuple(NamedTuple):
    """A query, one relevant document, and documents that are not."""

    query: str
    positive: str
    negatives: tuple[str, ...]


def ranked_lists(pairs: pa.Table) -> list[RankedList]:
    """One list for each query text, in the order of the table. A document that is relevant in any row of its query is
    no negative of it.

    pairs: columns query, positive (string), negatives (list of string).
    """
    relevant: dict[str, dict[str, None]] = {}  # texts in order, each once
    others: dict[str, dict[str, None]] = {}
    for row in tuples(pairs):
        relevant.setdefault(row.query, {})[row.positive] = None
        others.setdefault(row.query, {}).update(dict.fromkeys(row.negatives))
    return [
        RankedList(query, (*documents, *(text for text in others[query] if text not in documents)), len(documents))
        for query, documents in relevant.items()
    ]


def tuples(pairs: pa.Table) -> list[Tuple]:
    """The rows of the table."""
    columns = (pairs[name].to_pylist() for name in ("query", "positive", "negatives"))
    return [Tuple(query, positive, tuple(negatives or ())) for query, positive, negatives in zip(*columns, strict=True)]


def check_negatives(lists: Iterable[RankedList]) -> None:
    """Raise InvalidOptions where no list holds a document that is not relevant: nothing would tell good from bad."""
    if all(each.relevant == len(each.documents) for each in lists):
        raise InvalidOptions(
            "this loss learns from documents that do not answer the query, and the data names none. Have some found, "
            "negatives: {strategy: hybrid, per_query: 7}, or take loss: multiple_negatives.",
            key="negatives",
        )


def outnumbered(grades: Iterable[Sequence[float]]) -> float:
    """How many documents that are not relevant there are to a relevant one. grades: of each list, 1 or 0."""
    counts = [(len(each), sum(each)) for each in grades]
    relevant = sum(count for _, count in counts)
    return (sum(count for count, _ in counts) - relevant) / relevant


def shares(ranked: RankedList) -> list[float]:
    """What a list-wise loss aims at: the probability of each document, even over the relevant ones."""
    return [float(grade) / ranked.relevant for grade in ranked.grades]


def mixed(wanted: Sequence[float], scores: Floats, share: float) -> list[float]:
    """Probabilities of which a share is the softmax of a teacher's scores, and the rest as they were."""
    raised = np.exp(scores.astype(np.float64) - scores.max())
    return [float(value) for value in (1.0 - share) * np.asarray(wanted) + share * raised / raised.sum()]
