"""What a reranker learns from: for each query one list of documents, the relevant ones first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.base import Floats, InvalidOptions

_NEVER = 1e-9  # probability that stands for none, since its logarithm must be finite


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


def outnumbered(lists: Sequence[RankedList]) -> float:
    """How many documents that are not relevant there are to a relevant one."""
    relevant = sum(each.relevant for each in lists)
    return (sum(len(each.documents) for each in lists) - relevant) / relevant


def target(grades: npt.NDArray[np.float64], teacher: Floats | None, share: float) -> list[float]:
    """Logarithms of the probabilities that a list-wise loss aims at.

    The library takes the softmax of what it is given. Of grades 1 and 0 over eight documents that is .28 and .10,
    almost even; of these logarithms it is what is meant.

    grades: 1 or 0. teacher: its scores of the same documents, divided by the temperature; None without one. share: of
    the probability that is the teacher's softmax; the rest goes to the relevant documents alike.
    """
    wanted = grades / grades.sum()
    if teacher is not None:
        raised = np.exp(teacher.astype(np.float64) - teacher.max())
        wanted = (1.0 - share) * wanted + share * raised / raised.sum()
    return [float(value) for value in np.log(np.maximum(wanted, _NEVER))]
