"""Queries that a lexical index cannot answer are counted and told, with what would help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters._bm25 import Bm25Options, terms_of, unmatched_before
from adapters.base import Corpus, Queries
from adapters.rerankers.bm25 import Bm25Reranker
from bench.experiment.reader import load_experiment
from bench.report.table import render
from bench.run.plan import plan
from tests import small

CHINESE = ["猫是一种喜欢打呼噜的动物", "狗会看家，也会汪汪叫", "鱼在水里游泳"]
ASKED = ["猫 打呼噜", "汪汪叫的动物", "水里"]


def collection(folder: Path, documents: list[str], queries: list[str]) -> Path:
    """Query i asks for document i."""
    (folder / "qrels").mkdir(parents=True)
    small.write_jsonl(folder / "corpus.jsonl", [{"_id": f"d{i}", "text": text} for i, text in enumerate(documents)])
    small.write_jsonl(folder / "queries.jsonl", [{"_id": f"q{i}", "text": text} for i, text in enumerate(queries)])
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(len(queries)))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
    return folder


def test_queries_without_a_term_of_the_index_are_counted_and_told_with_the_tokenizers_that_help(tmp_path: Path) -> None:
    collection(tmp_path / "data", CHINESE, ASKED)
    stores: dict[str, Any] = {
        "default": {"adapter": "bm25"},
        "characters": {"adapter": "bm25", "index": {"tokenizer": "characters"}},
        "lance": {"adapter": "lancedb", "index": {"full_text": True}, "query": {"mode": "text"}},
    }
    systems = [*({"store": name} for name in stores), {"name": "again", "store": "characters", "reranker": "words"}]
    experiment = small.spec(systems, stores=stores, rerankers={"words": {"adapter": "bm25"}})
    loaded = load_experiment(small.write(tmp_path, experiment))
    planned = plan(loaded, tmp_path / "cache", emit=lambda event: None)
    sentence = "3 of 3 queries hold no term of its index: they find nothing by text."
    advice = "Set tokenizer: jieba (words) or characters for Chinese."
    assert planned.count(f"! {sentence} {advice}") == 1
    for _ in range(2):  # computed, then as it was kept
        _, result = small.measure(tmp_path, experiment)
        told = {name: system.queries_without_terms for name, system in small.by_name(result).items()}
        assert told == {"default": 3, "characters": 0, "lance": 3, "again": 3}
        table = render(result)
        assert f"! default: {sentence} {advice}" in table
        assert f"! lance: {sentence} Set index.full_text.base_tokenizer: icu (words), or ngram" in table
        assert "! characters:" not in table


def test_a_system_that_does_not_search_by_text_is_not_asked(tmp_path: Path) -> None:
    small.vectors(tmp_path / "data", documents=30, queries=5)
    experiment = small.spec(
        [{"encoder": "given"}],
        dataset={"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        encoders={"given": {"adapter": "precomputed"}},
        stores={},
        measures=["ANN@10"],
    )
    _, result = small.measure(tmp_path, experiment)
    assert result.systems[0].queries_without_terms is None


@pytest.mark.parametrize(
    ("documents", "queries", "unmatched", "advice"),
    [
        (["tea and cake"], ["tea please", "the", "coffee"], [False, True, True], None),
        (
            ["I write C++ and R, not C#"],
            ["C++", "R", "write"],
            [True, True, False],
            "code for names like C++, R or 3.5",
        ),
        (["fixed in v2.0"], ["3.5"], [True], "code for names"),
        (["吾輩は猫である"], ["猫はどこ"], [True], "characters for Japanese"),
        (["고양이가 운다"], ["고양이는"], [True], "characters for Korean"),
        (["แมวนอนหลับ"], ["แมว"], [True], "characters for Thai, Lao, Khmer or Burmese"),
        ([], ["tea"], [True], None),
    ],
)
def test_what_is_known_before_the_run_is_what_the_index_tells(
    documents: list[str], queries: list[str], unmatched: list[bool], advice: str | None
) -> None:
    before = unmatched_before(documents, queries, Bm25Options())
    assert before.queries.tolist() == unmatched
    assert (before.advice is None) if advice is None else (before.advice is not None and advice in before.advice)
    reranker = Bm25Reranker(Bm25Options())
    reranker.prepare(Corpus(documents))
    after = reranker.unmatched(queries)
    assert after is not None and (after.queries.tolist(), after.advice) == (unmatched, before.advice)
    assert Queries(texts=queries).texts == queries


def test_the_code_tokenizer_keeps_names_whole() -> None:
    terms = terms_of(Bm25Options(tokenizer="code", stopwords=None))
    assert terms("C++, C# and R (not .NET): v2.0 vs 3.5.") == [
        "c++", "c#", "and", "r", "not", ".net", "v2.0", "vs", "3.5",
    ]  # fmt: skip
    assert terms("ASP.NET... F# x_y 猫") == ["asp.net", "f#", "x_y", "猫"]
