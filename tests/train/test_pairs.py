"""Training pairs: none of a query that is evaluated, each once, in an order that depends on their content alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import InvalidOptions
from bench.data.dataset import Dataset
from bench.data.normal import plain_query
from bench.train.near_copies import LETTERS, RUN, Near, near_copies
from bench.train.pairs import FEWEST_PAIRS, TrainingPairs, training_pairs, with_columns

HAN = "一二三四五六七八九十甲乙丙丁戊己"
DOCUMENTS = {f"d{i}": f"a text about thing {i}" for i in range(40)}


def dataset(
    queries: dict[str, str], judged: list[tuple[str, str, int]], split: str, corpus: dict[str, str] | None = None
) -> Dataset:
    documents = DOCUMENTS if corpus is None else corpus
    ids = pa.array(documents, pa.string())
    texts = pa.table(
        {"id": ids, "title": pa.nulls(len(documents), pa.string()), "text": pa.array(documents.values(), pa.string())}
    )
    asked = pa.table({"id": pa.array(queries, pa.string()), "text": pa.array(queries.values(), pa.string())})
    columns = zip(*judged, strict=True) if judged else ([], [], [])
    types = {"query_id": pa.string(), "document_id": pa.string(), "grade": pa.int32()}
    qrels = pa.table({name: pa.array(list(c), types[name]) for name, c in zip(types, columns, strict=True)})
    return Dataset("given", split, texts, asked, qrels, len(queries), split)


def train_of(*texts: str, plain: int = 20) -> Dataset:
    """A train split of these queries and some plain ones, each answered by a document of its own."""
    queries = {f"t{i}": text for i, text in enumerate([*texts, *(f"ask {chr(97 + i)}{i}" for i in range(plain))])}
    return dataset(queries, [(name, f"d{i}", 1) for i, name in enumerate(queries)], "train")


def test_of(*texts: str) -> Dataset:
    queries = {f"e{i}": text for i, text in enumerate(texts)}
    return dataset(queries, [(name, "d0", 1) for name in queries], "test")


test_of.__test__ = False  # type: ignore[attr-defined]


def queries_of(pairs: TrainingPairs) -> list[str]:
    found: list[str] = pairs.table.column("query").to_pylist()
    return found


@pytest.mark.parametrize(
    ("training", "evaluation"),
    [
        ("Where is my card?", "Where is my card?"),
        ("where is  my CARD", "Where is my card?"),
        ("Where is my top-up?", "where is my top up"),
        ("Ｗhere is my card?", "Where is my card?"),
        ("\tWhere is my\ncard?", "Where is my card!"),
        ("내 카드는 어디?", "내  카드는 어디"),
    ],
)
def test_a_pair_whose_query_is_evaluated_is_dropped_counted_and_listed(training: str, evaluation: str) -> None:
    pairs = training_pairs(train_of("another one", training), [test_of("nothing", evaluation)])
    assert training not in queries_of(pairs)
    [leak] = pairs.report.leaks
    assert (leak.training, leak.evaluation, leak.split) == (training, evaluation, "test")
    assert (leak.training_id, leak.evaluation_id) == ("t1", "e1")
    assert len(pairs.report.leaks) == 1 and pairs.report.notes == ()  # leaks are listed, not told


def test_leaks_that_are_refused_are_named_with_both_lines() -> None:
    with pytest.raises(InvalidOptions) as raised:
        training_pairs(train_of("Where is it?", "how so"), [test_of("how SO", "where is it")], leaks="refuse")
    told = str(raised.value)
    assert raised.value.key == "leaks"
    assert "2 training pairs" in told
    for part in ("t0 'Where is it?'", "test e1 'where is it'", "t1 'how so'", "test e0 'how SO'"):
        assert part in told


def test_data_without_leaks_passes_where_they_are_refused() -> None:
    assert training_pairs(train_of(), [test_of("other")], leaks="refuse").report.leaks == ()


def test_every_evaluation_counts() -> None:
    pairs = training_pairs(train_of("one", "two"), [test_of("one"), test_of("two")])
    assert {leak.training for leak in pairs.report.leaks} == {"one", "two"}


def test_banking77_has_25_leaks(collections: Path) -> None:
    from bench.data.dataset import load_dataset
    from tests.datasets.test_beir import BeirFolder

    def load(split: str) -> Dataset:
        source = BeirFolder(BeirFolder.Options(path=collections / "banking77", split=split))
        return load_dataset(source, name="banking77", split=split, needs_judgements=True)

    report = training_pairs(load("train"), [load("test")]).report
    assert len(report.leaks) == 25
    assert len(report.near_copies) < 1_500


def test_only_relevant_documents_make_pairs_and_what_is_not_there_or_empty_is_counted() -> None:
    queries = {f"t{i}": f"question {i}" for i in range(10)} | {"empty": " "}
    judged = [(name, f"d{i}", 1) for i, name in enumerate(queries)]
    judged += [("t0", "d20", 0), ("t0", "d21", -1), ("t0", "d22", 3), ("t1", "gone", 1), ("t2", "blank", 2)]
    pairs = training_pairs(dataset(queries, judged, "train", {**DOCUMENTS, "blank": " "}), [])
    # Of 11 + 5 judgements 14 are relevant: 1 document is gone, 1 is blank, 1 query is empty.
    assert pairs.report.as_dict() == {
        "found": 14, "kept": 11, "leaks": 0, "near_copies": 0, "repeated": 0, "empty": 2, "absent": 1,
        "identical": 0, "nearly_identical": 0, "beyond_limit": 0,
    }  # fmt: skip
    assert pairs.table.filter(pa.compute.equal(pairs.table["query_id"], "t0"))["document_id"].to_pylist() == [
        "d0",
        "d22",
    ]


def test_the_same_texts_are_one_pair() -> None:
    queries = {f"t{i}": f"question {i}" for i in range(10)} | {"again": "Question 3?"}
    judged = [(name, f"d{i}", 1) for i, name in enumerate(queries)]
    judged[-1] = ("again", "d3", 1)
    pairs = training_pairs(dataset(queries, [*judged, ("again", "d4", 1)], "train"), [])
    assert (pairs.report.kept, pairs.report.repeated) == (11, 1)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_neither_the_pairs_nor_their_digest(random: Any) -> None:
    queries = {f"t{i}": f"question {i % 9}" for i in range(12)}
    judged = [(name, f"d{j}", 1) for i, name in enumerate(queries) for j in (i, i + 1)]
    expected = training_pairs(dataset(queries, judged, "train"), [], limit=9, seed=3)
    turned, items, documents = list(judged), list(queries.items()), list(DOCUMENTS.items())
    for each in (turned, items, documents):
        random.shuffle(each)
    found = training_pairs(dataset(dict(items), turned, "train", dict(documents)), [], limit=9, seed=3)
    assert found.table.equals(expected.table)
    assert found.digest == expected.digest


def test_another_pair_makes_another_digest() -> None:
    assert training_pairs(train_of(plain=20), []).digest != training_pairs(train_of(plain=21), []).digest


@pytest.mark.parametrize("seed", [0, 1])
def test_the_pairs_of_a_smaller_limit_are_among_those_of_a_larger_one(seed: int) -> None:
    train = train_of(plain=40)
    found = [set(queries_of(training_pairs(train, [], limit=limit, seed=seed))) for limit in (8, 16, 30, None)]
    assert [len(each) for each in found] == [8, 16, 30, 40]
    assert found[0] < found[1] < found[2] < found[3]


def test_another_seed_limits_to_other_pairs_and_what_was_left_out_is_told() -> None:
    train = train_of(plain=40)
    one, other = (training_pairs(train, [], limit=10, seed=seed) for seed in (0, 1))
    assert queries_of(one) != queries_of(other)
    assert one.report.notes == ("30 training pairs are not used, because fewer are wanted.",)
    assert training_pairs(train, [], limit=100).report.notes == ("100 pairs are wanted, and there are 40.",)


@pytest.mark.parametrize(
    ("train", "evaluation", "told"),
    [
        (dataset({"t": "one"}, [("t", "d1", 0)], "train"), [], "0 pairs"),
        (train_of(plain=1), [], "1 pair "),
        (train_of(plain=FEWEST_PAIRS - 1), [], f"{FEWEST_PAIRS} are the fewest"),
        (train_of(*(f"same {i}" for i in range(12)), plain=3), [test_of(*(f"same {i}" for i in range(12)))], "3 pairs"),
        (
            dataset({f"t{i}": f"q {i}" for i in range(9)}, [(f"t{i}", "d5", 1) for i in range(9)], "train"),
            [],
            "same positive, d5 'a text about thing 5'",
        ),
        (
            dataset({"t": "one"}, [("t", f"d{i}", 1) for i in range(9)], "train"),
            [],
            "same query, 'one'",
        ),
    ],
    ids=["none", "one", "few", "all leaked", "one positive", "one query"],
)  # fmt: skip
def test_data_from_which_nothing_can_be_learned_is_a_fault_with_its_cure(
    train: Dataset, evaluation: list[Dataset], told: str
) -> None:
    with pytest.raises(InvalidOptions, match=told):
        training_pairs(train, evaluation)


# -- near copies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        # 8 of 9 words in common.
        ("how long does my new card take today", "how long does my old card take today", None),
        ("how long does my own new card take today please", "how long does my own card take today please", (9, 10)),
        ("a b c d", "a b c e", None),  # 3 of 5
        ("a b c d e f g h i", "a b c d e f g h i j", (9, 10)),
        ("a b c", "c b a", None),  # too short to tell
        ("i a b c d e f g h x1 x2 x3 x4", "y1 y2 y3 y4 a b c d e f g h z", (RUN, None)),
        ("i a b c d e f g x1 x2 x3 x4", "y1 y2 y3 y4 a b c d e f g z", None),  # seven in a row
        (f"他的{HAN}", f"我们{HAN}东西南北上下", (LETTERS, None)),
        (f"他的{HAN[:8]}", f"我们{HAN}东西南北上下", None),
    ],
)  # fmt: skip
def test_a_near_copy_shares_a_long_run_of_words_or_nearly_all_of_them(
    one: str, other: str, near: tuple[int, int | None] | None
) -> None:
    found = near_copies([one, "something else entirely unlike it"], ["nothing of the kind at all", other])
    assert found == ({} if near is None else {one: Near(other, *near)})


def test_a_run_that_many_queries_share_is_their_template() -> None:
    template = "represent this sentence for searching relevant passages please"
    others = [f"{template} w{i} x{i} y{i} z{i} v{i}" for i in range(30)]
    assert near_copies([f"{template} other words that nobody else has"], others) == {}


def test_near_copies_are_kept_and_warned_of_with_both_lines() -> None:
    pairs = training_pairs(train_of("please tell me where my card is now"), [test_of("tell me where my card is now")])
    assert "please tell me where my card is now" in queries_of(pairs)
    assert pairs.report.leaks == ()
    [warning] = pairs.report.warnings
    # Seven words of eight.
    assert warning == (
        "1 training query is nearly a query that is evaluated, and kept: train t0 'please tell me where my card is "
        "now', test e0 'tell me where my card is now' (7 of 8 words)."
    )


@settings(max_examples=30)
@given(st.lists(st.lists(st.sampled_from("abcdefghij"), min_size=4, max_size=9), min_size=2, max_size=30))
def test_no_near_copy_by_words_is_missed(texts: list[list[str]]) -> None:
    joined = list(dict.fromkeys(" ".join(words) for words in texts))
    half = len(joined) // 2
    one, other = joined[:half], joined[half:]
    found = near_copies(one, other)
    for text in one:
        words = set(text.split())
        alike = [
            words_of
            for words_of in map(set, map(str.split, other))
            if len(words & words_of) >= 0.8 * len(words | words_of)
        ]
        if len(words) >= 4 and any(len(each) >= 4 for each in alike):
            assert text in found


def test_near_copies_among_thousands_are_found_without_comparing_all() -> None:
    rng = np.random.default_rng(0)

    def asked(count: int) -> list[str]:
        return [" ".join(f"word{i}" for i in row) for row in rng.integers(3_000, size=(count, 10)).tolist()]

    one, other = asked(10_000), asked(3_000)
    planted = [f"{text} indeed" for text in other[:50]]
    found = near_copies([*one, *planted], other)
    assert {text: near.text for text, near in found.items()} == dict(zip(planted, other[:50], strict=True))


@given(st.text(max_size=30), st.text(max_size=30))
def test_near_copies_of_any_texts_name_texts_that_are_there(one: str, other: str) -> None:
    plain, others = plain_query(one), [plain_query(other)]
    for text, near in near_copies([plain], others).items():
        assert text == plain and near.text in others


def test_columns_of_the_queries_go_with_their_pairs() -> None:
    train = train_of()
    topics = pa.array([f"topic {i % 3}" for i in range(train.judged)])
    labelled = replace(train, queries=train.queries.append_column("meta.topic", topics))
    pairs = training_pairs(labelled, [])
    found = with_columns(pairs, labelled, ["meta.topic"])
    expected = [f"topic {int(name[1:]) % 3}" for name in found.table.column("query_id").to_pylist()]
    assert found.table.column("meta.topic").to_pylist() == expected
    assert found.digest != pairs.digest and with_columns(pairs, labelled, []).digest == pairs.digest
    with pytest.raises(InvalidOptions, match=r"no column meta\.tpic\. They have: meta\.topic"):
        with_columns(pairs, labelled, ["meta.tpic"])
