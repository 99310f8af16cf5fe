"""The laws of nearness: what is found by vector, how it is scored, and what the query options do to it.

They hold for approximate searches too, on 400 rows and at settings that the author calls generous.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters._store_laws._sample import DIMENSION, Sample
from adapters._store_laws._suite import FLOOR, ORDER, Builder, StoreSuite, recall_of
from adapters.base import (
    Filter,
    Hits,
    IndexMissing,
    InvalidOptions,
    NotIndexed,
    Queries,
    Session,
    Similarity,
    Store,
    exact_scores,
)

_MEASURABLE = 0.01  # of recall, by which the weaker value of a query option must find less


class NearnessLaws(StoreSuite):
    """Recall against exact search, scores, filters that leave little, and options that must have an effect."""

    @pytest.mark.parametrize("similarity", list(Similarity))
    def test_a_search_finds_what_the_oracle_finds(self, build: Builder, similarity: Similarity) -> None:
        """Under every metric that is declared; an approximate search finds most of it. The documents' lengths differ
        so much that a search by one metric finds at most half of what another one's finds."""
        self._under(similarity)
        sample = Sample.of(400)
        queries = self._queries(sample, 40)
        hits = self._search(build(sample, similarity=similarity), queries, 10)
        self._assert_recall(hits, queries, sample, similarity)

    @pytest.mark.parametrize("similarity", list(Similarity))
    def test_scores_are_on_the_scale_of_the_oracle(self, build: Builder, similarity: Similarity) -> None:
        """The cosine, the inner product, or minus the squared distance. Where the store says scores_exact = False,
        because it does not rescore codes, they must at least order the documents much as the true ones do."""
        self._under(similarity)
        sample = Sample.of(400)
        queries = self._queries(sample, 40)
        hits = self._search(build(sample, similarity=similarity), queries, 50)
        assert hits.rows.max() < 400, "A row was found that is not in the corpus."
        if self.exact or self._new().scores_exact or self.scores_exact:
            self._assert_scale(hits, queries, sample, similarity)
            return
        assert queries.vectors is not None
        true = exact_scores(queries.vectors, sample.vectors, hits.rows, similarity)
        found = [rows >= 0 for rows in hits.rows]
        agreement = np.mean([_rank_correlation(s[h], t[h]) for s, t, h in zip(hits.scores, true, found, strict=True)])
        assert agreement >= ORDER, (
            f"By {similarity} the scores of the first 50 documents have a rank correlation of {agreement:.2f} with the "
            f"true ones; scores_exact = False frees them from the scale, and still asks for {ORDER}. Likely: smaller "
            "is better in the engine, or scores and rows are not of the same documents."
        )

    @pytest.mark.parametrize("spec", [{"year": 2003}, {"year": {"gte": 2019}}], ids=["equal", "range"])
    def test_a_filter_that_leaves_little_finds_it_all_the_same(self, build: Builder, spec: dict[str, Any]) -> None:
        """5 % of the documents pass. The k best of these are asked for, not those of the k best that pass."""
        self._by_vector_alone()
        sample, meta = Sample.of(400), self._filtering()
        condition = Filter.parse(spec)
        eligible = sample.eligible(condition)
        assert eligible.sum() == 20
        queries = self._queries(sample, 40)
        with self._open(build(sample, meta=meta)) as session:
            hits, whole = session.search(queries, 10, condition), session.search(queries, 30, condition)
        assert eligible[hits.rows[hits.rows >= 0]].all(), "A document was found that does not pass the filter."
        likely = "the k best of all documents are filtered afterwards; the engine must filter while it searches"
        self._assert_recall(hits, queries, sample, self._similarity, eligible, likely=likely)
        self._assert_recall(whole, queries, sample, self._similarity, eligible, k=20, likely=likely)

    def test_a_query_option_has_the_effect_that_is_declared(self, build: Builder) -> None:
        """`changes` names for each option a value that finds less and one that finds more: it shows that options
        arrive through `configure`, which a sweep over them rests on."""
        self._by_vector_alone()
        self._assert_changes_are_declared()
        sample = Sample.of(400)
        ref, store = build(sample), self._new()
        # Near nothing in particular: a search that gives up early is more often wrong.
        queries = Queries(3 * np.random.default_rng(13).standard_normal((100, DIMENSION)).astype(np.float32))
        for option, (weak, strong) in self.changes.items():
            less, more = (self._with(store, option, value) for value in (weak, strong))
            with store.session(ref) as session:
                poor, few = self._asked(session, less, queries, sample)
                good, _ = self._asked(session, more, queries, sample)
                again, same = self._asked(session, less, queries, sample)
            assert good >= FLOOR, (
                f"With {option} {strong!r}, declared to find more, a search found {good:.3f} of what exact search "
                f"finds; it must find {FLOOR}. Declare a more generous value."
            )
            assert poor <= good - _MEASURABLE, (
                f"With {option} {weak!r} a search found {poor:.3f} of what exact search finds, with {strong!r} "
                f"{good:.3f}: the first must find measurably less ({_MEASURABLE}). Likely: the session does not hand "
                "the option from `configure` on to the engine, or the values are too near each other."
            )
            assert abs(poor - again) < 1e-9, f"{option} {weak!r} found {poor:.3f}, and {again:.3f} when set again."
            self._assert_same(few, same)

    def _assert_changes_are_declared(self) -> None:
        store = self._new()
        options = ", ".join(store.Query.model_fields)
        if not self.changes and (self.exact or not options):
            pytest.skip("no option of the query is declared to have an effect")
        assert self.changes, (
            "The search is approximate (exact = False), and the test class does not say which query option makes it "
            'find more. Declare: changes = {"option": (a value that finds less, a value that finds more)}. '
            f"The options of {type(store).__name__}.Query are: {options}."
        )
        unknown = sorted(set(self.changes) - set(store.Query.model_fields))
        assert not unknown, f"`changes` names {', '.join(unknown)}, and the query options are: {options}."

    def _with(self, store: Store, option: str, value: Any) -> Any:
        """The query options of the laws with one of them changed."""
        return store.Query(**{**self.query(store).model_dump(exclude_unset=True), option: value})

    def _asked(self, session: Session, options: Any, queries: Queries, sample: Sample) -> tuple[float, Hits]:
        """Recall of the first document and of the first ten, averaged, and these ten."""
        session.configure(options)
        assert queries.vectors is not None
        one, ten = session.search(queries, 1), session.search(queries, 10)
        recall = [
            recall_of(hits, queries.vectors, sample.vectors, session.ref.similarity, None, k).mean()
            for hits, k in ((one, 1), (ten, 10))
        ]
        return float(np.mean(recall)), ten

    def test_another_metric_than_the_index_was_built_with_is_refused_or_computed(self, build: Builder) -> None:
        self._exact_by_vector()
        if len(self._declared) < 2:
            pytest.skip("the store has one metric")
        sample = Sample.of(300)
        ref = replace(build(sample, similarity=self._declared[0]), similarity=self._declared[1])
        queries = self._queries(sample, 30)
        try:
            self._new().describe(ref)
            self._assert_recall(self._search(ref, queries, 10), queries, sample, ref.similarity)
        except (NotIndexed, InvalidOptions, IndexMissing):
            pass

    def _under(self, similarity: Similarity) -> None:
        self._by_vector_alone()
        if similarity not in self._declared:
            pytest.skip("the metric is not declared")


def _rank_correlation(one: Any, other: Any) -> float:
    """Spearman's, of at least two values; 1 where there are fewer, 0 where one side is constant."""
    if len(one) < 2:
        return 1.0
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    ranks, others = (np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other))
    return float(np.corrcoef(ranks.astype(np.float64), others.astype(np.float64))[0, 1])
