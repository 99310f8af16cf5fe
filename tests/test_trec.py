"""TREC run files: what is written is read, and a malformed line is named."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.config import ConfigFaults
from bench.trec import decode_id, encode_id, read_run, write_run

# Lone surrogates cannot stand in UTF-8; datasets refuse such ids.
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(IDS)
def test_an_id_survives_its_encoding_and_holds_no_white_space(name: str) -> None:
    assert decode_id(encode_id(name)) == name
    assert len(encode_id(name).split()) == 1


def test_only_what_would_break_a_line_is_encoded() -> None:
    assert encode_id("käse/50%.md") == "käse/50%.md"
    assert encode_id("a b\tc") == "a%20b%09c"
    assert encode_id("50%20") == "50%2520"


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
        write_run(path, queries, documents, rows, scores, "a system")
        hits, absent = read_run(path).hits(queries, documents, k)
    assert absent == []
    assert np.array_equal(hits.rows, rows)
    assert np.array_equal(hits.scores, scores)


def test_empty_places_are_not_written(tmp_path: Path) -> None:
    rows = np.array([[1, -1], [-1, -1]], dtype=np.int32)
    scores = np.array([[0.5, -np.inf], [-np.inf, -np.inf]], dtype=np.float32)
    write_run(tmp_path / "r.trec", ["q 1", "q2"], ["a", "b"], rows, scores, "x")
    assert (tmp_path / "r.trec").read_text() == "q%201 Q0 b 1 0.5 x\n"


def test_a_query_that_the_file_does_not_hold_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.trec").write_text("q1 Q0 a 1 2.0 x\n\nq1 Q0 b 2 1.0 x\n")
    hits, absent = read_run(tmp_path / "r.trec").hits(["q0", "q1"], ["a", "b"], 2)
    assert absent == [0]
    assert hits.rows.tolist() == [[-1, -1], [0, 1]]


def test_ranks_are_ignored_and_scores_decide(tmp_path: Path) -> None:
    (tmp_path / "r.trec").write_text("q1 Q0 a 1 0.1 x\nq1 Q0 b 2 0.9 x\n")
    run = read_run(tmp_path / "r.trec")
    assert run.scores.tolist() == [np.float32(0.1), np.float32(0.9)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q1 Q0 d1 1", r"run\.trec:2: expected `query Q0 document rank score tag`, got 'q1 Q0 d1 1'"),
        ("q1 Q0 d1 1 high x", r"run\.trec:2: expected"),
        ("q1 Q0 d1 1 nan x", r"run\.trec:2: the score nan is not a finite number"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(f"q1 Q0 d0 1 2.5 x\n{line}\n")
    with pytest.raises(ConfigFaults, match=message):
        read_run(path)


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_text("\n")
    with pytest.raises(ConfigFaults, match="the run is empty"):
        read_run(tmp_path / "run.trec")
