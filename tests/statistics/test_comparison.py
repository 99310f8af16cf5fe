"""Systems against a baseline, from arrays alone."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.comparison import SystemFigures, against_baseline, differ
from bench.statistics.measures import Measure

NDCG, HIT, ANN = Measure("nDCG", 10), Measure("Hit", 1), Measure("ANN", 10)
LOW, HIGH = np.tile([0.2, 0.3], 20), np.tile([0.7, 0.9], 20)


def figures(*builds: np.ndarray, measure: Measure = NDCG, **what: object) -> SystemFigures:
    return SystemFigures({measure: np.stack(builds)}, **what)  # type: ignore[arg-type]


def verdict(base: SystemFigures, other: SystemFigures, measure: Measure = NDCG) -> str | None:
    found = against_baseline({"base": base, "other": other}, "base", [measure], margin=None, seed=0)
    return found["other"][measure].comparison.verdict


def test_a_system_is_compared_over_the_queries_for_which_all_have_the_measure() -> None:
    some, other = HIGH.copy(), LOW.copy()
    some[:2], other[2:4] = np.nan, np.nan
    systems = {"base": figures(LOW), "some": figures(some), "other": figures(other)}
    found = against_baseline(systems, "base", [NDCG], margin=None, seed=0)
    # 36 queries are left, in pairs: (.7 - .2 + .9 - .3) / 2 = .55, and .55 / .25 = 220 %.
    assert found["some"][NDCG].comparison.difference == pytest.approx(0.55)
    assert found["some"][NDCG].percent == pytest.approx(220)
    assert found["some"][NDCG].comparison.wins == 36
    assert found["other"][NDCG].comparison.ties == 36


def test_the_first_measure_decides_and_the_others_have_no_verdict() -> None:
    values = {NDCG: HIGH[None], HIT: np.ones((1, 40))}
    base = SystemFigures({NDCG: LOW[None], HIT: np.zeros((1, 40))})
    found = against_baseline({"base": base, "a": SystemFigures(values)}, "base", [NDCG, HIT], margin=None, seed=0)["a"]
    assert (found[NDCG].comparison.verdict, found[HIT].comparison.verdict) == ("better", None)
    assert found[HIT].percent is None  # of a baseline of 0


def test_systems_under_another_filter_and_runs_without_their_baseline_are_not_compared() -> None:
    systems = {"base": figures(LOW), "german": figures(HIGH, filter={"lang": "de"})}
    assert against_baseline(systems, "base", [NDCG], margin=None, seed=0) == {}
    assert against_baseline(systems, None, [NDCG], margin=None, seed=0) == {}
    assert against_baseline(systems, "gone", [NDCG], margin=None, seed=0) == {}


def test_a_partial_system_is_never_better_and_may_be_worse() -> None:
    assert verdict(figures(LOW), figures(HIGH)) == "better"
    assert verdict(figures(LOW), figures(HIGH, partial=True)) == "undecided"
    assert verdict(figures(HIGH), figures(LOW, partial=True)) == "worse"


@pytest.mark.parametrize(("builds", "expected"), [(1, "undecided"), (2, "undecided"), (3, "better")])
@pytest.mark.parametrize("unseeded", ["base", "other"])
def test_recall_by_fewer_than_three_unseeded_builds_is_never_better(builds: int, expected: str, unseeded: str) -> None:
    base, other = ([of] * (builds if unseeded == name else 1) for name, of in (("base", LOW), ("other", HIGH)))
    found = verdict(
        figures(*base, measure=ANN, reproducible=unseeded != "base"),
        figures(*other, measure=ANN, reproducible=unseeded != "other"),
        ANN,
    )
    assert found == expected


def test_a_further_system_changes_no_difference_and_a_further_measure_no_interval() -> None:
    base, a, b = figures(LOW), figures(HIGH), figures(np.roll(HIGH, 1))
    two = against_baseline({"base": base, "a": a}, "base", [NDCG], margin=None, seed=0)
    three = against_baseline({"base": base, "a": a, "b": b}, "base", [NDCG], margin=None, seed=0)
    assert two["a"][NDCG].comparison.difference == three["a"][NDCG].comparison.difference
    more = against_baseline({"base": base, "a": a}, "base", [NDCG, HIT], margin=None, seed=0)
    assert more == two


def test_two_systems_differ_where_their_difference_is_decided() -> None:
    rng = np.random.default_rng(0)
    assert differ(LOW[None], HIGH[None], rng=rng)
    assert not differ(LOW[None], LOW[None], rng=rng)
    assert not differ(LOW[None], np.full((1, 40), np.nan), rng=rng)
