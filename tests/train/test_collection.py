"""What models are trained on is never what they are judged by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.data.normal import plain_query
from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.quality.collection import load_data
from bench.train.collection import Splits, load_splits
from bench.train.pairs import training_pairs
from tests import small
from tests.conftest import REPOSITORY

SHARED = ["card arrival date", "exchange rate today", "top up by cheque"]  # stand in train and in test


def collection(folder: Path, *, splits: dict[str, list[str]], documents: int = 12) -> Path:
    """A BEIR folder whose queries have the given texts; query i of a split is answered by document i."""
    (folder / "qrels").mkdir(parents=True)
    small.write_jsonl(folder / "corpus.jsonl", [{"_id": f"d{i}", "text": f"document {i}"} for i in range(documents)])
    asked = [{"_id": f"{split}-{i}", "text": text} for split, texts in splits.items() for i, text in enumerate(texts)]
    small.write_jsonl(folder / "queries.jsonl", asked)
    for split, texts in splits.items():
        lines = (f"{split}-{i}\td{i % documents}\t1\n" for i in range(len(texts)))
        (folder / "qrels" / f"{split}.tsv").write_text("".join(lines))
    return folder


def some(what: str, count: int) -> list[str]:
    return [f"{what} question {i} about thing {i * 7}" for i in range(count)]


def load(folder: Path, **dataset: Any) -> tuple[Any, Splits]:
    """The evaluated collection, and the splits to train on."""
    spec = small.spec([{"store": "bm25"}], dataset={"adapter": "beir", "path": "data", **dataset})
    experiment = load_experiment(small.write(folder, spec))
    return load_data(experiment, folder / "cache"), load_splits(experiment, folder / "cache")


def faults(folder: Path, **dataset: Any) -> list[str]:
    with pytest.raises(ConfigFaults) as raised:
        load(folder, **dataset)
    return list(raised.value.faults)


def texts(dataset: Any) -> set[str]:
    return {plain_query(text) for text in dataset.query_texts}


SETTINGS: list[tuple[dict[str, list[str]], dict[str, Any]]] = [
    ({"train": [*SHARED, *some("train", 200)], "test": [*SHARED, *some("test", 50)]}, {}),
    ({"train": [*SHARED, *some("train", 200)], "test": [*SHARED, *some("test", 50)]}, {"dev_size": 0.3}),
    ({"train": [*SHARED, *some("train", 200)], "test": [*SHARED, *some("test", 50)]}, {"test_size": 20}),
    (
        {"train": [*SHARED, *some("train", 90)], "test": [*SHARED, *some("test", 50)], "dev": SHARED + some("dev", 20)},
        {},
    ),
    ({"training": some("train", 90), "test": some("test", 50), "validation": some("dev", 20)}, {"dev_size": 5}),
    ({"test": [*SHARED, *SHARED, *some("test", 300)]}, {"test_size": 0.3}),
    ({"test": [*SHARED, *SHARED, *some("test", 300)]}, {"sample": 200, "test_size": 40, "dev_size": 0.1}),
    ({"train": some("train", 300)}, {"split": "train", "test_size": 0.2, "dev_size": 30}),
    ({"test": [*SHARED, *some("test", 90)], "dev": [*SHARED, *some("dev", 20)]}, {"test_size": 0.3}),
]


@pytest.mark.parametrize(("splits", "dataset"), SETTINGS)
def test_a_query_of_the_test_split_is_never_trained_on_and_decides_nothing(
    tmp_path: Path, splits: dict[str, list[str]], dataset: dict[str, Any]
) -> None:
    collection(tmp_path / "data", splits=splits)
    test, found = load(tmp_path, **dataset)
    pairs = training_pairs(found.train, [found.dev, test])
    learned = {plain_query(text) for text in pairs.table.column("query").to_pylist()}
    assert learned and texts(found.dev) and texts(test)
    assert not learned & texts(test)
    assert not learned & texts(found.dev)
    assert not texts(found.dev) & texts(test)
    assert found.train.corpus.equals(test.corpus) and found.dev.corpus.equals(test.corpus)


@pytest.mark.parametrize(("splits", "dataset"), SETTINGS[:4])
def test_all_leaks_are_found_whatever_decides(
    tmp_path: Path, splits: dict[str, list[str]], dataset: dict[str, Any]
) -> None:
    collection(tmp_path / "data", splits=splits)
    test, found = load(tmp_path, **dataset)
    expected = texts(test) & {plain_query(text) for text in splits["train"]}
    leaks = training_pairs(found.train, [found.dev, test]).report.leaks
    assert {plain_query(leak.training) for leak in leaks} == expected


def test_the_evaluated_queries_are_the_same_whether_models_are_trained_or_not(tmp_path: Path) -> None:
    collection(tmp_path / "data", splits={"test": some("test", 300)})
    one, _ = load(tmp_path, sample=0.8, test_size=0.3)
    other, _ = load(tmp_path, sample=0.8, test_size=0.3, dev_size=0.2)
    assert one.fingerprint == other.fingerprint
    assert one.judged < 0.3 * 300


def test_a_dev_split_of_the_collection_decides_but_for_queries_that_are_evaluated(tmp_path: Path) -> None:
    splits = {"train": some("train", 90), "test": [*SHARED, *some("test", 9)], "dev": [*SHARED, *some("dev", 20)]}
    collection(tmp_path / "data", splits=splits)
    _, found = load(tmp_path)
    assert (found.train.split, found.train.judged, found.dev.split, found.dev.judged) == ("train", 90, "dev", 20)
    assert "3 queries of the dev split are evaluated too, and left out." in found.dev.notes


def test_a_dev_split_of_the_collection_decides_where_the_training_queries_are_cut(tmp_path: Path) -> None:
    collection(tmp_path / "data", splits={"test": some("test", 90), "dev": some("dev", 20)})
    test, found = load(tmp_path, test_size=30)
    assert (test.judged, found.train.judged, found.dev.judged) == (30, 60, 20)
    assert found.notes == ("60 queries of split test train, 20 of split dev decide.",)


def test_a_dev_split_that_is_evaluated_whole_is_a_fault(tmp_path: Path) -> None:
    collection(tmp_path / "data", splits={"train": some("train", 90), "test": some("a", 9), "dev": some("a", 9)})
    assert "all 9 queries of its dev split are evaluated: none decides" in faults(tmp_path)[0]


def test_splits_with_documents_of_their_own_are_told(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    for split, count in (("train", 60), ("test", 20)):
        rows = [{"query": f"{split} asks {i}", "passage": f"{split} answers {i}"} for i in range(count)]
        small.write_jsonl(tmp_path / "pairs" / f"{split}.jsonl", rows)
    test, found = load(
        tmp_path,
        adapter="hub",
        dataset="mine",
        path="pairs",
        split="test",
        columns={"query": "query", "passage": "passage"},
        cache_dir="prepared",
    )
    # A third of 60 decides.
    assert (test.documents, found.train.documents, found.train.judged, found.dev.judged) == (20, 60, 40, 20)
    assert found.dev.corpus.equals(found.train.corpus)
    assert found.notes[1] == "The training queries have a corpus of their own, 60 documents."


def test_without_a_dev_split_a_note_says_what_decides(tmp_path: Path) -> None:
    collection(tmp_path / "data", splits={"train": some("train", 300), "test": some("test", 9)})
    _, found = load(tmp_path)
    # A tenth of 300 is less than 50, and 50 are fewer than a third.
    assert (found.train.judged, found.dev.judged) == (250, 50)
    assert found.notes == (
        "Of the judged queries of split train, 250 train and 50 decide, cut by a hash of the query (no dev_size is "
        "given: a tenth, 50 to 500).",
    )


def test_data_with_a_test_split_alone_says_what_to_write(tmp_path: Path) -> None:
    collection(tmp_path / "data", splits={"test": some("test", 9)})
    [fault] = faults(tmp_path)
    assert "dataset: has no split train to train on beside test, which is evaluated" in fault
    assert "test_size: 0.2" in fault


def test_other_splits_that_are_there_are_named(tmp_path: Path) -> None:
    collection(tmp_path / "data", splits={"test": some("test", 9), "extra": some("extra", 9)})
    assert "besides, it has extra" in faults(tmp_path)[0]


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ({"test_size": 30}, r"dataset: of 30 judged queries none is left for the split (train|dev)"),
        ({"test_size": 31}, r"dataset\.test_size: asks for 31 queries, and there are 30"),
        ({"test_size": 20, "dev_size": 11}, r"dataset\.dev_size: asks for 11 queries, and there are 10"),
        ({"test_size": 0.5, "dev_size": 0.5}, r"dataset .*leave no query to train on"),
        ({"test_size": 1.5}, r"dataset\.test_size .*whole number"),
        ({"test_size": 0}, r"dataset\.test_size .*greater than 0"),
        ({"sample": -3}, r"dataset\.sample .*greater than 0"),
        ({"dev_size": "many"}, r"dataset\.dev_size .*number"),
        ({"test_sise": 3}, r"dataset\.test_sise is unknown\. Did you mean test_size\?"),
    ],
)
def test_sizes_that_cannot_be_are_faults_at_their_keys(tmp_path: Path, dataset: dict[str, Any], expected: str) -> None:
    collection(tmp_path / "data", splits={"test": some("test", 30)})
    assert any(re.search(expected, fault) for fault in faults(tmp_path, **dataset)), faults(tmp_path, **dataset)


def test_a_sample_larger_than_the_data_takes_all(tmp_path: Path) -> None:
    collection(tmp_path / "data", splits={"test": some("test", 30), "train": some("train", 90)})
    test, _ = load(tmp_path, sample=1_000)
    assert test.judged == 30


def test_the_result_says_which_queries_are_evaluated(tmp_path: Path) -> None:
    collection(tmp_path / "data", splits={"test": some("test", 30)})
    spec = small.spec([{"store": "bm25"}], dataset={"adapter": "beir", "path": "data", "test_size": 10})
    _, result = small.measure(tmp_path, spec)
    assert (result.dataset.queries, result.dataset.judged) == (30, 10)
    assert "10 of 30 judged queries are evaluated, chosen by a hash (test_size: 10)." in result.dataset.notes


def test_a_key_that_an_adapter_has_too_is_the_adapters(tmp_path: Path) -> None:
    def cuts(dataset: dict[str, Any]) -> tuple[Any, Any]:
        experiment = load_experiment(small.write(tmp_path, small.spec([{"store": "bm25"}], dataset=dataset)))
        return experiment.cuts.sample, experiment.dataset.options.sample

    hub = {"adapter": "hub", "sample": 30}
    assert cuts({**hub, "dataset": "mteb/scifact"}) == (30, 1_000)
    assert cuts({**hub, "dataset": "Cohere/wikipedia-22-12-ko-embeddings"}) == (None, 30)


def test_half_of_the_api_docs_train_whole_whatever_limits_the_evaluation(tmp_path: Path) -> None:
    dataset = {"adapter": "api_docs", "packages": ["numpy"], "limit": 5}
    experiment = load_experiment(small.write(tmp_path, small.spec([{"store": "bm25"}], dataset=dataset)))
    test, found = load_data(experiment, tmp_path / "cache"), load_splits(experiment, tmp_path / "cache")
    assert test.judged == 5
    assert found.train.judged + found.dev.judged > 100


def test_the_published_schema_has_the_keys_beside_every_dataset_adapter() -> None:
    schema = json.loads((REPOSITORY / "configs" / "schema.json").read_text())
    for choice in schema["properties"]["dataset"]["oneOf"]:
        assert {"sample", "test_size", "dev_size"} <= set(choice["properties"])
