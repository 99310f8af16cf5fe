"""An answer keeps the citations that exist, however its pieces fall, and loses the others."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.chat.citations import Citations, without_citations


def read(pieces: list[str], count: int = 3) -> tuple[str, Citations]:
    citations = Citations(count)
    text = "".join(citations.read(piece) for piece in pieces)
    return text + citations.rest(), citations


@pytest.mark.parametrize(
    ("text", "kept", "cited", "invented"),
    [
        ("Tin melts [1].", "Tin melts [1].", [1], []),
        ("Tin [2][1] and [1, 3].", "Tin [2][1] and [1][3].", [2, 1, 3], []),
        ("Tin [1-3].", "Tin [1][2][3].", [1, 2, 3], []),
        ("Tin [9].", "Tin.", [], ["[9]"]),
        ("Tin [1, 9] and [0].", "Tin [1] and.", [1], ["[9]", "[0]"]),
        ("Tin 【2†source】.", "Tin [2].", [2], []),
        ("Tin [passage 2].", "Tin [2].", [2], []),
        ("An [array] of [x[1]] and [ ]", "An [array] of [x[1]] and [ ]", [1], []),
        ("A nest [[9]7].", "A nest [–7].", [], ["[9]"]),
        ("It never closes [1", "It never closes [1", [], []),
        ("[99999] is a long number", "[99999] is a long number", [], []),
    ],
)
def test_what_exists_stays_and_what_does_not_is_told(
    text: str, kept: str, cited: list[int], invented: list[str]
) -> None:
    for pieces in ([text], list(text), [text[:4], text[4:]]):
        found, citations = read(pieces)
        assert (found, citations.cited, citations.invented) == (kept, cited, invented)


@given(st.text(alphabet="ab [],.-123【】\n", max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_pieces_change_nothing_and_no_citation_is_left_that_does_not_exist(text: str, cuts: list[int]) -> None:
    borders = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(borders)]
    found, _ = read(pieces, 2)
    whole, _ = read([text], 2)
    assert found.split() == whole.split()
    again = Citations(2)
    again.read(found)
    again.rest()
    assert again.invented == [] and set(again.cited) <= {1, 2}


def test_an_answer_is_remembered_without_its_numbers() -> None:
    assert without_citations("Tin melts [1]. Lead is heavy [2][3] .") == "Tin melts. Lead is heavy."
