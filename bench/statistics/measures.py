"""Measures per query: array kernels over integer-coded rankings, in canonical order, and qrels.

Relevant means grade 1 or more, a negative grade counts as 0, gains are linear: trec_eval's definitions, with which
every measure agrees that trec_eval has (not Judged and R_cap). `rel` and `dcg` of a measure change the first and the
last, as in ir_measures. This module imports numpy alone, so that `bench --help` may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench.statistics.arrays import Ranked, Values
from bench.statistics.measure_names import KINDS as KINDS
from bench.statistics.measure_names import Dcg
from bench.statistics.measure_names import Measure as Measure
from bench.statistics.order import BLOCK


@dataclass(frozen=True, slots=True, eq=False)
class Judgements:
    """Integer-coded qrels of n queries, compressed by query.

    offsets: int64 (n + 1,); query q owns documents[offsets[q]:offsets[q + 1]], ascending, and their grades (int32).
    gain_offsets, gains: likewise its positive grades alone, descending: the ideal ranking.
    has_judged_nonrelevant: whether any grade is 0 or less. A document row may lie beyond the corpus (a dangling
    judgement): it is never retrieved and counts in every denominator.
    """

    offsets: npt.NDArray[np.int64]
    documents: Ranked
    grades: Ranked
    gain_offsets: npt.NDArray[np.int64]
    gains: Ranked
    has_judged_nonrelevant: bool

    @staticmethod
    def from_pairs(
        query_rows: npt.NDArray[np.integer],
        document_rows: npt.NDArray[np.integer],
        grades: npt.NDArray[np.integer],
        *,
        query_count: int,
    ) -> Judgements:
        """Code judgements given in any order, one array of length j per column.

        query_rows: 0 to query_count - 1. document_rows: from 0. Raises ValueError for a row out of its range and for
        a document that is judged twice for one query.
        """
        queries, documents = np.asarray(query_rows, np.int64), np.asarray(document_rows, np.int64)
        values = np.asarray(grades, np.int32)
        if not len(queries) == len(documents) == len(values):
            raise ValueError(f"judgements: columns of {len(queries)}, {len(documents)} and {len(values)} rows.")
        if len(queries) and (queries.min() < 0 or queries.max() >= query_count):
            raise ValueError(f"judgements: query rows must lie in 0 … {query_count - 1}.")
        if len(documents) and (documents.min() < 0 or documents.max() > np.iinfo(np.int32).max):
            raise ValueError("judgements: document rows must lie in 0 … 2147483647.")
        codes = queries << 32 | documents
        order = np.argsort(codes)
        codes = codes[order]
        repeated = np.flatnonzero(codes[1:] == codes[:-1])
        if len(repeated):
            query, document = divmod(int(codes[repeated[0]]), 1 << 32)
            raise ValueError(f"judgements: document row {document} is judged twice for query row {query}.")
        return _coded(queries[order], documents[order].astype(np.int32), values[order], query_count)

    @property
    def query_count(self) -> int:
        return len(self.offsets) - 1

    @property
    def relevant_counts(self) -> npt.NDArray[np.int64]:
        """Documents of grade 1 or more per query: int64 (n,)."""
        return np.diff(self.gain_offsets)

    def restrict(self, eligible: npt.NDArray[np.bool_]) -> Judgements:
        """The judgements of the documents that pass a filter: eligible is bool (documents,).

        The judgements of dangling documents are left out, because such a document has no metadata that could pass a
        filter.
        """
        kept = self.documents < len(eligible)
        kept[kept] = eligible[self.documents[kept]]
        queries = np.repeat(np.arange(self.query_count), np.diff(self.offsets))
        return _coded(queries[kept], self.documents[kept], self.grades[kept], self.query_count)


def _coded(queries: npt.NDArray[np.int64], documents: Ranked, grades: Ranked, query_count: int) -> Judgements:
    """Judgements from pairs in ascending order."""
    positive = grades > 0
    # Query and inverted grade in one number: one plain sort brings the best grade of each query first.
    best_first = np.sort(queries[positive] << 32 | (np.iinfo(np.int32).max - grades[positive]))
    return Judgements(
        offsets=_offsets(queries, query_count),
        documents=documents,
        grades=grades,
        gain_offsets=_offsets(queries[positive], query_count),
        gains=(np.iinfo(np.int32).max - (best_first & 0xFFFF_FFFF)).astype(np.int32),
        has_judged_nonrelevant=not positive.all(),
    )


def _offsets(queries: npt.NDArray[np.int64], query_count: int) -> npt.NDArray[np.int64]:
    offsets = np.zeros(query_count + 1, np.int64)
    np.cumsum(np.bincount(queries, minlength=query_count), out=offsets[1:])
    return offsets


def evaluate(measures: Sequence[Measure], rows: Ranked, judgements: Judgements) -> dict[Measure, Values | None]:
    """Measure rankings that are in canonical order.

    rows: (n, depth), what `canonical` gave; an all-empty ranking scores 0 in every measure.
    Returns float64 (n,) per measure, or None for Judged where nothing was judged non-relevant. A query without a
    relevant document scores 0.
    Raises ValueError for a cut-off beyond depth, for ANN, and when rows and judgements differ in queries.

    nDCG: the ideal ranking holds all positive grades of the query. Recall and MAP divide by the number of its
    relevant documents, R_cap by the cut-off where that is smaller (BEIR's R_cap@k), Precision by the cut-off. MAP is
    trec_eval's map_cut. Judged is the judged share of the first k places, an empty place being one without a
    judgement; as OpenNIR's judged@k, and unlike ir_measures', which divides by the number retrieved when that is
    smaller.
    """
    for measure in measures:
        if measure.kind == "ANN":
            raise ValueError(f"{measure} is recall against exact search: ann_recall gives it, not the judgements.")
        if measure.cutoff > rows.shape[1]:
            raise ValueError(f"{measure} looks at {measure.cutoff} places, the rankings have {rows.shape[1]}.")
    if len(rows) != judgements.query_count:
        raise ValueError(f"{len(rows)} rankings for the judgements of {judgements.query_count} queries.")
    figures: dict[Measure, Values | None] = {
        measure: np.zeros(len(rows)) if measure.kind != "Judged" or judgements.has_judged_nonrelevant else None
        for measure in measures
    }
    depth = max((measure.cutoff for measure in measures), default=1)
    step = max(1, BLOCK // depth)
    for start in range(0, len(rows), step):
        graded = _Graded(rows[start : start + step, :depth], judgements, start)
        for measure, values in figures.items():
            if values is not None:
                values[start : start + step] = _KERNELS[measure.kind](graded, measure)
    return figures


class _Graded:
    """Some rankings seen as grades by place: (depth, queries), so that a sum down to any cut-off is one row.

    Sums run place by place, never through a matrix product: equal rankings give equal numbers wherever they stand
    in the batch, and a perfect one gives exactly 1.
    """

    def __init__(self, rows: Ranked, judgements: Judgements, start: int) -> None:
        stop = start + len(rows)
        owned = slice(judgements.offsets[start], judgements.offsets[stop])
        gained = slice(judgements.gain_offsets[start], judgements.gain_offsets[stop])
        self.relevant_counts = np.diff(judgements.gain_offsets[start : stop + 1])
        self._gain_starts = judgements.gain_offsets[start:stop] - judgements.gain_offsets[start]
        self._gains = judgements.gains[gained]
        self._shape = rows.shape[::-1]
        queries = np.repeat(np.arange(len(rows)), np.diff(judgements.offsets[start : stop + 1]))
        places, found = _places(np.ascontiguousarray(rows), queries, judgements.documents[owned])
        self._places, self._queries = places, queries[found]
        self._grades = judgements.grades[owned][found]
        self._relevances: dict[int, _Relevance] = {}
        self._dcgs: dict[Dcg, tuple[Values, Values]] = {}

    @cached_property
    def judged(self) -> npt.NDArray[np.int64]:
        """Judged documents down to each place."""
        judged = np.zeros(self._shape, np.int64)
        judged[self._places, self._queries] = 1
        return np.cumsum(judged, axis=0)

    def from_grade(self, rel: int) -> _Relevance:
        """The rankings seen as relevant or not, by place, a document being relevant from this grade on."""
        if rel not in self._relevances:
            relevant = np.zeros(self._shape, np.bool_)
            relevant[self._places, self._queries] = self._grades >= rel
            self._relevances[rel] = _Relevance(relevant, self._relevant_counts(rel))
        return self._relevances[rel]

    def _relevant_counts(self, rel: int) -> npt.NDArray[np.int64]:
        if rel == 1:
            return self.relevant_counts
        before = np.concatenate(([0], np.cumsum(self._gains >= rel)))
        counts: npt.NDArray[np.int64] = before[self._gain_starts + self.relevant_counts] - before[self._gain_starts]
        return counts

    def dcg(self, kind: Dcg) -> tuple[Values, Values]:
        """Discounted gain down to each place, of the rankings and of the ideal ones."""
        if kind not in self._dcgs:
            self._dcgs[kind] = self._dcg(kind), self._ideal_dcg(kind)
        return self._dcgs[kind]

    def _dcg(self, kind: Dcg) -> Values:
        gains = np.zeros(self._shape)
        gained = self._gained(self._grades, self._queries, kind)
        gains[self._places, self._queries] = gained * _discounts(self._shape[0])[self._places]
        return np.cumsum(gains, axis=0)

    def _ideal_dcg(self, kind: Dcg) -> Values:
        depth = self._shape[0]
        queries = np.repeat(np.arange(self._shape[1]), self.relevant_counts)
        places = np.arange(len(queries)) - self._gain_starts[queries]
        within = places < depth
        queries, places = queries[within], places[within]
        gains = np.zeros(self._shape)
        gained = self._gained(self._gains[within], queries, kind)
        gains[places, queries] = gained * _discounts(depth)[places]
        return np.cumsum(gains, axis=0)

    def _gained(self, grades: Ranked, queries: npt.NDArray[np.intp], kind: Dcg) -> npt.NDArray[np.number]:
        """What documents of these grades gain. 2^grade - 1 is given as a share of 2^m, m being the query's best grade:
        the quotient stays the same, and no grade is too high for a float."""
        positive = np.maximum(grades, 0)
        if kind == "log2":
            return positive
        best = np.zeros(self._shape[1], np.int32)
        has = self.relevant_counts > 0
        best[has] = self._gains[self._gain_starts[has]]
        gained: Values = np.ldexp(1.0, positive - best[queries]) - np.ldexp(1.0, -best[queries])
        return gained


class _Relevance:
    """Rankings as relevant or not: bool (depth, queries). relevant_counts: documents relevant to each query."""

    def __init__(self, relevant: npt.NDArray[np.bool_], relevant_counts: npt.NDArray[np.int64]) -> None:
        self._relevant = relevant
        self.relevant_counts = relevant_counts

    @cached_property
    def hits(self) -> npt.NDArray[np.int64]:
        """Relevant documents down to each place."""
        return np.cumsum(self._relevant, axis=0)

    @cached_property
    def precisions(self) -> Values:
        """Sum, down to each place, of the precision at the relevant places."""
        places = np.arange(1, len(self._relevant) + 1)[:, None]
        return np.cumsum(self._relevant * self.hits / places, axis=0)

    @cached_property
    def reciprocal_ranks(self) -> tuple[npt.NDArray[np.intp], Values]:
        """The first relevant place of each query, from 0, and its reciprocal rank, 0 where there is none."""
        first = self._relevant.argmax(axis=0)
        return first, self._relevant.any(axis=0) / (first + 1.0)


def _discounts(depth: int) -> Values:
    discounts: Values = 1.0 / np.log2(np.arange(2, depth + 2))
    return discounts


def _places(
    rows: Ranked, queries: npt.NDArray[np.intp], documents: Ranked
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where judged documents stand: places of those retrieved, and their positions among the judgements.

    Each judgement is compared with its query's whole ranking: judgements are few per query, and a comparison costs
    far less than a look-up.
    """
    depth = rows.shape[1]
    places, found = [], []
    step = max(1, 4 * BLOCK // depth)
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        same = np.flatnonzero(np.take(rows, queries[part], axis=0) == documents[part, None])
        judgement, place = np.divmod(same, depth)
        places.append(place)
        found.append(judgement + start)
    none = [np.empty(0, np.intp)]
    return np.concatenate(places or none), np.concatenate(found or none)


def _share(part: npt.NDArray[np.number], whole: npt.NDArray[np.number]) -> Values:
    """part / whole, 0 where whole is 0."""
    share: Values = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return share


def _ndcg(graded: _Graded, measure: Measure) -> Values:
    found, ideal = graded.dcg(measure.dcg)
    return _share(found[measure.cutoff - 1], ideal[measure.cutoff - 1])


def _hits(graded: _Graded, measure: Measure) -> npt.NDArray[np.int64]:
    hits: npt.NDArray[np.int64] = graded.from_grade(measure.rel).hits[measure.cutoff - 1]
    return hits


def _recall(graded: _Graded, measure: Measure) -> Values:
    return _share(_hits(graded, measure), graded.from_grade(measure.rel).relevant_counts)


def _capped_recall(graded: _Graded, measure: Measure) -> Values:
    counts = graded.from_grade(measure.rel).relevant_counts
    return _share(_hits(graded, measure), np.minimum(counts, measure.cutoff))


def _reciprocal_rank(graded: _Graded, measure: Measure) -> Values:
    first, reciprocal = graded.from_grade(measure.rel).reciprocal_ranks
    return np.where(first < measure.cutoff, reciprocal, 0.0)


def _average_precision(graded: _Graded, measure: Measure) -> Values:
    relevance = graded.from_grade(measure.rel)
    return _share(relevance.precisions[measure.cutoff - 1], relevance.relevant_counts)


_KERNELS: Mapping[str, Callable[[_Graded, Measure], npt.NDArray[np.number]]] = {
    "nDCG": _ndcg,
    "Recall": _recall,
    "R_cap": _capped_recall,
    "MRR": _reciprocal_rank,
    "MAP": _average_precision,
    "Hit": lambda graded, measure: np.minimum(_hits(graded, measure), 1),
    "Precision": lambda graded, measure: _hits(graded, measure) / measure.cutoff,
    "Judged": lambda graded, measure: graded.judged[measure.cutoff - 1] / measure.cutoff,
}
