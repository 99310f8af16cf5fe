"""A third party's store, written by the README alone, found through an entry point, under the laws of every store."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import registry
from adapters.base import InvalidOptions, Store
from adapters.testing import StoreConformance

HERE = Path(__file__).resolve().parent
SECTION = HERE.parent.parent / "README.md"


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The toy as an installer would leave it: a module and its distribution's metadata, on the path."""
    site = tmp_path_factory.mktemp("site")
    shutil.copy(HERE / "toy_store.py", site)
    metadata = site / "toy_store-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-store\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[retrieval_bench.stores]\ntoy = toy_store:ToyStore\n")
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    yield
    sys.path.remove(str(site))
    sys.modules.pop("toy_store", None)


def toy() -> Store:
    store = registry.load("stores", "toy")
    made: Store = store(store.Index(block=64), store.Connection())
    return made


class TestToy(StoreConformance):
    def store(self) -> Store:
        return toy()


def test_the_registry_lists_it_and_suggests_it() -> None:
    assert "toy" in registry.names("stores")
    with pytest.raises(InvalidOptions, match="Did you mean toy"):
        registry.load("stores", "toyy")


def test_the_readme_shows_this_very_store() -> None:
    blocks = re.findall(r"```python\n(.*?)```", SECTION.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks[0] == (HERE / "toy_store.py").read_text(encoding="utf-8")
