"""What a level of confidence asks for: critical values, groups and flips."""

from __future__ import annotations

import math
from statistics import NormalDist

from bench.statistics.resampling import ROUNDING

_FLIPS, _RAREST_FLIPS = 20_000, 20  # that are drawn at least, and that a critical value rests on


def two_sided(level: float, family: int) -> float:
    """The normal distribution's critical value, Bonferroni over the family."""
    return NormalDist().inv_cdf(1 - (1 - level) / (2 * family))


def flips_for(level: float) -> int:
    """How many flips leave enough of the rarest ones above the critical value, however high the level."""
    return max(_FLIPS, math.ceil(_RAREST_FLIPS / (1 - level)))


def fewest_groups(level: float) -> int:
    """How many groups a decision needs; with fewer no sign pattern is rare enough: 2 / 2^n is at most 1 - level."""
    return math.ceil(1 + math.log2(1 / (1 - level)) - ROUNDING)
