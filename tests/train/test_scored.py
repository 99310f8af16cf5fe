"""Pairs with a similarity: read with file and line, on one scale, without those that are evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.base import DatasetInvalid, InvalidOptions
from bench.experiment.scored import ScoredData
from bench.train.deciding import split_of
from bench.train.scored import ScoredPairs, read_scored

Row = tuple[Any, Any, Any]
TRAIN: list[Row] = [(f"a man number {i} walks", f"somebody walks {i} times", i % 6) for i in range(30)]


def tsv(path: Path, rows: list[Row], heading: str = "sentence1\tsentence2\tscore") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([heading, *("\t".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def read(path: Path, **how: Any) -> ScoredPairs:
    data = ScoredData(path=str(path), **{name: how.pop(name) for name in ("lowest", "highest") if name in how})
    return read_scored(path, data, **how)


def fault(path: Path, **how: Any) -> str:
    with pytest.raises((DatasetInvalid, InvalidOptions)) as raised:
        read(path, **how)
    return str(raised.value)


def folder(path: Path, **splits: list[Row]) -> Path:
    for name, rows in splits.items():
        tsv(path / f"{name}.tsv", rows)
    return path


DEV: list[Row] = [("a dev pair", "of texts", 1), ("another dev pair", "of texts", 4)]
TEST: list[Row] = [("a test pair", "of texts", 0), ("another test pair", "of texts", 5)]


def test_the_files_of_a_folder_are_splits_by_their_names(tmp_path: Path) -> None:
    found = read(folder(tmp_path / "sts", train=TRAIN, dev=DEV, test=TEST))
    assert found.name == "sts"
    assert found.test is not None
    assert (found.train.num_rows, found.dev.num_rows, found.test.num_rows) == (30, 2, 2)
    assert found.train.schema == pa.schema([("first", pa.string()), ("second", pa.string()), ("score", pa.float32())])
    # 1 of 5 and 4 of 5, in the order of their texts.
    assert found.dev.to_pydict() == {
        "first": ["a dev pair", "another dev pair"],
        "second": ["of texts", "of texts"],
        "score": [np.float32(0.2), np.float32(0.8)],
    }
    assert found.notes == ("Scores were read on the scale from 0 to 5; the largest is 5.",)


@pytest.mark.parametrize(
    ("train", "dev", "test"),
    [
        ("stsb-en-train.csv", "stsb-en-dev.csv", "stsb-en-test.csv"),
        ("train.jsonl", "validation.jsonl", "test.jsonl"),
        ("sts.train.parquet", "sts.valid.parquet", "sts.test.parquet"),
        ("Training.tsv", "val.tsv", "TEST.tsv"),
    ],
)
def test_every_form_and_usual_name_gives_the_same_pairs(tmp_path: Path, train: str, dev: str, test: str) -> None:
    for name, rows in ((train, TRAIN), (dev, DEV), (test, TEST)):
        file = tmp_path / name
        records = [{"sentence1": a, "sentence2": b, "score": c} for a, b, c in rows]
        if file.suffix == ".jsonl":
            file.write_text("".join(json.dumps(record) + "\n" for record in records))
        elif file.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(records), file)
        else:
            mark = "," if file.suffix == ".csv" else "\t"
            lines = [mark.join(("sentence1", "sentence2", "score")), *(mark.join(map(str, row)) for row in rows)]
            file.write_text("\n".join(lines))
    expected = read(folder(tmp_path / "plain", train=TRAIN, dev=DEV, test=TEST))
    found = read(tmp_path)
    assert found.digest == expected.digest
    assert found.test is not None and found.test.equals(expected.test)


@pytest.mark.parametrize(
    ("scores", "scale", "expected"),
    [
        # The largest score says which of the usual scales it is; (score - lowest) / (highest - lowest).
        ([0.0, 0.5, 1.0], {}, [0.0, 0.5, 1.0]),
        ([0.0, 2.5, 5.0], {}, [0.0, 0.5, 1.0]),
        ([0.0, 2.0, 4.8], {}, [0.0, 0.4, 0.96]),
        ([0.0, 50.0, 90.0], {}, [0.0, 0.5, 0.9]),
        ([0.0, 1.0, 1.0], {"highest": 4}, [0.0, 0.25, 0.25]),
        ([1.0, 2.0, 5.0], {"lowest": 1}, [0.0, 0.25, 1.0]),
        ([-1.0, 0.0, 1.0], {"lowest": -1, "highest": 1}, [0.0, 0.5, 1.0]),
    ],
)
def test_scores_come_to_a_scale_from_0_to_1(
    tmp_path: Path, scores: list[float], scale: dict[str, float], expected: list[float]
) -> None:
    rows = [(f"text {i:02}", "other", scores[i % 3]) for i in range(12)]
    found = read(folder(tmp_path, train=rows, dev=[("d", "e", scores[0])]), **scale)
    assert np.allclose(found.train.column("score").to_numpy(), [expected[i % 3] for i in range(12)])
    assert bool(found.notes) is ("highest" not in scale)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("one", "two", "much"), "\"score\" must be a number, got the string 'much'"),
        (("one", "two", "nan"), '"score" must be a number'),
        (("one", "two", ""), '"score" must be a number'),
        (("one", "two", "inf"), '"score" must be a number'),
        (("one", "two", "-0.5"), "the score -0.5 lies outside the scale from 0 to 5"),
        (("one", "two", "101"), "the score 101 lies outside the scale from 0 to 100"),
        (("", "two", "1"), '"sentence1" is empty'),
        (("one", "  ", "1"), '"sentence2" is empty'),
        (("one", "two", "1\textra"), "has 4 cells"),
    ],
)
def test_a_row_that_cannot_be_learned_from_is_named_with_file_and_line(tmp_path: Path, row: Row, told: str) -> None:
    path = tsv(tmp_path / "train.tsv", [*TRAIN, row])
    # The heading is line 1, 30 rows follow.
    assert f"{path}:32: {told}" in fault(path)


def test_a_score_outside_a_scale_that_was_given_is_named(tmp_path: Path) -> None:
    path = tsv(tmp_path / "train.tsv", TRAIN)
    assert f"{path}:5: the score 3 lies outside the scale from 0 to 2" in fault(path, highest=2)


def test_a_file_without_the_columns_says_what_it_has(tmp_path: Path) -> None:
    path = tsv(tmp_path / "train.tsv", TRAIN, heading="a\tsentence2\tscore")
    assert 'has no column "sentence1". It has: a, sentence2, score' in fault(path)


def test_a_place_without_pairs_says_what_it_lacks(tmp_path: Path) -> None:
    assert "there is no such file or folder" in fault(tmp_path / "nowhere")
    assert "has no file of the split train, such as train.tsv. It holds dev.tsv." in fault(folder(tmp_path, dev=DEV))
    folder(tmp_path, train=TRAIN)
    (tmp_path / "train.csv").write_text("")
    assert "several files of the split train: train.csv, train.tsv. Keep one." in fault(tmp_path)


def test_a_training_pair_that_is_evaluated_is_dropped_whichever_text_comes_first(tmp_path: Path) -> None:
    leaked: list[Row] = [("of texts", "A test pair!", 3), ("A dev  pair", "of texts", 2)]
    path = folder(tmp_path, train=[*TRAIN, *leaked], dev=DEV, test=TEST)
    found = read(path)
    assert found.train.num_rows == 30
    assert sorted((leak.split, leak.training_id) for leak in found.report.leaks) == [
        ("dev", "train.tsv:33"),
        ("test", "train.tsv:32"),
    ]
    told = fault(path, leaks="refuse")
    assert "2 training pairs" in told and "of texts / A test pair!" in told and "test.tsv:2" in told


def test_a_dev_pair_that_is_tested_decides_nothing(tmp_path: Path) -> None:
    found = read(folder(tmp_path, train=TRAIN, dev=[*DEV, TEST[0]], test=TEST))
    assert found.dev.num_rows == 2
    assert "1 pair of dev is in test too, left out." in found.notes


def test_without_a_dev_file_dev_is_cut_by_a_hash_of_the_pair(tmp_path: Path) -> None:
    path = tsv(tmp_path / "pairs.tsv", TRAIN)
    found = read(path)
    # A third of 30.
    assert (found.train.num_rows, found.dev.num_rows, found.test) == (20, 10, None)
    again = read(tsv(tmp_path / "turned.tsv", TRAIN[::-1]))
    assert (again.digest, again.name) == (found.digest, "turned.tsv")


def test_a_limit_takes_the_first_pairs_by_a_hash(tmp_path: Path) -> None:
    path = folder(tmp_path, train=TRAIN, dev=DEV)
    small, large = (set(read(path, limit=limit).train.column("first").to_pylist()) for limit in (8, 20))
    assert (len(small), len(large)) == (8, 20)
    assert small < large
    assert read(path, limit=8).report.beyond_limit == 22


def test_repeated_rows_count_once_and_other_scores_of_the_same_texts_stay(tmp_path: Path) -> None:
    found = read(folder(tmp_path, train=[*TRAIN, TRAIN[3], (*TRAIN[4][:2], 1)], dev=DEV))
    assert (found.train.num_rows, found.report.repeated) == (31, 1)


@pytest.mark.parametrize(
    ("rows", "told"),
    [(TRAIN[:5], "gives 5 pairs to learn from"), ([(f"a {i}", "b", 3) for i in range(9)], "all 9 pairs the score 3")],
)
def test_pairs_from_which_nothing_can_be_learned_are_a_fault(tmp_path: Path, rows: list[Row], told: str) -> None:
    assert told in fault(folder(tmp_path, train=rows, dev=DEV))


@pytest.mark.parametrize("name", ["stsb_en", "korsts"])
def test_the_collections_at_hand_are_read(collections: Path, name: str) -> None:
    found = read(collections / name)
    assert found.test is not None
    assert found.train.num_rows > 5_600 and found.dev.num_rows > 1_450 and found.test.num_rows == 1_379
    scores = found.train.column("score").to_numpy()
    assert (scores.min(), scores.max()) == (0, 1)


def test_a_measure_of_held_out_data_is_of_the_split_in_its_name() -> None:
    assert [split_of(name) for name in ("Spearman on test", "Pearson on dev", "nDCG@10")] == ["test", "dev", "dev"]
