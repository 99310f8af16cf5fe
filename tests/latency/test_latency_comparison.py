from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.experiment.file import LoadPoint
from bench.latency.against_baseline import against_baseline, comparable
from bench.latency.figures import RoundFigures
from bench.statistics.latency_comparison import OWN_P50, TOTAL_P95, told_apart
from tests import small

SCATTER = np.exp(np.array([0.02, -0.02] * 5))


def figures(own: float, total: float | None) -> RoundFigures:
    """Ten rounds that scatter by 2 % about a time."""
    scatter = np.roll(SCATTER, 1) if own > 1 else SCATTER
    p95 = np.full(10, np.nan) if total is None else total * scatter
    return RoundFigures(np.arange(10, dtype=np.int16), np.zeros(10, np.bool_), own * scatter, p95, {})


def test_own_time_is_compared_always_and_the_tail_where_every_round_supports_it() -> None:
    rounds = {"base": figures(1.0, 2.0), "slow": figures(1.5, 3.0), "few": figures(2.0, None)}
    found = against_baseline(rounds, "base", margin=None, rng=np.random.default_rng(0))
    assert list(found) == ["slow", "few"]
    assert (list(found["slow"]), list(found["few"])) == ([OWN_P50, TOTAL_P95], [OWN_P50])
    assert found["slow"][OWN_P50].ratio == pytest.approx(1.5) and found["few"][OWN_P50].ratio == pytest.approx(2.0)
    assert {against.verdict for name in found for against in found[name].values()} == {"slower"}


def test_without_the_baselines_rounds_there_is_no_verdict() -> None:
    assert against_baseline({"a": figures(1.0, 2.0)}, "run-file", margin=None, rng=np.random.default_rng(0)) == {}


def test_two_points_are_told_apart_by_the_tail_or_by_the_middle_where_rounds_do_not_support_it() -> None:
    rng = np.random.default_rng(0)
    assert told_apart(figures(1.0, 2.0), figures(1.0, 3.0), rng, TOTAL_P95)
    assert not told_apart(figures(1.0, 2.0), figures(1.0, 2.0), rng, TOTAL_P95)
    assert told_apart(figures(1.0, None), figures(1.5, None), rng, TOTAL_P95)


@pytest.mark.parametrize(
    ("load", "compares"),
    [
        ({}, True),
        ({"turn_seconds": 0.5}, False),
        ({"workers": 4}, False),
        ({"mode": "open", "rate": 10}, False),
        ({"ingest": {"rows_per_second": 5}}, False),
    ],
)
def test_only_whole_seconds_of_one_worker_are_compared(load: dict[str, object], compares: bool) -> None:
    assert comparable(LoadPoint.model_validate(load)) == compares


@pytest.mark.slow
def test_a_fusion_is_slower_than_its_own_leg_and_the_table_says_so(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    stores = {"bm25": {"adapter": "bm25"}, "other": {"adapter": "bm25", "index": {"k1": 0.9}}}
    systems = [{"store": "bm25"}, {"store": "other"}, {"name": "hybrid", "fuse": ["bm25", "other"]}]
    experiment = small.spec(
        systems, stores=stores, baseline="bm25", margin={"latency": 5.0}, latency={"samples": 20, "seconds": 1}
    )
    _, result = small.measure(tmp_path, experiment)
    found = small.by_name(result)
    hybrid = found["hybrid"].latency_against_baseline
    assert (hybrid[OWN_P50].verdict, hybrid[OWN_P50].rounds) == ("slower", 10)
    assert result.latency_margin == 5.0 and found["other"].latency_against_baseline[OWN_P50].verdict == "not_slower"
    assert found["bm25"].latency_against_baseline == {}


def test_short_turns_give_no_verdict_on_latency(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    experiment = small.spec(
        [{"store": "bm25"}, {"name": "again", "store": "bm25"}],
        baseline="bm25",
        latency={"samples": 20, "seconds": 1, "turn_seconds": 0.001},
    )
    _, result = small.measure(tmp_path, experiment)
    assert all(system.latency is not None and not system.latency_against_baseline for system in result.systems)
