"""A filter means on a Weaviate server what it means everywhere."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adapters.base import Filter, InvalidOptions, Place, Queries, Similarity, index_name
from tests import small
from tests.filtering import batches, columns, conditions, expected
from tests.test_quiet import stderr_of

COUNT = 90
VECTORS = np.random.default_rng(3).standard_normal((COUNT, 8)).astype(np.float32)


@pytest.mark.parametrize("range_filters", [False, True])
def test_a_server_passes_what_the_oracle_passes(
    synchronous: dict[str, Any], opened: Any, tmp_path: Path, range_filters: bool
) -> None:
    store = opened(synchronous, type="flat", range_filters=range_filters)
    given = batches(COUNT, VECTORS, exact_numbers=False)
    place = Place(index_name(uuid.uuid4().hex, "filters"), tmp_path)
    ref = store.build(given, place=place, similarity=Similarity.COSINE, dimension=8)
    table = columns(COUNT, exact_numbers=False)
    with store.open(ref) as session:
        for spec in conditions(exact_numbers=False):
            found = session.search(Queries(VECTORS[:1]), COUNT, Filter.parse(spec)).rows[0]
            assert sorted(found[found >= 0].tolist()) == expected(spec, table), spec
    store.drop(ref)


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("id", pa.array([1, 1234567890123456789]), "holds 1234567890123456789"),
        ("ids", pa.array([[1], [2**60]]), "holds 1152921504606846976"),
        ("when", pa.array([datetime(2024, 1, 1), datetime(2900, 1, 1)], pa.timestamp("us")), "holds"),
        ("weight", pa.array([1.0, float("-inf")]), "holds infinity"),
        ("who", pa.array([{"a": 1}, None]), "no filter compares"),
        ("x" * 300, pa.array([1, 2]), "too long"),
    ],
)
def test_a_column_that_the_server_cannot_hold_is_refused_beforehand(
    synchronous: dict[str, Any], opened: Any, name: str, column: pa.Array, message: str
) -> None:
    store = opened(synchronous)
    with pytest.raises(InvalidOptions, match=message) as refused:
        store.check_columns(pa.table({f"meta.{name}": column}))
    assert refused.value.key == f"filter.{name}"
    store.check_columns(
        pa.table({"meta.id": pa.array([1, None, -(2**53)]), "meta.day": pa.array([date(2024, 1, 1)] * 3)})
    )


def test_a_quiet_run_over_a_server_writes_nothing_to_the_screen_and_counts_what_it_cannot_answer(
    synchronous: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path))
    known = f"{synchronous['host']}:{synchronous['port']} {synchronous['api_key_env']}\n"
    (tmp_path / "known_hosts").write_text(known, encoding="utf-8")
    small.collection(tmp_path / "data", documents=40, queries=6)
    rows = [{"_id": "q0", "text": "猫是一种"}, *({"_id": f"q{i}", "text": "copper violin"} for i in range(1, 6))]
    small.write_jsonl(tmp_path / "data" / "queries.jsonl", rows)
    keywords = {"adapter": "weaviate", "index": {"full_text": True}, "query": {"mode": "text"}, **synchronous}
    experiment = small.spec([{"store": "keywords"}], stores={"keywords": keywords})
    assert stderr_of(tmp_path, experiment, "--quiet", "--json") == ""
    _, result = small.measure(tmp_path, experiment)
    (system,) = result.systems
    assert system.queries_without_terms == 1
    assert any("Set index.tokenization: gse_ch or trigram for Chinese." in note for note in system.notes)
