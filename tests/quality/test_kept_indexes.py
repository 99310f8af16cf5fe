"""What an earlier run kept is what it was, or it is made again: never other numbers, whatever happened to a file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.cache.artifacts import Cache
from bench.results.model import Result
from tests import small
from tests.harms import HARMS, flip
from tests.thorough import enough

STORES: dict[str, dict[str, Any]] = {
    "bm25": {"adapter": "bm25"},
    "exact": {"adapter": "exact"},
    "flat": {"adapter": "lancedb"},
    "ivf": {"adapter": "lancedb", "index": {"type": "IVF_FLAT", "num_partitions": 8}, "query": {"nprobes": 2}},
    "pq": {"adapter": "lancedb", "index": {"type": "IVF_PQ", "num_partitions": 2, "num_sub_vectors": 4}},
    "hnsw": {"adapter": "lancedb", "index": {"type": "IVF_HNSW_FLAT", "num_partitions": 1}},
    "words": {"adapter": "lancedb", "index": {"full_text": True}, "query": {"mode": "hybrid"}},
    "elsewhere": {"adapter": "lancedb", "uri": "tables"},
    "faiss": {"adapter": "faiss", "index": {"type": "IVF_FLAT", "nlist": 8}, "query": {"nprobe": 2}},
    "graph": {"adapter": "faiss", "index": {"type": "HNSW"}},
}
FAST = ("exact", "ivf", "faiss")


pytestmark = pytest.mark.usefixtures("third_party")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.collection(tmp_path / "data", documents=300, queries=12)
    return tmp_path


def experiment(*stores: str, **keys: Any) -> dict[str, Any]:
    systems = [{"name": s, "store": s, **({} if s == "bm25" else {"encoder": "words"})} for s in stores]
    return small.spec(
        systems,
        encoders={"words": {"adapter": "words"}},
        rerankers={"again": {"adapter": "bm25"}},
        stores={name: STORES[name] for name in {*stores, "bm25"}},
        measures=["nDCG@10", "ANN@10"],
        **keys,
    )


def numbers(result: Result) -> dict[str, Any]:
    return {
        s.name: (s.status, {k: v.model_dump() for k, v in s.measures.items()}, s.ann_recall) for s in result.systems
    }


def files(folder: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(folder.glob(pattern)) if path.is_file() and path.stat().st_size > 1]


def one_of_each_kind(paths: list[Path]) -> list[Path]:
    """The largest file of each ending: what an engine names by chance is a kind all the same."""
    kinds: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: path.stat().st_size):
        kinds[path.name if path.parent.name == "data" else path.suffix] = path
    return list(kinds.values())


# -- indexes ---------------------------------------------------------------------------------------------------------


def check_every_harm(folder: Path, store: str, harms: dict[str, Callable[[Path], object]]) -> None:
    spec = experiment(store)
    undisturbed = small.measure(folder, spec)[1]
    assert undisturbed.status == "success"
    held = folder / "tables" if store == "elsewhere" else folder / "cache" / "indexes"
    whole = {"cache": folder / "whole-cache", "tables": folder / "whole-tables"}
    for name, copy in whole.items():
        if (folder / name).exists():
            shutil.copytree(folder / name, copy, symlinks=True)
    kinds = [
        path.relative_to(folder)
        for path in one_of_each_kind(files(held, "**/data/**/*" if held.name == "indexes" else "**/*"))
    ]
    assert kinds
    for path in kinds:
        for name, harm in harms.items():
            for gone in ("results", *whole):
                shutil.rmtree(folder / gone, ignore_errors=True)
            for kept, copy in whole.items():
                if copy.exists():
                    shutil.copytree(copy, folder / kept, symlinks=True)
            harm(folder / path)
            _, again = small.measure(folder, spec)
            case = f"{store}: {name} {path.name}"
            assert again.work.indexes_built.computed == 1, case
            assert again.work.texts_embedded.computed == 0, case
            assert any("of its index" in text and "built again" in text for text in again.warnings), (
                case,
                again.warnings,
            )
            if store not in ("ivf", "pq", "hnsw"):  # whose k-means has no seed
                assert numbers(again) == numbers(undisturbed), case
            assert again.status == "success", case
            _, third = small.measure(folder, spec)
            assert third.work.indexes_built.computed == 0, case
            assert third.work.queries_searched.computed == 0, case
            assert numbers(third) == numbers(again), case


@pytest.mark.parametrize("store", FAST)
def test_a_damaged_file_of_an_index_has_it_built_again_and_that_is_said(folder: Path, store: str) -> None:
    check_every_harm(folder, store, {name: HARMS[name] for name in ("flip", "remove")})


@pytest.mark.slow
@pytest.mark.parametrize("store", enough(("words", "graph"), tuple(STORES)))
def test_every_harm_to_every_kind_of_file_of_every_index_has_it_built_again(folder: Path, store: str) -> None:
    check_every_harm(folder, store, HARMS)


def test_what_one_build_found_is_not_reported_of_another(folder: Path) -> None:
    """The index is lost, what was found in it is not: k-means has no seed, so the new one may find something else."""
    spec = experiment("ivf", "exact")
    small.measure(folder, spec)
    for record in (folder / "cache" / "indexes").glob("*/ref.json"):
        shutil.rmtree(record.parent)
    _, again = small.measure(folder, spec)
    assert again.work.indexes_built.computed == 2
    # 12 queries of ivf; exact builds the same again, so that what it found stands.
    assert (again.work.queries_searched.computed, again.work.queries_searched.reused) == (12, 12)


def test_an_index_of_before_digests_is_used_as_it_is_and_held_to_it_from_then_on(folder: Path) -> None:
    spec = experiment("ivf", "bm25")
    _, first = small.measure(folder, spec)
    for record in (folder / "cache" / "indexes").glob("*/ref.json"):
        small.older_record(record)
    shutil.rmtree(folder / "cache" / "candidates")  # they bear the stamp of a build
    _, second = small.measure(folder, spec)
    assert second.work.indexes_built.computed == 0
    assert numbers(second) == numbers(first)
    _, third = small.measure(folder, spec)
    assert (third.work.indexes_built.computed, third.work.queries_searched.computed) == (0, 0)
    (path,) = (folder / "cache" / "indexes").glob("*/data/rows.arrow")
    flip(path)
    _, last = small.measure(folder, spec)
    assert last.work.indexes_built.computed == 1
    assert numbers(last) == numbers(first)


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_record_of_an_index_has_it_built_again(folder: Path, harm: str) -> None:
    spec = experiment("bm25")
    _, first = small.measure(folder, spec)
    (path,) = (folder / "cache" / "indexes").glob("*/ref.json")
    HARMS[harm](path)
    _, again = small.measure(folder, spec)
    assert numbers(again) == numbers(first)
    assert again.status == "success"
    if harm in ("folder", "flip", "truncate", "zero", "append"):
        assert again.work.indexes_built.computed == 1
        assert any("record of its index is damaged" in text for text in again.warnings)


def test_one_changed_digit_in_a_record_is_damage(folder: Path) -> None:
    spec = experiment("bm25")
    _, first = small.measure(folder, spec)
    (path,) = (folder / "cache" / "indexes").glob("*/ref.json")
    path.write_text(path.read_text().replace('"rows": 300', '"rows": 301'))
    assert [*Cache(folder / "cache").index_refs()] == []
    _, again = small.measure(folder, spec)
    assert (again.work.indexes_built.computed, numbers(again)) == (1, numbers(first))
