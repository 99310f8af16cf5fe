"""What the first version left on disk is of use still: its vectors and scores are not computed again, its results read.

`golden/first_version` holds vectors, scores and result.json as that version wrote them, of the experiment below.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.results.model import read_result
from tests import small

KEPT = Path(__file__).resolve().parents[1] / "golden" / "first_version"


def test_nothing_is_embedded_or_scored_again_with_the_first_versions_cache(tmp_path: Path) -> None:
    small.collection(tmp_path / "data")
    for kind in ("vectors", "scores"):
        shutil.copytree(KEPT / kind, tmp_path / "cache" / kind)
    systems = [
        {"name": "dense", "encoder": "words"},
        {"name": "bm25", "store": "bm25"},
        {"name": "reranked", "store": "bm25", "reranker": "again"},
    ]
    experiment = small.spec(
        systems,
        encoders={"words": {"adapter": "words"}},
        rerankers={"again": {"adapter": "bi_encoder", "encoder": "words"}},
        baseline="bm25",
        margin=0.05,
    )
    (tmp_path / "site").mkdir()
    with small.installed(tmp_path / "site"):
        _, result = small.measure(tmp_path, experiment)
    work, then = result.work, read_result(KEPT / "result.json")
    assert (work.texts_embedded.computed, work.pairs_scored.computed) == (0, 0)
    assert (work.texts_embedded.reused, work.pairs_scored.reused) == (72, 669)  # what that version computed
    assert result.dataset.fingerprint == then.dataset.fingerprint
    for now, before in zip(result.systems, then.systems, strict=True):
        assert now.measures == before.measures and now.against_baseline == before.against_baseline
