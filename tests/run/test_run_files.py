"""Run files and services with ids of their own, in whole runs: what they lack is counted and told, never scored in
silence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests import small
from tests.search_service import Service

RUN = {"name": "file", "run": "file.trec"}


def beir(folder: Path, documents: Sequence[str], queries: Sequence[str]) -> None:
    """Query i's one relevant document is document i; each text is the id's number in words of its own."""
    data = folder / "data"
    (data / "qrels").mkdir(parents=True)
    small.write_jsonl(data / "corpus.jsonl", [{"_id": name, "text": f"word{i}"} for i, name in enumerate(documents)])
    small.write_jsonl(data / "queries.jsonl", [{"_id": name, "text": f"word{i}"} for i, name in enumerate(queries)])
    pairs = zip(queries, documents, strict=False)
    (data / "qrels" / "test.tsv").write_text("".join(f"{q}\t{d}\t1\n" for q, d in pairs), encoding="utf-8")


def trec(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f"{query} Q0 {document} 1 1.0 theirs\n" for query, document in pairs)


def experiment(*systems: Any, **keys: Any) -> dict[str, Any]:
    return small.spec(systems, measures=["nDCG@10"], **keys)


FOREIGN = ["https://en.wikipedia.org/wiki/Caf%C3%A9", "50%20off", "a%2Bb", "100%", "%25"]


def test_a_foreign_run_with_percent_signs_in_its_ids_scores_as_it_should(tmp_path: Path) -> None:
    beir(tmp_path, FOREIGN, [f"q%20{i}" for i in range(5)])
    (tmp_path / "file.trec").write_text(trec([(f"q%20{i}", name) for i, name in enumerate(FOREIGN)]))
    _, result = small.measure(tmp_path, experiment(RUN))
    assert small.means(result) == {"file": {"nDCG@10": 1.0}}
    assert result.systems[0].notes == []


def test_a_foreign_run_with_a_byte_order_mark_scores_as_without(tmp_path: Path) -> None:
    beir(tmp_path, ["d1", "d2", "d3"], ["q1", "q2", "q3"])
    text = trec([("q1", "d1"), ("q2", "d2"), ("q3", "d3")])
    (tmp_path / "file.trec").write_bytes(gzip.compress(text.encode("utf-8-sig")))
    _, result = small.measure(tmp_path, experiment(RUN))
    assert small.means(result) == {"file": {"nDCG@10": 1.0}}


def test_a_result_given_back_as_a_run_scores_the_same_whatever_its_ids_are(tmp_path: Path) -> None:
    documents = ["50 off", "50%20off", "50%20off%FE", "a\x0bb", "a%0Bb", "\u00a0", "%C2%A0", "plain"]
    beir(tmp_path, documents, [f"q {i}" if i % 2 else f"q%20{i - 1}" for i in range(2, 10)])
    bm25 = {"name": "bm25", "store": "bm25"}
    folder, before = small.measure(tmp_path, experiment(bm25))
    (tmp_path / "file.trec").write_bytes((folder / "runs" / "bm25.trec").read_bytes())
    _, after = small.measure(tmp_path, experiment(bm25, RUN))
    assert small.means(before) == {"bm25": {"nDCG@10": 1.0}}
    assert small.means(after) == {"bm25": {"nDCG@10": 1.0}, "file": {"nDCG@10": 1.0}}


def test_a_run_whose_documents_are_all_unknown_is_refused_before_the_start(tmp_path: Path) -> None:
    beir(tmp_path, ["d1", "d2"], ["q1", "q2"])
    (tmp_path / "file.trec").write_text(trec([("q1", "doc1"), ("q2", "doc2")]))
    outcome = small.bench("run", small.write(tmp_path, experiment(RUN)), "--output", tmp_path / "results")
    assert outcome.exit_code == 2
    assert "systems[0].run: " in outcome.stderr
    assert "ranks none of the dataset's documents (it has 'doc1', the dataset 'd1')" in outcome.stderr
    assert not (tmp_path / "results").exists()


def test_every_run_file_that_cannot_be_read_is_named_beside_all_other_faults(tmp_path: Path) -> None:
    beir(tmp_path, ["d1", "d2"], ["q1", "q2"])
    (tmp_path / "empty.trec").write_text("")
    (tmp_path / "short.trec").write_text("q1 Q0 d1\n")
    (tmp_path / "file.trec").write_text(trec([("q1", "d1")]))
    systems = [RUN, {"name": "a", "run": "empty.trec"}, {"name": "b", "run": "short.trec"}, {"store": "bm25"}]
    spec = experiment(*systems, stores={"bm25": {"adapter": "bm25", "index": {"tokenizer": "stem", "language": "xx"}}})
    outcome = small.bench("run", small.write(tmp_path, spec), "--output", tmp_path / "results")
    assert outcome.exit_code == 2
    lines = outcome.stderr.strip().splitlines()
    assert len(lines) == 3, lines
    for part in ("empty.trec: the run is empty", "short.trec:1: expected `query", "stores.bm25.index.language: "):
        assert part in outcome.stderr


def test_unknown_ids_of_a_run_are_counted_and_told(tmp_path: Path) -> None:
    beir(tmp_path, ["d1", "d2"], ["q1", "q2"])
    (tmp_path / "file.trec").write_text(
        trec([("q1", "d1"), ("q1", "doc7"), ("q2", "doc8"), ("q2", "d2"), ("q9", "d1")])
    )
    _, result = small.measure(tmp_path, experiment(RUN))
    system = result.systems[0]
    assert system.unknown_documents is not None
    assert system.unknown_documents.model_dump() == {"count": 2, "of": 4, "example": "doc7"}
    assert system.notes == [
        "its run file: of 4 found documents, 2 (50 %) are not in the corpus, such as 'doc7'; they take places and are "
        "not relevant",
        "of the 3 queries in its run file, 1 (33 %) are not judged, such as 'q9', and are left out",
    ]
    plan = small.bench("run", tmp_path / "bench.yaml", "--dry-run", "--cache", tmp_path / "cache").stdout
    assert "! file: its run file: of 4 found documents, 2 (50 %) are not in the corpus, such as 'doc7'" in plan


def test_a_query_without_a_line_scores_0_and_is_no_failure(tmp_path: Path) -> None:
    beir(tmp_path, [f"d{i}" for i in range(10)], [f"q{i}" for i in range(10)])
    lines = (tmp_path / "data" / "queries.jsonl").read_text().splitlines()
    lines[3] = json.dumps({"_id": "q3", "text": "zzz"})  # no document holds it, so BM25 finds nothing
    (tmp_path / "data" / "queries.jsonl").write_text("\n".join(lines))
    bm25, other = {"name": "bm25", "store": "bm25"}, {"name": "other", "run": "other.trec"}
    (tmp_path / "other.trec").write_text(trec([(f"q{i}", f"d{(i + 1) % 10}") for i in range(10)]))
    folder, _ = small.measure(tmp_path, experiment(bm25))
    (tmp_path / "file.trec").write_bytes((folder / "runs" / "bm25.trec").read_bytes())
    _, result = small.measure(tmp_path, experiment(other, bm25, RUN, baseline="other"))
    store, file = (small.by_name(result)[name] for name in ("bm25", "file"))
    assert result.status == "success"
    # Nine of ten queries find their document at once, q3 finds nothing: 9 × 1 / 10.
    assert store.measures == file.measures
    assert file.measures["nDCG@10"].mean == pytest.approx(0.9)
    assert file.measures["nDCG@10"].failed == 0
    assert store.against_baseline["nDCG@10"] == file.against_baseline["nDCG@10"]
    assert [small.by_name(result)[name].queries_without_line for name in ("bm25", "file", "other")] == [None, 1, 0]
    assert file.notes == [
        "its run file holds no line for 1 of 10 judged queries: what has none found nothing and scores 0",
    ]


def serving(answers: Sequence[Sequence[str]]) -> Service:
    """Answers the query `word<i>` with the i-th list of ids."""

    def answer(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
        return 200, json.dumps({"ids": answers[int(body["q"].removeprefix("word"))]}), {}

    return Service(answer)


def http(url: str) -> dict[str, Any]:
    index = {"url": url, "body": {"q": "{query}"}, "ids": "ids.*", "unknown_ids": "ignore"}
    return {"stores": {"theirs": {"adapter": "http", "index": index}, "bm25": {"adapter": "bm25"}}}


def test_unknown_ids_of_a_service_are_counted_and_told_also_from_the_cache(tmp_path: Path) -> None:
    beir(tmp_path, ["d%41", "dA"], ["q0", "q1"])
    service = serving([["d%41", "doc7"], ["dA"]])
    try:
        spec = experiment({"name": "theirs", "store": "theirs"}, **http(service.url))
        for _ in range(2):
            _, result = small.measure(tmp_path, spec)
            system = result.systems[0]
            assert (result.status, small.means(result)) == ("success", {"theirs": {"nDCG@10": 1.0}})
            assert system.unknown_documents is not None
            assert system.unknown_documents.model_dump() == {"count": 1, "of": 3, "example": "doc7"}
            assert system.notes == [
                "its service: of 3 found documents, 1 (33 %) are not in the corpus, such as 'doc7'; they were left out"
            ]
        assert len(service.asked) == 2
    finally:
        service.stop()


def test_a_service_whose_ids_are_all_unknown_is_an_error_and_is_asked_again(tmp_path: Path) -> None:
    beir(tmp_path, ["d1", "d2"], ["q0", "q1"])
    service = serving([["doc1"], ["doc2", "doc1"]])
    try:
        spec = experiment({"name": "theirs", "store": "theirs"}, {"name": "bm25", "store": "bm25"}, **http(service.url))
        for times in (1, 2):
            _, result = small.measure(tmp_path, spec)
            theirs, bm25 = result.systems
            assert (theirs.status, bm25.status, result.status) == ("error", "success", "partial")
            assert theirs.error == (
                "theirs: of 3 found documents, none is in the corpus, such as 'doc1'. Give the service the same "
                "corpus with the same ids."
            )
            assert theirs.measures["nDCG@10"].mean is None
            assert len(service.asked) == 2 * times
    finally:
        service.stop()


def test_a_service_that_finds_nothing_for_any_query_is_told_of(tmp_path: Path) -> None:
    beir(tmp_path, ["d1", "d2"], ["q0", "q1"])
    for answers, notes in (
        ([[], []], ["it found nothing for any of 2 queries: ask it one of them by hand"]),
        ([["d1"], []], []),
    ):
        service = serving(answers)
        try:
            spec = experiment({"name": "theirs", "store": "theirs"}, **http(service.url))
            _, result = small.measure(tmp_path, spec)
            assert (result.systems[0].status, result.systems[0].notes) == ("success", notes)
        finally:
            service.stop()


def test_a_query_in_an_address_reaches_the_service_as_it_stands(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(path: str, headers: dict[str, Any], body: Any) -> tuple[int, str, dict[str, str]]:
        asked.append(parse_qs(urlsplit(path).query)["q"][0])
        return 200, json.dumps({"ids": ["d0"]}), {}

    texts = ["50%20off & more", "a/b?c=d#e", "käse+brot"]
    beir(tmp_path, ["d0", "d1", "d2"], ["q0", "q1", "q2"])
    small.write_jsonl(tmp_path / "data" / "queries.jsonl", [{"_id": f"q{i}", "text": t} for i, t in enumerate(texts)])
    service = Service(answer)
    try:
        index = {"url": f"{service.url}?q={{query}}", "method": "GET", "ids": "ids.*"}
        spec = experiment({"store": "theirs"}, stores={"theirs": {"adapter": "http", "index": index}})
        _, result = small.measure(tmp_path, spec)
    finally:
        service.stop()
    assert result.status == "success"
    assert sorted(asked) == sorted(texts)


def test_a_system_of_a_very_long_name_leaves_its_run_under_a_shorter_one(tmp_path: Path) -> None:
    beir(tmp_path, ["d0", "d1"], ["q0", "q1"])
    names = ["x" * 400 + "a", "x" * 400 + "b"]
    folder, result = small.measure(tmp_path, experiment(*({"name": name, "store": "bm25"} for name in names)))
    assert [system.name for system in result.systems] == names
    assert len({path.name for path in (folder / "runs").iterdir()}) == 2
