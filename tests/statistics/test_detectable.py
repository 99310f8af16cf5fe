"""The smallest difference that a test set shows, before a run and after it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics.comparison import SystemFigures
from bench.statistics.detectable import (
    PRIOR_DEVIATION,
    PRIOR_SPREAD_OF_SEEDS,
    Spread,
    detectable,
    detectable_difference,
)
from bench.statistics.measures import Measure
from bench.statistics.significance import compare_builds

NDCG = Measure("nDCG", 10)
LOW, HIGH = np.tile([0.2, 0.3], 20), np.tile([0.7, 0.9], 20)


def figures(*builds: np.ndarray) -> SystemFigures:
    return SystemFigures({NDCG: np.stack(builds)})


def foreseen(seeds: dict[str, int], family: int = 2) -> float:
    return detectable({}, "base", NDCG, queries=300, family=family, seeds=seeds).difference


def test_smallest_detectable_difference() -> None:
    # (1.95996 + .84162)·.4/√300 = .06470; for five systems z of 1 - .05/10 is 2.57583: .07892
    assert detectable_difference(300, deviation=0.4, family=1) == pytest.approx(0.06470, abs=1e-5)
    assert detectable_difference(300, deviation=0.4, family=5) == pytest.approx(0.07892, abs=1e-5)
    with pytest.raises(ValueError, match="needs queries"):
        detectable_difference(0, deviation=0.4, family=1)
    with pytest.raises(ValueError, match="builds"):
        detectable_difference(9, deviation=0.4, family=1, spreads=[Spread(0.1, 0)])


def test_seeds_that_differ_hide_small_differences() -> None:
    # .4²/300 = 5.3333e-4; .02²/3 = 1.3333e-4 twice: error √8e-4 = .028284.
    # Freedom 8e-4² / (5.3333e-4²/299 + 2·1.3333e-4²/2) = 6.4e-7 / (9.513e-10 + 1.7778e-8) = 34.17;
    # t(34.17) is 2.0320 at .975 and .8525 at .8: (2.0320 + .8525)·.028284 = .08159.
    two = [Spread(0.02, 3), Spread(0.02, 3)]
    assert detectable_difference(300, deviation=0.4, family=1, spreads=two) == pytest.approx(0.08159, abs=2e-5)
    plain = detectable_difference(300, deviation=0.4, family=1)
    one = detectable_difference(300, deviation=0.4, family=1, spreads=two[:1])
    assert plain < one < 0.08159
    assert detectable_difference(300, deviation=0.4, family=1, spreads=[Spread(0.02, 1)]) == plain
    assert detectable_difference(300, deviation=0.4, family=1, spreads=[Spread(0.0, 3)]) == plain


def test_more_seeds_show_smaller_differences() -> None:
    found = [
        detectable_difference(1_000, deviation=0.3, family=3, spreads=[Spread(0.02, builds)] * 2)
        for builds in (2, 3, 5, 10, 100)
    ]
    assert found == sorted(found, reverse=True)


def test_before_a_run_the_seeds_of_both_sides_count_with_an_assumed_spread() -> None:
    def expected(*builds: int) -> float:
        spreads = [Spread(PRIOR_SPREAD_OF_SEEDS, count) for count in builds]
        return detectable_difference(300, deviation=PRIOR_DEVIATION, family=2, spreads=spreads)

    assert foreseen({}) == foreseen({"tuned": 1}) == foreseen({"base": 1, "tuned": 1}) == expected()
    assert foreseen({"tuned": 3}) == expected(3) > expected()
    assert foreseen({"tuned": 3, "more": 5}) == expected(3)  # the hardest to tell apart
    assert foreseen({"base": 3}) == expected(3)
    assert foreseen({"base": 3, "tuned": 2}) == expected(2, 3)


def test_after_a_run_the_largest_deviation_that_was_seen_counts() -> None:
    # Differences of .5 and .6 in turn: deviation sqrt(40 * .05^2 / 39) = .05064.
    seen = detectable({"base": figures(LOW), "a": figures(HIGH)}, "base", NDCG, queries=40, family=1).difference
    prior = detectable({}, None, NDCG, queries=40, family=1).difference
    assert seen / prior == pytest.approx(0.05064 / 0.35, rel=1e-3)


def test_after_a_run_the_spread_of_the_builds_that_was_seen_counts() -> None:
    # Builds' means lie .1 apart: a deviation of .1 over three.
    apart = figures(HIGH - 0.1, HIGH, HIGH + 0.1)
    expected = detectable_difference(40, deviation=0.05064, family=1, spreads=[Spread(0.1, 3)])
    found = detectable({"base": figures(LOW), "a": apart}, "base", NDCG, queries=40, family=1).difference
    assert found == pytest.approx(expected, rel=1e-3)
    swapped = detectable({"base": apart, "a": figures(LOW)}, "base", NDCG, queries=40, family=1).difference
    assert swapped == pytest.approx(expected, rel=1e-3)


def test_it_says_on_whose_deviation_it_rests_and_for_how_many_systems() -> None:
    systems = {"base": figures(LOW), "a": figures(HIGH), "b": figures(np.tile([0.2, 0.9], 20))}
    found = detectable(systems, "base", NDCG, queries=40, family=5)
    # Differences of b: 0 and .6 in turn, .3 from their mean: sqrt(40 * .3^2 / 39) = .30382.
    assert (found.system, found.family) == ("b", 5)
    assert found.deviation == pytest.approx(0.30382, abs=1e-5)
    assert found.difference == pytest.approx(detectable_difference(40, deviation=0.30382, family=5), rel=1e-4)
    assumed = detectable({}, "base", NDCG, queries=40, family=5)
    assert (assumed.system, assumed.deviation) == (None, PRIOR_DEVIATION)


def test_what_comes_out_differently_each_time_decides_only_where_there_is_nothing_else() -> None:
    wild = np.tile([0.2, 0.9], 20)
    for odd in (SystemFigures({NDCG: wild[None]}, reproducible=False), SystemFigures({NDCG: wild[None]}, partial=True)):
        systems = {"base": figures(LOW), "a": figures(HIGH), "odd": odd}
        assert detectable(systems, "base", NDCG, queries=40, family=2).system == "a"
        del systems["a"]
        assert detectable(systems, "base", NDCG, queries=40, family=2).system == "odd"


def test_groups_of_queries_show_less_than_as_many_single_ones() -> None:
    # Differences of a query and its copy: .5 .5 .6 .6 …; twenty pairs tell as much as twenty queries.
    twice = {"base": figures(np.zeros(40)), "a": figures(np.repeat(np.tile([0.5, 0.6], 10), 2))}
    single = detectable(twice, "base", NDCG, queries=40, family=1)
    grouped = detectable(twice, "base", NDCG, queries=40, family=1, clusters=np.repeat(np.arange(20), 2))
    # sqrt(40 * .05^2 / 39) against sqrt(20 * (2 * .05)^2 * 20 / 19 / 40)
    assert grouped.deviation / single.deviation == pytest.approx(0.072548 / 0.050637, rel=1e-3)


def test_a_system_that_is_not_compared_does_not_count() -> None:
    systems = {"base": figures(LOW), "a": SystemFigures({NDCG: HIGH[None]}, filter={"lang": "en"})}
    assert detectable(systems, "base", NDCG, queries=40, family=1).system is None


def test_the_difference_that_is_foreseen_is_found_four_times_in_five() -> None:
    # 300 draws at .8 scatter by .023
    n, spread, deviation, builds = 400, 0.02, 0.2, 3
    effect = detectable_difference(n, deviation=deviation, family=1, spreads=[Spread(spread, builds)] * 2)
    found = 0
    for number in range(300):
        rng = np.random.default_rng([7, number])
        queries = rng.normal(0, deviation, n)
        base = 0.4 + rng.normal(0, spread, (builds, 1)) + np.zeros(n)
        system = 0.4 + effect + queries + rng.normal(0, spread, (builds, 1))
        sides = (np.clip(side, 0, 1) for side in (base, system))
        found += compare_builds(*sides, margin=None, rng=rng, family=1, resamples=1_000).verdict == "better"
    assert 0.72 <= found / 300 <= 0.88
