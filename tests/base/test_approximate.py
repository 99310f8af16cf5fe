"""Runs over approximate stores of a third party: what is refused before the start, and what is warned of."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.experiment.faults import ConfigFaults
from bench.report import table
from tests import small

BUCKETS = Path(__file__).resolve().parents[1] / "third_party" / "bucket_store.py"
VARIANTS = '''
from adapters.base import Identity, Similarity
from bucket_store import BucketSession, BucketStore


class OnlyCosine(BucketStore):
    name = "only_cosine"
    similarities = (Similarity.COSINE,)


class Mixed(BucketStore):
    """Names another document than it found."""

    name = "mixed"
    identity = Identity("buckets", "mixed")

    def open(self, ref):
        session = BucketSession(ref, self.held(ref))
        session.numbers = (session.numbers + 7) % ref.rows
        return session
'''
ENTRY_POINTS = """[retrieval_bench.stores]
buckets = bucket_store:BucketStore
only_cosine = bucket_variants:OnlyCosine
mixed = bucket_variants:Mixed
"""


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    site = tmp_path_factory.mktemp("site")
    shutil.copy(BUCKETS, site)
    (site / "bucket_variants.py").write_text(VARIANTS, encoding="utf-8")
    metadata = site / "buckets-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: buckets\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    yield
    sys.path.remove(str(site))
    for name in ("bucket_store", "bucket_variants"):
        sys.modules.pop(name, None)


def experiment(folder: Path, similarity: str, **stores: Any) -> dict[str, Any]:
    """One system for each store, over 300 vectors that are compared by a metric."""
    small.vectors(folder / "vectors", documents=300, queries=20)
    return small.spec(
        [{"name": name, "encoder": "own", "store": name} for name in stores],
        dataset={"adapter": "vectors", "corpus": "vectors/corpus.npy", "queries": "vectors/queries.npy"},
        encoders={"own": {"adapter": "precomputed", "similarity": similarity}},
        stores=stores,
        measures=["ANN@10"],
    )


def test_a_metric_that_a_store_lacks_is_refused_before_the_start(tmp_path: Path) -> None:
    asked = experiment(tmp_path, "dot", only={"adapter": "only_cosine"})
    with pytest.raises(ConfigFaults) as refused:
        small.measure(tmp_path, asked)
    assert "systems[0].store: store only_cosine compares vectors by cosine, and those of encoder own are meant" in str(
        refused.value
    )
    assert not (tmp_path / "results").exists()


def test_a_system_that_finds_less_than_half_of_the_nearest_is_warned_of_with_the_likely_causes(tmp_path: Path) -> None:
    asked = experiment(tmp_path, "cosine", right={"adapter": "buckets"}, wrong={"adapter": "mixed"})
    _, result = small.measure(tmp_path, asked)
    (warning,) = [text for text in result.warnings if "ANN@10" in text]
    assert warning.startswith("wrong: ANN@10 is 0.0")
    for cause in ("another metric than the encoder's (cosine)", "normalised", "ids or rows", "settings"):
        assert cause in warning
    assert f"! {warning}" in table.render(result)
    assert result.status == "success"


def test_an_index_that_is_searched_coarsely_is_warned_of_and_one_that_is_not_is_not(tmp_path: Path) -> None:
    probes = {"adapter": "buckets", "index": {"buckets": 150}, "query": {"probes": 1}}
    _, result = small.measure(tmp_path, experiment(tmp_path, "l2", coarse=probes, fine={"adapter": "buckets"}))
    recall = {name: system.ann_recall["10"] for name, system in small.by_name(result).items()}
    assert recall["coarse"] is not None and recall["coarse"] < 0.5 and recall["fine"] == 1.0
    assert [text.partition(":")[0] for text in result.warnings if "ANN@10" in text] == ["coarse"]
