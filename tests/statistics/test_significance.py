from __future__ import annotations

import math
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.statistics.significance import (
    Comparison,
    Interval,
    about,
    compare_builds,
    compare_exploratory,
    compare_family,
    mean_interval,
)
from tests.simulations import builds_called_different, called_different, differences_covered, mean_covered

Values = npt.NDArray[np.float64]

# Sixteenths are exact in binary: shifts and sums in any order leave no rounding behind.
paired = st.integers(2, 30).flatmap(
    lambda n: st.lists(st.tuples(st.integers(0, 16), st.integers(0, 16)), min_size=n, max_size=n)
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def compare(differences: list[float] | Values, margin: float | None = None, **options: object) -> Comparison:
    """One system that differs from a baseline of 0.5 by the differences given."""
    d = np.asarray(differences, dtype=np.float64)
    base = np.full(len(d), 0.5)
    return compare_family(base, {"s": base + d}, margin=margin, rng=rng(), **options)["s"]  # type: ignore[arg-type]


def skewed(n: int, seed: int) -> Values:
    """Per-query values as a good retriever's: half are 1, a tenth 0, the rest between."""
    draw = rng(seed)
    return np.select([(u := draw.random(n)) < 0.5, u < 0.6], [1.0, 0.0], draw.beta(2, 3, n))


def same(one: Comparison, other: Comparison) -> bool:
    """Equal up to the rounding of a sum in another order."""
    ends = (other.interval.low, other.interval.high)
    return (one.interval.low, one.interval.high) == pytest.approx(ends, abs=1e-9) and all(
        getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9)
        for name in ("difference", "p", "p_corrected", "verdict", "wins", "ties", "losses")
    )


# Means


def test_wilson_interval_of_eight_hits_in_ten() -> None:
    # z² = 3.8415; centre (.8 + .19207) / 1.38415 = .71674;
    # half sqrt(3.8415·.16/10 + 3.8415²/400) / 1.38415 = sqrt(.061463 + .036893) / 1.38415 = .22658
    interval = mean_interval(np.array([1.0] * 8 + [0.0] * 2), rng=rng(), binary=True)
    assert (interval.low, interval.high) == pytest.approx((0.49016, 0.94332), abs=1e-4)


def test_all_hits_still_leave_doubt() -> None:
    # Wilson at p = 1: low = n / (n + z²) = 20 / 23.8415
    assert mean_interval(np.ones(20), rng=rng(), binary=True) == Interval(pytest.approx(0.83888, abs=1e-4), 1.0)  # type: ignore[arg-type]


def test_equal_values_bound_what_was_not_seen() -> None:
    # 1 - .025^(1/10) = 1 - exp(-.36889) = .30850 of the population may differ: down to 0, or up to 1
    interval = mean_interval(np.full(10, 0.5), rng=rng())
    assert (interval.low, interval.high) == pytest.approx((0.5 * 0.69150, 0.5 + 0.5 * 0.30850), abs=1e-4)


def test_one_query_says_next_to_nothing() -> None:
    interval = mean_interval(np.array([0.4]), rng=rng())
    assert (interval.low, interval.high) == pytest.approx((0.4 * 0.025, 0.4 + 0.6 * 0.975))
    assert mean_interval(np.array([0.4, 0.8]), rng=rng(), clusters=np.array([7, 7])).high > 0.9


def test_bootstrap_agrees_with_student_on_symmetric_values() -> None:
    # values 0, .01 … 1 twice: mean .5, s = .29227 (n = 202); .29227/√202·1.9718 = .04055
    interval = mean_interval(np.tile(np.arange(101) / 100, 2), rng=rng())
    assert (interval.low, interval.high) == pytest.approx((0.5 - 0.04055, 0.5 + 0.04055), abs=0.003)


def test_bootstrap_interval_leans_towards_the_long_tail() -> None:
    values = np.array([0.0] * 90 + [1.0] * 8 + [0.5] * 2)
    interval = mean_interval(values, rng=rng())
    assert interval.high - values.mean() > values.mean() - interval.low > 0


@pytest.mark.parametrize("distinct", [11, 100_000])
def test_few_and_many_distinct_values_are_resampled_alike(distinct: int) -> None:
    values = np.floor(rng(4).random(2_000) * distinct) / distinct
    interval = mean_interval(values, rng=rng())
    half = 1.961 * values.std(ddof=1) / math.sqrt(2_000)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.04)


def test_repeating_each_query_in_its_group_adds_no_certainty() -> None:
    values = skewed(60, 1)
    alone = mean_interval(values, rng=rng())
    grouped = mean_interval(np.repeat(values, 4), rng=rng(), clusters=np.repeat(np.arange(60), 4))
    naive = mean_interval(np.repeat(values, 4), rng=rng())
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high), abs=1e-9)
    assert naive.high - naive.low < 0.6 * (alone.high - alone.low)


def test_binary_values_in_groups_are_not_taken_for_independent() -> None:
    values = np.repeat(rng(2).integers(0, 2, 50).astype(float), 10)
    grouped = mean_interval(values, rng=rng(), binary=True, clusters=np.repeat(np.arange(50), 10))
    alone = mean_interval(values, rng=rng(), binary=True)
    assert grouped.high - grouped.low > 2.5 * (alone.high - alone.low)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=2, max_size=40), st.randoms())
def test_shifting_values_shifts_the_interval_and_order_is_nothing(sixteenths: list[int], shuffler: object) -> None:
    values = np.array(sixteenths) / 16
    if len(set(sixteenths)) == 1:
        return
    interval = mean_interval(values, rng=rng(), resamples=500)
    shifted = mean_interval(values + 0.5, rng=rng(), resamples=500)
    assert (shifted.low, shifted.high) == pytest.approx((interval.low + 0.5, interval.high + 0.5), abs=1e-9)
    shuffler.shuffle(sixteenths)  # type: ignore[attr-defined]
    turned = mean_interval(np.array(sixteenths) / 16, rng=rng(), resamples=500)
    assert (turned.low, turned.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert interval.low <= values.mean() <= interval.high


# The test


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([0.1, 0.2, 0.3], 2 / 8),  # |±.1 ±.2 ±.3| reaches .6 with all signs equal: 2 of 8
        ([0.3, -0.1, 0.1], 6 / 8),  # sums ±.5, ±.3 (twice each), ±.1: 6 of 8 reach .3
        ([0.1] * 6, 2 / 64),
        ([0.2, 0.0, 0.0, 0.0, 0.0, 0.0], 1.0),  # one query that differs: both signs reach it
        ([0.25, -0.25], 1.0),
    ],
)
def test_p_is_the_share_of_sign_patterns_as_extreme(differences: list[float], p: float) -> None:
    assert compare(differences).p == pytest.approx(p, abs=0.012)


def test_p_is_never_zero() -> None:
    assert compare(0.1 + rng().random(300) / 10).p == 1 / 20_001


def test_five_queries_cannot_decide_and_six_can() -> None:
    # the rarest pattern of five signs has p = 2/32 > .05, that of six 2/64
    five, six = compare([0.1, 0.11, 0.12, 0.1, 0.11], margin=0.01), compare([0.1, 0.11, 0.12, 0.1, 0.11, 0.1])
    assert (five.verdict, five.interval, five.queries_to_decide) == ("undecided", Interval(-1, 1), 1)
    assert six.verdict == "better"


def test_queries_that_tie_everywhere_change_no_p() -> None:
    d = np.r_[rng(3).normal(0.02, 0.1, 40), np.zeros(200)]
    assert compare(d).p == pytest.approx(compare(d[:40]).p, abs=0.02)


def test_interval_of_a_large_test_set_is_the_normal_one() -> None:
    d = rng(5).normal(0.0, 0.1, 4_000)
    half = 1.96 * d.std(ddof=1) / math.sqrt(4_000)
    interval = compare(d).interval
    assert (interval.low, interval.high) == pytest.approx((d.mean() - half, d.mean() + half), abs=0.04 * half)


def test_a_copy_of_a_system_costs_no_correction() -> None:
    base, system = np.full(80, 0.5), 0.5 + rng(6).normal(0.02, 0.1, 80)
    both = compare_family(base, {"a": system, "b": system}, margin=None, rng=rng())
    alone = compare_family(base, {"a": system}, margin=None, rng=rng())["a"]
    assert both["a"] == both["b"]
    assert same(both["a"], alone)


def test_unrelated_systems_cost_what_independence_costs() -> None:
    draw = rng(7)
    base = np.full(200, 0.5)
    systems = {f"s{j}": base + draw.normal(0, 0.1, 200) for j in range(4)} | {"x": base + draw.normal(0.016, 0.1, 200)}
    family = compare_family(base, systems, margin=None, rng=rng())
    best = max(family.values(), key=lambda c: abs(c.difference) / (c.interval.high - c.difference))
    assert best.p is not None and best.p_corrected == pytest.approx(1 - (1 - best.p) ** 5, rel=0.15)
    for c in family.values():
        # Šidák for five: z of 1 - (1 - .95^(1/5))/2 = 2.569 standard errors
        assert (c.interval.high - c.interval.low) / 2 == pytest.approx(2.569 * 0.1 / math.sqrt(200), rel=0.12)


def test_systems_of_unequal_spread_weigh_alike() -> None:
    draw = rng(8)
    base = np.full(300, 0.5)
    calm, wild = base + draw.normal(0.002, 0.01, 300), base + draw.normal(0.0, 0.15, 300)
    family = compare_family(base, {"calm": calm, "wild": wild}, margin=None, rng=rng())
    assert family["calm"].interval.high - family["calm"].interval.low < 0.004
    assert family["calm"].verdict == "better"


def test_repeated_groups_flip_together() -> None:
    d = rng(9).normal(0.03, 0.1, 40)
    alone, grouped = compare(d), compare(np.repeat(d, 5), clusters=np.repeat(np.arange(40), 5))
    assert grouped.p == pytest.approx(alone.p)
    assert (grouped.interval.low, grouped.interval.high) == pytest.approx((alone.interval.low, alone.interval.high))


def test_groups_of_unequal_size_keep_the_error_of_a_ratio() -> None:
    # sums (.3, -.1, .2 …) over sizes 1 and 2; the error is that of sums less size times mean
    draw = rng(10)
    sizes = draw.integers(1, 4, 200)
    clusters = np.repeat(np.arange(200), sizes)
    d = draw.normal(0, 0.1, 200)[clusters]
    rest = np.bincount(clusters, d) - sizes * d.mean()
    half = 1.97 * math.sqrt((rest**2).sum() * 200 / 199) / len(d)
    c = compare(d, clusters=clusters)
    assert (c.interval.high - c.interval.low) / 2 == pytest.approx(half, rel=0.04)


@settings(max_examples=30, deadline=None)
@given(paired, st.randoms())
def test_exchanging_the_two_mirrors_and_order_is_nothing(pairs: list[tuple[int, int]], shuffler: object) -> None:
    base, system = np.array(pairs, dtype=float).T / 16
    there = compare_family(base, {"s": system}, margin=None, rng=rng(), flips=500)["s"]
    back = compare_family(system, {"s": base}, margin=None, rng=rng(), flips=500)["s"]
    opposite = {"better": "worse", "worse": "better", "undecided": "undecided"}
    mirrored = Comparison(
        -back.difference,
        Interval(-back.interval.high, -back.interval.low),
        back.p,
        back.p_corrected,
        opposite[str(back.verdict)],  # type: ignore[arg-type]
        back.queries_to_decide,
        back.losses,
        back.ties,
        back.wins,
    )
    assert same(mirrored, there)
    shuffler.shuffle(pairs)  # type: ignore[attr-defined]
    base, system = np.array(pairs, dtype=float).T / 16
    assert same(compare_family(base, {"s": system}, margin=None, rng=rng(), flips=500)["s"], there)


@settings(max_examples=30, deadline=None)
@given(paired, st.integers(0, 2**32), st.sampled_from([None, 0.0, 0.02]), st.booleans())
def test_verdict_interval_and_p_never_contradict(
    pairs: list[tuple[int, int]], seed: int, margin: float | None, grouped: bool
) -> None:
    base, system = np.array(pairs, dtype=float).T / 16
    other = rng(seed).permutation(system)
    clusters = np.arange(len(base)) // 2 if grouped else None
    family = compare_family(base, {"s": system, "o": other}, margin=margin, rng=rng(seed), flips=500, clusters=clusters)
    for c in family.values():
        assert c.p is not None and c.p_corrected is not None and 0 < c.p <= c.p_corrected <= 1
        assert -1 <= c.interval.low <= c.difference <= c.interval.high <= 1
        assert (c.verdict == "better") == (c.interval.low > 0)
        if c.verdict == "worse":
            assert c.interval.high < 0
        if c.interval.low > 0 or c.interval.high < 0:
            assert c.p_corrected <= 0.05
        if c.verdict == "not_worse":
            assert margin is not None and -margin < c.interval.low <= 0
        assert c.queries_to_decide is None or (c.verdict == "undecided" and c.queries_to_decide >= 1)
        assert c.wins + c.ties + c.losses == len(base)


def test_shuffled_names_give_each_system_the_same_answer() -> None:
    base = skewed(90, 1)
    systems = {name: skewed(90, seed) for seed, name in enumerate("abc", start=2)}
    family = compare_family(base, systems, margin=0.01, rng=rng())
    turned = compare_family(base, dict(reversed(systems.items())), margin=0.01, rng=rng())
    assert family == turned and list(turned) == ["c", "b", "a"]


# Verdicts


@pytest.mark.parametrize(("margin", "verdict"), [(None, "undecided"), (0.0, "undecided"), (0.01, "not_worse")])
def test_a_system_that_ties_everywhere(margin: float | None, verdict: str) -> None:
    c = compare([0.0] * 50, margin=margin)
    assert (c.difference, c.interval, c.p, c.p_corrected) == (0.0, Interval(0.0, 0.0), 1.0, 1.0)
    assert (c.verdict, c.queries_to_decide, c.wins, c.ties, c.losses) == (verdict, None, 0, 50, 0)


def test_a_tying_system_leaves_the_others_as_they_were() -> None:
    base, system = np.full(60, 0.5), 0.5 + rng(1).normal(0.01, 0.1, 60)
    both = compare_family(base, {"s": system, "same": base}, margin=0.02, rng=rng())
    alone = compare_family(base, {"s": system}, margin=0.02, rng=rng())["s"]
    assert same(both["s"], alone)


def test_verdicts_in_their_order() -> None:
    noise = np.tile([-0.1, 0.1], 200)  # half-width 1.96·.1/√400 = .0098
    assert compare(noise + 0.03, margin=0.02).verdict == "better"
    assert compare(noise + 0.001, margin=0.02).verdict == "not_worse"
    assert compare(noise - 0.012, margin=0.03).verdict == "not_worse"  # all below 0, yet within the margin
    assert compare(noise - 0.03, margin=0.02).verdict == "worse"
    assert compare(noise - 0.015, margin=0.02).verdict == "worse"
    assert compare(noise + 0.001).verdict == "undecided"


@pytest.mark.parametrize(("margin", "verdict"), [(None, "undecided"), (0.02, "not_worse")])
def test_better_can_be_withheld(margin: float | None, verdict: str) -> None:
    c = compare(np.tile([-0.1, 0.1], 200) + 0.03, margin=margin, never_better=["s"])
    assert (c.verdict, c.queries_to_decide) == (verdict, None) and c.interval.low > 0


def test_more_queries_needed_from_the_present_estimate() -> None:
    # mean .005, s = .1·√(400/399) = .10013: (1.96·.10013/.005)² = 1540.6 queries decide, 1141 more.
    # Not worse by .01 needs only .005 + .01: (1.96·.10013/.015)² = 171.2, reached.
    d = np.tile([-0.1, 0.1], 200) + 0.005
    found = compare(d).queries_to_decide
    assert found == pytest.approx(1141, rel=0.1)
    assert found is not None and found % 100 == 0
    assert compare(d, margin=0.01).verdict == "not_worse"


@pytest.mark.parametrize(
    ("count", "told"),
    [(1, 1), (73, 73), (99, 99), (100, 100), (101, 110), (359, 360), (991, 1000), (1_585_944, 1_600_000)],
)
def test_an_estimated_count_has_two_digits_that_count(count: int, told: int) -> None:
    assert about(count) == told


def test_a_difference_of_zero_foresees_no_end() -> None:
    assert compare(np.tile([-0.1, 0.1], 50)).queries_to_decide is None


# Other measures, and builds


def test_exploratory_measures_get_no_verdict() -> None:
    base = skewed(200, 1)
    c = compare_exploratory(base, skewed(200, 2), rng=rng())
    assert c.interval.low < c.difference < c.interval.high
    assert (c.p, c.p_corrected, c.verdict, c.queries_to_decide) == (None, None, None, None)
    same = compare_exploratory(base, base, rng=rng())
    assert same.interval == Interval(0.0, 0.0) and same.ties == 200


def test_builds_that_disagree_widen_the_interval() -> None:
    draw = rng(1)
    base = np.full((1, 500), 0.95)
    noise = draw.normal(0, 0.005, 500)
    alike = 0.92 + noise + np.array([[0.0], [0.0], [0.0]])
    apart = 0.92 + noise + np.array([[-0.025], [0.0], [0.025]])
    steady = compare_builds(base, alike, margin=None, rng=rng(), family=1)
    unsteady = compare_builds(base, apart, margin=None, rng=rng(), family=1)
    assert steady.verdict == "worse" and unsteady.verdict == "undecided"
    # s = .025 over three builds: error .025/√3 = .014434, t with 2 degrees of freedom 4.303: half-width .0621
    assert (unsteady.interval.high - unsteady.interval.low) / 2 == pytest.approx(0.0621, rel=0.05)
    # The builds alone leave .0621 > .03: no number of queries decides.
    assert unsteady.queries_to_decide is None


def test_equal_builds_tie() -> None:
    values = np.tile(skewed(40, 1), (3, 1))
    c = compare_builds(values, values, margin=0.01, rng=rng(), family=2)
    assert (c.interval, c.verdict, c.p, c.ties) == (Interval(0.0, 0.0), "not_worse", 1.0, 40)


def test_better_over_builds_can_be_withheld() -> None:
    draw = rng(3)
    base, values = draw.uniform(0.3, 0.5, (3, 200)), draw.uniform(0.5, 0.7, (3, 200))
    assert compare_builds(base, values, margin=None, rng=rng(), family=1).verdict == "better"
    assert compare_builds(base, values, margin=None, rng=rng(), family=1, may_be_better=False).verdict == "undecided"


# Faults, memory, calibration


def test_faults_in_the_input_are_named() -> None:
    base = np.full(4, 0.5)
    with pytest.raises(ValueError, match="s: 3 queries, but the baseline has 4"):
        compare_family(base, {"s": base[:3]}, margin=None, rng=rng())
    with pytest.raises(ValueError, match="without NaN"):
        compare_family(base, {"s": np.array([0.5, np.nan, 0.5, 0.5])}, margin=None, rng=rng())
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        mean_interval(base + 1, rng=rng())
    with pytest.raises(ValueError, match="0 and 1 only"):
        mean_interval(base, rng=rng(), binary=True)
    with pytest.raises(ValueError, match="one value per query"):
        mean_interval(np.array([]), rng=rng())
    with pytest.raises(ValueError, match="expected 4 labels"):
        mean_interval(base, rng=rng(), clusters=np.arange(3))
    with pytest.raises(ValueError, match="Use 20000 or more"):
        compare_family(base, {"s": base}, margin=None, rng=rng(), flips=10)
    with pytest.raises(ValueError, match="builds, queries"):
        compare_builds(base, base, margin=None, rng=rng(), family=1)


def test_no_systems_no_comparisons() -> None:
    assert compare_family(np.full(4, 0.5), {}, margin=None, rng=rng()) == {}


def test_memory_does_not_grow_with_draws_times_queries() -> None:
    # 20,000 flips of 8,000 signs are 640 MB as float32, 10,000 resamples of 8,000 indices are as many
    base, system = rng(1).random(8_000), rng(2).random(8_000)
    tracemalloc.start()
    try:
        compare_family(base, {"s": system}, margin=0.01, rng=rng(), flips=20_000)
        mean_interval(base, rng=rng(), resamples=2_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120e6


def test_equal_systems_are_called_different_one_time_in_twenty() -> None:
    # 400 draws at .05 scatter by .011; the big run is tests/simulations.py
    population = (skewed(4_000, 1) - skewed(4_000, 2) ** 2)[:, None]
    share = called_different(population, n=150, draws=400, seed=1, flips=2_000)
    assert 0.015 <= share <= 0.09


def test_five_equal_systems_share_one_error() -> None:
    population = np.column_stack([skewed(4_000, 1) - skewed(4_000, seed) for seed in range(2, 7)])
    assert called_different(population, n=100, draws=300, seed=2, flips=2_000) <= 0.09


def test_intervals_cover_a_known_truth() -> None:
    population = np.column_stack([skewed(4_000, 1) - skewed(4_000, 2), skewed(4_000, 3) ** 3 - skewed(4_000, 1)])
    # 400 draws at .95 scatter by .011
    assert 0.91 <= differences_covered(population, n=100, draws=400, seed=3, flips=2_000) <= 0.985
    assert 0.91 <= mean_covered(skewed(4_000, 5), n=100, draws=400, seed=4, resamples=1_000) <= 0.985
    hits = (skewed(4_000, 6) > 0).astype(float)
    assert 0.91 <= mean_covered(hits, n=200, draws=400, seed=5, binary=True) <= 0.985


def test_unsteady_builds_of_equal_indexes_are_rarely_called_different() -> None:
    population = skewed(4_000, 1) - skewed(4_000, 2)
    assert builds_called_different(population, n=100, builds=3, spread=0.03, draws=150, seed=6) <= 0.11


@pytest.mark.parametrize("n", [12, 28, 30, 60])
@pytest.mark.parametrize("level", [0.95, 0.975, 0.99])
def test_a_difference_that_is_the_same_in_every_query_is_shown_whatever_rounding_leaves_of_it(
    n: int, level: float
) -> None:
    base, other = np.full(n, 0.9), np.full(n, 0.3)
    found = compare_family(base, {"b": other}, margin=None, rng=np.random.default_rng(0), level=level)["b"]
    assert found.verdict == "worse"
    assert found.interval.high - found.interval.low < 1e-12
