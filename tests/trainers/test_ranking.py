"""Laws of the lists that a reranker learns from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from adapters.base import InvalidOptions
from adapters.trainers._ranking import RankedList, check_negatives, mixed, outnumbered, ranked_lists, shares


def pairs(*rows: tuple[str, str, list[str]]) -> pa.Table:
    queries, positives, negatives = zip(*rows, strict=True)
    return pa.table(
        {
            "query_id": [f"q{i}" for i in range(len(rows))],
            "document_id": [f"d{i}" for i in range(len(rows))],
            "query": list(queries),
            "positive": list(positives),
            "negatives": pa.array(list(negatives), pa.list_(pa.string())),
        }
    )


def test_several_positives_of_a_query_stand_in_one_list() -> None:
    table = pairs(("a", "one", ["x", "y"]), ("b", "three", ["z", "x"]), ("a", "two", ["y", "z"]))
    assert ranked_lists(table) == [
        RankedList("a", ("one", "two", "x", "y", "z"), 2),
        RankedList("b", ("three", "z", "x"), 1),
    ]


def test_a_positive_of_one_row_is_no_negative_of_another_row_of_its_query() -> None:
    assert ranked_lists(pairs(("a", "one", ["two", "x"]), ("a", "two", ["one", "x"]))) == [
        RankedList("a", ("one", "two", "x"), 2)
    ]


def test_lists_without_a_negative_are_refused_with_the_way_to_find_some() -> None:
    lists = ranked_lists(pairs(("a", "one", []), ("b", "two", [])))
    with pytest.raises(InvalidOptions, match=r"negatives: \{strategy: hybrid"):
        check_negatives(lists)
    check_negatives(ranked_lists(pairs(("a", "one", []), ("b", "two", ["x"]))))


def test_a_list_aims_at_its_relevant_documents_alike() -> None:
    assert shares(RankedList("a", ("one", "two", "x", "y"), 2)) == [0.5, 0.5, 0.0, 0.0]


def test_negatives_are_counted_for_each_relevant_document() -> None:
    # Two relevant among five, one among two: (3 + 1) / (2 + 1).
    assert outnumbered([[1, 1, 0, 0, 0], [1, 0]]) == pytest.approx(4 / 3)


def test_a_teachers_share_is_added_to_that_of_the_judgements() -> None:
    # The softmax of (log 3, 0) is (3/4, 1/4). A quarter of it: .75 · 1 + .25 · .75 = .9375, and .25 · .25 = .0625.
    assert mixed([1.0, 0.0], np.log(np.array([3.0, 1.0], np.float32)), 0.25) == pytest.approx([0.9375, 0.0625])


def test_large_scores_of_a_teacher_do_not_overflow() -> None:
    assert mixed([0.0, 1.0], np.array([5000.0, 0.0], np.float32), 1.0) == pytest.approx([1.0, 0.0])
