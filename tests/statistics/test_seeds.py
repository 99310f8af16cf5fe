"""Laws of verdicts where systems have several seeds or builds: seeds and queries are resampled, and the whole family is
corrected by Bonferroni."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.statistics.comparison import Compared, SystemFigures, against_baseline, differ
from bench.statistics.measures import Measure
from bench.statistics.significance import (
    Comparison,
    builds_interval,
    compare_alone,
    compare_builds,
    compare_family,
    mean_interval,
)
from tests.simulations import Values, families_called_different, recipes_called_different
from tests.thorough import enough

NDCG, HIT = Measure("nDCG", 10), Measure("Hit", 1)
N = 200


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(seed: int, mean: float = 0.5, *shifts: float) -> Values:
    """Values of one system (builds, N): each build by its shift, with some noise of its own per query."""
    draw = rng(seed)
    queries = mean + draw.normal(0, 0.1, N)
    return np.clip(np.stack([queries + shift + draw.normal(0, 0.01, N) for shift in shifts or (0.0,)]), 0, 1)


def compared(**systems: Values) -> dict[str, Comparison]:
    found = all_compared({NDCG: systems})
    return {name: by_measure[NDCG].comparison for name, by_measure in found.items()}


def all_compared(values: dict[Measure, dict[str, Values]]) -> dict[str, dict[Measure, Compared]]:
    names = next(iter(values.values()))
    systems = {name: SystemFigures({m: of[name] for m, of in values.items()}) for name in names}
    return against_baseline(systems, "base", list(values), margin=0.01, seed=3)


BASE, OTHER = drawn(1), drawn(2, 0.53)
SPREAD = (-0.03, 0.0, 0.03)


def test_seeds_that_disagree_widen_the_interval_of_relevance_too() -> None:
    alike, apart = compared(base=BASE, a=drawn(4, 0.53, 0, 0, 0)), compared(base=BASE, a=drawn(4, 0.53, *SPREAD))
    assert alike["a"].verdict == "better"
    assert apart["a"].verdict == "undecided"
    # The seeds alone leave an error of .03/√3 = .0173, and no degrees of freedom give less than 1.96 times it each way.
    assert apart["a"].interval.high - apart["a"].interval.low > 2 * 1.96 * 0.0173


def test_a_lucky_seed_is_better_alone_and_not_among_its_siblings() -> None:
    """Of three seeds one stands well above the baseline, two below: one training proves nothing of the recipe."""
    seeds = drawn(5, 0.5, 0.06, -0.03, -0.03)
    assert compared(base=BASE, a=seeds[:1])["a"].verdict == "better"
    assert compared(base=BASE, a=seeds)["a"].verdict == "undecided"


@pytest.mark.parametrize("several", ["base", "a"])
def test_the_seeds_of_either_side_count(several: str) -> None:
    sides = {"base": BASE, "a": OTHER, several: drawn(6, 0.5 if several == "base" else 0.53, *SPREAD)}
    found = compared(**sides)["a"]
    direct = compare_builds(sides["base"], sides["a"], margin=0.01, rng=rng(), family=1)
    assert found.verdict == direct.verdict == "undecided"
    assert found.interval.low == pytest.approx(direct.interval.low, abs=2e-3)


def test_without_seeds_the_family_is_tested_as_one() -> None:
    values = {"a": OTHER, "b": drawn(7, 0.51)}
    flat = {name: of[0] for name, of in values.items()}
    direct = compare_family(BASE[0], flat, margin=0.01, rng=np.random.default_rng([3, 2]))
    assert compared(base=BASE, **values) == direct


def test_one_member_with_seeds_has_the_whole_family_corrected_by_bonferroni() -> None:
    found = compared(base=BASE, a=OTHER, b=drawn(7, 0.51), tuned=drawn(8, 0.6, *SPREAD))
    for name in ("a", "b", "tuned"):
        p, corrected = found[name].p, found[name].p_corrected
        assert p is not None and corrected == pytest.approx(min(1.0, 3 * p))
    # By the test of signs, whose interval holds at 1 - .05/3: wider than that of a family of its own.
    alone = compare_family(BASE[0], {"a": OTHER[0]}, margin=0.01, rng=rng())["a"]
    low, high = found["a"].interval.low, found["a"].interval.high
    assert low < alone.interval.low and alone.interval.high < high
    # Normal values at 1 - .05/6 and at .975: 2.394 / 1.960 = 1.221.
    assert (high - low) / (alone.interval.high - alone.interval.low) == pytest.approx(1.221, abs=0.04)


def test_of_two_seeds_that_are_alike_the_interval_is_that_of_the_queries() -> None:
    """A model that comes out the same by each seed is as one."""
    one = compare_builds(BASE, OTHER, margin=None, rng=rng(), family=1)
    twice = compare_builds(BASE, np.repeat(OTHER, 2, axis=0), margin=None, rng=rng(), family=1)
    assert twice.interval.low == pytest.approx(one.interval.low, abs=1e-4)


def test_what_seeds_do_to_single_queries_averages_out_over_them() -> None:
    """Seeds differ query by query but not on the whole: three of them tell more than one does, not less."""
    draw = rng(9)
    base, system = (np.clip(0.5 + draw.normal(0, 0.1, (3, 400)), 0, 1) for _ in range(2))
    one = compare_family(base[0], {"a": system[0]}, margin=None, rng=rng())["a"].interval
    three = compare_builds(base, system, margin=None, rng=rng(), family=1).interval
    assert three.high - three.low < one.high - one.low


def test_a_family_of_many_has_flips_enough_for_its_level() -> None:
    # 2,000 systems: a level of 1 - .05/2000, which 20,000 flips cannot reach (.5 of them would lie beyond).
    found = compare_alone(BASE[0, :60], drawn(2, 0.9)[0, :60], margin=None, rng=rng(), family=2_000)
    assert found.verdict == "better" and found.p_corrected is not None and found.p_corrected < 0.05


def test_a_verdict_of_better_has_a_corrected_p_of_a_twentieth_at_most() -> None:
    for number in range(12):
        found = compared(base=BASE, a=drawn(number, 0.515), tuned=drawn(100 + number, 0.53, -0.005, 0, 0.005))
        for one in found.values():
            if one.verdict in ("better", "worse"):
                assert one.p_corrected is not None and one.p_corrected <= 0.05


def test_partial_systems_with_seeds_are_never_better() -> None:
    whole = {"base": SystemFigures({NDCG: BASE}), "a": SystemFigures({NDCG: drawn(4, 0.7, 0, 0, 0)})}
    assert against_baseline(whole, "base", [NDCG], margin=None, seed=0)["a"][NDCG].comparison.verdict == "better"
    partial = {**whole, "a": dataclasses.replace(whole["a"], partial=True)}
    assert against_baseline(partial, "base", [NDCG], margin=None, seed=0)["a"][NDCG].comparison.verdict != "better"


def test_the_interval_of_a_measure_that_does_not_decide_covers_the_seeds() -> None:
    narrow, wide = drawn(4, 0.53, 0, 0, 0), drawn(4, 0.53, *SPREAD)
    first = {"base": BASE, "a": BASE, "b": BASE}
    found = all_compared({NDCG: first, HIT: {"base": BASE, "a": narrow, "b": wide}})
    a, b = (found[name][HIT].comparison for name in "ab")
    assert (a.verdict, b.verdict, b.p, b.p_corrected, b.queries_to_decide) == (None, None, None, None, None)
    assert b.interval.high - b.interval.low > 3 * (a.interval.high - a.interval.low)


def test_two_points_of_a_front_are_told_apart_by_seeds_and_queries() -> None:
    assert differ(BASE, drawn(4, 0.53, 0, 0, 0), rng=rng())
    assert not differ(BASE, drawn(4, 0.53, *SPREAD), rng=rng())


def test_the_interval_of_a_mean_covers_the_seeds() -> None:
    one = builds_interval(BASE, rng=rng())
    assert one == mean_interval(BASE[0], rng=rng())
    alike, apart = (builds_interval(drawn(4, 0.5, *shifts), rng=rng()) for shifts in ((0, 0, 0), SPREAD))
    assert apart.high - apart.low > 3 * (alike.high - alike.low)
    # Where nothing varies nothing was resampled: some query may yet be unlike, as in one build.
    full = np.ones((3, N))
    assert builds_interval(full, rng=rng()) == mean_interval(full[0], rng=rng())
    assert builds_interval(full, rng=rng(), binary=True) == mean_interval(full[0], rng=rng(), binary=True)


# Calibration, with all means of the recipes equal. 300 draws at .05 scatter by .0126.


@pytest.mark.slow
@pytest.mark.parametrize("spread", enough([0.01], [0.0, 0.01, 0.03]))
def test_a_family_of_recipes_of_equal_worth_is_seldom_called_different(spread: float) -> None:
    """Three trained systems of three seeds and two that are not trained, against a baseline that is not."""
    assert families_called_different(n=150, builds=(1, 3, 3, 3, 1, 1), spread=spread, draws=300, seed=1) <= 0.09


@pytest.mark.parametrize("builds", [(3, 3), (1, 5), (5, 2)])
def test_two_recipes_of_equal_worth_are_seldom_called_different(builds: tuple[int, int]) -> None:
    assert recipes_called_different(n=100, builds=builds, spread=0.02, draws=300, seed=2) <= 0.09
