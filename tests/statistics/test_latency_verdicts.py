from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics.latency_verdicts import Ratio, compare_rounds

Values = npt.NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def compare(ratios: list[float] | Values, margin: float | None = None, never_faster: tuple[str, ...] = ()) -> Ratio:
    """One system against a baseline whose rounds drift by a factor of nine, as those of a busy machine do."""
    baseline = np.linspace(0.001, 0.009, len(ratios))
    system = baseline * np.asarray(ratios)
    return compare_rounds(baseline, {"s": system}, margin=margin, rng=rng(), never_faster=never_faster)["s"]


def scattered(middle: float, deviation: float = 0.03, rounds: int = 10, seed: int = 0) -> Values:
    """Ratios whose logarithms lie symmetrically about that of `middle`, so that their geometric mean is exact."""
    half = np.abs(rng(seed).normal(0, deviation, rounds // 2))
    return middle * np.exp(np.concatenate((half, -half)))


def test_a_systems_ratio_is_the_geometric_mean_of_its_rounds() -> None:
    # sqrt(.5 * 2) = 1 in each pair of rounds: half as long and twice as long cancel out.
    assert compare([0.5, 2.0] * 5).ratio == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("middle", "margin", "verdict"),
    [
        (0.8, None, "faster"),
        (1.2, None, "slower"),
        (1.0, None, "undecided"),
        (1.0, 1.10, "not_slower"),
        (1.05, 1.10, "not_slower"),
        (1.2, 1.10, "slower"),
        (0.8, 1.10, "faster"),
    ],
)
def test_the_verdict_follows_from_where_the_interval_lies(middle: float, margin: float | None, verdict: str) -> None:
    assert compare(scattered(middle, 0.02), margin).verdict == verdict


def test_drift_that_hits_both_systems_of_a_round_does_not_matter() -> None:
    ratios = scattered(1.1)
    steady = compare_rounds(np.full(10, 0.002), {"s": 0.002 * ratios}, margin=None, rng=rng())["s"]
    assert steady.ratio == pytest.approx(compare(ratios).ratio) and steady.verdict == compare(ratios).verdict


def test_exchanging_system_and_baseline_turns_the_verdict_round() -> None:
    slow, fast = compare(scattered(1.2)), compare(1 / scattered(1.2))
    assert (slow.verdict, fast.verdict) == ("slower", "faster")
    assert slow.interval is not None and fast.interval is not None
    assert fast.interval.low == pytest.approx(1 / slow.interval.high)
    assert slow.p == fast.p


def test_under_six_rounds_nothing_is_decided() -> None:
    # 2 / 2^5 = .0625 > .05: with five rounds even five of one sign are no proof.
    five = compare([1.5, 1.6, 1.4, 1.5, 1.7])
    assert (five.verdict, five.interval, five.p, five.rounds_to_decide) == ("undecided", None, None, 1)
    assert compare([1.5, 1.6, 1.4, 1.5, 1.7, 1.6]).verdict == "slower"


def test_a_p_value_is_never_zero() -> None:
    found = compare(scattered(3.0))
    assert found.p is not None and found.p_corrected is not None and 0 < found.p <= found.p_corrected <= 1


def test_identical_times_are_no_difference() -> None:
    same = compare(np.ones(10))
    assert same.interval is not None and (same.interval.low, same.interval.high) == (1.0, 1.0)
    assert same.verdict == "undecided" and compare(np.ones(10), 1.1).verdict == "not_slower"


def test_a_system_with_failures_is_never_called_faster() -> None:
    assert compare(scattered(0.5), never_faster=("s",)).verdict == "undecided"
    assert compare(scattered(0.5), 1.1, never_faster=("s",)).verdict == "not_slower"


def test_more_rounds_are_foreseen_where_they_would_decide() -> None:
    found = compare(scattered(1.01, 0.1))
    assert found.verdict == "undecided" and found.rounds_to_decide is not None and found.rounds_to_decide > 10


def test_a_round_without_a_figure_is_left_out_for_all_and_said() -> None:
    baseline = np.full(10, 0.002)
    gap = 0.002 * scattered(1.2)
    gap[3] = math.nan
    found = compare_rounds(baseline, {"gap": gap, "whole": 0.002 * scattered(1.2)}, margin=None, rng=rng())
    assert (found["gap"].rounds, found["whole"].rounds) == (9, 9)


def test_a_system_that_was_cut_off_takes_no_verdict_from_the_others() -> None:
    cut = np.full(10, math.nan)
    cut[:3] = 0.004
    absent = np.full(10, math.nan)
    others = {"cut": cut, "whole": 0.002 * scattered(1.2), "absent": absent}
    found = compare_rounds(np.full(10, 0.002), others, margin=None, rng=rng())
    assert list(found) == ["cut", "whole"]
    assert (found["cut"].verdict, found["cut"].rounds) == ("undecided", 3)
    assert (found["whole"].verdict, found["whole"].rounds) == ("slower", 10)


def test_a_family_corrects_for_all_its_systems() -> None:
    alone = compare(scattered(1.01, 0.03))
    baseline = np.full(10, 0.002)
    many = {f"n{i}": 0.002 * scattered(1.0, 0.03, seed=i + 1) for i in range(12)}
    together = compare_rounds(baseline, {"s": 0.002 * scattered(1.01, 0.03), **many}, margin=None, rng=rng())["s"]
    assert alone.interval is not None and together.interval is not None
    assert together.interval.high - together.interval.low > alone.interval.high - alone.interval.low
    assert together.p_corrected is not None and alone.p_corrected is not None
    assert together.p_corrected > alone.p_corrected


@pytest.mark.parametrize("bad", [[0.0] * 10, [-1.0] * 10, [math.inf] * 10, [1.0] * 9])
def test_times_that_cannot_be_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^s: "):
        compare_rounds(np.ones(10), {"s": np.array(bad)}, margin=None, rng=rng())


def test_a_margin_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"margin.*1\.10"):
        compare([1.0] * 10, margin=0.9)


@given(st.permutations(range(10)), st.integers(0, 50))
def test_the_order_of_the_rounds_never_matters(order: list[int], seed: int) -> None:
    ratios = rng(seed).normal(1.05, 0.05, 10)
    one, other = (compare_rounds(np.ones(10), {"s": r}, margin=1.1, rng=rng()) for r in (ratios, ratios[order]))
    assert one["s"].verdict == other["s"].verdict
    assert one["s"].ratio == pytest.approx(other["s"].ratio) and one["s"].p == pytest.approx(other["s"].p)


@pytest.mark.parametrize("outliers", [0.0, 0.1])
def test_identical_systems_are_called_different_in_one_pair_of_twenty(outliers: float) -> None:
    """800 pairs, with and without rounds that something else disturbed: 40 expected, deviation 6.2 (binomial)."""
    draw, wrong = rng(9), 0
    for pair in range(800):
        disturbed = draw.random((2, 10)) < outliers
        times = np.exp(np.where(disturbed, draw.normal(0, 0.4, (2, 10)), draw.normal(0, 0.03, (2, 10))))
        found = compare_rounds(times[0], {"s": times[1]}, margin=None, rng=rng(pair), flips=2_000)["s"]
        wrong += found.verdict != "undecided"
    assert 20 <= wrong <= 60
