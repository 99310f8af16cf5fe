"""TREC run files: what is written is read, and a malformed line is named."""

from __future__ import annotations

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.experiment.faults import ConfigFaults
from bench.quality.trec import read_run_file, write_run_file
from bench.results.ids import encode_id, known_id
from tests.base.test_reading import FORMS

# Lone surrogates cannot stand in UTF-8; datasets refuse such ids.
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(IDS)
def test_an_encoded_id_holds_no_white_space_and_reads_back_alone(name: str) -> None:
    assert len(encode_id(name).split()) == 1
    assert known_id(encode_id(name), {name}) == name


def test_only_what_would_break_a_line_is_encoded() -> None:
    assert encode_id("käse/50%.md") == "käse/50%.md"
    assert encode_id("a b\tc") == "a%20b%09c"
    assert encode_id("50%20off") == "50%20off"
    assert encode_id("50%20 off") == "50%2520%20off"


def test_an_encoding_that_is_another_id_is_not_used() -> None:
    assert encode_id("50 off", {"50 off", "50%20off"}) == "50%20off%FE"


@given(st.sets(st.text("%02FE \ufeff\x00", min_size=1, max_size=8), min_size=1, max_size=30))
def test_every_id_reads_back_whatever_other_ids_there_are(ids: set[str]) -> None:
    assert [known_id(encode_id(name, ids), ids) for name in ids] == list(ids)


@pytest.mark.parametrize(
    "name", ["https://en.wikipedia.org/wiki/Caf%C3%A9", "50%20off", "a+b%2Bc", "%", "no\u00a0break"]
)
def test_an_id_of_a_foreign_file_is_read_as_it_stands(tmp_path: Path, name: str) -> None:
    (tmp_path / "r.trec").write_text(f"{name} Q0 {name} 1 2.0 x\n", encoding="utf-8")
    hits, absent = read_run_file(tmp_path / "r.trec").hits([name], ["other", name])
    assert (hits.rows.tolist(), absent) == ([[1]], [])


@settings(deadline=None)
@given(
    st.lists(IDS, min_size=1, max_size=4, unique=True),
    st.lists(IDS, min_size=1, max_size=5, unique=True),
    st.data(),
)
def test_a_run_that_was_written_is_read_back(queries: list[str], documents: list[str], data: st.DataObject) -> None:
    k = len(documents)
    rows = np.array([data.draw(st.permutations(range(k))) for _ in queries], dtype=np.int32)
    scores = np.array(
        [
            sorted(data.draw(st.lists(st.floats(-1e6, 1e6, width=32), min_size=k, max_size=k)), reverse=True)
            for _ in queries
        ],
        dtype=np.float32,
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "system.trec"
        write_run_file(path, queries, documents, rows, scores, "a system")
        hits, absent = read_run_file(path).hits(queries, documents)
    assert absent == []
    assert np.array_equal(hits.rows, rows)
    assert np.array_equal(hits.scores, scores)


def test_empty_places_are_not_written(tmp_path: Path) -> None:
    rows = np.array([[1, -1], [-1, -1]], dtype=np.int32)
    scores = np.array([[0.5, -np.inf], [-np.inf, -np.inf]], dtype=np.float32)
    write_run_file(tmp_path / "r.trec", ["q 1", "q2"], ["a", "b"], rows, scores, "x")
    assert (tmp_path / "r.trec").read_text() == "q%201 Q0 b 1 0.5 x\n"


def test_a_query_that_the_file_does_not_hold_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.trec").write_text("q1 Q0 a 1 2.0 x\n\nq1 Q0 b 2 1.0 x\n")
    hits, absent = read_run_file(tmp_path / "r.trec").hits(["q0", "q1"], ["a", "b"])
    assert absent == [0]
    assert hits.rows.tolist() == [[-1, -1], [0, 1]]


def test_ranks_are_ignored_and_scores_decide(tmp_path: Path) -> None:
    (tmp_path / "r.trec").write_text("q1 Q0 a 1 0.1 x\nq1 Q0 b 2 0.9 x\n")
    run = read_run_file(tmp_path / "r.trec")
    assert run.scores.tolist() == [np.float32(0.1), np.float32(0.9)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 d1 1", r"run\.trec:2: expected `query Q0 document rank score tag`, got 'q1 Q0 d1 1'"),
        ("q1 Q0 d1 1 high x", r"run\.trec:2: expected"),
        ("q 1 Q0 d1 1 0.5 x", r"run\.trec:2: expected .*An id cannot hold a blank; write %20"),
        ("q1 Q0 d1 1 1e39 x", r"run\.trec:2: the score 1e39 is not a finite number"),
        ("q1 Q0 d1 1 nan x", r"run\.trec:2: the score nan is not a finite number"),
        ("q1 Q0 d1 1 1_0 x", r"run\.trec:2: expected"),
        ("q1 Q0 d1 1 ١٢ x", r"run\.trec:2: expected"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(f"q1 Q0 d0 1 2.5 x\n{line}\n")
    with pytest.raises(ConfigFaults, match=message):
        read_run_file(path)


@pytest.mark.parametrize("form", FORMS)
def test_a_run_file_reads_the_same_in_every_encoding_and_compression(tmp_path: Path, form: str) -> None:
    text = "q1 Q0 käse 1 2.5 x\nq1 Q0 d0 2 1.5 x\n"
    (tmp_path / "r.trec").write_bytes(FORMS[form](text))
    (tmp_path / "r.trec.gz").write_bytes(gzip.compress(FORMS[form](text)))
    for name in ("r.trec", "r.trec.gz"):
        hits, absent = read_run_file(tmp_path / name).hits(["q1"], ["d0", "käse"])
        assert (hits.rows.tolist(), hits.scores.tolist(), absent) == ([[1, 0]], [[2.5, 1.5]], [])


def test_a_run_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "r.trec"
    path.write_text("q1 Q0 a 1 2.0 x\n")
    assert read_run_file(path).document_ids == ["a"]
    path.write_text("q1 Q0 other 1 2.0 x\n")
    assert read_run_file(path).document_ids == ["other"]


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_text("\n")
    with pytest.raises(ConfigFaults, match="the run is empty"):
        read_run_file(tmp_path / "run.trec")
