"""Splits are cut by a hash of each query, and by nothing else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import InvalidOptions
from bench.data.normal import normalised, plain_query
from bench.data.splits import Cut, cut, default_dev

NUMBERED = [f"what is the meaning of number {i}" for i in range(2_000)]


def queries(texts: list[str | None]) -> pa.Table:
    return pa.table({"id": pa.array([f"q{i}" for i in range(len(texts))]), "text": pa.array(texts, pa.string())})


def names(texts: list[str], part: np.ndarray) -> set[str]:
    return {texts[i] for i in np.flatnonzero(part)}


def of(texts: list[str], parts: Cut) -> dict[str, str]:
    """The split of each text."""
    flags = {"train": parts.train, "dev": parts.dev, "test": parts.test}
    return {text: name for name, flag in flags.items() for text in names(texts, flag)}


sizes = st.one_of(st.floats(0.05, 0.4), st.integers(1, 40).map(float))
texts_of_few_words = st.lists(st.text("abAB .?!", min_size=1, max_size=4), min_size=200, max_size=300, unique=False)


@settings(max_examples=25)
@given(sizes, sizes, st.one_of(st.none(), st.floats(0.5, 0.9), st.integers(100, 200).map(float)))
def test_no_query_stands_in_two_splits_and_all_of_the_sample_stand_in_one(
    test: float, dev: float, sample: float | None
) -> None:
    parts = cut(queries([*NUMBERED[:200]]), sample=sample, test=test, dev=dev)
    total = parts.train.astype(int) + parts.dev + parts.test
    assert np.array_equal(total, parts.sampled.astype(int))


@settings(max_examples=15)
@given(st.floats(0.05, 0.4), st.floats(0.05, 0.4), st.integers(1, 499))
def test_with_shares_a_query_keeps_its_split_when_others_are_added(test: float, dev: float, few: int) -> None:
    shuffled = [NUMBERED[i] for i in np.random.default_rng(few).permutation(500)]
    before = of(shuffled[:few], cut(queries([*shuffled[:few]]), sample=0.7, test=test, dev=dev))
    after = of(shuffled, cut(queries([*shuffled]), sample=0.7, test=test, dev=dev))
    assert {text: after.get(text) for text in before} == before
    assert not (set(shuffled[:few]) - set(before)) & set(after)


@settings(max_examples=25)
@given(texts_of_few_words, sizes, sizes)
def test_queries_that_differ_in_case_space_and_punctuation_alone_stay_together(
    texts: list[str], test: float, dev: float
) -> None:
    parts = cut(queries([*texts]), test=min(test, 40), dev=min(dev, 40))
    flags = np.column_stack([parts.train, parts.dev, parts.test])
    split_of: dict[str, tuple[bool, ...]] = {}
    for i, text in enumerate(texts):
        if any(letter.isalpha() for letter in text):
            assert split_of.setdefault(plain_query(text), tuple(flags[i])) == tuple(flags[i])


def test_shares_are_about_as_large_as_they_say() -> None:
    # 2,000 queries: of a share p the spread is sqrt(2000 p (1 - p)), 18 for .2 and 13 for .1; within 5 of them.
    parts = cut(queries([*NUMBERED]), test=0.2, dev=0.1)
    assert abs(parts.test.sum() - 400) < 5 * 18
    assert abs(parts.dev.sum() - 200) < 5 * 13


def test_a_number_of_queries_is_that_number() -> None:
    parts = cut(queries([*NUMBERED]), sample=1_500, test=250, dev=100)
    assert (parts.sampled.sum(), parts.test.sum(), parts.dev.sum(), parts.train.sum()) == (1_500, 250, 100, 1_150)


def test_a_larger_number_holds_the_queries_of_a_smaller_one() -> None:
    small, large = (cut(queries([*NUMBERED]), test=size).test for size in (100, 250))
    assert (small & large).sum() == 100


def test_equal_queries_that_do_not_fit_into_a_number_are_left_out_together() -> None:
    parts = cut(queries(["same"] * 5), test=3)
    assert not parts.test.any()


def test_queries_without_texts_are_told_apart_by_their_ids() -> None:
    parts = cut(queries([None] * 400), test=0.5)
    assert 120 < parts.test.sum() < 280  # 200 expected, a spread of 10


def test_the_order_of_the_queries_has_no_say() -> None:
    order = np.random.default_rng(1).permutation(len(NUMBERED))
    turned = [NUMBERED[i] for i in order]
    for size in (0.2, 250.0):
        assert of(NUMBERED, cut(queries([*NUMBERED]), test=size, dev=0.1)) == of(
            turned, cut(queries([*turned]), test=size, dev=0.1)
        )


@pytest.mark.parametrize(("key", "more"), [("test_size", {"test": 11}), ("dev_size", {"test": 5, "dev": 6})])
def test_a_size_beyond_the_queries_names_its_key(key: str, more: dict[str, float]) -> None:
    with pytest.raises(InvalidOptions, match="Write fewer") as raised:
        cut(queries([*NUMBERED[:10]]), **more)
    assert raised.value.key == key


@pytest.mark.parametrize(
    ("others", "size"),
    # A third of few, 50 of some, a tenth of more, 500 of many.
    [(30, 10), (149, 49), (499, 50), (500, 0.1), (5_000, 0.1), (5_001, 500)],
)
def test_dev_is_a_tenth_within_bounds_where_nobody_gave_a_size(others: int, size: float) -> None:
    assert default_dev(others) == size


def test_the_default_dev_is_cut_from_what_is_not_evaluated() -> None:
    parts = cut(queries([*NUMBERED]), test=0.5, dev=None)
    assert 50 < parts.dev.sum() < 150  # a tenth of about 1,000, a spread of 9
    assert not (parts.dev & parts.test).any()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Top up by cheque?", "top-up  by CHEQUE", True),
        ("ﬁrst half", "first half", True),
        ("Ｆｕｌｌ width", "full width", True),
        ("Straße", "STRASSE", True),
        ("What is C++?", "What is C?", False),
        ("x1 + x2", "x1 = x2", False),
        ("???", "!!!", False),
    ],
)
def test_a_query_in_plain_form(one: str, other: str, equal: bool) -> None:
    assert (plain_query(one) == plain_query(other)) is equal


@given(st.text())
def test_the_plain_form_of_a_plain_form_is_itself(text: str) -> None:
    assert plain_query(plain_query(text)) == plain_query(normalised(text))
