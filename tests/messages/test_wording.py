"""Numbers and their words, and what progress says."""

from __future__ import annotations

import pytest

from adapters.base import StageFinished, StageStarted, SystemFinished
from bench.messages.wording import counted, listed, plural, singular
from bench.progress import Progress


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (1, ("index", "built"), "1 index built"),
        (0, ("index", "built"), "0 indexes built"),
        (1200, ("query", "searched"), "1,200 queries searched"),
        (1, ("more query",), "1 more query"),
        (2, ("hard negative",), "2 hard negatives"),
    ],
)
def test_a_noun_takes_the_number_that_it_is_counted_by(count: int, words: tuple[str, ...], expected: str) -> None:
    assert counted(count, *words) == expected


@pytest.mark.parametrize("noun", ["text", "query", "row", "pair", "index", "batch", "sample"])
def test_a_plural_leads_back_to_its_singular(noun: str) -> None:
    assert singular(plural(noun)) == noun


def test_what_has_no_cause_is_told_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    Progress()(SystemFinished("bm25", "cancelled", None, {}))
    assert capsys.readouterr().err == "bm25: cancelled\n"


def test_one_row_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress(StageStarted("build", "bm25", 1, "rows"))
    progress(StageFinished("build", "bm25", 0.5, 1, 0))
    assert capsys.readouterr().err == "building bm25: 1 row in 0.5 s\n"


def test_a_list_of_names_is_cut_where_that_spares_more_than_one() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and d"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
