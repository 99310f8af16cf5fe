"""The dev split decides by the harness's own measure, over a pool that is fixed once."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from adapters.base import Floats, Role, Rows
from bench.data.dataset import Dataset
from bench.train.dev import DevSet, correlations
from tests.conftest import MINILM
from tests.train import planted

# Four documents on a circle, and two queries; d1 is relevant to q0, d2 to q1.
PLACES = {"d0": 0.0, "d1": 30.0, "d2": 60.0, "d3": 180.0, "q0": 5.0, "q1": 58.0}


def dataset() -> Dataset:
    names = ["d0", "d1", "d2", "d3"]
    corpus = pa.table({"id": names, "title": pa.nulls(4, pa.string()), "text": names})
    queries = pa.table({"id": ["0", "1"], "text": ["q0", "q1"]})
    qrels = pa.table({"query_id": ["0", "1"], "document_id": ["d1", "d2"], "grade": pa.array([1, 1], pa.int32())})
    return Dataset("circle", "dev", corpus, queries, qrels, 2, "circle")


class OnCircle:
    """An encoder that knows where each text lies."""

    def encode(self, texts: Sequence[str], role: Role) -> Floats:
        angles = np.radians([PLACES[text] for text in texts])
        return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


class ByNumber:
    """A reranker that likes documents with large numbers."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        return np.array([float(document[1:]) for _, document in pairs], np.float32)


def rows(*lines: Sequence[int]) -> Rows:
    return np.array(lines, np.int32)


def test_the_pool_holds_relevant_documents_and_candidates_alone() -> None:
    # q0 at 5°: d0 is 5° off, d1 25°. With d0 in the pool d1 comes second: 1/log2(3). q1 at 58°: d2 is first: 1.
    with_d0 = DevSet(dataset(), rows([0], [0]), seed=1)
    assert with_d0.evaluate(OnCircle()) == pytest.approx((1 / log2(3) + 1) / 2)
    # Without d0 in the pool d1 is the nearest: both queries have 1.
    without = DevSet(dataset(), rows([3], [3]), seed=1)
    assert without.evaluate(OnCircle()) == pytest.approx(1.0)


def test_a_reranker_is_measured_on_the_candidates() -> None:
    # q0's candidates d0, d1, d3 come as d3, d1, d0: the relevant d1 is second. q1's d0, d1 lack d2: 0.
    dev = DevSet(dataset(), rows([0, 1, 3], [0, 1, -1]), seed=1)
    assert dev.evaluate(ByNumber()) == pytest.approx((1 / log2(3) + 0) / 2)
    assert dev.unranked().values["nDCG@10"] == pytest.approx((1 / log2(3) + 0) / 2)


def test_before_and_after_are_measured_on_the_whole_corpus() -> None:
    dev, model = DevSet(dataset(), rows([3, 0], [3, 0]), seed=1), OnCircle()
    found = dev.of_vectors(model.encode(["q0", "q1"], "query"), model.encode(["d0", "d1", "d2", "d3"], "document"))
    assert found.values["nDCG@10"] == pytest.approx((1 / log2(3) + 1) / 2)
    assert found.values["Recall@10"] == 1.0
    assert found.values["MRR@10"] == pytest.approx((1 / 2 + 1) / 2)
    assert found.counts["triplet accuracy"] == 2 and found.counts["Pearson"] == 4


def test_a_triplet_has_a_relevant_document_and_a_candidate_that_is_not() -> None:
    dev = DevSet(dataset(), rows([1, 3], [2, 3]), seed=1)
    assert dev.contrasts.tolist() == [[1, 3], [2, 3]]
    found = dev.of_vectors(
        OnCircle().encode(["q0", "q1"], "query"), OnCircle().encode(["d0", "d1", "d2", "d3"], "document")
    )
    assert found.values["triplet accuracy"] == 1.0


def test_what_does_not_vary_has_no_correlation() -> None:
    assert correlations(np.array([1.0, 1.0]), np.array([0.0, 1.0])) == (None, None)
    assert correlations(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])) == (
        pytest.approx(1.0),
        pytest.approx(1.0),
    )


def test_a_base_that_systems_cut_short_is_measured_whole_as_the_trained_model_is(tmp_path: Path) -> None:
    spec = planted.experiment(planted.collection(tmp_path / "data"), Path(MINILM))
    spec["encoders"]["static"]["max_length"] = 32
    read = planted.written(tmp_path, spec)
    assert read.models["tuned"].base.options.max_length is None
    assert read.encoders["static"].options.max_length == 32
