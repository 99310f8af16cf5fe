"""A third party's store, written by the README alone, found through an entry point, under the laws of every store."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters._store_laws import DIMENSION
from adapters.base import Filter, Hits, IndexRef, InvalidOptions, Place, Queries, Session, Similarity, Store
from adapters.testing import Sample, StoreConformance

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


class Faulty:
    """The toy's session with one fault that stores really have."""

    def __init__(self, session: Session, fault: str) -> None:
        self.session, self.fault = session, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def __enter__(self) -> Faulty:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def search(self, queries: Queries, limit: int, filter: Filter | None = None) -> Hits:
        hits = self.session.search(queries, limit, None if self.fault == "the filter is ignored" else filter)
        rows, scores = hits.rows, hits.scores
        if self.fault == "smaller is better":
            return Hits(rows[:, ::-1].copy(), scores[:, ::-1].copy())
        if self.fault == "batches are shuffled" and len(rows) > 1:
            return Hits(np.roll(rows, 1, axis=0), np.roll(scores, 1, axis=0))
        if self.fault == "scores are on another scale":
            return Hits(rows, 2 * scores)
        if self.fault == "a neighbour is missed":
            rows[0, 0] = rows[0, -1]
        return hits


class Suite(StoreConformance):
    """The laws for a store whose sessions have a fault; builds as the fixture would."""

    def __init__(self, folder: Path, fault: str) -> None:
        self.folder, self.fault = folder, fault

    def store(self) -> Store:
        return toy()

    def build_it(self, sample: Sample, **_: object) -> IndexRef:
        place = Place("law", self.folder / str(len(list(self.folder.iterdir()))))
        place.folder.mkdir()
        return toy().build(sample.batches(), place=place, similarity=Similarity.COSINE, dimension=DIMENSION)

    def _open(self, ref: IndexRef) -> Any:
        return Faulty(super()._open(ref), self.fault)


@pytest.mark.parametrize(
    ("fault", "law", "arguments"),
    [
        ("smaller is better", "test_hits_come_best_first_once_each_and_empty_places_last", ()),
        ("a neighbour is missed", "test_every_row_is_held_and_indexed", ()),
        ("batches are shuffled", "test_one_query_and_many_give_the_same", ()),
        ("scores are on another scale", "test_every_row_is_held_and_indexed", ()),
        ("the filter is ignored", "test_a_filter_leaves_what_passes_as_the_oracle_does", ({"lang": "en"},)),
    ],
)
def test_the_suite_catches_a_store_that_is_wrong(
    tmp_path: Path, fault: str, law: str, arguments: tuple[object, ...]
) -> None:
    suite = Suite(tmp_path, fault)
    with pytest.raises(AssertionError):
        getattr(suite, law)(suite.build_it, *arguments)
    healthy = Suite(tmp_path, "none")
    getattr(healthy, law)(healthy.build_it, *arguments)
