"""Fusion by hand-worked sums, and the laws that every fusion keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.quality.fusion import reciprocal_rank, weighted_scores


def rows(*rankings: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    return np.array(rankings, dtype=np.int32)


def by_document(hits: object) -> dict[int, float]:
    return {
        int(row): float(score)
        for row, score in zip(hits.rows[0], hits.scores[0], strict=True)  # type: ignore[attr-defined]
        if row >= 0
    }


def test_reciprocal_ranks_add_up() -> None:
    found = by_document(reciprocal_rank([rows([7, 3, 5]), rows([3, 9, -1])], [1.0, 1.0], constant=60))
    # 7: 1/61; 3: 1/62 + 1/61; 5: 1/63; 9: 1/62
    assert found == pytest.approx({7: 0.0163934, 3: 0.0325225, 5: 0.0158730, 9: 0.0161290}, abs=1e-6)


def test_a_weight_multiplies_a_leg_s_share() -> None:
    found = by_document(reciprocal_rank([rows([1]), rows([2])], [2.0, 0.5], constant=9))
    assert found == pytest.approx({1: 0.2, 2: 0.05})  # 2/10 and .5/10


def test_scores_are_scaled_by_the_query_s_own_extremes() -> None:
    legs = [rows([4, 5, 6]), rows([6, 4, -1])]
    scores = [
        np.array([[10.0, 6.0, 2.0]], np.float32),
        np.array([[0.9, 0.1, -np.inf]], np.float32),
    ]
    found = by_document(weighted_scores(legs, scores, [0.5, 2.0]))
    # first leg: 4 -> 1, 5 -> (6-2)/8 = .5, 6 -> 0, times .5; second: 6 -> 1, 4 -> 0, times 2
    assert found == pytest.approx({4: 0.5, 5: 0.25, 6: 2.0})


def test_equal_scores_of_a_leg_each_give_its_whole_weight() -> None:
    found = by_document(weighted_scores([rows([1, 2])], [np.array([[3.0, 3.0]], np.float32)], [0.7]))
    assert found == pytest.approx({1: 0.7, 2: 0.7})


def test_queries_do_not_mix() -> None:
    hits = reciprocal_rank([rows([1, 2], [2, -1]), rows([2, -1], [-1, -1])], [1.0, 1.0], constant=1)
    second = {int(r): float(s) for r, s in zip(hits.rows[1], hits.scores[1], strict=True) if r >= 0}
    assert second == pytest.approx({2: 0.5})
    first = {int(r): float(s) for r, s in zip(hits.rows[0], hits.scores[0], strict=True) if r >= 0}
    assert first == pytest.approx({1: 0.5, 2: 1 / 3 + 0.5})


RANKINGS = st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True)


@given(RANKINGS, RANKINGS, st.integers(1, 100))
def test_fusion_returns_each_document_of_its_legs_once(left: list[int], right: list[int], constant: int) -> None:
    hits = reciprocal_rank([rows(left), rows(right)], [1.0, 1.0], constant=constant)
    found = [int(row) for row in hits.rows[0] if row >= 0]
    assert sorted(found) == sorted({*left, *right})
    assert (hits.scores[0][hits.rows[0] < 0] == -np.inf).all()


@given(RANKINGS)
def test_fusing_a_ranking_with_itself_keeps_its_order(ranking: list[int]) -> None:
    hits = reciprocal_rank([rows(ranking), rows(ranking)], [1.0, 1.0], constant=60)
    order = np.argsort(-hits.scores[0], kind="stable")
    assert [int(row) for row in hits.rows[0][order] if row >= 0] == ranking
