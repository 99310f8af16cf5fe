"""Vectors that were computed elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.base import Context, DatasetInvalid, InvalidOptions
from adapters.datasets.vectors import VectorFiles
from bench.data.dataset import Dataset, load_dataset

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "corpus.npy", VECTORS)
    np.save(tmp_path / "queries.npy", VECTORS[:2].astype(np.float64))
    return tmp_path


def source(folder: Path, **options: Any) -> VectorFiles:
    chosen = VectorFiles.Options(**{"corpus": "corpus.npy", "queries": "queries.npy", **options})
    return VectorFiles(chosen, Context(base=folder))


def dataset(folder: Path, *, kept_in: Path | None = None, **options: Any) -> Dataset:
    judged = "qrels" in options and options["qrels"] != "none"
    return load_dataset(source(folder, **options), name="v", split=None, needs_judgements=judged, kept_in=kept_in)


def fault(folder: Path, **options: Any) -> str:
    with pytest.raises(DatasetInvalid) as raised:
        source(folder, **options).load()
    return str(raised.value)


@pytest.mark.parametrize("options", [{}, {"qrels": "none"}])
def test_vectors_need_neither_texts_nor_judgements(folder: Path, options: dict[str, Any]) -> None:
    loaded = dataset(folder, **options)
    assert (loaded.documents, loaded.judged, loaded.qrels, loaded.has_text) == (4, 2, None, False)
    assert list(loaded.document_ids) == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(loaded.document_vectors, VECTORS)
    np.testing.assert_array_equal(loaded.query_vectors, VECTORS[:2])
    assert loaded.warnings == ()


def test_texts_and_judgements_stand_beside_the_vectors(folder: Path) -> None:
    (folder / "c.jsonl").write_text("".join(f'{{"_id": "d{i}", "text": "t{i}", "year": {i}}}\n' for i in range(4)))
    (folder / "q.jsonl").write_text('{"_id": "a", "text": "one"}\n{"_id": "b", "text": "two"}\n')
    (folder / "qrels.tsv").write_text("b\td3\t1\n")
    loaded = dataset(folder, corpus_texts="c.jsonl", query_texts="q.jsonl", qrels="qrels.tsv")
    assert (list(loaded.query_ids), list(loaded.query_texts), loaded.has_text) == (["b"], ["two"], True)
    np.testing.assert_array_equal(loaded.query_vectors, VECTORS[1:2])
    assert loaded.corpus.column("meta.year").to_pylist() == [0, 1, 2, 3]
    assert loaded.qrels_coded().document_rows.tolist() == [3]


def test_parquet_carries_all_in_one_file(folder: Path) -> None:
    rows = [
        {"id": 10 + i, "text": f"t{i}", "emb": VECTORS[i].tolist(), "lang": "en", "tags": ["x"], "ok": True}
        for i in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "corpus.parquet", row_group_size=2)
    pq.write_table(pa.table({"emb": VECTORS[:2].tolist()}), folder / "queries.parquet")
    loaded = dataset(folder, corpus="corpus.parquet", queries="queries.parquet", vector="emb")
    assert list(loaded.document_ids) == ["10", "11", "12", "13"]
    assert list(loaded.query_ids) == ["0", "1"]
    np.testing.assert_array_equal(loaded.document_vectors, VECTORS)
    meta = loaded.corpus.select([name for name in loaded.corpus.column_names if name.startswith("meta.")])
    assert meta.slice(0, 1).to_pylist() == [{"meta.lang": "en", "meta.tags": ["x"], "meta.ok": True}]


@pytest.mark.parametrize("kind", [pa.uint64(), pa.uint8(), pa.int16()])
def test_whole_numbers_of_any_width_are_numbers(folder: Path, kind: pa.DataType) -> None:
    """Only what 64 bits with a sign cannot hold becomes text: no engine has a type for it."""
    table = pa.table({"id": ["a", "b"], "vector": VECTORS[:2].tolist(), "size": pa.array([3, 7], kind)})
    pq.write_table(table, folder / "sizes.parquet")
    assert source(folder, corpus="sizes.parquet").load().corpus.column("meta.size").type == pa.int64()
    beyond = table.set_column(2, "size", pa.array([3, 2**64 - 1], pa.uint64()))
    pq.write_table(beyond, folder / "sizes.parquet")
    assert source(folder, corpus="sizes.parquet").load().corpus.column("meta.size").to_pylist()[1] == str(2**64 - 1)


def test_kept_vectors_are_mapped_in_one_piece(folder: Path) -> None:
    many = np.random.default_rng(0).standard_normal((25_000, 16)).astype(np.float32)
    np.save(folder / "corpus.npy", many)
    np.save(folder / "queries.npy", many[:5])
    lines = "".join(f'{{"_id": "d{i}", "text": ""}}\n' for i in range(len(many)))
    (folder / "c.jsonl").write_text(lines)
    before = pa.total_allocated_bytes()
    loaded = dataset(folder, corpus_texts="c.jsonl", kept_in=folder / "kept")
    assert loaded.corpus.column("id").num_chunks > 1
    assert loaded.document_vectors is not None
    held = loaded.corpus.column("vector").chunk(0).flatten().to_numpy()
    assert np.shares_memory(loaded.document_vectors, held)
    np.testing.assert_array_equal(loaded.document_vectors, many)
    # The matrix alone is 25,000 × 16 × 4 bytes = 1.6 MB.
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert loaded.fingerprint == dataset(folder, corpus_texts="c.jsonl").fingerprint


def test_malformed_vectors_are_named(folder: Path) -> None:
    np.save(folder / "flat.npy", np.zeros(3))
    assert fault(folder, corpus="flat.npy") == (
        f"{folder}/flat.npy: holds float64 of shape (3,), expected a matrix of numbers (rows, dimension)."
    )
    np.save(folder / "objects.npy", np.array([[{}]]), allow_pickle=True)
    assert "objects.npy: is no readable .npy file of numbers" in fault(folder, corpus="objects.npy")
    (folder / "junk.npy").write_text("junk")
    assert "junk.npy: is no readable .npy file of numbers" in fault(folder, corpus="junk.npy")
    pq.write_table(pa.table({"vector": [[1.0], [1.0, 2.0]]}), folder / "ragged.parquet")
    assert fault(folder, corpus="ragged.parquet") == (
        f"{folder}/ragged.parquet, column vector, row 2: has 2 numbers, the first row has 1."
    )
    pq.write_table(pa.table({"vector": [[1.0], None]}), folder / "gap.parquet")
    assert fault(folder, corpus="gap.parquet") == f"{folder}/gap.parquet, column vector, row 2: has no vector."
    pq.write_table(pa.table({"emb": [[1.0]]}), folder / "other.parquet")
    assert fault(folder, corpus="other.parquet") == f'{folder}/other.parquet: has no column "vector". It has: emb.'
    assert fault(folder, corpus="nowhere.npy") == f"{folder}/nowhere.npy: there is no such file."


def test_as_many_texts_as_vectors(folder: Path) -> None:
    (folder / "c.jsonl").write_text('{"_id": "a", "text": ""}\n')
    assert fault(folder, corpus_texts="c.jsonl") == (
        f"{folder}/c.jsonl: has 1 rows, {folder}/corpus.npy has 4 vectors."
    )


def test_options_that_cannot_work_name_their_key(folder: Path) -> None:
    with pytest.raises(InvalidOptions, match=r"neither \.npy nor \.parquet") as raised:
        source(folder, queries="queries.csv").check()
    assert raised.value.key == "queries"
    with pytest.raises(InvalidOptions, match="put the texts into its column text") as raised:
        source(folder, corpus="c.parquet", corpus_texts="c.jsonl").check()
    assert raised.value.key == "corpus_texts"
