"""Pairs that the structure of documents gives: which there are, and which teach nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from adapters.base import InvalidOptions
from bench.data.dataset import Dataset
from bench.experiment.structure import ALL_PAIRS
from bench.train.structure import StructurePairs, halves, structure_pairs
from tests.train.test_pairs import dataset


def documents(*rows: tuple[str, str, str], **columns: Sequence[Any]) -> Dataset:
    """Id, title, text."""
    plain = dataset({}, [], "train", {name: text for name, _, text in rows})
    corpus = plain.corpus.set_column(1, "title", pa.array([title for _, title, _ in rows], pa.string()))
    for name, values in columns.items():
        corpus = corpus.append_column(f"meta.{name}", pa.array(list(values)))
    return replace(plain, corpus=corpus)


def titled(count: int) -> list[tuple[str, str, str]]:
    return [(f"d{i}", f"title number {chr(97 + i)}", f"what thing {chr(97 + i)} is all about") for i in range(count)]


def texts(pairs: StructurePairs) -> list[tuple[str, str]]:
    return list(zip(pairs.table["query"].to_pylist(), pairs.table["positive"].to_pylist(), strict=True))


def test_a_title_goes_with_its_text() -> None:
    found = structure_pairs(documents(*titled(9), ("untitled", "", "a text")), [], pairs_from=["title"])
    assert ("title number a", "what thing a is all about") in texts(found) and found.rows == 9
    assert dict(found.counts) == {"title": 9}
    assert found.table["group"].to_pylist() == [f"d{i}" for i in range(9)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "One two three four five. Six seven eight nine ten.",
            ("One two three four five.", "Six seven eight nine ten."),
        ),
        # A paragraph ends nearer to the middle than a third: it is taken before the sentence in the very middle.
        ("a b c d e f. g h i j k l.\n\nm n o p q. r s.", ("a b c d e f. g h i j k l.", "m n o p q. r s.")),
        ("No end of a sentence stands in all of this text", None),
        ("Short. The other part is long enough for a half.", None),
        (
            "猫是一种喜欢打呼噜的动物，它们每天睡很多个小时。狗是一种忠诚的动物，它们喜欢和主人一起散步。",
            ("猫是一种喜欢打呼噜的动物，它们每天睡很多个小时。", "狗是一种忠诚的动物，它们喜欢和主人一起散步。"),
        ),
        ("", None),
    ],
)
def test_a_text_is_halved_where_a_paragraph_or_a_sentence_ends(text: str, expected: tuple[str, str] | None) -> None:
    assert halves(text) == expected


def passages(ids: Sequence[str]) -> list[tuple[str, str, str]]:
    return [(name, "", f"passage {chr(97 + i % 26)}{chr(97 + i // 26)} says") for i, name in enumerate(ids)]


def test_passages_of_one_document_follow_by_the_numbers_of_their_ids() -> None:
    ids = [f"d{i}#{n}" for i in range(4) for n in (2, 0, 1, 10, 4)]
    found = structure_pairs(documents(*passages(ids)), [], pairs_from=["neighbours"])
    queries = found.table["query_id"].to_pylist()
    # 0 to 1 and 1 to 2; 2 to 4 and 4 to 10 leave a gap.
    assert sorted(queries) == sorted(f"d{i}#{n}/next" for i in range(4) for n in (0, 1))
    assert set(found.table["group"].to_pylist()) == {f"ids=d{i}" for i in range(4)}
    assert any("20 documents of the collection are passages of 4 documents, by their ids" in n for n in found.notes)


@pytest.mark.parametrize(
    "ids",
    [
        [f"p{i:04}" for i in range(20)],  # serial numbers
        [f"doc-{i}" for i in range(20)],
        [f"{split}-{i}" for split in ("train", "dev", "test") for i in range(60)],
        [str(i) for i in range(20)],
    ],
)
def test_serial_numbers_of_documents_are_no_numbers_of_passages(ids: list[str]) -> None:
    with pytest.raises(InvalidOptions, match="passages_of") as refused:
        structure_pairs(documents(*passages(ids)), [], pairs_from=["neighbours"])
    assert refused.value.key == "pairs_from"


def test_passages_with_a_column_in_common_follow_in_the_order_of_the_collection() -> None:
    given = documents(*passages([f"p{i}" for i in range(24)]), page=[f"page {i // 3}" for i in range(24)])
    found = structure_pairs(given, [], pairs_from=["neighbours"], passages_of="meta.page")
    assert found.rows == 16  # 8 pages of 3 passages
    with pytest.raises(InvalidOptions, match=r"no column meta\.pge\. They have: meta\.page") as refused:
        structure_pairs(given, [], pairs_from=["neighbours"], passages_of="meta.pge")
    assert refused.value.key == "passages_of"


def test_pairs_that_teach_nothing_are_left_out_and_counted() -> None:
    rows = titled(9)
    rows += [("same", "The  Same Text", "the same text")]  # equal but for its spelling
    rows += [("near", "one two three four five six", "one two three four five six seven")]  # 6 of 7 words: .86
    rows += [("again", rows[0][1], rows[0][2])]
    report = structure_pairs(documents(*rows), [], pairs_from=["title"]).report
    assert (report.found, report.kept, report.identical, report.nearly_identical, report.repeated) == (12, 9, 1, 1, 1)
    assert [note for note in report.notes if "nearly all words" in note and "1 training pair is" in note]


def test_a_pair_with_an_evaluated_query_in_either_place_is_dropped_or_refused() -> None:
    test = dataset({"e1": "Title number A?", "e2": "what thing b is all about"}, [("e1", "d0", 1)], "test", {"d0": "x"})
    found = structure_pairs(documents(*titled(12)), [test], pairs_from=["title"])
    assert found.rows == 10
    assert [(leak.training_id, leak.evaluation_id) for leak in found.report.leaks] == [("d0", "e1"), ("d1", "e2")]
    with pytest.raises(InvalidOptions) as refused:
        structure_pairs(documents(*titled(12)), [test], pairs_from=["title"], leaks="refuse")
    assert refused.value.key == "leaks"


def test_the_order_of_the_documents_changes_nothing_and_a_limit_takes_the_first_by_a_hash() -> None:
    one, other = documents(*titled(20)), documents(*reversed(titled(20)))
    whole = structure_pairs(one, [], pairs_from=ALL_PAIRS)
    assert structure_pairs(other, [], pairs_from=ALL_PAIRS).digest == whole.digest
    few, more = (structure_pairs(one, [], pairs_from=ALL_PAIRS, limit=n) for n in (8, 12))
    assert set(texts(few)) < set(texts(more)) < set(texts(whole)) and few.rows == 8
    assert few.report.beyond_limit == 12


def test_kinds_that_find_nothing_say_so_and_too_few_pairs_name_the_cure() -> None:
    notes = structure_pairs(documents(*titled(9)), [], pairs_from=ALL_PAIRS).notes
    assert "9 from title" in notes[0] and "none from neighbours" in notes[0] and "none from halves" in notes[0]
    with pytest.raises(InvalidOptions, match="no document has a title.*contrastive_tension"):  # noqa: RUF043
        structure_pairs(documents(*passages(["a", "b"])), [], pairs_from=["title"])


def test_texts_of_one_document_are_no_negatives_of_each_other() -> None:
    long = "One two three four five. Six seven eight nine ten."
    rows = [(f"d{i}", f"title {chr(97 + i)}", long.replace("three", f"thing{chr(97 + i)}")) for i in range(8)]
    found = structure_pairs(documents(*rows), [], pairs_from=["title", "halves"])
    coded = found.collection.qrels_coded()
    ids = list(found.collection.document_ids)
    related = {
        (found.table["query_id"][int(q)].as_py(), ids[int(d)])
        for q, d in zip(coded.query_rows, coded.document_rows, strict=True)
    }
    # The second halves are all equal: one document, which every group has.
    assert ("d0/title", "d0/title") in related and len(ids) == 9
    assert all(sum(name == query for name, _ in related) == 2 for query in found.table["query_id"].to_pylist())
