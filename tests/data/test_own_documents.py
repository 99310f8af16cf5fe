"""A query's own document: left out of every ranking and of exact search where a collection's queries are documents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.base import Hits
from bench.data.own_documents import left_out, own_documents
from bench.quality.trec import read_run_file
from bench.report.table import render
from tests import small

QUERIES = 10
WORDS = {"words": {"adapter": "words"}}
RERANKERS = {"vectors": {"adapter": "bi_encoder", "encoder": "words"}}
STORES: dict[str, Any] = {
    "bm25": {"adapter": "bm25"},
    "faiss": {"adapter": "faiss"},
    "lance": {"adapter": "lancedb"},
}
RUN = {"name": "today", "run": "today.trec"}
SYSTEMS: list[dict[str, Any]] = [
    {"name": "dense", "encoder": "words"},
    {"name": "faiss", "encoder": "words", "store": "faiss"},
    {"name": "lance", "encoder": "words", "store": "lance"},
    {"name": "bm25", "store": "bm25"},
    RUN,
    {"name": "fused", "fuse": ["dense", "bm25", "today"], "depth": 1},
    {"name": "reranked", "encoder": "words", "reranker": "vectors", "depth": 1},
    {"name": "weighted", "fuse": ["reranked", "bm25"], "by": "weighted", "depth": 1},
]


pytestmark = pytest.mark.usefixtures("third_party")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten arguments d0 … d9 that are queries too, and the answer to each, d10 … d19, the one relevant document: it has
    five of the argument's six words. today.trec ranks the argument first, then its answer."""
    subjects = small.SUBJECTS
    words = [[subjects[i], subjects[i + 10], f"one{i}", f"two{i}", f"three{i}", f"four{i}"] for i in range(QUERIES)]
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    arguments = [{"_id": f"d{i}", "title": w[0], "text": " ".join(w[1:]), "lang": "en"} for i, w in enumerate(words)]
    answers = [{"_id": f"d{i + 10}", "text": " ".join([*w[1:], "not"]), "lang": "en"} for i, w in enumerate(words)]
    small.write_jsonl(data / "corpus.jsonl", [*arguments, *answers])
    small.write_jsonl(data / "queries.jsonl", [{"_id": f"d{i}", "text": " ".join(w)} for i, w in enumerate(words)])
    (data / "qrels" / "test.tsv").write_text("".join(f"d{i}\td{i + 10}\t1\n" for i in range(QUERIES)))
    lines = [f"d{i} Q0 d{i} 1 2.0 t\nd{i} Q0 d{i + 10} 2 1.0 t\n" for i in range(QUERIES)]
    (tmp_path / "today.trec").write_text("".join(lines))
    return tmp_path


def spec(systems: Sequence[Any] = SYSTEMS, **keys: Any) -> dict[str, Any]:
    keys = {"measures": ["nDCG@1", "Recall@1"], **keys}
    return small.spec(systems, encoders=WORDS, rerankers=RERANKERS, **{"stores": STORES, **keys})


# -- whole runs ----------------------------------------------------------------------------------------------------


def test_the_own_document_is_left_out_of_every_kind_of_ranking(folder: Path) -> None:
    where, result = small.measure(folder, spec())
    for name, values in small.means(result).items():
        # The answer stands first: 1 / log2(2), the ideal.
        assert values == {"nDCG@1": 1.0, "Recall@1": 1.0}, name
    assert result.dataset.own_documents_left_out == QUERIES
    assert any("10 queries have an own document" in note for note in result.dataset.notes)
    assert "10 queries have an own document" in render(result)
    for run in (where / "runs").glob("*.trec"):
        read = read_run_file(run)
        pairs = zip(read.query_of.tolist(), read.document_of.tolist(), strict=True)
        assert not [pair for pair in pairs if read.query_ids[pair[0]] == read.document_ids[pair[1]]], run.name


def test_it_stays_where_the_experiment_says_so(folder: Path) -> None:
    _, result = small.measure(folder, spec(SYSTEMS[:5], exclude_self=False, measures=["nDCG@10"]))
    # The answer stands second: 1 / log2(3) = .6309…
    assert {name: value["nDCG@10"] for name, value in small.means(result).items()} == pytest.approx(
        dict.fromkeys(["dense", "faiss", "lance", "bm25", "today"], 0.6309297535714574)
    )
    assert result.dataset.own_documents_left_out == 0
    assert not any("own document" in note for note in result.dataset.notes)


def test_recall_against_exact_search_and_the_loss_leave_it_out_too(folder: Path) -> None:
    _, result = small.measure(folder, spec(SYSTEMS[:3], measures=["nDCG@5", "ANN@5", "ANN@20"]))
    systems = small.by_name(result)
    for name in ("dense", "faiss", "lance"):
        assert systems[name].status == "success"  # its flat index is not void
        # Of 20 documents 19 may be found: all are, and the denominator is 19.
        assert systems[name].ann_recall == {"5": 1.0, "10": 1.0, "20": 1.0}
    assert [(row.stage, row.mean) for row in systems["lance"].loss] == [("exact", 1.0), ("ann", 1.0)]


def test_a_search_is_asked_for_one_more_and_a_ranking_keeps_its_length(folder: Path) -> None:
    where, _ = small.measure(folder, spec(SYSTEMS[:1], measures=["nDCG@3"]))
    ranked = read_run_file(where / "runs" / "dense.trec")
    assert np.bincount(ranked.query_of).tolist() == [3] * QUERIES


def test_it_is_left_out_under_a_filter(folder: Path) -> None:
    system = {"name": "dense", "encoder": "words", "filter": {"lang": "en"}}
    _, result = small.measure(folder, spec([system], measures=["nDCG@10", "ANN@10"]))
    assert small.means(result)["dense"] == {"nDCG@10": 1.0, "ANN@10": 1.0}


def test_live_rankings_are_those_that_were_judged(folder: Path) -> None:
    plan = {"samples": 12, "turn_seconds": 0.001}
    _, result = small.measure(folder, spec(latency=plan))
    assert {s.name: s.latency.agreement for s in result.systems if s.latency} == {
        system["name"]: 1.0 for system in SYSTEMS if system not in (RUN, SYSTEMS[5])
    }


def test_targets_are_met_without_it(folder: Path) -> None:
    keys: dict[str, Any] = {"targets": {"ANN@5": [0.5]}, "latency": {"samples": 30, "turn_seconds": 0.001}}
    _, result = small.measure(folder, spec(SYSTEMS[:2], **keys))
    assert [(row.engine, row.mean) for row in result.targets] == [("exact", 1.0), ("faiss", 1.0)]


def test_rows_written_meanwhile_are_found_again_without_it(folder: Path) -> None:
    writing = {"name": "writing", "seconds": 5, "ingest": {"rows_per_second": 100, "batch": 2, "share": 0.2}}
    _, result = small.measure(folder, spec(SYSTEMS[:2], latency=[{"samples": 12, "turn_seconds": 0.001}, writing]))
    found = [system.loads[1].ingest for system in result.systems]
    assert [each.found_after if each else None for each in found] == [1.0, 1.0]


@pytest.mark.parametrize("negatives", ["random", "bm25", "cosine"])
def test_it_is_no_training_negative(folder: Path, negatives: str) -> None:
    path = small.write(folder, spec(SYSTEMS[:1]))
    outcome = small.bench(
        "export-training", path, "--split", "test", "--negatives", negatives, "--per-query", "18",
        "--output", folder / "train.jsonl", "--cache", folder / "cache",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.stderr
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert len(rows) == QUERIES
    for row in rows:
        assert row["query"] not in row["hard_negatives"]
        # 20 documents less the relevant one and the own one; a search by words finds those with a common word
        assert len(row["hard_negatives"]) == (0 if negatives == "bm25" else 18)


def test_what_is_scored_per_query_leaves_it_out(folder: Path) -> None:
    events: list[Any] = []
    where, _ = small.measure(folder, spec(SYSTEMS[:1]), listeners=[events.append])
    scored = [event for event in events if type(event).__name__ == "QueryScored"]
    assert len(scored) == QUERIES
    for event in scored:
        assert event.query_id not in event.output and event.scores["MRR@1"] == 1.0
    assert pq.read_table(where / "per_query.parquet").column("nDCG@1").to_pylist() == [1.0] * QUERIES


def test_vectors_and_scores_made_before_are_used_again(folder: Path) -> None:
    small.measure(folder, spec(SYSTEMS[-2:-1], exclude_self=False))
    _, result = small.measure(folder, spec(SYSTEMS[-2:-1]))
    assert (result.work.texts_embedded.computed, result.work.indexes_built.computed) == (0, 0)
    assert result.work.queries_searched.computed == QUERIES  # asked for one more


# -- which documents are a query's own ------------------------------------------------------------------------------


def tables(
    documents: Sequence[tuple[str, str | None, str | None]], queries: Sequence[tuple[str, str | None]]
) -> tuple[pa.Table, pa.Table]:
    ids, titles, texts = zip(*documents, strict=True)
    names, asked = zip(*queries, strict=True)
    corpus = {"id": pa.array(ids), "title": pa.array(titles, pa.string()), "text": pa.array(texts, pa.string())}
    return pa.table(corpus), pa.table({"id": pa.array(names), "text": pa.array(asked, pa.string())})


def qrels(*judged: tuple[str, str, int]) -> pa.Table:
    queries, documents, grades = zip(*judged, strict=True)
    return pa.table({"query_id": queries, "document_id": documents, "grade": pa.array(grades, pa.int32())})


SHARED = [("a", None, "one"), ("b", "the", "two"), ("c", "the", "three"), ("x", None, "other")]


@pytest.mark.parametrize(
    ("queries", "exclude", "rows"),
    [
        ([("a", "one"), ("q", "?")], None, [0, -1]),  # its text
        ([("b", "the two")], None, [1]),  # title and text
        ([("b", "two")], None, [1]),  # text alone
        ([("b", " the\n two ")], None, [1]),  # white space aside
        ([("a", "one"), ("b", "else"), ("q", "?")], None, [0, 1, -1]),  # one of two is half: every equal id
        ([("a", "one"), ("b", "else"), ("c", "else")], None, None),  # one of three is less
        ([("a", "else")], None, None),
        ([("a", "else")], True, [0]),
        ([("a", "one")], False, None),
        ([("q", "one")], None, None),  # a text alone makes no own document
        ([("q", "one")], True, None),
        ([("a", None)], None, None),
        ([("a", None)], True, [0]),
    ],
)
def test_own_documents_are_those_of_equal_ids(queries: Any, exclude: bool | None, rows: list[int] | None) -> None:
    found = own_documents(*tables(SHARED, queries), None, exclude).rows
    assert (None if found is None else found.tolist()) == rows


def test_empty_texts_are_not_alike() -> None:
    assert (
        own_documents(*tables([("a", None, None), ("b", "", " ")], [("a", None), ("b", "")]), None, None).rows is None
    )


def test_a_document_that_is_judged_relevant_stays() -> None:
    both = tables(SHARED, [("a", "one"), ("b", "the two"), ("c", "the three")])
    judged = qrels(("a", "a", 1), ("b", "b", 0), ("b", "x", 2), ("c", "x", 1))
    own = own_documents(*both, judged, None)
    assert own.rows is not None and own.rows.tolist() == [-1, 1, 2]
    assert "2 queries have" in own.notes[0] and "where it is judged relevant (1)" in own.notes[0]
    assert own_documents(*both, qrels(("a", "a", 1), ("b", "b", 1), ("c", "c", 1)), True).rows is None


def test_it_is_told_when_nothing_is_there_to_leave_out_and_when_some_could_be() -> None:
    nothing = own_documents(*tables(SHARED, [("q", "one")]), None, True)
    assert "nothing to leave out" in nothing.warnings[0]
    few = own_documents(*tables(SHARED, [("a", "one"), ("b", "else"), ("c", "else")]), None, None)
    assert few.notes[0].startswith("1 of the 3 queries that have the id of a document has its text too.")


def test_what_is_left_out_makes_room_and_others_lose_their_last_place() -> None:
    hits = Hits(
        np.array([[4, 7, 1], [2, 3, 4], [7, -1, -1], [-1, -1, -1]], np.int32),
        np.array([[3, 2, 1], [3, 2, 1], [9, -np.inf, -np.inf], [-np.inf] * 3], np.float32),
        [["d", "g", "a"], ["b", "c", "d"], ["g"], []],
    )
    left = left_out(hits, np.array([7, -1, 7, -1], np.int32), 2)
    assert left.rows.tolist() == [[4, 1], [2, 3], [-1, -1], [-1, -1]]
    assert left.scores.tolist() == [[3, 1], [3, 2], [-np.inf, -np.inf], [-np.inf, -np.inf]]
    assert left.texts == [["d", "a"], ["b", "c"], [], []]
