"""The laws of rankings and measures, with trec_eval as the judge."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import EMPTY_ROW, id_order
from bench.statistics import order
from bench.statistics.measures import KINDS, Judgements, Measure, evaluate
from bench.statistics.order import canonical
from tests.conftest import REPOSITORY

CUTOFFS = (1, 2, 3, 5, 10)
PARAMETERS: dict[str, list[dict[str, Any]]] = {"nDCG": [{}, {"dcg": "exp-log2"}], "Judged": [{}]}
TREC_NAMES = {"nDCG": "ndcg_cut", "Recall": "recall", "MAP": "map_cut", "Hit": "success", "Precision": "P"}
EVERY = tuple(
    Measure(kind, k, **given)
    for kind in KINDS
    if kind != "ANN"
    for k in CUTOFFS
    for given in PARAMETERS.get(kind, [{}, {"rel": 2}])
)


def judged(grades: list[dict[int, int]]) -> Judgements:
    """Judgements from one {document row: grade} per query."""
    pairs = [(q, d, g) for q, of_query in enumerate(grades) for d, g in of_query.items()]
    columns = np.array(pairs, dtype=np.int32).reshape(-1, 3).T
    return Judgements.from_pairs(*columns, query_count=len(grades))


def ranked(*rankings: list[int], depth: int = 10) -> npt.NDArray[np.int32]:
    """Rankings of rows, best first, as a matrix."""
    rows = np.full((len(rankings), depth), -1, np.int32)
    for i, ranking in enumerate(rankings):
        rows[i, : len(ranking)] = ranking
    return rows


def value(name: str, ranking: list[int], grades: dict[int, int]) -> float:
    measure = Measure.parse(name)
    values = evaluate([measure], ranked(ranking), judged([grades]))[measure]
    assert values is not None
    return float(values[0])


# -- measures as values ----------------------------------------------------------------------------------------------


@given(st.sampled_from(KINDS), st.integers(1, 10**9 - 1))
def test_a_measure_prints_and_parses_back(kind: str, cutoff: int) -> None:
    measure = Measure(kind, cutoff)
    assert str(measure) == f"{kind}@{cutoff}"
    assert Measure.parse(str(measure)) == measure


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("recal@10", "Recall@10"), ("nDCG@010", "nDCG@10"), ("nDCG", "nDCG@10"), ("nDCG@0", "nDCG@10"),
        ("recall_5", "Recall@5"), ("ndcg_cut_10", "nDCG@10"), ("nDCG@１０", "nDCG@10"), ("hits@3", "Hit@3"),
        ("RecallCap@10", "R_cap@10"), ("r-cap@5", "R_cap@5"), ("Recal(rel=2)@10", r"Recall\(rel=2\)@10"),
        ("Recall(rel=2)", r"Recall\(rel=2\)@10"), ("Sucess(rel=3)@1", r"Hit\(rel=3\)@1"),
        ("Recal(rle=2)@3", "Recall@3"), ("nDGC(dcg='exp-log2')@5", r"nDCG\(dcg='exp-log2'\)@5"),
    ],
)  # fmt: skip
def test_a_misspelt_measure_is_told_the_right_spelling(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"is not a measure. Did you mean {meant}\\?$"):
        Measure.parse(text)


@given(st.text() | st.from_regex(r"(ndcg|R|recall)(\([a-z0-9=', -]*\))?@[0-9]{1,3}", fullmatch=True))
def test_whatever_parses_prints_a_spelling_of_its_own_that_parses_back(text: str) -> None:
    try:
        measure = Measure.parse(text)
        assert Measure.parse(str(measure)) == measure
    except ValueError as error:
        assert "is not a measure" in str(error)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("ndcg@10", "nDCG@10"), ("NDCG@5", "nDCG@5"), ("P@3", "Precision@3"), ("RR@10", "MRR@10"), ("AP@7", "MAP@7"),
        ("R@5", "Recall@5"), ("success@1", "Hit@1"), (" nDCG @ 10 ", "nDCG@10"), ("r_cap@10", "R_cap@10"),
        ("Recall(rel=2)@10", "Recall(rel=2)@10"), ("R( REL = 2 )@10", "Recall(rel=2)@10"),
        ("P(rel=1)@5", "Precision@5"),
        ("rr(rel=3)@10", "MRR(rel=3)@10"), ("Success(rel=2)@1", "Hit(rel=2)@1"), ("map(rel=2)@10", "MAP(rel=2)@10"),
        ("R_cap(rel=2)@10", "R_cap(rel=2)@10"), ("nDCG(dcg='log2')@10", "nDCG@10"),
        ("nDCG(dcg='exp-log2')@10", "nDCG(dcg='exp-log2')@10"), ('ndcg(DCG="exp-log2")@10', "nDCG(dcg='exp-log2')@10"),
        ("nDCG(dcg=exp-log2)@10", "nDCG(dcg='exp-log2')@10"), ("ann@10", "ANN@10"), ("judged@10", "Judged@10"),
    ],
)  # fmt: skip
def test_every_case_and_the_names_of_ir_measures_come_to_one_spelling(text: str, printed: str) -> None:
    assert str(Measure.parse(text)) == printed
    assert Measure.parse(printed) == Measure.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nDCG(rel=2)@10", r"nDCG takes dcg, as in \(dcg='exp-log2'\), not \(rel=2\)"),
        ("nDCG(dcg='exp')@10", "dcg is 'log2' or 'exp-log2', not 'exp'"),
        ("Recall(dcg='log2')@10", r"Recall takes rel, as in \(rel=2\), not \(dcg='log2'\)"),
        ("Recall(rel=0)@10", "rel is a whole number from 1"),
        ("Recall(rel=-1)@10", "rel is a whole number from 1"),
        ("Recall(rel='2')@10", "rel is a whole number from 1"),
        ("Recall(rel=2, judged_only=True)@10", "Recall takes rel"),
        ("Recall()@10", "Recall takes rel"),
        ("ANN(rel=2)@10", "ANN takes nothing in brackets"),
        ("Judged(rel=2)@10", "Judged takes nothing in brackets"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_with_the_ones_that_can(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"is not a measure: .*{message}"):
        Measure.parse(text)


def test_parameters_are_refused_where_a_kind_has_none() -> None:
    with pytest.raises(ValueError, match="nDCG takes no rel"):
        Measure("nDCG", 10, rel=2)
    with pytest.raises(ValueError, match="Recall takes no dcg"):
        Measure("Recall", 10, dcg="exp-log2")
    with pytest.raises(ValueError, match="rel of Hit is a whole number from 1"):
        Measure("Hit", 10, rel=True)


@pytest.mark.parametrize(("kind", "cutoff"), [("ndcg", 10), ("nDCG", 0), ("nDCG", -1), ("nDCG", True), ("nDCG", 1.0)])
def test_a_measure_that_cannot_be_is_refused(kind: str, cutoff: int) -> None:
    with pytest.raises(ValueError, match=r"not a measure|whole number from 1"):
        Measure(kind, cutoff)


def test_only_ann_needs_no_judgements_and_only_hit_is_binary() -> None:
    assert [kind for kind in KINDS if not Measure(kind, 1).needs_judgements] == ["ANN"]
    assert [kind for kind in KINDS if Measure(kind, 1).is_binary] == ["Hit"]


def test_the_module_loads_neither_pydantic_nor_arrow() -> None:
    program = "import sys, bench.statistics.measures; print({'pydantic', 'pandas', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "set()"
    assert order.EMPTY_ROW == EMPTY_ROW


# -- worked by hand --------------------------------------------------------------------------------------------------

# Ranking: grade 2 at place 1, nothing at 2, grade 1 at 3, grade 0 at 4; a document of grade 3 is not retrieved.
RANKING, GRADES = [7, 5, 6, 4], {7: 2, 6: 1, 4: 0, 9: 3}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # DCG = 2/log2(2) + 1/log2(4) = 2.5; ideal 3, 2, 1: 3 + 2/log2(3) + 1/2 = 4.761860
        ("nDCG@10", 2.5 / (3 + 2 / math.log2(3) + 0.5)),
        ("nDCG@1", 2 / 3),  # ideal 3 at place 1
        ("nDCG@2", 2 / (3 + 2 / math.log2(3))),
        ("Recall@1", 1 / 3),
        ("Recall@3", 2 / 3),
        ("MRR@10", 1.0),
        ("MAP@10", (1 / 1 + 2 / 3) / 3),  # precision 1 at place 1 and 2/3 at place 3, over three relevant documents
        ("MAP@2", 1 / 3),
        ("Hit@1", 1.0),
        ("Precision@3", 2 / 3),
        ("Precision@10", 2 / 10),
        ("Judged@2", 1 / 2),
        ("Judged@4", 3 / 4),
        ("Judged@10", 3 / 10),
        # gains 2^g - 1: 3/log2(2) + 1/log2(4) = 3.5; ideal of 3, 2, 1: 7 + 3/log2(3) + 1/2
        ("nDCG(dcg='exp-log2')@10", 3.5 / (7 + 3 / math.log2(3) + 0.5)),
        ("nDCG(dcg='exp-log2')@1", 3 / 7),
        ("Recall(rel=2)@10", 1 / 2),  # of grade 2 and 3 the former was found
        ("Recall(rel=3)@10", 0.0),
        ("Recall(rel=4)@10", 0.0),  # nothing is relevant
        ("Precision(rel=2)@3", 1 / 3),
        ("MRR(rel=2)@10", 1.0),
        ("MAP(rel=2)@10", 1 / 2),
        ("Hit(rel=3)@10", 0.0),
        ("R_cap@1", 1.0),  # one of one that a single place can hold
        ("R_cap@2", 1 / 2),
        ("R_cap@10", 2 / 3),
        ("R_cap(rel=2)@3", 1 / 2),
    ],
)
def test_a_graded_ranking_worked_by_hand(name: str, expected: float) -> None:
    assert value(name, RANKING, GRADES) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("MRR@3", 1 / 3), ("MRR@2", 0.0), ("Hit@3", 1.0), ("Hit@2", 0.0), ("MAP@3", 1 / 3), ("nDCG@3", 1 / math.log2(4))],
)
def test_a_measure_sees_nothing_beyond_its_cutoff(name: str, expected: float) -> None:
    assert value(name, [1, 2, 3], {3: 1}) == pytest.approx(expected, abs=1e-12)


def test_a_perfect_ranking_scores_exactly_one() -> None:
    grades = {row: 1 + row % 3 for row in range(10)}
    best = sorted(grades, key=lambda row: -grades[row])
    for measure in EVERY:
        if measure.kind in ("nDCG", "R_cap", "MRR", "Hit") or (measure.kind == "Precision" and measure.rel == 1):
            assert value(str(measure), best, grades) == 1.0, measure
    assert value("Recall@10", best, grades) == value("MAP@10", best, grades) == 1.0


def test_no_grade_is_too_high_for_exponential_gains() -> None:
    name = "nDCG(dcg='exp-log2')@10"
    top = 2_000_000_000
    assert value(name, [1, 2], {1: top, 2: 1}) == 1.0
    # 2^g beside 2^(g - 1): (1/2 + 1/log2(3)) / (1 + 1/2/log2(3)), what is taken from both being nothing beside them
    expected = (0.5 + 1 / math.log2(3)) / (1 + 0.5 / math.log2(3))
    assert value(name, [2, 1], {1: top, 2: top - 1}) == pytest.approx(expected, abs=1e-12)


def test_reversing_a_ranking_lowers_ndcg() -> None:
    ranking = [3, 2, 1, 0]
    grades = {3: 3, 2: 2, 1: 1, 0: 0}
    # ideal = DCG of the ranking = 3 + 2/log2(3) + 1/2; reversed: 0 + 1/log2(3) + 2/2 + 3/log2(5)
    assert value("nDCG@10", ranking, grades) == 1.0
    expected = (1 / math.log2(3) + 1 + 3 / math.log2(5)) / (3 + 2 / math.log2(3) + 0.5)
    assert value("nDCG@10", ranking[::-1], grades) == pytest.approx(expected, abs=1e-12)
    assert expected < 0.7


def test_all_zero_judgements_score_zero() -> None:
    for grades in ({0: 0, 1: 0}, {0: -1, 1: 0}, {}):
        for measure in EVERY:
            if measure.kind != "Judged":
                assert value(str(measure), [0, 1, 2], grades) == 0.0, measure


def test_an_empty_ranking_scores_zero() -> None:
    for measure in EVERY:
        assert value(str(measure), [], {0: 1, 1: 0}) == 0.0, measure


def test_a_negative_grade_counts_as_zero() -> None:
    for measure in EVERY:
        assert value(str(measure), RANKING, GRADES | {5: -2}) == value(str(measure), RANKING, GRADES | {5: 0}), measure


def test_a_judged_document_that_is_not_in_the_corpus_stays_in_the_denominator() -> None:
    beyond = 2_000_000_000
    assert value("Recall@10", [0, 1], {0: 1, beyond: 1}) == 0.5
    # ideal: two documents of grade 1, 1 + 1/log2(3)
    assert value("nDCG@10", [0, 1], {0: 1, beyond: 1}) == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_judged_is_null_where_only_positives_are_judged() -> None:
    measures = [Measure("Judged", 10), Measure("Hit", 1)]
    figures = evaluate(measures, ranked([0, 1], [1]), judged([{0: 1}, {1: 2}]))
    assert figures[measures[0]] is None
    assert figures[measures[1]] is not None
    assert evaluate(measures, ranked([0, 1], [1]), judged([{0: 1}, {1: 2, 5: 0}]))[measures[0]] is not None


def test_equal_rankings_score_equally_wherever_they_stand_in_the_batch() -> None:
    rng = np.random.default_rng(3)
    ranking = rng.permutation(50).astype(np.int32)[None, :]
    grades = {int(row): int(grade) for row, grade in zip(range(50), rng.integers(-1, 4, 50), strict=True)}
    count = 3_000  # more than one block of queries
    figures = evaluate(EVERY, np.repeat(ranking, count, axis=0), judged([grades] * count))
    alone = evaluate(EVERY, ranking, judged([grades]))
    for measure, values in figures.items():
        assert values is not None
        assert set(values.tolist()) == {alone[measure][0]}, measure  # type: ignore[index]


def test_a_query_with_more_judgements_than_a_block_holds_is_measured_whole() -> None:
    count = 1 << 16
    judgements = judged([{0: 1}, {}, dict.fromkeys(range(count), 1)])
    figures = evaluate([Measure("Recall", 10)], ranked([0], [0], list(range(count - 10, count))), judgements)
    assert figures[Measure("Recall", 10)].tolist() == [1.0, 0.0, 10 / count]  # type: ignore[union-attr]


def test_evaluate_refuses_what_it_cannot_measure() -> None:
    rows, judgements = ranked([0], depth=5), judged([{0: 1}])
    with pytest.raises(ValueError, match="nDCG@10 looks at 10 places, the rankings have 5"):
        evaluate([Measure("nDCG", 10)], rows, judgements)
    with pytest.raises(ValueError, match="ANN@5 is recall against exact search"):
        evaluate([Measure("ANN", 5)], rows, judgements)
    with pytest.raises(ValueError, match="2 rankings for the judgements of 1 queries"):
        evaluate([Measure("nDCG", 5)], np.repeat(rows, 2, axis=0), judgements)
    assert evaluate([], rows, judgements) == {}
    nobody = evaluate([Measure("nDCG", 5)], rows[:0], judged([]))
    assert nobody[Measure("nDCG", 5)].shape == (0,)  # type: ignore[union-attr]


# -- judgements ------------------------------------------------------------------------------------------------------


def test_judgements_are_kept_by_query_in_document_order() -> None:
    judgements = Judgements.from_pairs(
        np.array([2, 0, 2, 2]), np.array([9, 4, 1, 5]), np.array([1, 2, 0, 3]), query_count=4
    )
    assert judgements.query_count == 4
    assert judgements.offsets.tolist() == [0, 1, 1, 4, 4]
    assert judgements.documents.tolist() == [4, 1, 5, 9]
    assert judgements.grades.tolist() == [2, 0, 3, 1]
    assert judgements.gains.tolist() == [2, 3, 1]
    assert judgements.relevant_counts.tolist() == [1, 0, 2, 0]
    assert judgements.has_judged_nonrelevant


@pytest.mark.parametrize(
    ("queries", "documents", "message"),
    [
        ([0, 1, 0], [3, 3, 3], "document row 3 is judged twice for query row 0"),
        ([0, 2], [0, 0], "query rows must lie in 0 … 1"),
        ([0, -1], [0, 0], "query rows must lie"),
        ([0, 1], [0, -1], "document rows must lie"),
        ([0, 1], [0, 1 << 31], "document rows must lie"),
        ([0, 1], [0], "columns of 2, 1 and 2 rows"),
    ],
)
def test_judgements_that_contradict_themselves_are_refused(
    queries: list[int], documents: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Judgements.from_pairs(np.array(queries), np.array(documents), np.ones(len(queries), np.int32), query_count=2)


def test_a_filter_leaves_only_the_judgements_of_documents_that_pass() -> None:
    whole = judged([{0: 1, 1: 0, 2: 2}, {1: 0}, {2: 3, 7: 1}])  # the corpus has three documents: 7 is dangling
    passed = whole.restrict(np.array([True, False, True]))
    assert passed.query_count == 3
    assert passed.offsets.tolist() == [0, 2, 2, 3]
    assert passed.documents.tolist() == [0, 2, 2]
    assert passed.relevant_counts.tolist() == [2, 0, 1]
    assert whole.has_judged_nonrelevant
    assert not passed.has_judged_nonrelevant


# -- the canonical order ---------------------------------------------------------------------------------------------


def test_ids_are_ordered_by_their_bytes() -> None:
    # UTF-8: Z = 5a, a = 61, é = c3 a9, ｚ = ef bd 9a, 😀 = f0 9f 98 80. In UTF-16, 😀 (d8 3d) would precede ｚ (ff 5a).
    ids = ["😀", "a", "ｚ", "é", "Z", "aa", ""]
    assert id_order(ids).tolist() == [6, 2, 5, 4, 1, 3, 0]
    assert id_order(pa.array(ids)).tolist() == id_order(pa.chunked_array([ids[:3], ids[3:]])).tolist()
    assert id_order([]).shape == (0,)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True))
def test_the_order_of_ids_is_that_of_their_utf8(ids: list[str]) -> None:
    by_bytes = sorted(ids, key=lambda name: name.encode())
    assert id_order(ids).tolist() == [by_bytes.index(name) for name in ids]


def test_ties_go_by_document_id_descending() -> None:
    by_id = id_order(["b", "é", "a", "c"])  # ascending: a, b, c, é
    rows, scores = canonical(
        np.array([[0, 1, 2, 3], [2, 1, -1, 0]], np.int32),
        np.array([[1, 1, 1, 2], [0, -0.0, -np.inf, -1]], np.float32),
        by_id,
    )
    assert rows.tolist() == [[3, 1, 0, 2], [1, 2, 0, -1]]
    assert scores.tolist() == [[2, 1, 1, 1], [0, 0, -1, -np.inf]]
    assert (rows.dtype, scores.dtype) == (np.int32, np.float32)


def test_scores_are_compared_as_float32() -> None:
    # 1 + 1e-9 is 1 in float32 (spacing 1.2e-7), so the id decides; 1 + 1e-6 is not.
    close = np.array([[1 + 1e-9, 1.0, 1 + 1e-6]])
    rows, _ = canonical(np.array([[0, 1, 2]], np.int32), close, id_order(["a", "b", "0"]))  # type: ignore[arg-type]
    assert rows.tolist() == [[2, 1, 0]]


def test_a_constant_scorer_ranks_by_ids_alone_for_every_measure() -> None:
    rng = np.random.default_rng(5)
    by_id = id_order([f"d{i}" for i in rng.permutation(100)])
    shown = np.stack([rng.permutation(100)[:20] for _ in range(50)]).astype(np.int32)
    shuffled = rng.permuted(shown, axis=1)
    judgements = judged([{int(row): int(row) % 4 - 1 for row in ranking[:8]} for ranking in shown])
    constant = np.full(shown.shape, 0.25, np.float32)
    first, _ = canonical(shown, constant, by_id)
    second, _ = canonical(shuffled, constant, by_id)
    assert first.tolist() == second.tolist()
    assert (np.diff(by_id[first].astype(np.int64), axis=1) < 0).all()
    here, there = evaluate(EVERY, first, judgements), evaluate(EVERY, second, judgements)
    for measure in EVERY:
        assert here[measure].tolist() == there[measure].tolist()  # type: ignore[union-attr]


def test_duplicated_documents_count_once_at_their_best_place() -> None:
    rows, scores = canonical(
        np.array([[1, 0, 1, 2, 1, -1], [0, 1, 2, 3, 4, 5]], np.int32),
        np.array([[0.5, 0.7, 0.9, 0.6, 0.9, 0.0], [6, 5, 4, 3, 2, 1]], np.float32),
        id_order(list("abcdef")),
    )
    assert rows.tolist() == [[1, 0, 2, -1, -1, -1], [0, 1, 2, 3, 4, 5]]
    assert scores[0].tolist() == pytest.approx([0.9, 0.7, 0.6, -np.inf, -np.inf, -np.inf])
    judgements = judged([{1: 1, 2: 1}, {}])
    # Relevant at places 1 and 3 of the ranking without repetition: (1 + 2/3) / 2.
    assert evaluate([Measure("MAP", 6)], rows, judgements)[Measure("MAP", 6)][0] == pytest.approx(5 / 6)  # type: ignore[index]


def test_depth_cuts_after_the_order_and_pads_with_empty_places() -> None:
    rows, scores = np.array([[0, 1, 2]], np.int32), np.array([[1, 3, 2]], np.float32)
    by_id = id_order(["a", "b", "c"])
    assert canonical(rows, scores, by_id, 2)[0].tolist() == [[1, 2]]
    padded_rows, padded_scores = canonical(rows, scores, by_id, 5)
    assert padded_rows.tolist() == [[1, 2, 0, -1, -1]]
    assert padded_scores.tolist() == [[3, 2, 1, -np.inf, -np.inf]]
    nothing = canonical(np.full((2, 3), -1, np.int32), np.full((2, 3), np.nan, np.float32), id_order([]), 2)[0]
    assert nothing.tolist() == [[-1, -1], [-1, -1]]
    assert canonical(rows[:0], scores[:0], by_id)[0].shape == (0, 3)
    assert canonical(rows[:, :0], scores[:, :0], by_id, 2)[0].tolist() == [[-1, -1]]


def test_a_score_that_is_not_a_number_is_refused() -> None:
    rows, by_id = np.array([[0, 1, -1]], np.int32), id_order(["a", "b"])
    with pytest.raises(ValueError, match="NaN"):
        canonical(rows, np.array([[1, np.nan, 0]], np.float32), by_id)
    assert canonical(rows, np.array([[1, 2, np.nan]], np.float32), by_id)[0].tolist() == [[1, 0, -1]]


def test_rows_that_no_id_belongs_to_are_refused() -> None:
    by_id = id_order(["a", "b"])
    for row in (2, -2):
        with pytest.raises(ValueError, match="rows must lie in -1 … 1"):
            canonical(np.array([[row]], np.int32), np.ones((1, 1), np.float32), by_id)
    with pytest.raises(ValueError, match="shape"):
        canonical(np.array([[0]], np.int32), np.ones((1, 2), np.float32), by_id)


def in_order(rows: list[int], scores: list[float], ids: list[str]) -> list[tuple[int, float]]:
    """The canonical order written plainly, as lists sort it."""
    best: dict[int, float] = {}
    for row, score in zip(rows, scores, strict=True):
        if row != -1 and score != -math.inf:
            best[row] = max(score, best.get(row, -math.inf))
    return sorted(best.items(), key=lambda item: (item[1], ids[item[0]].encode()), reverse=True)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[str], list[list[tuple[int, float]]]]:
    ids = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, min_size=1, max_size=40))
    score = st.one_of(
        st.sampled_from([-1.0, -0.0, 0.0, 0.5, -math.inf, math.inf]), st.floats(width=32, allow_nan=False)
    )
    width = draw(st.integers(1, 8))
    place = st.tuples(st.integers(-1, len(ids) - 1), score)
    return ids, draw(st.lists(st.lists(place, min_size=width, max_size=width), min_size=1, max_size=10))


@given(rankings())
def test_the_canonical_order_is_the_plain_one(drawn: tuple[list[str], list[list[tuple[int, float]]]]) -> None:
    ids, places = drawn
    rows = np.array([[row for row, _ in ranking] for ranking in places], np.int32)
    scores = np.array([[score for _, score in ranking] for ranking in places], np.float32)
    ordered, values = canonical(rows, scores, id_order(ids))
    for i in range(len(rows)):
        expected = in_order(rows[i].tolist(), scores[i].tolist(), ids)
        kept = [(row, score) for row, score in zip(ordered[i].tolist(), values[i].tolist(), strict=True) if row != -1]
        assert kept == expected
        assert ordered[i, len(kept) :].tolist() == [-1] * (rows.shape[1] - len(kept))


# -- trec_eval -------------------------------------------------------------------------------------------------------


def agrees_with_trec_eval(
    ids: list[str],
    rows: npt.NDArray[np.int32],
    scores: npt.NDArray[np.float64],
    grades: list[dict[int, int]],
    missing: frozenset[int] = frozenset(),
) -> None:
    """Compare every measure of trec_eval with ours; a query it leaves out must score 0.

    ids hold names beyond the corpus too. Queries in missing have no ranking and are not in trec_eval's run.
    """
    run = {
        str(q): {ids[row]: float(score) for row, score in zip(rows[q], scores[q], strict=True) if row >= 0}
        for q in range(len(rows))
        if q not in missing
    }
    qrels = {
        str(q): {ids[row]: grade for row, grade in of_query.items()}
        for q, of_query in enumerate(grades)
        if max(of_query.values(), default=0) > -2  # pytrec_eval 0.5.11 crashes on a query that has nothing above -2
    }
    asked = {f"{name}.{','.join(map(str, CUTOFFS))}" for name in TREC_NAMES.values()}
    judged_by = pytrec_eval.RelevanceEvaluator(qrels, asked).evaluate(run)
    for of_query in missing:
        rows[of_query] = -1
    ordered, _ = canonical(rows, scores.astype(np.float32), id_order(ids), max(CUTOFFS))
    figures = evaluate(EVERY, ordered, judged(grades))
    for kind, name in TREC_NAMES.items():
        for k in CUTOFFS:
            expected = [judged_by.get(str(q), {}).get(f"{name}_{k}", 0.0) for q in range(len(rows))]
            assert figures[Measure(kind, k)] == pytest.approx(expected, abs=1e-6), (kind, k)
    # recip_rank has no cut-off: it gets the first k of each ranking.
    orders = [in_order(rows[q].tolist(), np.float32(scores[q]).tolist(), ids) for q in range(len(rows))]
    for k in CUTOFFS:
        cut = {str(q): {ids[row]: score for row, score in order[:k]} for q, order in enumerate(orders)}
        found = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(cut)
        expected = [found.get(str(q), {}).get("recip_rank", 0.0) for q in range(len(rows))]
        assert figures[Measure("MRR", k)] == pytest.approx(expected, abs=1e-6), k


@pytest.mark.parametrize("seed", range(12))
def test_measures_agree_with_trec_eval_on_thousands_of_random_runs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    documents, queries, width = 40, 250, 15
    letters = list("abzAZ09_é中ｚ😀")
    ids = list(dict.fromkeys("".join(rng.choice(letters, rng.integers(1, 5))) for _ in range(100)))[: documents + 5]
    rows = np.stack([rng.permutation(documents)[:width] for _ in range(queries)]).astype(np.int32)
    levels = int(rng.choice([1, 3, 1_000]))  # all tied, many ties, few
    scores = rng.integers(-levels, levels, rows.shape) / levels + rng.choice([0.0, 1e-9], rows.shape)
    rows[rng.random(rows.shape) < rng.choice([0.0, 0.4])] = -1
    rows[rng.random(queries) < 0.05] = -1
    lowest = -2 if seed % 2 else 0
    grades = [
        {
            int(row): int(rng.integers(lowest, 4)) if rng.random() < 0.7 else 0
            for row in rng.permutation(len(ids))[: rng.integers(0, 12)]  # the last five ids are not in the corpus
        }
        for _ in range(queries)
    ]
    missing = frozenset(np.flatnonzero(rng.random(queries) < 0.05).tolist())
    agrees_with_trec_eval(ids, rows, scores, grades, missing)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[str], npt.NDArray[np.int32], npt.NDArray[np.float64], list[dict[int, int]]]:
    # trec_eval's strings end at a zero byte.
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=4)
    ids = draw(st.lists(text, unique=True, min_size=2, max_size=14))
    width = max(CUTOFFS)
    rows, scores, grades = [], [], []
    for _ in range(draw(st.integers(1, 4))):
        order = draw(st.permutations(range(len(ids))))[: draw(st.integers(0, width))]
        rows.append([*order, *[-1] * (width - len(order))])
        scores.append(
            draw(st.lists(st.sampled_from([-1.5, -0.0, 0.0, 0.1, 0.1 + 1e-10, 7.0]), min_size=width, max_size=width))
        )
        grades.append(draw(st.dictionaries(st.integers(0, len(ids) - 1), st.integers(-2, 5), max_size=8)))
    return ids, np.array(rows, np.int32), np.array(scores), grades


@settings(max_examples=150)
@given(runs())
def test_measures_agree_with_trec_eval_on_whatever_is_drawn(
    drawn: tuple[list[str], npt.NDArray[np.int32], npt.NDArray[np.float64], list[dict[int, int]]],
) -> None:
    agrees_with_trec_eval(*drawn)
