"""What the comparison of times round by round says in a result."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from bench.experiment.file import LoadPoint
from bench.results.model import LatencyAgainst
from bench.statistics.latency_comparison import RoundTimes, latencies_against_baseline
from bench.statistics.latency_verdicts import Ratio


def comparable(load: LoadPoint) -> bool:
    """Whether rounds under this load point are compared: shorter turns than a second measure the scheduler."""
    return load.alone and load.turn_seconds >= 1.0


def against_baseline(
    rounds: Mapping[str, RoundTimes],
    baseline: str,
    *,
    margin: float | None,
    rng: np.random.Generator,
    never_faster: Collection[str] = (),
) -> dict[str, dict[str, LatencyAgainst]]:
    """The comparisons by system and figure, as a result holds them."""
    found = latencies_against_baseline(rounds, baseline, margin=margin, rng=rng, never_faster=never_faster)
    return {name: {figure: _against(ratio) for figure, ratio in by_figure.items()} for name, by_figure in found.items()}


def _against(ratio: Ratio) -> LatencyAgainst:
    return LatencyAgainst(
        ratio=ratio.ratio,
        interval=(ratio.interval.low, ratio.interval.high) if ratio.interval else None,
        p=ratio.p,
        p_corrected=ratio.p_corrected,
        verdict=ratio.verdict,
        rounds=ratio.rounds,
        rounds_to_decide=ratio.rounds_to_decide,
    )
