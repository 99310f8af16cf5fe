"""Figures that an independent script found on labelled collections: the harness finds the same within .002."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import small
from tests.conftest import MINILM
from tests.thorough import ALL

NAMES = {"ndcg@10": "nDCG@10", "recall@10": "Recall@10", "mrr@10": "MRR@10"}
TOLERANCE = 0.002


def expected(collections: Path) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, Any] = json.loads((collections / "expected.json").read_text(encoding="utf-8"))
    return found


def check(tmp_path: Path, collections: Path, name: str, system: dict[str, str], part: str, excess: float = 0.0) -> None:
    experiment = small.spec(
        [system],
        dataset={"adapter": "beir", "path": str(collections / name), "split": "test"},
        encoders={"minilm": {"adapter": "sentence_transformers", "model": MINILM}},
        measures=list(NAMES.values()),
    )
    _, result = small.measure(tmp_path, experiment)
    found = result.systems[0].measures
    for key, value in expected(collections)[name][part].items():
        assert found[NAMES[key]].mean == pytest.approx(value - excess, abs=TOLERANCE), NAMES[key]


@pytest.mark.parametrize("name", ["scifact", "banking77", "hardware_reviews", "klue_nli_retrieval", "xquad_en"])
def test_bm25_scores_as_expected(tmp_path: Path, collections: Path, name: str) -> None:
    check(tmp_path, collections, name, {"store": "bm25"}, "bm25")


def test_bm25_scores_as_expected_where_most_queries_match_nothing(tmp_path: Path, collections: Path) -> None:
    # The independent script gave the corpus's first document to each of the 1,040 queries that share no word with any
    # document; it is relevant to 10 of them, by luck. Here a document without a common word is not found, so every
    # measure is lower by 10 of 1,190 queries: nDCG@10 .11552 - .00840 = .10712.
    check(tmp_path, collections, "xquad_zh", {"store": "bm25"}, "bm25", excess=10 / 1190)


minutes = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not ALL, reason="encodes for minutes; BENCH_TEST_ALL=1 runs it"),
]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("xquad_en", marks=pytest.mark.slow),
        *(
            pytest.param(name, marks=minutes)
            for name in ("hardware_reviews", "klue_nli_retrieval", "banking77", "scifact")
        ),
    ],
)
def test_minilm_scores_as_expected(tmp_path: Path, collections: Path, minilm: Path, name: str) -> None:
    check(tmp_path, collections, name, {"encoder": "minilm"}, "minilm")
