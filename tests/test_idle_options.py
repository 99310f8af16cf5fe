"""What a user writes either counts or is named: no option changes nothing."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from adapters import registry
from bench.experiment.file import ExperimentFile, LoadPoint, SystemEntry
from bench.experiment.negatives import Negatives
from tests.conftest import REPOSITORY

URL = {"url": "http://localhost:1/x", "ids": "ids.*"}
FILES = {"corpus": "a.npy", "queries": "b.npy"}
HUB = {"dataset": "mteb/scifact"}


def model(role: registry.RoleName, adapter: str, part: str) -> type[BaseModel]:
    found: type[BaseModel] = getattr(registry.load(role, adapter), part)
    return found


LANCE, WEAVIATE = ("stores", "lancedb"), ("stores", "weaviate")
# An option, a place where it is idle, and what makes it count there.
IDLE: list[tuple[Any, str, Any, Mapping[str, Any], Mapping[str, Any]]] = [
    ((*LANCE, "Query"), "nprobes", 4, {"bypass_vector_index": True}, {"bypass_vector_index": False}),
    ((*LANCE, "Query"), "refine_factor", 4, {"bypass_vector_index": True}, {"bypass_vector_index": False}),
    ((*LANCE, "Query"), "ef", 40, {"bypass_vector_index": True}, {"bypass_vector_index": False}),
    (
        (*LANCE, "Index"), "target_partition_size", 100, {"type": "IVF_FLAT", "num_partitions": 4},
        {"num_partitions": None},
    ),
    ((*WEAVIATE, "Query"), "dynamic_ef_min", 10, {"ef": 64}, {"ef": -1}),
    ((*WEAVIATE, "Query"), "dynamic_ef_factor", 10, {"ef": 64}, {"ef": None}),
    ((*WEAVIATE, "Index"), "encoder_distribution", "normal", {"quantizer": "pq"}, {"encoder_type": "tile"}),
    (("stores", "http", "Index"), "smaller_is_better", True, URL, {"scores": "scores.*"}),
    (("encoders", "cohere", "Options"), "transfer", "list", {"model": "m", "embedding_type": "int8"},
     {"embedding_type": "float"}),
    (("rerankers", "rerank_api", "Options"), "raw_scores", True,
     {"base_url": "http://localhost:1", "model": "m", "interface": "cohere"}, {"interface": "tei"}),
    (("rerankers", "rerank_api", "Options"), "truncate", False,
     {"base_url": "http://localhost:1", "model": "m", "interface": "cohere"}, {"interface": None}),
    (("datasets", "hub", "Options"), "sample", 10, HUB, {"preset": "wikipedia"}),
    (("datasets", "hub", "Options"), "queries", "other", HUB, {"preset": "miracl"}),
    (("datasets", "hub", "Options"), "rows", 10, {"dataset": "klue", "preset": "klue_mrc"}, {"preset": "mteb"}),
    (("datasets", "hub", "Options"), "revision", "abc", {**HUB, "path": "copy"}, {"path": None}),
    (("datasets", "vectors", "Options"), "vector", "emb", FILES, {"queries": "b.parquet"}),
    (LoadPoint, "rate", 5.0, {}, {"mode": "open"}),
    (LoadPoint, "arrivals", "constant", {}, {"mode": "open", "rate": 5.0}),
    (LoadPoint, "max_in_flight", 8, {"workers": 4}, {"mode": "open", "workers": 1, "rate": 5.0}),
    (LoadPoint, "workers", 8, {"mode": "open", "rate": 5.0}, {"mode": "closed", "rate": None}),
    (SystemEntry, "by", "weighted", {"store": "bm25"}, {"store": None, "fuse": ["a", "b"]}),
    (SystemEntry, "weights", [1.0, 2.0], {"store": "bm25"}, {"store": None, "fuse": ["a", "b"]}),
    (SystemEntry, "rrf_k", 10, {"fuse": ["a", "b"], "by": "weighted"}, {"by": ["weighted", "rrf"]}),
    (Negatives, "model", "other", {"strategy": "bm25"}, {"strategy": "hybrid"}),
    (Negatives, "min_score", 0.1, {"strategy": "random"}, {"strategy": "top"}),
    (Negatives, "max_score", 0.1, {"strategy": "random"}, {"strategy": "cluster"}),
    (Negatives, "absolute_margin", 0.1, {"strategy": "bm25"}, {"strategy": "top"}),
    (Negatives, "relative_margin", 0.1, {"strategy": "bm25"}, {"strategy": "top"}),
    (Negatives, "batch_size", 8, {"strategy": "random"}, {"strategy": "top"}),
    (Negatives, "chunk", 8, {"strategy": "bm25"}, {"strategy": "hybrid"}),
    (Negatives, "memory_gb", 8, {"strategy": "random"}, {"strategy": "hybrid"}),
    (Negatives, "range_min", 4, {"strategy": "random"}, {"strategy": "bm25"}),
    (Negatives, "range_max", 40, {"strategy": "random"}, {"strategy": "bm25"}),
    (Negatives, "sampling", "random", {"strategy": "random"}, {"strategy": "bm25"}),
    (Negatives, "lacking", "random", {"strategy": "random"}, {"strategy": "bm25"}),
    (Negatives, "clusters", 8, {"strategy": "top"}, {"strategy": "cluster"}),
    (Negatives, "filter_max_score", 0.5, {}, {"filter": "judge"}),
    (SystemEntry, "shared_space", True, {"encoder": "a"}, {"encoder": {"document": "a", "query": "b"}}),
]  # fmt: skip
TEXT = [
    ("language", "German", {"stem": False, "remove_stop_words": False}, {"stem": True}),
    ("custom_stop_words", ["a"], {"remove_stop_words": False}, {"remove_stop_words": True}),
    ("ngram_min_length", 2, {}, {"base_tokenizer": "ngram"}),
    ("prefix_only", True, {"base_tokenizer": "icu"}, {"base_tokenizer": "ngram"}),
]


def refused(kind: type[BaseModel], values: Mapping[str, Any], option: str) -> None:
    with pytest.raises(ValidationError, match=f"{option} has no effect"):
        kind.model_validate(dict(values))


@pytest.mark.parametrize(("where", "option", "value", "idle", "heeded"), IDLE, ids=lambda value: str(value)[:40])
def test_an_option_that_would_change_nothing_is_a_fault(
    where: Any, option: str, value: Any, idle: Mapping[str, Any], heeded: Mapping[str, Any]
) -> None:
    kind = model(*where) if isinstance(where, tuple) else where
    refused(kind, {**idle, option: value}, option)
    counting = {key: given for key, given in {**idle, **heeded, option: value}.items() if given is not None}
    kind.model_validate(counting)


@pytest.mark.parametrize(("option", "value", "idle", "heeded"), TEXT, ids=lambda value: str(value)[:40])
def test_an_option_of_full_text_that_would_change_nothing_is_a_fault(
    option: str, value: Any, idle: Mapping[str, Any], heeded: Mapping[str, Any]
) -> None:
    kind = model("stores", "lancedb", "Index")
    refused(kind, {"full_text": {**idle, option: value}}, option)
    kind.model_validate({"full_text": {**idle, **heeded, option: value}})


def read_in(folder: str, *, but: str) -> Counter[str]:
    """Attributes and texts in the code of a folder: where an option is read by name. but: a file whose texts do not
    count."""
    found: Counter[str] = Counter()
    for path in (REPOSITORY / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                found[node.attr] += 1
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and path.name != but:
                found[node.value] += 1
    return found


def test_every_option_of_an_adapter_is_read_by_its_code() -> None:
    read = read_in("adapters", but="")
    unread = {
        f"{role}.{name}.{part}.{option}"
        for role in registry.ROLES
        for name in registry.names(role)
        for part in ("Options", "Index", "Query", "Connection")
        if (kind := getattr(registry.load(role, name), part, None)) is not None
        and kind.__module__.startswith("adapters.")
        for option in kind.model_fields
        if not read[option]
    }
    assert unread == set()


def test_every_key_of_the_experiment_file_is_read_by_the_harness() -> None:
    read = read_in("bench", but="file.py")
    models = [ExperimentFile, SystemEntry, LoadPoint]
    unread = {f"{kind.__name__}.{key}" for kind in models for key in kind.model_fields if not read[key]}
    assert unread == set()
