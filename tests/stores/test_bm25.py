"""The laws of lexical search."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from adapters._bm25 import Bm25Options
from adapters.base import Corpus, Filter, Hits, InvalidOptions, Queries
from adapters.rerankers.bm25 import Bm25Reranker
from adapters.stores.bm25 import Bm25Store
from tests.stores.arrays import build, make

TEXTS = ["apple pie recipe", "banana bread recipe", "apple banana", "", "cherry"]


def search(folder: Path, query: str, texts: list[str] | None = None, limit: int = 10, **index: object) -> Hits:
    store = make(Bm25Store, **index)
    ref = build(store, folder, TEXTS if texts is None else texts)
    with store.open(ref) as session:
        session.configure(store.Query())
        return session.search(Queries(texts=[query]), limit)


def test_a_score_is_the_formula_worked_by_hand(tmp_path: Path) -> None:
    # lucene: idf = ln(1 + (N - df + .5)/(df + .5)); cherry: N 5, df 1: ln(1 + 4.5/1.5) = ln 4.
    # lengths 3, 3, 2, 0, 1, mean 1.8; tf part: 1 / (1.5·(1 - .75 + .75·1/1.8) + 1) = 1/(1.5·.666667 + 1) = 1/2.
    hits = search(tmp_path, "cherry")
    assert hits.rows[0, 0] == 4
    assert hits.scores[0, 0] == pytest.approx(math.log(4) / 2, rel=1e-6)


@pytest.mark.parametrize("method", ["lucene", "robertson", "atire", "bm25l", "bm25+"])
def test_a_document_without_a_term_of_the_query_is_not_found(tmp_path: Path, method: str) -> None:
    hits = search(tmp_path, "cherry pie", method=method)
    assert sorted(hits.rows[0, :2].tolist()) == [0, 4]
    assert (hits.rows[0, 2:] == -1).all() and np.isneginf(hits.scores[0, 2:]).all()


def test_a_query_without_a_known_term_finds_nothing(tmp_path: Path) -> None:
    for number, query in enumerate(["", "the", "durian", "?!"]):
        assert (search(tmp_path / str(number), query).rows == -1).all()


def test_a_corpus_without_a_term_is_searched_without_an_error(tmp_path: Path) -> None:
    assert (search(tmp_path, "apple", ["", "the", "!"]).rows == -1).all()


def test_equal_scores_stand_in_descending_order_of_ids_also_at_the_cut(tmp_path: Path) -> None:
    texts = ["same words"] * 20 + ["same words same"]
    assert search(tmp_path, "same", texts, limit=4).rows[0].tolist() == [20, 9, 8, 7]


def test_a_filter_leaves_what_passes_and_nulls_never_pass(tmp_path: Path) -> None:
    store = make(Bm25Store)
    ref = build(store, tmp_path, ["apple"] * 4, meta={"lang": ["en", "de", None, "en"]})
    hits = store.open(ref).search(Queries(texts=["apple"]), 10, Filter.parse({"lang": "en"}))
    assert hits.rows[0, :3].tolist() == [3, 0, -1]


def test_the_stemmer_joins_forms_of_a_word(tmp_path: Path) -> None:
    pytest.importorskip("Stemmer", reason="needs the extra stemmer")
    texts = ["he runs home", "she walked"]
    assert search(tmp_path / "plain", "running walks", texts).rows[0, 0] == -1
    assert set(search(tmp_path / "stem", "running walks", texts, tokenizer="stem").rows[0, :2].tolist()) == {0, 1}


def test_chinese_words_are_found_by_segmentation_and_by_characters(tmp_path: Path) -> None:
    pytest.importorskip("jieba", reason="needs the extra chinese")
    texts = ["我来到北京清华大学", "他在上海工作"]
    for number, options in enumerate([{"tokenizer": "jieba"}, {"tokenizer": "characters", "n": 2}]):
        assert search(tmp_path / str(number), "上海", texts, **options).rows[0, :2].tolist() == [1, -1]


def test_characters_keep_runs_shorter_than_the_n_gram(tmp_path: Path) -> None:
    assert search(tmp_path, "ab", ["ab", "abcd"], tokenizer="characters", n=3).rows[0, :2].tolist() == [0, -1]


def test_null_and_named_stop_words_replace_those_of_the_language(tmp_path: Path) -> None:
    texts = ["the cat", "der hund"]
    assert search(tmp_path / "a", "the", texts, stopwords=None).rows[0, 0] == 0
    assert search(tmp_path / "b", "der", texts, stopwords="german").rows[0, 0] == -1
    assert search(tmp_path / "c", "cat", texts, stopwords=["cat"]).rows[0, 0] == -1


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"n": 3}, "n"),
        ({"language": "german"}, "language"),
        ({"delta": 1.0}, "delta"),
        ({"stopwords": "klingon"}, "stopwords"),
        ({"b": 2}, "b"),
        ({"k": 3}, "k"),
    ],
)
def test_an_option_that_does_not_apply_is_a_fault_that_names_its_key(options: dict[str, object], key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Bm25Options(**options)  # type: ignore[arg-type]
    assert [error["loc"] for error in caught.value.errors()] == [(key,)]


def test_options_read_back_from_their_dump_are_equal() -> None:
    options = Bm25Options(tokenizer="characters", n=3)
    assert Bm25Options(**options.model_dump(mode="json")) == options


def test_an_unknown_language_is_refused_before_the_run() -> None:
    pytest.importorskip("Stemmer", reason="needs the extra stemmer")
    with pytest.raises(InvalidOptions, match="klingon"):
        make(Bm25Store, tokenizer="stem", language="klingon").check()


@pytest.mark.parametrize("method", ["lucene", "bm25+"])
def test_the_reranker_gives_the_scores_of_the_store(tmp_path: Path, method: str) -> None:
    store = make(Bm25Store, method=method)
    ref = build(store, tmp_path, TEXTS)
    queries = Queries(texts=["apple recipe", "banana", "durian"])
    hits = store.open(ref).search(queries, 5)
    reranker = Bm25Reranker(Bm25Options(method=method))  # type: ignore[arg-type]
    reranker.prepare(Corpus(TEXTS))
    assert np.array_equal(reranker.score(queries, hits.rows).scores, hits.scores)


def read(folder: Path) -> tuple[list[str], list[str], list[str], list[dict[int, int]]]:
    """Document ids, texts, query texts and, per query, the grades by row of a BEIR folder's test split."""

    def lines(name: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").split("\n") if line]

    corpus = lines("corpus.jsonl")
    queries = {query["_id"]: query["text"] for query in lines("queries.jsonl")}
    row = {document["_id"]: i for i, document in enumerate(corpus)}
    grades: dict[str, dict[int, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        grades.setdefault(query, {})[row[document]] = int(grade)
    texts = [f"{document.get('title', '')} {document['text']}" for document in corpus]
    return list(row), texts, [queries[q] for q in grades], list(grades.values())


def ndcg_at_10(hits: Hits, ids: list[str], grades: list[dict[int, int]]) -> float:
    values = []
    for rows, scores, wanted in zip(hits.rows, hits.scores, grades, strict=True):
        found = [(s, ids[r], r) for s, r in zip(scores.tolist(), rows.tolist(), strict=True) if r >= 0]
        ranked = [wanted.get(r, 0) for _, _, r in sorted(found, reverse=True)][:10]
        ideal = sorted(wanted.values(), reverse=True)[:10]
        gains = [sum(g / math.log2(i + 2) for i, g in enumerate(order)) for order in (ranked, ideal)]
        values.append(gains[0] / gains[1] if gains[1] else 0.0)
    return float(np.mean(values))


@pytest.mark.parametrize("name", ["scifact", "banking77", "hardware_reviews", "xquad_en"])
def test_the_default_tokenizer_reproduces_the_reference_ndcg(collections: Path, tmp_path: Path, name: str) -> None:
    ids, texts, queries, grades = read(collections / name)
    store = make(Bm25Store)
    hits = store.open(build(store, tmp_path, texts)).search(Queries(texts=queries), 100)
    expected = json.loads((collections / "expected.json").read_text())[name]["bm25"]["ndcg@10"]
    assert ndcg_at_10(hits, ids, grades) == pytest.approx(expected, abs=0.002)


def test_chinese_needs_another_tokenizer_than_the_default(collections: Path, tmp_path: Path) -> None:
    ids, texts, queries, grades = read(collections / "xquad_zh")

    def ndcg(**index: object) -> float:
        store = make(Bm25Store, **index)
        ref = build(store, tmp_path / str(index.get("tokenizer")), texts)
        return ndcg_at_10(store.open(ref).search(Queries(texts=queries), 10), ids, grades)

    # It would be .12 if documents of score zero counted as found; .107 is what words in common find.
    assert ndcg() < 0.12
    assert ndcg(tokenizer="characters", n=2) > 0.8
    assert ndcg(tokenizer="jieba") > 0.8
