"""When a ranking is the measured one: the laws of the comparison."""

from __future__ import annotations

import pytest

from bench.retriever.proof import Hit, Proof, Question, compare, first_difference

MEASURED = [Hit("a", 3.0), Hit("b", 2.0), Hit("c", 1.0)]


def found(*pairs: tuple[str, float]) -> list[Hit]:
    return [Hit(*pair) for pair in pairs]


def test_the_same_ranking_has_no_difference() -> None:
    assert first_difference(MEASURED, MEASURED, 3) is None


def test_a_score_that_differs_by_rounding_is_the_same_and_one_that_differs_by_more_is_not() -> None:
    # 3.0 allows 1e-6 · 3 = 3e-6
    assert first_difference(MEASURED, found(("a", 3.0 + 2e-6), ("b", 2.0), ("c", 1.0)), 3) is None
    assert first_difference(MEASURED, found(("a", 3.0 + 4e-6), ("b", 2.0), ("c", 1.0)), 3) == 0
    # Below 1 the difference itself counts.
    assert first_difference([Hit("a", 0.1)], [Hit("a", 0.1 + 9e-7)], 1) is None


def test_documents_of_one_score_may_change_places_and_others_may_not() -> None:
    tied = found(("a", 2.0), ("b", 2.0), ("c", 1.0))
    assert first_difference(tied, found(("b", 2.0), ("a", 2.0), ("c", 1.0)), 3) is None
    assert first_difference(MEASURED, found(("b", 3.0), ("a", 2.0), ("c", 1.0)), 3) == 0


def test_a_tie_at_the_cut_may_be_another_document() -> None:
    assert first_difference(MEASURED, found(("a", 3.0), ("b", 2.0), ("z", 1.0)), 3) is None
    assert first_difference(MEASURED, found(("a", 3.0), ("z", 2.0), ("c", 1.0)), 3) == 1


@pytest.mark.parametrize("hits", [[], MEASURED[:2], [*MEASURED[:2], Hit("c", 1.0), Hit("d", 0.5)]])
def test_a_ranking_of_another_length_differs_where_one_ends(hits: list[Hit]) -> None:
    assert first_difference(MEASURED, hits, 4) == min(len(hits), 3)


def test_where_nothing_can_be_the_same_to_the_last_place_the_overlap_counts() -> None:
    proof = Proof(exact=False)
    for i in range(99):
        compare(Question(f"q{i}", "", MEASURED), found(("c", 0.3), ("b", 0.2), ("a", 0.1)), 3, proof)
    assert proof.overlap == 1.0 and proof.holds and len(proof.differences) == 99
    compare(Question("q99", "", MEASURED), [], 3, proof)
    assert proof.overlap == 0.99 and proof.holds  # 99 of 100
    compare(Question("q100", "", MEASURED), [], 3, proof)
    assert not proof.holds  # 99 of 101
    assert not Proof(exact=True, differences=proof.differences, shares=proof.shares).holds


def test_a_difference_names_query_place_and_documents() -> None:
    proof = Proof(exact=True)
    compare(Question("q1", "", MEASURED), MEASURED[:2], 3, proof)
    assert str(proof.differences[0]) == "query q1, place 3: nothing where c was measured"


def test_a_query_that_found_nothing_and_finds_nothing_is_the_same() -> None:
    proof = Proof(exact=True)
    compare(Question("q1", "", []), [], 3, proof)
    assert proof.holds and proof.shares == [1.0]
