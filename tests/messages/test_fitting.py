"""Text that fits a width: names stay different, and no word is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.messages.fitting import ELLIPSIS, cut, padded, shortened, width_of, wrapped


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    assert [width_of(text) for text in ("abc", "検索", "e\u0301", "ﾊ", "Ａ")] == [3, 4, 1, 1, 2]
    assert padded("検索", 6) == "検索  "


def test_a_cut_text_keeps_its_beginning_and_as_much_of_its_end_as_is_asked_for() -> None:
    assert cut("abcdefgh", 8) == "abcdefgh"
    assert cut("abcdefgh", 5) == f"abcd{ELLIPSIS}"
    assert cut("abcdefgh", 5, tail=2) == f"ab{ELLIPSIS}gh"
    assert cut("検索検索", 4) == f"検{ELLIPSIS}"


@given(st.lists(st.text(min_size=1, max_size=40), max_size=12, unique=True), st.integers(8, 30))
def test_shortened_names_fit_and_stay_different(names: list[str], width: int) -> None:
    short = shortened(names, width)
    assert list(short) == names and len({*short.values()}) == len(names)
    assert all(width_of(text) <= width for text in short.values())
    assert all(text == name for name, text in short.items() if width_of(name) <= width and len(names) == 1)


def test_what_tells_two_names_apart_stays() -> None:
    names = [f"encoder-with-a-name+store(nprobes={n})" for n in (1, 16)]
    assert [short.rpartition("=")[2] for short in shortened(names, 20).values()] == ["1)", "16)"]


@given(st.text(max_size=200), st.integers(8, 40))
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = wrapped(text, width, first="! ")
    assert "".join("".join(lines).split()) == "".join(f"! {text}".split())
    assert all(width_of(line) <= width for line in lines)
