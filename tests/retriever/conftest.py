"""One run whose systems become retrievers: of every kind of stage, by adapters that need no model."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.results.model import Result
from bench.retriever.writing import Wish, Written, write_retriever
from tests import small

SYSTEMS: list[dict[str, Any]] = [
    {"name": "bm25", "store": "bm25"},
    {"name": "exact", "encoder": "words"},
    {"name": "german", "encoder": "words", "filter": {"lang": {"ne": "en"}}},
    {"name": "flat", "encoder": "words", "store": "flat"},
    {"name": "hnsw german", "encoder": "words", "store": "hnsw", "filter": {"lang": "de"}},
    {"name": "ivf with texts", "encoder": "words", "store": "ivf", "payload": "text"},
    {"name": "rrf", "fuse": ["bm25", "exact"], "by": "rrf", "depth": 20},
    {"name": "weighted", "fuse": ["bm25", "exact"], "by": "weighted", "weights": [0.3, 0.7], "depth": 20},
    {"name": "near", "store": "bm25", "reranker": "near", "depth": 15},
    {"name": "again", "fuse": ["bm25", "near"], "reranker": "near", "depth": 15},
]
EXPERIMENT = small.spec(
    SYSTEMS,
    encoders={"words": {"adapter": "words"}},
    stores={
        "bm25": {"adapter": "bm25"},
        "flat": {"adapter": "faiss"},
        "hnsw": {"adapter": "faiss", "index": {"type": "HNSW"}, "query": {"ef_search": 32}},
        "ivf": {"adapter": "faiss", "index": {"type": "IVF_FLAT", "nlist": 4}, "query": {"nprobe": 2}},
    },
    rerankers={"near": {"adapter": "bi_encoder", "encoder": "words"}},
    baseline="bm25",
    measures=["nDCG@10"],
)


@dataclass(frozen=True, slots=True)
class Run:
    """A result that retrievers are written of."""

    folder: Path
    result: Result
    home: Path

    def write(self, system: str, output: Path, **more: Any) -> Written:
        """Write the retriever of a system."""
        wish = Wish(self.folder, system, output, self.home / "cache", **more)
        return write_retriever(self.result, wish, lambda event: None)


@pytest.fixture(scope="session")
def types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where type checks keep what they find, one place for all processes that test."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "types"


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The third party's adapters, installed."""
    with small.installed(tmp_path_factory.mktemp("site")):
        yield


@pytest.fixture(scope="package")
def run(site: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run."""
    home = tmp_path_factory.mktemp("run")
    small.collection(home / "data")
    folder, result = small.measure(home, EXPERIMENT)
    assert result.status == "success", [system.error for system in result.systems]
    return Run(folder, result, home)


@pytest.fixture(scope="package")
def written(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a system, written once."""
    folder, known = tmp_path_factory.mktemp("written"), dict[str, Path]()

    def of(system: str) -> Path:
        if system not in known:
            known[system] = run.write(system, folder / f"{system.replace(' ', '_')}.py").path
        return known[system]

    return of


@pytest.fixture(scope="package")
def module(written: Callable[[str], Path]) -> Iterator[Callable[[str], ModuleType]]:
    """The file of a system as a module of this process."""
    loaded: dict[str, ModuleType] = {}

    def of(system: str) -> ModuleType:
        if system not in loaded:
            name = f"generated_{len(loaded)}"
            spec = importlib.util.spec_from_file_location(name, written(system))
            assert spec is not None and spec.loader is not None
            loaded[system] = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded[system])
        return loaded[system]

    yield of
    for each in loaded.values():
        sys.modules.pop(each.__name__)
