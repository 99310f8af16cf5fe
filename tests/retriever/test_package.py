"""Installable packages of measured systems: the retriever, and a loader that builds the same of other documents."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.results.model import read_result
from bench.retriever.refusal import RetrieverRefused
from bench.retriever.writing import Wish, package_retriever, write_retriever
from tests import small

QUERIES = ["violin harbour", "the glacier polishes", "pepper", 'odd "quotes" {and} \\ more']


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, static_model: Path) -> tuple[Path, Path]:
    """The home of a run of several systems, and its result."""
    home = tmp_path_factory.mktemp("packages")
    small.collection(home / "data", documents=300)
    lance = {"adapter": "lancedb", "index": {"full_text": True}, "query": {"mode": "hybrid"}}
    systems = [
        {"name": "bm25", "store": "bm25", "filter": {"lang": "en"}},
        {"name": "exact", "encoder": "static"},
        {"name": "hybrid", "encoder": "static", "store": "lance", "filter": {"lang": ["en", "de"]}},
        {"name": "pq", "encoder": "static", "store": "pq"},
        {"name": "graph", "encoder": "static", "store": "graph"},
        {"name": "fused", "fuse": ["words", "exact"], "by": "rrf", "depth": 30},
        {"name": "words", "store": "bm25"},
        {"name": "by-vectors", "store": "bm25", "reranker": "vectors", "depth": 20},
        {"name": "by-words", "encoder": "static", "reranker": "words", "depth": 20},
    ]
    experiment = small.spec(
        systems,
        encoders={"static": {"adapter": "sentence_transformers", "model": str(static_model), "device": "cpu"}},
        stores={
            "bm25": {"adapter": "bm25"},
            "lance": lance,
            "pq": {"adapter": "lancedb", "index": {"type": "IVF_PQ", "num_sub_vectors": 16, "num_partitions": 1}},
            "graph": {"adapter": "faiss", "index": {"type": "HNSW"}},
        },
        rerankers={"vectors": {"adapter": "bi_encoder", "encoder": "static"}, "words": {"adapter": "bm25"}},
    )
    folder, result = small.measure(home, experiment)
    assert {system.name: system.error for system in result.systems} == {each["name"]: None for each in systems}
    return home, folder


@pytest.fixture
def packaged(measured: tuple[Path, Path]) -> Iterator[Any]:
    """Writes the package of a system once, and imports it."""
    home, folder = measured
    loaded: list[Path] = []

    def make(system: str) -> ModuleType:
        place = home / f"package-{system}"
        if not place.exists():
            wish = Wish(folder, system, place, home / "cache", class_name="Finder")
            package_retriever(read_result(folder), wish, lambda event: None)
        sys.path.insert(0, str(place / "src"))
        loaded.append(place)
        return importlib.import_module(place.name.replace("-", "_"))

    yield make
    for place in loaded:
        sys.path.remove(str(place / "src"))


def documents(home: Path) -> list[dict[str, Any]]:
    lines = (home / "data" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [{"id": row.pop("_id"), **row} for row in map(json.loads, lines)]


SYSTEMS = ["bm25", "exact", "hybrid", "graph", "fused", "by-vectors", "by-words"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_loader_builds_the_same_index_of_the_same_documents(
    measured: tuple[Path, Path], packaged: Any, tmp_path: Path, system: str
) -> None:
    package = packaged(system)
    with package.build(documents(measured[0]), tmp_path / "own") as own, package.Finder() as retriever:
        for query in QUERIES:
            wanted = [(each.id, each.page_content) for each in retriever.invoke(query)]
            assert [(each.id, each.page_content) for each in own.invoke(query)] == wanted, query


def test_an_index_whose_building_is_not_seeded_is_built_and_used(
    measured: tuple[Path, Path], packaged: Any, tmp_path: Path
) -> None:
    package = packaged("pq")
    with package.build(documents(measured[0]), tmp_path / "own") as own:
        assert len(own.invoke(QUERIES[0])) == 10
    with pytest.raises(package.RetrieverError, match="indexed 0 of 50 rows with IvfPq"):
        package.build(documents(measured[0])[:50], tmp_path / "few")
    assert not (tmp_path / "few").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no documents"),
        ([{"id": "a"}], "Document 1: it needs an id and a text"),
        ([{"id": "a", "text": "b", "lang": "en"}, {"id": "a", "text": "c"}], "Document 2: the id 'a' stands twice"),
        ([{"id": "a", "text": "b"}], "filters by lang, and no document has that field"),
        ([{"id": "a", "text": "b", "lang": "en"}, {"id": "b", "text": "c", "lang": 3}], "lang holds values of several"),
    ],
)
def test_documents_of_another_form_are_refused(
    packaged: Any, tmp_path: Path, given: list[dict[str, Any]], message: str
) -> None:
    package = packaged("bm25")
    with pytest.raises(package.RetrieverError, match=message):
        package.build(given, tmp_path / "own")
    assert list(tmp_path.iterdir()) == []


def test_a_package_replaces_its_like_alone_and_only_when_told(measured: tuple[Path, Path], packaged: Any) -> None:
    home, folder = measured
    packaged("bm25")
    wish = Wish(folder, "bm25", home / "package-bm25", home / "cache")
    with pytest.raises(RetrieverRefused, match="holds a package already"):
        package_retriever(read_result(folder), wish, lambda event: None)
    (home / "mine").mkdir()
    (home / "mine" / "thesis.txt").write_text("mine")
    theirs = Wish(folder, "bm25", home / "mine", home / "cache", force=True)
    with pytest.raises(RetrieverRefused, match="no retriever's package"):
        package_retriever(read_result(folder), theirs, lambda event: None)
    assert (home / "mine" / "thesis.txt").read_text() == "mine"


def test_a_file_that_would_hide_a_package_is_refused(measured: tuple[Path, Path]) -> None:
    home, folder = measured
    wish = Wish(folder, "bm25", home / "numpy.py", home / "cache")
    with pytest.raises(RetrieverRefused, match="would hide it"):
        write_retriever(read_result(folder), wish, lambda event: None)


@pytest.mark.slow
def test_a_package_is_clean_and_passes_its_own_test_where_it_is_installed(
    measured: tuple[Path, Path], packaged: Any, tmp_path: Path
) -> None:
    for system in ("bm25", "hybrid", "by-vectors"):
        packaged(system)
    places = [measured[0] / f"package-{system}" for system in ("bm25", "hybrid", "by-vectors")]
    for place in places:
        for asked in (["check"], ["format", "--diff"]):
            told = subprocess.run(
                [sys.executable, "-m", "ruff", *asked, str(place)], capture_output=True, text=True, check=False
            )
            assert told.returncode == 0, told.stdout + told.stderr
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(places[2] / "pyproject.toml")]
    checked = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "mypy"), *(str(place / "src") for place in places)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MYPYPATH": ":".join(str(place / "src") for place in places)},
    )
    assert checked.returncode == 0, checked.stdout
    environment = tmp_path / "environment"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), f"{places[0]}[dev]"], check=True)
    subprocess.run([str(python), "-I", "-m", "pytest", "-q", str(places[0] / "tests")], check=True, cwd=tmp_path)
