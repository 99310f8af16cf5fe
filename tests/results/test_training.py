"""What a result says of a trained model over its seeds."""

from __future__ import annotations

import pytest

from bench.results.model import TrainedModel, TrainedSeed


def model(*seeds: tuple[float | None, float | None]) -> TrainedModel:
    """Seeds by what dev gives after the training and before it."""
    trained = [
        TrainedSeed(seed=i, key=str(i), dev=dev, dev_base=base, kept_step=1, steps=1, seconds=1.0, device="cpu")
        for i, (dev, base) in enumerate(seeds, start=1)
    ]
    return TrainedModel(name="tuned", makes="encoder", recipe="mnrl", base="minilm", seeds=trained)


def test_a_models_value_on_dev_is_the_mean_over_its_seeds() -> None:
    found = model((0.6, 0.5), (0.7, 0.5), (0.8, 0.5))
    # (.6 + .7 + .8) / 3 = .7
    assert (found.dev, found.dev_base) == (pytest.approx(0.7), pytest.approx(0.5))


def test_a_value_on_dev_that_a_seed_lacks_is_not_known_of_the_model() -> None:
    assert model((0.6, None), (None, 0.5)).dev is None
    assert model((0.6, None), (None, 0.5)).dev_base is None
    assert model().dev is None
