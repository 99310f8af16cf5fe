"""What a fault of the file advises: by meaning first, by spelling second, and never something absurd; and one slip of
the pen is one fault."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.messages.suggestions import advice, meant, suggestion
from tests import small

BM25 = {"name": "bm25", "store": "bm25"}
TOP = [
    "experiment", "dataset", "encoders", "stores", "rerankers", "systems", "baseline", "margin", "measures", "latency",
    "seed", "builds", "targets", "cluster", "dangling", "payload", "trackers", "max_cost", "prices", "projection",
    "machine_usd_per_hour", "cache",
]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("metrics", TOP, "measures"),
        ("models", TOP, "encoders"),
        ("embedders", TOP, "encoders"),
        ("indexes", TOP, "stores"),
        ("retrievers", TOP, "systems"),
        ("budget", TOP, "max_cost"),
        ("random_state", TOP, "seed"),
        ("measurs", TOP, "measures"),
        ("laetncy", TOP, "latency"),
        ("Baseline", TOP, "baseline"),
        ("max-cost", TOP, "max_cost"),
        ("limit", ["name", "k", "depth"], "k"),
        ("top_k", ["name", "k", "depth"], "k"),
        ("latencies", ["quality", "latency"], "latency"),
        ("ef_serach", ["ef", "dynamic_ef_min"], "ef"),
        ("timeout", ["timeout_seconds", "url"], "timeout_seconds"),
        ("kk1", ["k1", "b"], "k1"),
        ("colour", TOP, None),
        ("notes", TOP, None),
        ("b", ["k"], None),
        ("top", ["name"], None),
        ("rate", ["margin", "name", "data"], None),
    ],
)
def test_a_word_is_taken_for_what_it_means_and_then_for_what_it_is_spelled_like(
    word: str, known: list[str], expected: str | None
) -> None:
    assert meant(word, known) == expected


def test_where_nothing_is_near_the_known_words_are_listed() -> None:
    assert suggestion("colour", ["k1", "b"]) == "Known: k1, b."
    assert suggestion("colour", []) == "Known: none."


def test_a_key_that_stands_elsewhere_is_sent_there() -> None:
    places = {"under index": ["k1", "b"], "in an entry of systems": ["k", "depth"]}
    assert advice("k1", [], places) == "It belongs under index."
    assert advice("limit", [], places) == "Did you mean k? It belongs in an entry of systems."
    assert advice("dpeth", ["name"], places) == "Did you mean depth? It belongs in an entry of systems."
    assert advice("colour", [], places) == "Nothing can be set there."


def faults(folder: Path, experiment: Any, *overrides: str) -> list[str]:
    with pytest.raises(ConfigFaults) as error:
        load_experiment(small.write(folder, experiment), overrides)
    return [fault.partition("bench.yaml: ")[2] or fault for fault in error.value.faults]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"stores": {"bm25": {"adapter": "bm25", "k1": 0.9}}}, "stores.bm25.k1 is unknown. It belongs under index."),
        (
            {"stores": {"bm25": {"adapter": "lancedb", "index": {"type": "IVF_PQ", "nprobes": 4}}}},
            "stores.bm25.index.nprobes is unknown. It belongs under query.",
        ),
        (
            {"stores": {"bm25": {"adapter": "lancedb", "nprobes": 4}}},
            "stores.bm25.nprobes is unknown. It belongs under query.",
        ),
        (
            {"stores": {"bm25": {"adapter": "lancedb", "index": {"type": "none", "uri": "x"}}}},
            "stores.bm25.index.uri is unknown. It belongs beside adapter.",
        ),
        (
            {"stores": {"bm25": {"adapter": "lancedb", "query": {"num_partitions": 4}}}},
            "stores.bm25.query.num_partitions is unknown. It belongs under index.",
        ),
        (
            {"stores": {"bm25": {"adapter": "lancedb", "connection": {"uri": "x"}}}},
            "stores.bm25.connection is unknown. What it holds (uri) belongs beside adapter.",
        ),
        (
            {"stores": {"bm25": {"adapter": "bm25", "indx": {"k1": 1}}}},
            "stores.bm25.indx is unknown. Did you mean index?",
        ),
        (
            {"rerankers": {"r": {"adapter": "bm25", "index": {"k1": 1}}}},
            "rerankers.r.index is unknown. What it holds (k1) belongs beside adapter.",
        ),
        (
            {"rerankers": {"r": {"adapter": "bm25", "depth": 50}}},
            "rerankers.r.depth is unknown. It belongs in an entry of systems.",
        ),
        ({"dataset": {"adapter": "beir", "path": "data", "measures": []}}, "It belongs at the top of the file."),
        ({"depth": 50}, "depth is unknown. It belongs in an entry of systems."),
        ({"top_k": 50}, "top_k is unknown. Did you mean k? It belongs in an entry of systems."),
        ({"arrivals": "poisson"}, "arrivals is unknown. It belongs under latency."),
        ({"metrics": ["nDCG@10"]}, "metrics is unknown. Did you mean measures?"),
        (
            {"systems": [{**BM25, "baseline": True}]},
            "systems[0].baseline is unknown. It belongs at the top of the file.",
        ),
        ({"systems": [{**BM25, "limit": 50}]}, "systems[0].limit is unknown. Did you mean k?"),
        ({"latency": {"seed": 3}}, "latency.seed is unknown. It belongs at the top of the file."),
        ({"stores": {"bm25": {"adaptr": "bm25"}}}, "stores.bm25.adaptr is unknown. Did you mean adapter?"),
        ({"stores": {"bm25": {"type": "bm25"}}}, "stores.bm25.type is unknown. Did you mean adapter?"),
        ({"dataset": {"adapter": "beir", "pth": "data"}}, "dataset.pth is unknown. Did you mean path?"),
        ({"k1": 0.9}, "k1 is unknown. It belongs under stores.bm25.index."),
        ({"systems": [{**BM25, "k1": 0.9}]}, "systems[0].k1 is unknown. It belongs under stores.bm25.index."),
        (
            {"stores": {"bm25": {"adapter": "lancedb", "index": {"type": "none", "metric": "cosine"}}}},
            "stores.bm25.index.metric is unknown. Did you mean similarity? It belongs to the encoder.",
        ),
    ],
)  # fmt: skip
def test_a_key_under_the_wrong_section_is_one_fault_that_says_where_it_belongs(
    tmp_path: Path, keys: dict[str, Any], expected: str
) -> None:
    dense = keys.get("stores", {}).get("bm25", {}).get("adapter") == "lancedb"
    systems = [{**BM25, "encoder": "given"} if dense else BM25]
    experiment = small.spec(systems, encoders={"given": {"adapter": "precomputed"}})
    (fault,) = faults(tmp_path, {**experiment, **keys})
    assert fault.endswith(expected)


WHOLE = {
    "experiment": "whole",
    "dataset": {"adapter": "beir", "path": "data", "split": "test"},
    "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
    "stores": {
        "words": {"adapter": "bm25", "index": {"k1": [0.9, 1.2]}},
        "tables": {"adapter": "lancedb", "index": {"type": "IVF_PQ"}, "query": {"nprobes": [1, 4]}},
    },
    "rerankers": {"again": {"adapter": "bi_encoder", "encoder": "given"}},
    "systems": [
        {"name": "lexical", "store": "words"},
        {"name": "dense", "encoder": "given", "store": "tables"},
        {"name": "plain", "encoder": "given", "reranker": "again", "depth": 60},
        {"name": "third", "encoder": "given", "k": 20},
        {"name": "fused", "fuse": ["plain", "third"], "by": "rrf"},
    ],
    "baseline": "plain",
    "measures": ["nDCG@10", "Recall@10"],
    "latency": {"samples": 100, "seconds": 20},
    "targets": {"ANN@10": [0.9]},
    "projection": {"documents": 10, "queries_per_month": 20},
}


def places(node: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and every text of a file."""
    items: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(key, str):
            yield (*steps, key, "key")
        if isinstance(value, str):
            yield (*steps, key, "value")
        yield from places(value, (*steps, key))


FREE = {
    ("experiment", "value"),
    ("dataset", "path", "value"),
    ("dataset", "split", "value"),
    ("rerankers", "again", "encoder", "value"),
    *(("systems", i, "name", "value") for i in (0, 1, 4)),
}
"""What may be any text, is taken by nothing else in the file, or is looked at with the data."""


@pytest.mark.parametrize("place", [p for p in places(WHOLE) if p not in FREE], ids=lambda p: ".".join(map(str, p)))
def test_one_slip_of_the_pen_is_one_fault(tmp_path: Path, place: tuple[Any, ...]) -> None:
    experiment: Any = copy.deepcopy(WHOLE)
    *above, last, kind = place
    holder = experiment
    for step in above:
        holder = holder[step]
    word = str(last if kind == "key" else holder[last])
    slip = f"{word[:-1]}{word[-1] * 2}" if len(word) < 4 else f"{word[:2]}{word[3]}{word[2]}{word[4:]}"
    if slip == word:
        slip = word[:-1]
    if kind == "value":
        holder[last] = slip
    else:
        replaced = {slip if key == last else key: value for key, value in holder.items()}
        holder.clear()
        holder.update(replaced)
    (fault,) = faults(tmp_path, experiment)
    assert re.search(rf"\b{re.escape(slip)}\b|\b{re.escape(word)}\b", fault)


def test_a_blank_never_stands_before_a_colon(tmp_path: Path) -> None:
    experiment = small.spec(
        [{"run": "absent.trec"}, {"name": "x", "store": "bm25", "filter": {"year": {"after": 3}}}],
        rerankers={"r": {"adapter": "no-such"}},
    )
    found = faults(tmp_path, experiment)
    assert len(found) == 3
    assert all(" :" not in fault for fault in found)


A_LIST = "is a list, whose items have numbers."


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("systems.dense.depth=5", f"systems {A_LIST} dense is systems[1]."),
        ("systems.dens.depth=5", f"systems {A_LIST} dense is systems[1]."),
        ("systems.depth=5", f"systems {A_LIST} Write systems[0] to systems[4]."),
        ("stores.words.index.k1.x=5", f"stores.words.index.k1 {A_LIST} Write stores.words.index.k1[0] to "),
        ("systems[9].depth=5", "there is no item [9]; systems has 5, counted from 0."),
        ("latency[0].seconds=5", "latency is no list but a mapping. Write a key: latency.KEY"),
        ("baseline.k=5", "baseline is 'plain', which has no keys."),
        ("baseline[0]=5", "baseline is no list. It is 'plain'."),
    ],
)
def test_a_set_that_does_not_lead_on_says_what_stands_there(tmp_path: Path, override: str, expected: str) -> None:
    assert faults(tmp_path, WHOLE, override)[0].startswith(f"--set {override}: {expected}")
