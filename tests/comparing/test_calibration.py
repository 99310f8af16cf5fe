"""Does the gate keep what it says of itself? Drawn from the differences of real systems by query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.results.model import read_result
from bench.results.per_query import read_figures
from bench.statistics.detectable import detectable_difference
from bench.statistics.measures import Measure
from bench.statistics.significance import compare_pairs
from tests import small
from tests.comparing.made import Values

DRAWS, QUERIES, FLIPS = 2_000, 300, 1_000
STATED = 0.05  # what the gate says of a level of 95 %
DEVIATION, LOSS = 0.17, 0.03


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory, collections: Path, static_model: Path) -> Values:
    """nDCG@10 of 300 questions: two rankings by vectors and their fusion with BM25, less BM25; (300, 3), centred."""
    experiment = small.spec(
        [
            {"name": "bm25", "store": "bm25"},
            {"name": "static", "encoder": "static"},
            {"name": "reranked", "store": "bm25", "reranker": "by-vectors"},
            {"name": "fused", "fuse": ["bm25", "static"]},
        ],
        dataset={"adapter": "beir", "path": str(collections / "xquad_en"), "split": "test"},
        encoders={"static": {"adapter": "sentence_transformers", "model": str(static_model)}},
        rerankers={"by-vectors": {"adapter": "bi_encoder", "encoder": "static"}},
        measures=["nDCG@10"],
    )
    folder, _ = small.measure(tmp_path_factory.mktemp("real"), experiment)
    kept = read_figures(folder, read_result(folder))
    chosen = np.random.default_rng(0).permutation(len(kept.query_ids))[:QUERIES]
    by_name = {name: of.mean_over_builds(Measure("nDCG", 10)) for name, of in kept.systems.items()}
    columns = [by_name[name][chosen] - by_name["bm25"][chosen] for name in ("static", "reranked", "fused")]  # type: ignore[index]
    found: Values = np.column_stack(columns)
    assert len(found) == QUERIES and (found.std(axis=0) > 0.05).all()
    return found - found.mean(axis=0)


def alarms(differences: Values, *, loss: float = 0.0, seed: int = 0, draws: int = DRAWS) -> float:
    """The share of draws in which the gate fails: each draw turns the differences by random signs, and takes the loss
    from each. No statistic depends on the scale: a tenth of the differences lies within what a measure may be."""
    failing = 0
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        drawn = differences * rng.choice((-1.0, 1.0), (len(differences), 1)) - loss
        pairs = {str(j): (np.full(len(drawn), 0.5), 0.5 + column / 10) for j, column in enumerate(drawn.T)}
        found = compare_pairs(pairs, margin=None, rng=rng, flips=FLIPS)
        failing += any(of.interval.high < 0 for of in found.values())
    return failing / draws


@pytest.mark.slow
@pytest.mark.parametrize("systems", [1, 3])
def test_at_most_the_stated_share_of_runs_fail_of_which_none_got_worse(differences: Values, systems: int) -> None:
    share = alarms(differences[:, :systems])
    assert 0.01 < share <= STATED
    # One system: losses alone fail, half of what the interval leaves. Three deviations of 2,000 draws are .0105.
    assert systems > 1 or share <= STATED / 2 + 0.0105


@pytest.mark.slow
def test_a_loss_of_three_points_is_found_in_four_of_five_runs(differences: Values) -> None:
    """Where the deviation is .17: foreseen are (1.960 + .842) * .17 / sqrt(300) = .0275."""
    foreseen = detectable_difference(QUERIES, deviation=DEVIATION, family=1)
    assert foreseen == pytest.approx(0.0275, abs=1e-4) and foreseen < LOSS
    one = differences[:, :1] * DEVIATION / differences[:, :1].std(ddof=1)
    assert alarms(one, loss=LOSS, draws=500) >= 0.8


def test_equal_results_raise_no_alarm() -> None:
    nothing = np.zeros((QUERIES, 2))
    assert alarms(nothing, draws=5) == 0
