"""Hard negatives: what every strategy keeps, and where each looks."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import InvalidOptions
from bench.data.dataset import Dataset
from bench.data.normal import normalised
from bench.experiment.negatives import Negatives
from bench.train.mining.mined import Mined, relevant_elsewhere
from tests.train.mining import dataset, ids, mined, own_vectors, pairs_of

STRATEGIES = ["random", "bm25", "top", "hybrid", "cluster"]
# Few words in few spellings, so that texts repeat, and that some differ in nothing but their spelling.
TEXT = st.lists(st.sampled_from(["sort", "Sort", "array", "list", "file", " "]), max_size=3).map(" ".join)


@st.composite
def collections(draw: st.DrawFn) -> Dataset:
    documents = draw(st.lists(TEXT, min_size=1, max_size=14))
    queries = draw(st.lists(TEXT, min_size=1, max_size=5))
    everyone = st.tuples(st.integers(0, len(queries) - 1), st.integers(0, len(documents) - 1))
    relevant = draw(st.lists(everyone, min_size=1, max_size=8, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = tuple(rng.integers(-1, 2, (len(texts), 3)).tolist() for texts in (documents, queries))
    return dataset(documents, queries, relevant, vectors=vectors)  # type: ignore[arg-type]


OPTIONS = st.fixed_dictionaries(
    {"strategy": st.sampled_from(STRATEGIES), "per_query": st.integers(1, 4)},
)


def barred(data: Dataset, query: str) -> tuple[set[str], set[str]]:
    """Ids and texts that no negative of a query may have."""
    assert data.qrels is not None
    equal = {name for name, text in zip(data.query_ids, data.query_texts, strict=True) if same(text, query)}
    found = {r["document_id"] for r in data.qrels.to_pylist() if r["query_id"] in equal}
    texts = {normalised(t) for name, t in zip(data.document_ids, data.document_texts, strict=True) if name in found}
    return found, texts | {normalised(query), ""}


def same(one: str, other: str) -> bool:
    return normalised(one) == normalised(other)


@given(collections(), OPTIONS, st.sampled_from(["drop", "random"]))
@settings(max_examples=40)
def test_no_negative_is_a_positive_by_id_or_by_text_or_the_query_itself_and_none_is_there_twice(
    data: Dataset, options: dict[str, Any], lacking: str
) -> None:
    if options["strategy"] != "random":
        options = {**options, "lacking": lacking}
    with TemporaryDirectory() as folder:
        found = mined(data, Path(folder), **options)
    text_of = dict(zip(data.document_ids, data.document_texts, strict=True))
    for row in found.table.to_pylist():
        bad_ids, bad_texts = barred(data, row["query"])
        texts = [normalised(text) for text in row["negatives"]]
        assert not set(row["negative_ids"]) & bad_ids
        assert not set(texts) & bad_texts
        assert len(set(texts)) == len(texts) <= options["per_query"]
        assert row["negatives"] == [text_of[name] for name in row["negative_ids"]]
        assert len(row["negative_scores"]) == len(texts)
    assert found.report.found == pc.sum(pc.list_value_length(found.table.column("negatives"))).as_py()
    assert found.report.wanted == options["per_query"] * found.table.num_rows


@given(collections(), OPTIONS, st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_order_of_the_pairs_changes_no_negative_and_the_same_seed_finds_the_same(
    data: Dataset, options: dict[str, Any], random: Any
) -> None:
    pairs = pairs_of(data)
    order = list(range(pairs.num_rows))
    random.shuffle(order)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        first = mined(data, Path(one), pairs=pairs, **options)
        second = mined(data, Path(other), pairs=pairs.take(order), **options)
    assert first.table.take(order).equals(second.table)
    assert first.key == second.key


@given(collections(), OPTIONS)
@settings(max_examples=20)
def test_random_negatives_leave_out_nothing_that_could_be_one(data: Dataset, options: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        found = mined(data, Path(folder), strategy="random", per_query=options["per_query"])
    for row in found.table.to_pylist():
        possible = {normalised(text) for text in data.document_texts} - barred(data, row["query"])[1]
        assert len(row["negatives"]) == min(options["per_query"], len(possible))


@given(collections(), st.sampled_from(["top", "hybrid"]), st.integers(1, 15))
@settings(max_examples=20)
def test_how_many_documents_are_in_memory_at_once_changes_no_negative(data: Dataset, strategy: str, chunk: int) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        whole = mined(data, Path(one), strategy=strategy)
        parts = mined(data, Path(other), strategy=strategy, chunk=chunk)
    assert whole.table.equals(parts.table)
    assert whole.key == parts.key


# Documents on a quarter circle, at 0°, 10°, … 90°; the query looks along 0°, and d0 is what it looks for.
ANGLES = np.radians(np.arange(0, 91, 10))
CIRCLE = dataset(
    [f"document number {i}" for i in range(10)],
    ["a query"],
    [(0, 0)],
    vectors=(np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).tolist(), [[1.0, 0.0]]),
    meta={"meta.page": ["p", "p", "p", "q", None, "r", "r", "s", "s", "s"]},
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["d1", "d2", "d3"]),
        ({"range_min": 3}, ["d3", "d4", "d5"]),
        ({"range_min": 8, "range_max": 10}, ["d8", "d9"]),
        ({"max_score": 0.9}, ["d3", "d4", "d5"]),  # cos 20° = .940, cos 30° = .866
        ({"min_score": 0.9}, ["d1", "d2"]),
        ({"absolute_margin": 0.2}, ["d4", "d5", "d6"]),  # 1 - cos 30° = .134, 1 - cos 40° = .234
        ({"relative_margin": 0.05}, ["d2", "d3", "d4"]),  # cos 10° = .985 is above .95, cos 20° = .940 is not
        ({"not_same": "meta.page"}, ["d3", "d4", "d5"]),
        ({"max_score": 0.1}, ["d9"]),  # cos 80° = .174, cos 90° = 0
    ],
)
def test_the_nearest_are_taken_from_the_places_and_scores_that_the_options_name(
    options: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    found = mined(CIRCLE, tmp_path, strategy="top", **options)
    assert ids(found) == [expected]
    angles = [10 * int(name[1:]) for name in expected]
    assert found.table.column("negative_scores").to_pylist()[0] == pytest.approx(np.cos(np.radians(angles)), abs=1e-6)


def test_places_are_counted_without_positives(tmp_path: Path) -> None:
    data = dataset(
        ["one", "two", "three", "four"], ["query"], [(0, 0), (0, 1)], vectors=([[4], [3], [2], [1]], [[1.0]])
    )
    by_dot = own_vectors(data, similarity="dot")
    assert (
        ids(mined(data, tmp_path, encoder=by_dot, strategy="top", per_query=1, range_min=2, range_max=2))
        == [["d3"]] * 2
    )


def test_random_sampling_stays_within_the_places_and_follows_the_seed(tmp_path: Path) -> None:
    drawn = [
        tuple(ids(mined(CIRCLE, tmp_path, seed=s, strategy="top", range_min=2, range_max=6, sampling="random"))[0])
        for s in range(12)
    ]
    assert {name for names in drawn for name in names} == {"d2", "d3", "d4", "d5", "d6"}
    assert len(set(drawn)) > 1
    again = mined(CIRCLE, tmp_path / "other", seed=3, strategy="top", range_min=2, range_max=6, sampling="random")
    assert tuple(ids(again)[0]) == drawn[3]


def test_fewer_than_wanted_are_told_by_the_rule_that_left_them_out(tmp_path: Path) -> None:
    found = mined(CIRCLE, tmp_path, strategy="top", per_query=5, max_score=0.4)
    # 66.4° is the angle of .4: d7, d8 and d9 are beyond it, and of the ten documents one is the positive.
    assert ids(found) == [["d7", "d8", "d9"]]
    assert (found.report.wanted, found.report.found, found.report.short) == (5, 3, 1)
    assert found.report.dropped == {"positive": 1, "max_score": 6}
    assert [example.document_id for example in found.report.examples["max_score"]] == ["d1", "d2", "d3"]
    assert found.report.lines()[0].endswith("3 of 5 negatives found.")
    assert found.complete.num_rows == 0


def test_what_is_lacking_is_drawn_at_random_where_that_is_asked_for_and_told(tmp_path: Path) -> None:
    found = mined(CIRCLE, tmp_path, strategy="top", per_query=5, max_score=0.4, lacking="random", not_same="meta.page")
    first, *_ = ids(found)
    assert first[:3] == ["d7", "d8", "d9"]
    assert set(first[3:]) <= {"d3", "d4", "d5", "d6"}  # d0, d1 and d2 are of the positive's page
    assert (found.report.found, found.report.filled, found.report.short) == (5, 2, 0)
    assert found.table.column("negative_scores").to_pylist()[0][3:] == [None, None]


def test_negatives_of_a_cluster_are_of_the_positives_cluster(tmp_path: Path) -> None:
    # Two heaps far apart: documents 0 to 9 look along one axis, 10 to 19 along the other.
    rng = np.random.default_rng(0)
    heaps = np.repeat([[10.0, 0.0], [0.0, 10.0]], 10, axis=0) + rng.normal(size=(20, 2))
    data = dataset(
        [f"text {i}" for i in range(20)], ["a", "b"], [(0, 3), (1, 13)], vectors=(heaps.tolist(), [[0, 1], [1, 0]])
    )
    found = ids(mined(data, tmp_path, strategy="cluster", clusters=2, per_query=4))
    assert all(int(name[1:]) < 10 for name in found[0])
    assert all(int(name[1:]) >= 10 for name in found[1])
    assert {len(names) for names in found} == {4}


def test_a_hybrid_ranking_holds_what_terms_find_and_what_vectors_find(tmp_path: Path) -> None:
    texts = ["positive text", "zebra zebra", "nothing alike", "far away", "farther still"]
    vectors = [[1, 0], [-1, 0.2], [1, 0.1], [0, 1], [-0.5, 1]]
    data = dataset(texts, ["zebra"], [(0, 0)], vectors=(vectors, [[1, 0]]))
    # BM25: d1 alone. By vectors: d0, d2, d3, d4, d1. Sums of reciprocal ranks: d1 1/61 + 1/65, d2 1/62, d3 1/63.
    found = mined(data, tmp_path, strategy="hybrid")
    assert ids(found) == [["d1", "d2", "d3"]]
    scores = found.table.column("negative_scores").to_pylist()[0]
    assert scores[0] == pytest.approx(-1 / np.hypot(1, 0.2), abs=1e-6)  # the mining model's, though BM25 found it
    assert ids(mined(data, tmp_path, strategy="bm25")) == [["d1"]]


def test_a_query_with_more_positives_than_places_still_finds_its_negatives(tmp_path: Path) -> None:
    count = 300
    vectors = [[1.0, i / count] for i in range(count + 5)]
    data = dataset(
        [f"text {i}" for i in range(count + 5)], ["query"], [(0, i) for i in range(count)], vectors=(vectors, [[1, 0]])
    )
    found = mined(data, tmp_path, strategy="top", per_query=2, range_max=2)
    assert set(map(tuple, ids(found))) == {(f"d{count}", f"d{count + 1}")}


def test_the_filter_throws_out_what_it_scores_above_the_positive_and_the_next_take_the_places(tmp_path: Path) -> None:
    from adapters import registry

    texts = ["sort an array", "sort sort array", "an array of files", "a list", "a tree"]
    vectors = [[1, i / 10] for i in range(5)]
    data = dataset(texts, ["sort array"], [(0, 0)], vectors=(vectors, [[1, 0]]))
    kind = registry.load("rerankers", "bm25")
    found = mined(data, tmp_path, judge=kind(kind.Options()), strategy="top", per_query=2, filter="judge")
    # d1 says sort twice and scores above the positive; d2 has one of the two words, d3 and d4 none.
    assert ids(found) == [["d2", "d3"]]
    assert found.report.dropped["filter"] == 1
    assert found.report.examples["filter"][0].document_id == "d1"
    bound = mined(
        data, tmp_path, judge=kind(kind.Options()), strategy="top", per_query=3, filter="judge", filter_max_score=0.0
    )
    assert ids(bound) == [["d3", "d4"]]


def test_what_was_mined_is_kept_and_what_was_changed_there_is_mined_again(tmp_path: Path) -> None:
    first = mined(CIRCLE, tmp_path, strategy="top")
    path = tmp_path / "negatives" / f"{first.key}.parquet"
    assert not first.report.reused
    second = mined(CIRCLE, tmp_path, strategy="top")
    assert second.report.reused
    assert second.table.equals(first.table)
    for name, data in ((path, path.read_bytes()), (path.with_suffix(".json"), b"{}")):
        damaged = bytearray(data)
        damaged[len(data) // 2] ^= 1
        name.write_bytes(damaged)
        events: list[Any] = []
        third = mined(CIRCLE, tmp_path, events=events, strategy="top")
        assert any("damaged" in getattr(event, "message", "") for event in events)
        assert not third.report.reused
        assert third.table.equals(first.table)


@pytest.mark.parametrize(
    "change",
    [{"per_query": 2}, {"range_min": 2}, {"sampling": "random"}, {"strategy": "cluster"}, {"not_same": "meta.page"}],
)
def test_what_decides_the_negatives_decides_their_key(change: dict[str, Any], tmp_path: Path) -> None:
    keys = {mined(CIRCLE, tmp_path, **{"strategy": "top", **each}).key for each in ({}, change)}
    assert len(keys) == 2


def test_options_of_one_strategy_change_no_key_of_another() -> None:
    """What was mined before writers and systems could be named is found again."""
    kept = {
        "strategy", "per_query", "range_min", "range_max", "min_score", "max_score", "absolute_margin",
        "relative_margin", "sampling", "clusters", "not_same", "filter_max_score", "lacking",
    }  # fmt: skip
    assert Negatives().deciding().keys() == kept
    asked = Negatives(strategy="adversarial", by="w", prompt="not {query}: {passage}")
    assert asked.deciding().keys() == {*kept, "prompt"}


def test_negatives_that_are_relevant_to_a_query_of_another_split_are_counted_and_stay(tmp_path: Path) -> None:
    found = mined(CIRCLE, tmp_path, strategy="top")
    test = dataset([f"document number {i}" for i in range(10)], ["x", "y"], [(0, 1), (1, 3), (1, 9)])
    assert ids(found) == [["d1", "d2", "d3"]]
    assert relevant_elsewhere(found, test) == 2  # d1 and d3


def test_queries_that_differ_in_spelling_alone_share_their_positives(tmp_path: Path) -> None:
    data = dataset(
        ["one", "two", "three", "sort it"], ["Sort it?", "sort  it"], [(0, 0), (1, 1)],
        vectors=([[4], [3], [2], [1]], [[1], [1]]),
    )  # fmt: skip
    assert ids(mined(data, tmp_path, strategy="top")) == [["d2"], ["d2"]]  # and d3 says what both ask


def test_little_memory_means_smaller_chunks_and_the_same_negatives(tmp_path: Path) -> None:
    # 64 bytes are two documents' worth: four copies of two float32 numbers each.
    small = mined(CIRCLE, tmp_path / "small", strategy="cluster", clusters=2, memory_gb=64e-9)
    assert small.table.equals(mined(CIRCLE, tmp_path / "large", strategy="cluster", clusters=2).table)


def test_an_unknown_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions, match=r"no column meta\.pagf.*meta\.page"):
        mined(CIRCLE, tmp_path, strategy="top", not_same="meta.pagf")


def test_titles_are_a_column_that_negatives_may_not_share(tmp_path: Path) -> None:
    data = dataset(["a", "b", "c", "d"], ["q"], [(0, 0)], vectors=([[4], [3], [2], [1]], [[1]]))
    titled = data.corpus.set_column(1, "title", pa.array(["x", "x", "", "y"]))
    from dataclasses import replace

    titled_data = replace(data, corpus=titled, fingerprint="titled")
    found: Mined = mined(titled_data, tmp_path, strategy="top", not_same="meta.title")
    assert sorted(ids(found)[0]) == ["d2", "d3"]
