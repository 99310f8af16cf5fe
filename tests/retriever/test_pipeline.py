"""The stages of a retriever do what those of a run do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from adapters.base import Floats, id_order
from adapters.code.contract import CandidateScorer, Hit, QueryEncoder, RetrieverError, SearchEngine
from adapters.code.documents import Documents
from adapters.code.pipeline import Call, Candidate, Fusion, Reranking, Search, ordered
from bench.quality.fusion import reciprocal_rank, weighted_scores
from bench.quality.scoring import unscored_last
from bench.statistics.order import canonical

IDS = [f"d{i}" for i in range(12)]


class Listed(SearchEngine):
    """Returns what it was made with."""

    def __init__(self, hits: list[Hit]) -> None:
        self.hits = hits
        self.asked: list[int] = []

    def search(self, text: str, vector: Floats | None, limit: int) -> list[Hit]:
        self.asked.append(limit)
        return self.hits[:limit]


class Fixed(QueryEncoder):
    """Gives one vector."""

    def __init__(self, *vector: float) -> None:
        self.vector = np.array([vector], np.float32)
        self.calls = 0

    def encode(self, texts: list[str]) -> Floats:  # type: ignore[override]
        self.calls += 1
        return self.vector


class Given(CandidateScorer):
    """Gives these scores."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores

    def score(self, query: str, rows: list[int], texts: list[str]) -> list[float]:  # type: ignore[override]
        return self.scores


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    path = tmp_path_factory.mktemp("documents") / "documents.parquet"
    columns = {"id": IDS, "text": [f"text {name}" for name in IDS], "meta.score": list(range(12))}
    pq.write_table(pa.table(columns).replace_schema_metadata({b"corpus": b"f"}), path)
    return Documents(path, rows=12, fingerprint="f")


RANKINGS = some.lists(
    some.lists(
        some.tuples(some.integers(0, 11), some.floats(-5, 5, width=32)), unique_by=lambda hit: hit[0], max_size=8
    ),
    min_size=2,
    max_size=3,
)


@settings(max_examples=50)
@given(RANKINGS, some.sampled_from(["rrf", "weighted"]), some.integers(1, 12))
def test_a_fusion_gives_the_scores_and_the_order_of_a_run(
    documents: Documents, lists: list[list[tuple[int, float]]], by: str, limit: int
) -> None:
    weights = [0.3, 0.7, 1.5][: len(lists)]
    rows, scores = np.full((len(lists), 8), -1, np.int32), np.full((len(lists), 8), -np.inf, np.float32)
    for leg, hits in enumerate(lists):
        for place, (row, score) in enumerate(hits):
            rows[leg, place], scores[leg, place] = row, score
    order = id_order(IDS)
    legs = [canonical(rows[leg : leg + 1], scores[leg : leg + 1], order) for leg in range(len(lists))]
    fused = (
        reciprocal_rank([leg[0] for leg in legs], weights, constant=60)
        if by == "rrf"
        else weighted_scores([leg[0] for leg in legs], [leg[1] for leg in legs], weights)
    )
    expected_rows, expected_scores = canonical(fused.rows, fused.scores, order, limit)
    stages = [Search(Listed([Hit(*hit) for hit in hits]), documents) for hits in lists]
    found = Fusion(stages, weights=weights, by=by, depth=8).find(Call("q"), limit)
    kept = expected_rows[0] >= 0
    assert [each.row for each in found] == expected_rows[0][kept].tolist()
    assert [each.score for each in found] == expected_scores[0][kept].tolist()


@settings(max_examples=50)
@given(some.lists(some.one_of(some.just(-np.inf), some.floats(-5, 5, width=32)), min_size=1, max_size=8))
def test_candidates_that_a_model_refuses_stand_behind_the_others(documents: Documents, scores: list[float]) -> None:
    hits = [Hit(row, 10.0 - row) for row in range(len(scores))]
    stage = Reranking(Search(Listed(hits), documents), Given(scores), documents, depth=8)
    if max(scores) == -np.inf:
        with pytest.raises(RetrieverError, match="refused all"):
            stage.find(Call("q"), 8)
        return
    rows = np.arange(len(scores), dtype=np.int32)[None]
    expected = canonical(rows, unscored_last(rows, np.array([scores], np.float32)), id_order(IDS))
    found = stage.find(Call("q"), 8)
    assert [each.row for each in found] == expected[0][0].tolist()
    assert np.allclose([each.score for each in found], expected[1][0], rtol=1e-6)


def test_ties_go_by_id_descending_and_a_document_stands_once() -> None:
    given_ = [Candidate(1, "b", 1.0), Candidate(2, "c", 1.0), Candidate(1, "b", 2.0), Candidate(3, "a", -np.inf)]
    assert [each.id for each in ordered(given_, 9)] == ["b", "c"]


def test_a_query_without_direction_finds_nothing_and_one_of_any_length_is_searched(documents: Documents) -> None:
    engine = Listed([Hit(0, 1.0)])
    assert Search(engine, documents, encoder=Fixed(0, 0), similarity="cosine").find(Call("q"), 3) == []
    assert engine.asked == []
    assert Search(engine, documents, encoder=Fixed(0, 0), similarity="dot").find(Call("q"), 3)
    assert Search(engine, documents, encoder=Fixed(1e-30, 0), similarity="cosine").find(Call("q"), 3)


def test_documents_without_direction_take_no_place(documents: Documents) -> None:
    engine = Listed([Hit(row, 1.0 - row / 10) for row in range(6)])
    stage = Search(engine, documents, encoder=Fixed(1, 0), similarity="cosine", undirected=(0, 2))
    assert [each.row for each in stage.find(Call("q"), 3)] == [1, 3, 4]
    assert engine.asked == [5]  # 3, and 2 that may take a place


def test_a_query_is_encoded_once_for_all_searches(documents: Documents) -> None:
    encoder = Fixed(1, 0)
    legs = [Search(Listed([Hit(0, 1.0)]), documents, encoder=encoder, similarity="dot") for _ in range(2)]
    Fusion(legs, weights=[1, 1], by="rrf", depth=5).find(Call("q"), 3)
    assert encoder.calls == 1


def test_an_id_that_the_corpus_does_not_hold_is_left_out_and_a_row_beyond_it_is_an_error(documents: Documents) -> None:
    assert [each.id for each in Search(Listed([Hit("nobody", 2.0), Hit("d3", 1.0)]), documents).find(Call("q"), 3)] == [
        "d3"
    ]
    with pytest.raises(RetrieverError, match="row 12"):
        Search(Listed([Hit(12, 1.0)]), documents).find(Call("q"), 3)


def test_a_score_that_is_no_number_is_an_error(documents: Documents) -> None:
    with pytest.raises(RetrieverError, match="NaN"):
        Search(Listed([Hit(1, float("nan"))]), documents).find(Call("q"), 3)


@pytest.mark.parametrize(
    ("rows", "fingerprint", "cause"),
    [(13, "f", "not the table of documents"), (12, "g", "not the table of documents"), (12, None, "is gone")],
)
def test_a_table_that_is_not_the_measured_one_is_an_error_with_the_cure(
    documents: Documents, rows: int, fingerprint: str | None, cause: str
) -> None:
    path = documents._path if fingerprint else documents._path.with_name("nothing.parquet")
    with pytest.raises(RetrieverError, match=f"{cause}.*Write the retriever again"):
        Documents(Path(path), rows=rows, fingerprint=fingerprint or "f").text(0)
