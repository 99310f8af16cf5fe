"""Vectors that cannot be compared are a fault of the data, named before the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.base import Context
from adapters.datasets.vectors import VectorFiles
from bench.data.dataset import DatasetFaults, load_dataset
from bench.experiment.faults import ConfigFaults
from bench.experiment.reader import load_experiment
from bench.run.preflight import prepare


def faults(folder: Path, **options: Any) -> list[str]:
    chosen = VectorFiles.Options(**{"corpus": "corpus.npy", "queries": "queries.npy", **options})
    with pytest.raises(DatasetFaults) as raised:
        load_dataset(VectorFiles(chosen, Context(base=folder)), name="v", split=None, needs_judgements=False)
    return raised.value.faults


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    good = np.arange(12, dtype=np.float32).reshape(4, 3)
    broken = good.copy()
    broken[2, 1] = np.nan
    broken[3, 0] = -np.inf
    for name, values in (("corpus", good), ("queries", good[:2]), ("broken", broken)):
        np.save(tmp_path / f"{name}.npy", values)
        pq.write_table(pa.table({"vector": values.tolist()}), tmp_path / f"{name}.parquet")
    return tmp_path


@pytest.mark.parametrize("ending", ["npy", "parquet"])
@pytest.mark.parametrize(("which", "kind"), [("corpus", "document"), ("queries", "query")])
def test_a_vector_that_is_no_point_is_named_by_file_table_and_row_from_1(
    folder: Path, which: str, kind: str, ending: str
) -> None:
    # Rows 2 and 3 from 0 are broken: the third is the first of two, its id is the number from 0.
    assert faults(folder, **{which: f"broken.{ending}"}) == [
        f"{folder}/broken.{ending}, row 3: the vector of {kind} '2' holds NaN, infinity or a number beyond float32; "
        f"2 of 4 {kind} vectors do. Make them again, or leave these rows out."
    ]


@pytest.mark.parametrize("ending", ["npy", "parquet"])
def test_a_number_beyond_float32_is_a_fault(folder: Path, ending: str) -> None:
    values = np.array([[1e300, 0, 0], [0, 0, 0]])
    np.save(folder / "wide.npy", values)
    pq.write_table(pa.table({"vector": values.tolist()}), folder / "wide.parquet")
    [fault] = faults(folder, queries=f"wide.{ending}")
    assert "row 1" in fault
    assert "1 of 2 query vectors does" in fault


def test_a_number_that_is_missing_is_a_fault(folder: Path) -> None:
    pq.write_table(pa.table({"vector": [[1.0, 2.0, 3.0], [1.0, None, 3.0]]}), folder / "gap.parquet")
    assert "gap.parquet, row 2: the vector of document '1'" in faults(folder, corpus="gap.parquet")[0]


def test_broken_vectors_of_both_tables_are_named_together(folder: Path) -> None:
    listed = faults(folder, corpus="broken.npy", queries="broken.parquet")
    assert [fault.split(",")[0] for fault in listed] == [f"{folder}/broken.npy", f"{folder}/broken.parquet"]


@pytest.mark.parametrize("content", ["nan", "junk", "flat", "absent"])
def test_a_broken_file_of_vectors_is_one_fault(folder: Path, content: str) -> None:
    broken = {"nan": "broken.npy", "junk": "junk.npy", "flat": "flat.npy", "absent": "absent.npy"}[content]
    (folder / "junk.npy").write_text("junk")
    np.save(folder / "flat.npy", np.zeros(3))
    (folder / "e.yaml").write_text(
        f"experiment: e\ndataset: {{adapter: vectors, corpus: {broken}, queries: queries.npy}}\n"
        "encoders: {given: {adapter: precomputed}}\nsystems: [{name: dense, encoder: given}]\nmeasures: [ANN@1]\n"
        "latency: false\n"
    )
    with pytest.raises(ConfigFaults) as raised:
        prepare(load_experiment(folder / "e.yaml"), folder / "cache", lambda event: None)
    [fault] = raised.value.faults
    assert broken in fault
