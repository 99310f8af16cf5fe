"""What every store must do, whatever its engine: the store's part of `adapters.testing`."""

from __future__ import annotations

from ._building import BuildingLaws
from ._directions import DirectionLaws
from ._filters import FilterLaws
from ._growth import GrowthLaws
from ._nearness import NearnessLaws
from ._refusals import RefusalLaws
from ._sample import Sample
from ._searching import SearchingLaws
from ._suite import StoreSuite

__all__ = ["NearnessLaws", "Sample", "StoreConformance", "StoreSuite"]


class StoreConformance(BuildingLaws, SearchingLaws, NearnessLaws, DirectionLaws, FilterLaws, GrowthLaws, RefusalLaws):
    """Subclass it as `class TestMyStore(StoreConformance)` and fill in `store`; the other hooks have defaults.

    What is asked of the store follows from what a search with `query` consumes: vectors, texts or both. One whose
    searches approximate says `exact = False`, gives generous settings in `query`, and declares in `changes` what its
    query options do: it is then held to a floor of recall.
    """
