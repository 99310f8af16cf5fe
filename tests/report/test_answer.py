"""The answer: which system, whether that is shown, what it costs, and what stays open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.report.answer import Answer, answer, figures_of
from bench.report.sentences import sentences
from bench.results.model import Result, read_result
from bench.results.per_query import KeptFigures
from bench.statistics.comparison import SystemFigures
from bench.statistics.measures import Measure
from tests.conftest import REPOSITORY
from tests.report.test_table import against, faster, few, index, latency, measures, stage, system

NDCG = Measure.parse("nDCG@10")
KEPT = sorted((REPOSITORY / "tests/golden/results").glob("*.json"))


def kept(**values: Any) -> KeptFigures:
    """The values per query of systems, by name."""
    rows = {name: np.atleast_2d(np.asarray(row, dtype=np.float64)) for name, row in values.items()}
    ids = [f"q{i}" for i in range(next(iter(rows.values())).shape[1])]
    return KeptFigures(ids, [NDCG], {name: SystemFigures({NDCG: row}) for name, row in rows.items()}, None)


def told(result: Result, figures: KeptFigures | None = None) -> tuple[Answer, str]:
    found = answer(result, figures)
    return found, " ".join(sentences(result, found))


def two(mean: float, verdict: str, half: float, decide: int | None = None, **keys: Any) -> Result:
    """A baseline of .56 and one other system."""
    return few(
        baseline="bm25",
        margin=keys.pop("margin", 0.02),
        systems=[
            system("bm25", measures(0.56, 0.73, 0.52), **keys.pop("bm25", {})),
            system(
                "dense", measures(mean, 0.8, 0.6), against_baseline=against(mean - 0.56, half, verdict, decide), **keys
            ),
        ],
    )


def test_a_system_that_is_shown_to_be_better_than_the_baseline_is_best_and_proposed() -> None:
    found, text = told(two(0.66, "better", 0.04))
    assert (found.best, found.proposed, found.grounds) == ("dense", "dense", "better")
    assert text.startswith("dense is best: .660 nDCG@10, shown to be better than bm25 (+.100 [+.060, +.140]).")


def test_a_higher_mean_that_is_not_shown_is_no_reason_to_leave_the_baseline() -> None:
    found, text = told(two(0.60, "undecided", 0.08, decide=120))
    assert (found.best, found.proposed, found.grounds) == ("dense", "bm25", "baseline")
    assert "has the highest mean, .600 nDCG@10, but is not shown to be better than bm25" in text
    assert "about 120 more queries would decide" in text


def test_of_several_the_best_one_that_is_shown_is_proposed() -> None:
    result = two(0.60, "undecided", 0.08, decide=120)
    result.systems.append(
        few(
            systems=[system("narrow", measures(0.58, 0.7, 0.5), against_baseline=against(0.02, 0.01, "better"))]
        ).systems[0]
    )
    found, text = told(result)
    assert (found.best, found.proposed, found.grounds) == ("dense", "narrow", "better")
    assert "narrow (.580) is shown to be better than bm25: +.020 [+.010, +.030]." in text


def test_where_the_baseline_is_best_the_answer_says_what_is_known_of_the_others() -> None:
    found, text = told(two(0.50, "worse", 0.04))
    assert (found.best, found.proposed) == ("bm25", "bm25")
    assert text.startswith("No system is shown to be better than bm25, the baseline, which has the highest mean: .560")
    assert "dense is worse." in text


@pytest.mark.parametrize("keys", [{"status": "partial"}, {"incomplete": True}])
def test_an_incomplete_system_is_not_called_best_and_the_answer_says_so(keys: dict[str, Any]) -> None:
    found, text = told(two(0.66, "undecided", 0.2, **keys))
    assert (found.best, found.aside[0][0]) == ("bm25", "dense")
    assert "Not called best, though the mean is higher: dense (.660, " in text


def test_without_a_baseline_the_best_is_compared_with_every_other_system() -> None:
    result = few(
        systems=[system(name, measures(mean, 0.7, 0.5)) for name, mean in (("a", 0.9), ("b", 0.3), ("c", 0.88))]
    )
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 60)
    values = {"a": np.full(60, 0.9), "b": np.full(60, 0.3), "c": np.clip(0.88 + noise - noise.mean(), 0, 1)}
    found, text = told(result, kept(**values))
    assert found.compared and [one.name for one in found.open] == ["c"]
    assert "a has the highest mean, .900 nDCG@10" in text and "c (.880) cannot be told from a" in text
    clear, text = told(few(systems=[s.model_dump() for s in result.systems[:2]]), kept(a=values["a"], b=values["b"]))
    assert clear.shown and "is shown to be better than every other system" in text


def test_without_values_per_query_the_answer_says_what_is_not_known() -> None:
    found, text = told(few(systems=[system(n, measures(m, 0.7, 0.5)) for n, m in (("a", 0.9), ("b", 0.3))]))
    assert not found.compared and not found.shown
    assert "whether it is better than the others is not known" in text


def test_systems_that_are_alike_in_every_query_are_called_identical() -> None:
    names = ("a", "b", "c")
    result = few(systems=[system(name, measures(0.5, 0.7, 0.5)) for name in names])
    found, text = told(result, kept(a=[0.4, 0.6], b=[0.4, 0.6], c=[0.6, 0.4]))
    assert found.identical == (("a", "b"),)
    assert "a and b are identical in every query." in text


def exact(name: str, **pipeline: Any) -> dict[str, Any]:
    minilm = {"name": "minilm", "adapter": "sentence_transformers"}
    parts = {"encoder": {"document": minilm, "query": minilm}, "k": 10, **pipeline}
    return system(name, measures(0.5, 0.7, 0.5), index=index("exact", flat=True), pipeline=parts, hash=name)


@pytest.mark.parametrize(
    ("pipeline", "copies"),
    [
        ({"reranker": {"name": "again", "adapter": "bi_encoder", "encoder": "minilm"}, "depth": 100}, ["other"]),
        ({"reranker": {"name": "again", "adapter": "bi_encoder", "encoder": "bigger"}, "depth": 100}, []),
        ({"reranker": {"name": "ce", "adapter": "cross_encoder"}, "depth": 100}, []),
        ({"payload": "text"}, ["other"]),
        ({"filter": {"lang": "en"}, "payload": "text"}, []),
    ],
)  # fmt: skip
def test_a_system_that_ranks_as_another_by_construction_is_called_a_copy(
    pipeline: dict[str, Any], copies: list[str]
) -> None:
    found, text = told(few(systems=[exact("dense"), exact("other", **pipeline)]))
    assert [copy.name for copy in found.copies] == copies
    assert ("other is a copy of dense: " in text) == bool(copies)


def test_everything_rescored_by_an_encoder_is_a_copy_of_its_exact_search_whatever_found_it() -> None:
    documents = few().dataset.documents
    rescored = exact("rescored", reranker={"name": "again", "encoder": "minilm"}, depth=documents)
    bigger = {"name": "bigger", "adapter": "sentence_transformers"}
    rescored["pipeline"]["encoder"] = {"document": bigger, "query": bigger}
    assert [copy.name for copy in told(few(systems=[exact("dense"), rescored]))[0].copies] == ["rescored"]
    rescored["pipeline"]["depth"] = documents - 1
    assert told(few(systems=[exact("dense"), rescored]))[0].copies == ()


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("slower", "A query takes 9.00 ms (bm25: 1.20 ms; p50); without encoding it takes 1.25 times [1.10, 1.40]"),
        ("undecided", "without encoding the two cannot be told apart (1.25 times [1.10, 1.40] as long)"),
        ("not_slower", "without encoding it is at most 10 % slower"),
    ],
)
def test_the_answer_says_what_the_best_one_takes_against_the_baseline(verdict: str, sentence: str) -> None:
    result = two(
        0.66,
        "better",
        0.04,
        bm25={"latency": latency(stage(1.2, 3.4), own=stage(1.2, 3.4))},
        latency=latency(stage(9.0, 12.0), own=stage(1.5, 2.6)),
        latency_against_baseline={"own p50": faster(1.25, (1.1, 1.4), verdict)},
    )
    result.latency_margin = 1.1
    assert sentence in told(result)[1]


def test_money_that_cannot_be_told_from_the_baselines_is_no_saving() -> None:
    cost = {"per_1000_queries_usd": 0.02, "per_1000_queries_interval_usd": (0.01, 0.03), "machine_usd_per_hour": 1.0}
    result = two(0.66, "better", 0.04, bm25={"cost": {**cost, "per_1000_queries_usd": 0.025}}, cost=cost)
    assert "hat 1,000 queries cost, 0.0200 USD, cannot be told from bm25" in told(result)[1]
    result.systems[0].cost.per_1000_queries_interval_usd = (0.04, 0.06)  # type: ignore[union-attr]
    assert "1,000 queries cost 0.0200 USD (bm25: 0.0250)" in told(result)[1]


def at(engine: str, target: float, chosen: str | None, own: float | None, **keys: Any) -> dict[str, Any]:
    """A row of targets. own: its p50 in milliseconds."""
    loads = [] if own is None else [latency(stage(own, 2 * own), own=stage(own, 2 * own))]
    setting = None if chosen is None else {"width": int(chosen.partition("=")[2])}
    return {
        "encoder": "given", "engine": engine, "index": {}, "index_type": engine, "measure": "ANN@10", "target": target,
        "system": chosen, "setting": setting, "mean": None if chosen is None else target, "interval": None,
        "chosen_on": 100, "reported_on": 100, "settings": 3, "bound": None, "best_bound": 0.9, "attainable": 0.99,
        "loads": loads, "build_seconds": 1.0, "index_bytes": 1000, **keys,
    }  # fmt: skip


def test_engines_at_equal_recall_are_answered_by_target() -> None:
    ann = {"ANN@10": {"mean": 0.99, "interval": None, "queries": 50, "failed": 0}}
    result = few(
        primary="ANN@10",
        systems=[system(name, ann) for name in ("graph=8", "graph=16", "cells=4", "flat=1")],
        targets=[
            at("cells", 0.9, "cells=4", 2.0),
            at("graph", 0.9, "graph=8", 1.0, not_told_apart=["flat=1"]),
            at("flat", 0.9, "flat=1", 1.1),
            at("cells", 0.95, None, None),
            at("graph", 0.95, "graph=16", 1.5),
            at("flat", 0.95, "flat=1", 9.0),
            *(at(engine, 0.99, None, None) for engine in ("cells", "graph", "flat")),
        ],
    )
    found, text = told(result)
    assert (found.proposed, found.grounds) == ("graph=16", "target")
    assert text.startswith(
        "graph=16 is the fastest setting that is shown to reach .950 ANN@10: 1.50 ms a query (own p50); "
        "for .900 it is graph=8: 1.00 ms, from which flat=1 cannot be told apart. "
        "cells is not shown to reach .950; cells, graph and flat are not shown to reach .990."
    )
    first = found.targets[0]
    assert first.fastest is not None and first.fastest.engine == "graph"
    assert ([row.engine for row in first.alike], [row.engine for row in first.slower]) == (["flat"], ["cells"])


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_every_kept_result_has_an_answer_of_few_sentences(path: Path) -> None:
    result = read_result(path)
    lines = sentences(result, answer(result, figures_of(path, result)))
    assert 1 <= len(lines) <= 6
    assert all(line.endswith(".") and not line.endswith("..") for line in lines)
