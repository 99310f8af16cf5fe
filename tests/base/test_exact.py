"""The laws of exact search: the oracle and the store over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import (
    Filter,
    Floats,
    IndexMissing,
    InvalidOptions,
    Queries,
    Similarity,
    ann_recall,
    exact_scores,
    exact_top_k,
    hit_threshold,
)
from adapters.stores.exact import ExactStore
from tests.stores.arrays import build, make

# Three documents against the query (1, 0).
DOCUMENTS = np.array([[2, 0], [1, 1], [0, 3]], np.float32)
QUERY = np.array([[1, 0]], np.float32)


@pytest.mark.parametrize(
    ("similarity", "scores"),
    [
        # cosines: 2/2, 1/√2, 0/3
        (Similarity.COSINE, [1.0, 0.70710678, 0.0]),
        # dots: 2·1, 1·1, 0·1
        (Similarity.DOT, [2.0, 1.0, 0.0]),
        # minus squared distances: -(1² + 0²), -(0² + 1²), -(1² + 3²)
        (Similarity.L2, [-1.0, -1.0, -10.0]),
    ],
)
def test_scores_are_those_worked_by_hand(similarity: Similarity, scores: list[float]) -> None:
    hits = exact_top_k(QUERY, DOCUMENTS, 5, similarity)
    assert hits.rows.tolist() == [[0, 1, 2, -1, -1]]
    assert hits.scores[0, :3].tolist() == pytest.approx(scores)
    given_rows = np.array([[2, -1, 0]], np.int32)
    assert exact_scores(QUERY, DOCUMENTS, given_rows, similarity)[0].tolist() == pytest.approx(
        [scores[2], -np.inf, scores[0]]
    )


def test_a_zero_document_is_nobodys_neighbour_by_cosine_and_an_ordinary_one_otherwise() -> None:
    documents = np.array([[0, 0], [-1, 0]], np.float32)
    hits = exact_top_k(QUERY, documents, 2, Similarity.COSINE)
    assert (hits.rows.tolist(), hits.scores.tolist()) == ([[1, -1]], [[-1.0, -np.inf]])
    assert exact_scores(QUERY, documents, np.array([[0, 1]], np.int32), Similarity.COSINE).tolist() == [[0.0, -1.0]]
    assert exact_top_k(QUERY, documents, 2, Similarity.DOT).rows.tolist() == [[0, 1]]  # 0 is more than -1
    assert exact_top_k(QUERY, documents, 2, Similarity.L2).rows.tolist() == [[0, 1]]  # -1 is more than -4


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 200),
    dimension=st.integers(1, 12),
    k=st.integers(1, 50),
    similarity=st.sampled_from(list(Similarity)),
    grid=st.booleans(),
)
def test_the_best_k_are_those_of_a_full_sort_in_float64(
    seed: int, count: int, dimension: int, k: int, similarity: Similarity, grid: bool
) -> None:
    generator = np.random.default_rng(seed)
    corpus = generator.standard_normal((count, dimension)).astype(np.float32)
    queries = generator.standard_normal((3, dimension)).astype(np.float32)
    if grid:  # whole numbers make many equal scores, and zero vectors
        corpus, queries = np.round(corpus), np.round(queries)
    hits = exact_top_k(queries, corpus, k, similarity)
    everything = np.broadcast_to(np.arange(count, dtype=np.int32), (3, count))
    scores = exact_scores(queries, corpus, everything, similarity)
    if similarity is Similarity.COSINE:
        scores[~queries.any(axis=1)] = -np.inf
        scores[:, ~corpus.any(axis=1)] = -np.inf
    width = min(k, count)
    assert np.array_equal(hits.scores[:, :width], -np.sort(-scores, axis=1)[:, :width])
    assert (hits.rows[:, width:] == -1).all()
    there = hits.rows >= 0
    assert np.array_equal(there, hits.scores > -np.inf)
    assert np.array_equal(
        np.take_along_axis(scores, np.maximum(hits.rows, 0).astype(np.intp), 1)[there], hits.scores[there]
    )
    recall = ann_recall(hits.rows, queries, corpus, hits.scores, k, similarity, count)
    assert np.array_equal(recall, np.where(there.any(axis=1), 1.0, np.nan), equal_nan=True)


def test_equal_scores_stand_in_the_order_of_rows() -> None:
    corpus = np.ones((10, 2), np.float32)
    assert exact_top_k(QUERY, corpus, 4, Similarity.DOT).rows.tolist() == [[0, 1, 2, 3]]


def test_vectors_far_from_the_origin_keep_their_l2_order() -> None:
    # 1000² swallows .1² in float32: without float64 the order of near neighbours would be noise.
    corpus = np.array([[1000.0, 0.3], [1000.0, 0.1], [1000.0, 0.2]], np.float32)
    hits = exact_top_k(np.array([[1000, 0]], np.float32), corpus, 3, Similarity.L2)
    assert hits.rows.tolist() == [[1, 2, 0]]


def test_recall_counts_equal_scores_as_hits_and_repeats_once() -> None:
    corpus = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    best = exact_top_k(QUERY, corpus, 2, Similarity.DOT).scores

    def recall(*rows: int) -> float:
        return float(ann_recall(np.array([rows], np.int32), QUERY, corpus, best, 2, Similarity.DOT, 4)[0])

    assert recall(2, 1) == 1.0  # neither is in the oracle's list (0, 1) alone, both score the same
    assert recall(2, 2) == 0.5  # one document twice is one hit of two
    assert recall(3, 0) == 0.5
    assert recall(-1, -1) == 0.0


def test_the_threshold_allows_a_millionth() -> None:
    best = np.array([[2.0, 1.0], [30.0, 20.0]], np.float32)
    # 1 - 1e-6·max(1, 1); 20 - 1e-6·20
    assert hit_threshold(best, 2, 9).tolist() == pytest.approx([1 - 1e-6, 20 - 2e-5], abs=1e-12)


def test_recall_divides_by_the_eligible_where_they_are_fewer_than_k() -> None:
    best = exact_top_k(QUERY, DOCUMENTS, 10, Similarity.DOT).scores
    found = np.array([[0, 1, -1, -1, -1, -1, -1, -1, -1, -1]], np.int32)
    # 2 of min(10, 3)
    assert ann_recall(found, QUERY, DOCUMENTS, best, 10, Similarity.DOT, 3)[0] == pytest.approx(2 / 3)


@pytest.fixture
def vectors() -> Floats:
    return np.random.default_rng(3).standard_normal((500, 16)).astype(np.float32)


@pytest.mark.parametrize("similarity", list(Similarity))
def test_the_store_finds_what_the_oracle_finds_bit_by_bit(
    tmp_path: Path, vectors: Floats, similarity: Similarity
) -> None:
    store = make(ExactStore)
    ref = build(store, tmp_path, vectors=vectors, similarity=similarity, meta={"part": [i % 3 for i in range(500)]})
    session = store.open(ref)
    for part in (None, 1, 9):
        eligible = None if part is None else np.arange(500) % 3 == part
        found = session.search(Queries(vectors[:20]), 200, None if part is None else Filter.parse({"part": part}))
        wanted = exact_top_k(vectors[:20], vectors, 200, similarity, eligible)
        assert np.array_equal(found.rows, wanted.rows) and np.array_equal(found.scores, wanted.scores)


def test_a_filter_on_a_column_that_is_not_there_is_refused(tmp_path: Path, vectors: Floats) -> None:
    store = make(ExactStore)
    ref = build(store, tmp_path, vectors=vectors)
    with pytest.raises(InvalidOptions, match=r"meta\.lang"):
        store.open(ref).search(Queries(vectors[:1]), 3, Filter.parse({"lang": "en"}))


def test_a_deleted_index_is_missing(tmp_path: Path, vectors: Floats) -> None:
    store = make(ExactStore)
    ref = build(store, tmp_path, vectors=vectors)
    (tmp_path / "vectors.npy").unlink()
    with pytest.raises(IndexMissing):
        store.open(ref)
    with pytest.raises(IndexMissing):
        store.describe(ref)


def test_a_cut_off_file_is_missing_rather_than_shorter(tmp_path: Path, vectors: Floats) -> None:
    store = make(ExactStore)
    ref = build(store, tmp_path, vectors=vectors)
    file = tmp_path / "vectors.npy"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(IndexMissing):
        store.open(ref)


def test_the_best_of_long_rows_are_those_that_sorting_finds() -> None:
    rng = np.random.default_rng(0)
    corpus = rng.normal(size=(20_011, 4)).astype(np.float32)  # 625 groups of 32, and 11 beside them
    corpus[-1] = corpus[[0]] * 9  # the last, beside the groups, is among the best
    queries = np.concatenate([corpus[:1], rng.normal(size=(3, 4)).astype(np.float32)])
    hits = exact_top_k(queries, corpus, 7, Similarity.DOT)
    products = queries.astype(np.float64) @ corpus.T.astype(np.float64)
    assert hits.rows[0, 0] == 20_010
    assert (hits.rows == np.argsort(-products, axis=1, kind="stable")[:, :7]).all()
