"""A collection that another program wrote to is not taken for the one that was built."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import IndexMissing, IndexRef, Place, Similarity, index_name
from adapters.stores.weaviate.collection import _uuid
from adapters.stores.weaviate.schema import Mark
from bench.cache.artifacts import Cache
from bench.quality.kept_index import foreign_vectors
from bench.results.model import Result
from tests import small
from tests.stores.arrays import batches
from tests.weaviate.conftest import store_at

ROWS, OVERWRITTEN = 600, range(100, 400)  # half of the rows: a sample of 256 of 600 cannot miss them


def experiment(folder: Path, connection: dict[str, Any]) -> dict[str, Any]:
    small.vectors(folder / "data", documents=ROWS, queries=20)
    return small.spec(
        [{"name": "weaviate", "encoder": "given", "store": "weaviate"}],
        dataset={"adapter": "vectors", "corpus": "data/corpus.npy", "queries": "data/queries.npy"},
        encoders={"given": {"adapter": "precomputed"}},
        stores={"weaviate": {"adapter": "weaviate", "index": {"type": "flat"}, **connection}},
        measures=["ANN@10"],
    )


def kept(folder: Path) -> IndexRef:
    ((_, record),) = Cache(folder / "cache").index_refs()
    return IndexRef.from_dict(record["ref"])


def overwrite(connection: dict[str, Any], ref: IndexRef) -> None:
    """Give some objects the vectors of others; their number stays."""
    rng = np.random.default_rng(1)
    with store_at(connection, type="flat") as store:
        handle = store._at(ref.name).handle
        for row in OVERWRITTEN:
            handle.data.update(uuid=_uuid(row), vector=rng.standard_normal(ref.dimension).tolist())


def figures(result: Result) -> list[Any]:
    return [(s.status, s.measures["ANN@10"].mean) for s in result.systems]


@pytest.mark.parametrize("record", ["kept", "lost"])
def test_a_collection_whose_vectors_were_overwritten_is_built_again(
    synchronous: dict[str, Any], tmp_path: Path, record: str
) -> None:
    plan = experiment(tmp_path, synchronous)
    _, first = small.measure(tmp_path, plan)
    assert figures(first) == [("success", 1.0)]
    ref = kept(tmp_path)
    overwrite(synchronous, ref)
    if record == "lost":  # the engine itself says that it has the collection
        shutil.rmtree(tmp_path / "cache")
    else:
        shutil.rmtree(tmp_path / "cache" / "candidates")
    _, again = small.measure(tmp_path, plan)
    assert figures(again) == [("success", 1.0)]
    assert again.work.indexes_built.computed == 1
    assert any(
        "stored vectors that were compared are not those it was built of; the index is built again" in text
        for text in again.warnings
    )
    _, third = small.measure(tmp_path, plan)
    assert (third.work.indexes_built.computed, third.work.queries_searched.computed) == (0, 0)
    with store_at(synchronous, type="flat") as store:
        store.drop(ref)


def test_a_collection_that_another_run_built_anew_is_another_build(synchronous: dict[str, Any], tmp_path: Path) -> None:
    plan = experiment(tmp_path, synchronous)
    small.measure(tmp_path, plan)
    ref = kept(tmp_path)
    with store_at(synchronous, type="flat") as store:
        collection = store._at(ref.name)
        mark = Mark.read(collection.schema()["description"])
        anew = Mark(mark.name, mark.rows, mark.seconds + 1.5, mark.settings)
        collection.whole.config.update(description=anew.write())
        with pytest.raises(IndexMissing, match="built anew by another run"):
            store.describe(ref)
    _, again = small.measure(tmp_path, plan)
    assert (again.work.indexes_built.computed, again.work.queries_searched.computed) == (1, 20)
    (told,) = (text for text in again.warnings if "built anew by another run" in text)
    assert told.startswith("weaviate: Collection ") and told.endswith("what it finds has to be asked again.")
    assert figures(again) == [("success", 1.0)]
    with store_at(synchronous, type="flat") as store:
        store.drop(ref)


@pytest.mark.parametrize("similarity", Similarity)
@pytest.mark.parametrize("index", [{"type": "flat"}, {"type": "hnsw", "quantizer": "rq"}])
def test_vectors_come_back_from_the_server_as_they_were_given(
    synchronous: dict[str, Any], tmp_path: Path, similarity: Similarity, index: dict[str, Any]
) -> None:
    vectors = (np.random.default_rng(3).standard_normal((300, 24)) * 7).astype(np.float32)
    with store_at(synchronous, **index) as store:
        ref = store.build(
            batches(vectors=vectors), place=Place(index_name("9" * 32), tmp_path), similarity=similarity, dimension=24
        )
        assert foreign_vectors(store, ref, lambda: vectors) is None
        wrong = vectors.copy()
        wrong[::3] = wrong[::3][::-1]
        told = foreign_vectors(store, ref, lambda: wrong)
        assert told is not None and told.endswith(
            "of 256 stored vectors that were compared are not those it was built of"
        )
        store.drop(ref)
