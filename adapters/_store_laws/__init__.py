"""What every store must do, whatever its engine: the store's part of `adapters.testing`."""

from __future__ import annotations

from adapters._store_laws._building import BuildingLaws
from adapters._store_laws._directions import DirectionLaws
from adapters._store_laws._filters import FilterLaws
from adapters._store_laws._growth import GrowthLaws
from adapters._store_laws._nearness import NearnessLaws
from adapters._store_laws._refusals import RefusalLaws
from adapters._store_laws._sample import Sample
from adapters._store_laws._searching import SearchingLaws
from adapters._store_laws._suite import StoreSuite
from adapters._store_laws._texts import TextLaws

__all__ = ["NearnessLaws", "Sample", "StoreConformance", "StoreSuite"]


class StoreConformance(
    BuildingLaws, SearchingLaws, NearnessLaws, DirectionLaws, FilterLaws, TextLaws, GrowthLaws, RefusalLaws
):
    """Subclass it as `class TestMyStore(StoreConformance)` and fill in `store`; the other hooks have defaults.

    What is asked of the store follows from what a search with `query` consumes: vectors, texts or both. One whose
    searches approximate says `exact = False`, gives generous settings in `query`, and declares in `changes` what its
    query options do: it is then held to a floor of recall.
    """
