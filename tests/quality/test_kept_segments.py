"""Laws: what the cache holds of vectors and scores, and nobody can have computed, is computed again and told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cache.artifacts import Cache
from bench.results.model import Result
from tests import small

Change = Callable[[dict[str, Any]], dict[str, Any]]
VECTORS: Mapping[str, Change] = {
    "another dimension": lambda held: {**held, "vectors": held["vectors"][:, 1:]},
    "no dimension": lambda held: {**held, "vectors": held["vectors"][:, :0]},
    "a vector of no numbers": lambda held: {**held, "vectors": np.full_like(held["vectors"], np.nan)},
    "an endless vector": lambda held: {**held, "vectors": np.full_like(held["vectors"], np.inf)},
    "numbers of another kind": lambda held: {**held, "vectors": held["vectors"].astype(np.float16)},
    "no word of what was cut": lambda held: {name: value for name, value in held.items() if name != "truncated"},
    "a bill of no number": lambda held: {**held, "usage.tokens": np.float64("nan")},
    "several bills": lambda held: {**held, "usage.tokens": np.zeros(len(held["digest"]))},
}
SCORES: Mapping[str, Change] = {
    "scores of no numbers": lambda held: {**held, "scores": np.full_like(held["scores"], np.nan)},
    "numbers of another kind": lambda held: {**held, "scores": held["scores"].astype(np.float64)},
    "a bill below zero": lambda held: {**held, "usage.seconds": np.float64(-1)},
}


class Handed:
    """A folder with a cache that a run left, and what that run found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        small.collection(folder / "data")
        self.undisturbed = self.run()

    def run(self) -> Result:
        spec = small.spec(
            [{"name": "dense", "encoder": "words"}, {"name": "again", "store": "bm25", "reranker": "again"}],
            encoders={"words": {"adapter": "words"}},
            rerankers={"again": {"adapter": "bm25"}},
        )
        return small.measure(self.folder, spec)[1]

    def change(self, kind: str, change: Change) -> None:
        """Write all segments of a kind so, whole and with a checksum that is right."""
        cache = Cache(self.folder / "cache")
        paths = sorted((self.folder / "cache" / kind).glob("*/*.npz"))
        assert paths
        for path in paths:
            key = f"{path.parent.name}/{path.stem}"
            held = cache.read(kind, key)
            assert held is not None
            cache.write(kind, key, change(held))


pytestmark = pytest.mark.usefixtures("third_party")


@pytest.fixture
def handed(tmp_path: Path) -> Handed:
    return Handed(tmp_path)


def computed_again(handed: Handed, kind: str, change: Change, told: str) -> None:
    handed.change(kind, change)
    found, after = handed.run(), handed.run()
    assert found.status == "success" and small.means(found) == small.means(handed.undisturbed)
    assert any(told in warning for warning in found.warnings), found.warnings
    assert not any("damaged" in warning for warning in after.warnings)


@pytest.mark.parametrize("change", VECTORS)
def test_vectors_that_cannot_be_the_encoders_are_embedded_again_and_told(change: str, handed: Handed) -> None:
    told = "of its vectors in the cache is damaged; what they held is embedded again."
    computed_again(handed, "vectors", VECTORS[change], told)


@pytest.mark.parametrize("change", SCORES)
def test_scores_that_can_be_nobodys_are_scored_again_and_told(change: str, handed: Handed) -> None:
    computed_again(handed, "scores", SCORES[change], "of its scores in the cache are damaged; what they held is scored")
