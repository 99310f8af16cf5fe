"""The verdicts of a run are computed again from the files of its result, without a pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.results.model import read_result
from bench.results.per_query import read_figures
from bench.statistics.comparison import against_baseline
from tests import small

QUERIES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection whose queries stand in groups of two."""
    folder = tmp_path_factory.mktemp("again")
    data = small.collection(folder / "data", documents=300, queries=QUERIES)
    rows = [json.loads(line) for line in (data / "queries.jsonl").read_text().splitlines()]
    small.write_jsonl(data / "queries.jsonl", [{**row, "topic": f"t{i // 2}"} for i, row in enumerate(rows)])
    return folder


@pytest.fixture(autouse=True, scope="module")
def _third_party(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small.installed(tmp_path_factory.mktemp("site")):
        yield


def again(folder: Path) -> dict[str, dict[str, Any]]:
    """What the files come to, in the words of the result."""
    result = read_result(folder)
    kept = read_figures(folder, result)
    found = against_baseline(
        kept.systems,
        result.baseline,
        kept.measures,
        margin=result.margin,
        seed=result.provenance.seed or 0,
        clusters=kept.clusters,
    )
    shown = {}
    for name, by_measure in found.items():
        shown[name] = {
            str(measure): {
                "difference": (comparison := compared.comparison).difference,
                "percent": compared.percent,
                "interval": (comparison.interval.low, comparison.interval.high),
                **{key: getattr(comparison, key) for key in ("p", "p_corrected", "verdict", "queries_to_decide")},
                **{key: getattr(comparison, key) for key in ("wins", "ties", "losses")},
            }
            for measure, compared in by_measure.items()
        }
    return shown


def told(folder: Path) -> dict[str, dict[str, Any]]:
    systems = read_result(folder).systems
    return {
        entry.name: {measure: against.model_dump() for measure, against in entry.against_baseline.items()}
        for entry in systems
        if entry.against_baseline
    }


@pytest.mark.parametrize("cluster", [None, "meta.topic"])
def test_the_files_of_a_result_give_its_very_verdicts(folder: Path, cluster: str | None) -> None:
    made, _ = small.measure(
        folder,
        small.spec(
            [
                {"name": "bm25", "store": "bm25"},
                {"name": "dense", "encoder": "words"},
                {"name": "refusing", "store": "fragile"},
                {"name": "german", "encoder": "words", "filter": {"lang": "de"}},
            ],
            stores={"bm25": {"adapter": "bm25"}, "fragile": {"adapter": "fragile", "query": {"fails_for": "3"}}},
            encoders={"words": {"adapter": "words"}},
            measures=["nDCG@10", "Hit@1", "ANN@10"],
            baseline="bm25",
            margin=0.05,
            cluster=cluster,
        ),
    )
    computed = again(made)
    assert computed == told(made) and {*computed} == {"dense", "refusing"}
    assert computed["dense"]["nDCG@10"]["p"] is not None and {*computed["dense"]} == {"nDCG@10", "Hit@1"}


@pytest.mark.parametrize("builds", [1, 3])
def test_the_files_give_the_verdicts_on_unseeded_builds(tmp_path: Path, builds: int) -> None:
    small.vectors(tmp_path, documents=300, queries=QUERIES, dimension=16)
    spec = {
        "experiment": "small",
        "dataset": {"adapter": "vectors", "corpus": "corpus.npy", "queries": "queries.npy", "qrels": "none"},
        "encoders": {"given": {"adapter": "precomputed", "similarity": "cosine"}},
        "stores": {
            "pq": {
                "adapter": "lancedb",
                "index": {"type": "IVF_PQ", "num_partitions": 8, "num_sub_vectors": 4, "num_bits": 4},
            },
        },
        "systems": [{"name": "exact", "encoder": "given"}, {"name": "pq", "encoder": "given", "store": "pq"}],
        "measures": ["ANN@10"],
        "baseline": "pq",
        "builds": builds,
        "latency": False,
    }
    made, _ = small.measure(tmp_path, spec)
    computed = again(made)
    assert computed == told(made)
    difference = computed["exact"]["ANN@10"]["difference"]
    verdict = computed["exact"]["ANN@10"]["verdict"]
    assert difference > 0.1
    assert verdict == ("undecided" if builds == 1 else "better")  # one unseeded build decides nothing


def test_the_files_give_the_verdicts_on_relevance_where_some_systems_have_builds(folder: Path) -> None:
    ivf = {"adapter": "lancedb", "index": {"type": "IVF_FLAT", "num_partitions": 8}, "query": {"nprobes": 1}}
    made, result = small.measure(
        folder,
        small.spec(
            [
                {"name": "bm25", "store": "bm25"},
                {"name": "dense", "encoder": "words"},
                {"name": "ivf", "encoder": "words", "store": "ivf"},
            ],
            stores={"bm25": {"adapter": "bm25"}, "ivf": ivf},
            encoders={"words": {"adapter": "words"}},
            measures=["nDCG@10", "Hit@1"],
            baseline="bm25",
            builds=3,
        ),
    )
    computed = again(made)
    assert computed == told(made) and {*computed} == {"dense", "ivf"}
    assert [len(system.builds) for system in result.systems] == [0, 0, 3]
    for name in computed:  # two systems: Bonferroni doubles p, also of the one without builds
        of = computed[name]["nDCG@10"]
        assert of["p_corrected"] == pytest.approx(min(1.0, 2 * of["p"]))
